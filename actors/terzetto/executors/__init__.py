"""Executors: one call for graphs, flows, objects with an `arun` and plain functions, each of them a supervised run.

`UnifiedExecutor().execute(target, inputs, backend="graph")` needs nothing around it. With `runtime=`, executions are
runs of your own runtime: stored, listed, cancelled, told and decided as every other run.
"""

from typing import TYPE_CHECKING, Final

from .._extras import loader

if TYPE_CHECKING:
    from ._execution import executions as executions
    from ._executors import (
        FlowExecutor as FlowExecutor,
        GraphExecutor as GraphExecutor,
        UnifiedExecutor as UnifiedExecutor,
    )
    from ._words import (
        ExecutionContext as ExecutionContext,
        ExecutionMode as ExecutionMode,
        ExecutionResult as ExecutionResult,
        ExecutionStatus as ExecutionStatus,
        ExecutorBackend as ExecutorBackend,
    )

__all__ = [
    "ExecutionContext",
    "ExecutionMode",
    "ExecutionResult",
    "ExecutionStatus",
    "ExecutorBackend",
    "FlowExecutor",
    "GraphExecutor",
    "UnifiedExecutor",
    "executions",
]

_HOMES: Final = {
    "ExecutionContext": "._words",
    "ExecutionMode": "._words",
    "ExecutionResult": "._words",
    "ExecutionStatus": "._words",
    "ExecutorBackend": "._words",
    "FlowExecutor": "._executors",
    "GraphExecutor": "._executors",
    "UnifiedExecutor": "._executors",
    "executions": "._execution",
}

__getattr__ = loader(__name__, _HOMES, globals())


def __dir__() -> list[str]:
    return __all__
