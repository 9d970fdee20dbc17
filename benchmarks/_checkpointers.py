"""LangGraph's own graph with our checkpointer, beside the same graph with LangGraph's savers."""

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from . import _servers
from ._contest import Contest, Opponent
from ._setting import Setting

Url = Callable[[str | None, str], str]
"""Names a store that nobody has had before: on the disk of the first folder, or in the second, which is empty."""


def contests(setting: Setting) -> list[Contest]:
    """`checkpointer_memory`, `_sqlite`, `_postgres` and `_redis`, which all take LangGraph."""
    return [
        _contest(setting, "memory", "memory:", lambda folder, place: "memory:"),
        _contest(setting, "sqlite", "sqlite:, FULL", lambda folder, place: f"sqlite://{place}/checkpoints.db"),
        _contest(
            setting,
            "postgres",
            _servers.POSTGRES,
            lambda folder, place: _servers.postgres(folder).url(),
            _servers.missing_postgres(),
        ),
        _contest(
            setting,
            "redis",
            _servers.REDIS,
            lambda folder, place: _servers.redis(folder).url(),
            _servers.missing_redis(),
        ),
    ]


def _contest(setting: Setting, name: str, where: str, url: Url, missing: str = "") -> Contest:
    opponents = setting.peers_at(f"checkpointer_{name}")
    return Contest(
        name=f"checkpointer_{name}",
        work=f'a chain of 100 small steps by LangGraph with our checkpointer, durability="sync", {where}',
        unit="steps/s",
        ours=partial(_ours, setting, url),
        opponents=opponents if name == "memory" else [*opponents, *_in_memory(setting)],
        turns=2,
        missing=missing,
    )


def _in_memory(setting: Setting) -> list[Opponent]:
    """The same graph on LangGraph's saver in memory, which says what the graph itself takes."""
    return [replace(opponent, name="LangGraph in memory") for opponent in setting.peers_at("checkpointer_memory")]


def _ours(setting: Setting, url: Url) -> float:
    from terzetto.langgraph import Checkpointer

    from .peers._savers import chain_rate

    with TemporaryDirectory(dir=setting.folder) as place:
        return chain_rate(lambda: Checkpointer(url(setting.folder, place)), setting.sizes.chains)
