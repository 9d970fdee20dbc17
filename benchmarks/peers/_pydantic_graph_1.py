"""pydantic-graph 1, whose `BaseNode` loop was the fastest of all peers.

Version 2 has dropped it, and both have one name: so it runs in a child process, which says how fast it was.
"""

from .._peers_venv import ASIDE
from .._process import say
from .._setting import Peer, Setting, Way

_VERSION = "from importlib.metadata import version; print(version('pydantic-graph'))"


def _say(*arguments: str) -> str:
    return say("-W", "ignore", *arguments, path=str(ASIDE))


def _loop(setting: Setting, kind: str) -> float:
    return float(_say("-m", "benchmarks.peers._base_node", kind, str(setting.sizes.peer_steps)))


if not ASIDE.is_dir():
    raise ImportError(f"there is no {ASIDE}")

PEER = Peer(
    "pydantic-graph v1",
    _say("-c", _VERSION).strip(),
    {
        "chain": Way(lambda setting: _loop(setting, "none"), "a BaseNode that returns itself, in a process of its own"),
        "memory": Way(lambda setting: _loop(setting, "memory"), "the same with FullStatePersistence"),
    },
)
