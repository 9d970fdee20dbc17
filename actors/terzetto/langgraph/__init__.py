"""Terzetto and LangGraph: `Checkpointer` keeps its checkpoints, `run_graph` and `guest_graph` run its graphs.

It takes `pip install 'terzetto[langgraph]'`.
"""

from typing import TYPE_CHECKING, Final

from .._extras import loader

if TYPE_CHECKING:
    from .._asyncio_thread import AsyncioThread as AsyncioThread, open_loop as open_loop
    from ._asking import GraphStopped as GraphStopped, resumed as resumed
    from ._checkpointer import Checkpointer as Checkpointer
    from ._guest import Guest as Guest, guest_graph as guest_graph, run_graph as run_graph

__all__ = ["AsyncioThread", "Checkpointer", "GraphStopped", "Guest", "guest_graph", "open_loop", "resumed", "run_graph"]

_HOMES: Final = {
    "AsyncioThread": ".._asyncio_thread",
    "Checkpointer": "._checkpointer",
    "GraphStopped": "._asking",
    "Guest": "._guest",
    "guest_graph": "._guest",
    "open_loop": ".._asyncio_thread",
    "resumed": "._asking",
    "run_graph": "._guest",
}

__getattr__ = loader(
    __name__, _HOMES, globals(), extras=dict.fromkeys(("langchain_core", "langgraph", "ormsgpack"), "langgraph")
)


def __dir__() -> list[str]:
    return __all__
