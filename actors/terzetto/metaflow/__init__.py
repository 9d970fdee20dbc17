"""Metaflow as a guest: `run_flow` runs a flow's file as a node's work, `flow_graph` as a whole run.

It takes `pip install 'terzetto[metaflow]'`, and is loaded in child processes only.
"""

from typing import TYPE_CHECKING, Final

from .._extras import loader

if TYPE_CHECKING:
    from ._failed import FlowFailed as FlowFailed
    from ._flow import FlowResult as FlowResult, run_flow as run_flow
    from ._graph import FlowRun as FlowRun, flow_graph as flow_graph

__all__ = ["FlowFailed", "FlowResult", "FlowRun", "flow_graph", "run_flow"]

_HOMES: Final = {
    "FlowFailed": "._failed",
    "FlowResult": "._flow",
    "FlowRun": "._graph",
    "flow_graph": "._graph",
    "run_flow": "._flow",
}

__getattr__ = loader(__name__, _HOMES, globals())


def __dir__() -> list[str]:
    return __all__
