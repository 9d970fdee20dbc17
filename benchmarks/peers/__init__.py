"""The peers: other libraries that do some of the same work, each in the way that its documentation recommends."""

from collections.abc import Callable
from importlib import import_module

from .._rounds import one_line
from .._setting import Peer

_MODULES = ("_langgraph", "_burr", "_pydantic_graph", "_pydantic_graph_1", "_dbos")


def load_peers(note: Callable[[str], None]) -> tuple[Peer, ...]:
    """Every peer that is installed; of the others it is said why they are left out.

    Args:
        note: told in one line what is missing.
    """
    loaded = [_load(module, note) for module in _MODULES]
    return tuple(peer for peer in loaded if peer is not None)


def _load(module: str, note: Callable[[str], None]) -> Peer | None:
    try:
        peer = import_module(f"{__name__}.{module}").PEER
    except Exception as error:  # noqa: BLE001 - whatever an import of a peer raises, the others go on
        note(f"{module.strip('_')} is left out: {one_line(error)}")
        return None
    assert isinstance(peer, Peer)
    return peer
