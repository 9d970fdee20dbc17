"""How a target is called: as what it is, whatever the library that it comes from."""

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeGuard, cast

import trio
from attrs import field, frozen

from terzetto_protocol.context import NodeContext
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.graph import Bound

from .._threads import node_threads
from ._words import ExecutionContext, ExecutionMode, ExecutorBackend

Loop: TypeAlias = Literal["trio", "asyncio"]
LOOPS: Final[tuple[Loop, ...]] = ("trio", "asyncio")

_ASYNC: Final = ("arun", "run_async", "execute_async")
_ENTRIES: Final = ("ainvoke", *_ASYNC, "run")


@frozen
class Options:
    """What an executor was told once for all of its executions."""

    compile_options: Mapping[str, Any] = field(factory=dict[str, Any])
    loop: Loop = "trio"
    root: str = "."
    asks: bool = True
    """Whether there is somebody who could decide."""


@frozen
class Call:
    """One call of a target."""

    target: Any
    inputs: dict[str, Any]
    context: ExecutionContext
    backend: ExecutorBackend
    options: Options

    @property
    def config(self) -> dict[str, Any]:
        """What LangGraph calls a config; what the context says wins."""
        return {"configurable": {"thread_id": self.context.thread_id, **self.context.config}}


def native(target: object) -> Declaration[Any, Any] | None:
    """The graph of Terzetto's own that this is, or None."""
    graph = target.graph if _is_bound(target) else target
    return graph if _is_graph(graph) else None


def _is_bound(target: object) -> TypeGuard[Bound[Any]]:
    return isinstance(target, Bound)


def _is_graph(target: object) -> TypeGuard[Declaration[Any, Any]]:
    return isinstance(target, Declaration)


def is_file(target: object) -> bool:
    """Whether this names a file of Python."""
    return isinstance(target, str | Path) and str(target).endswith(".py")


async def perform(call: Call, ctx: NodeContext[Any, Any]) -> Any:
    """Call the target within a node, and return what it returns. A checkpoint.

    Raises `TypeError` for a target that cannot be called in any way.
    """
    file = flow_file(call.target)
    if file is not None:
        return await _run_flow(call, ctx, file)
    target = call.target
    if callable(getattr(target, "compile", None)) and not hasattr(target, "ainvoke"):
        target = target.compile(**call.options.compile_options)
    if _is_of(target, "langgraph.pregel", "Pregel"):
        return await _run_graph(call, ctx, target)
    fn, context = _entry(target, call)
    if call.options.loop == "asyncio" or _is_of(target, "langchain_core.runnables", "Runnable"):
        from .._asyncio_thread import open_loop

        async with open_loop(f"node {ctx.visit.node}") as loop:
            return await loop.run(partial(_called, fn, call.inputs, context))
    if _is_async(fn):
        return await fn(call.inputs, context)
    (made,) = await trio.to_thread.run_sync(
        lambda: (fn(call.inputs, context),),  # Trio takes no coroutine out of a thread, but what holds one
        abandon_on_cancel=True,
        limiter=node_threads(),
        thread_name=f"node {ctx.visit.node}",
    )
    return await made if inspect.isawaitable(made) else made


async def _called(fn: Callable[..., Any], *args: Any) -> Any:
    """Call it where asyncio is at home."""
    made = fn(*args)
    return await made if inspect.isawaitable(made) else made


def _entry(target: Any, call: Call) -> tuple[Callable[..., Any], Any]:
    """The way into an object, and what it gets beside the inputs."""
    config = call.config if call.backend is ExecutorBackend.GRAPH else call.context
    if callable(getattr(target, "ainvoke", None)):
        return target.ainvoke, call.config
    if call.backend is ExecutorBackend.GRAPH and callable(target):
        return target, config
    for name in (*_ASYNC, "run"):
        if callable(method := getattr(target, name, None)):
            return cast("Callable[..., Any]", method), call.context
    if callable(target):
        return target, config
    raise TypeError(f"what to execute ({type(target).__name__}) has no entry point: none of {', '.join(_ENTRIES)}")


def _is_async(fn: Any) -> bool:
    """Whether calling it makes something to await and does nothing else."""
    while isinstance(fn, partial):
        fn = cast("Any", fn).func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004 - not whether, but which


def _is_of(target: object, module: str, name: str) -> bool:
    """Whether it is an instance of a class of a library: whoever has one has loaded it."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(target, kind)


def flow_file(target: object) -> Path | None:
    """The file of a flow of Metaflow, given as its path or its class; None for anything else."""
    if is_file(target):
        return Path(str(target))
    flow = getattr(sys.modules.get("metaflow"), "FlowSpec", None)
    if isinstance(flow, type) and isinstance(target, type) and issubclass(target, flow):
        return Path(inspect.getfile(target))
    return None


async def _run_flow(call: Call, ctx: NodeContext[Any, Any], file: Path) -> Any:
    from ..metaflow import run_flow

    config: dict[str, Any] = {
        "root": call.options.root,
        "mode": call.context.mode.value,
        **call.context.config,
    }
    result = await run_flow(ctx, file, parameters=call.inputs, **config)
    return {"run_id": result.run_id, "artifacts": result.artifacts}


async def _run_graph(call: Call, ctx: NodeContext[Any, Any], target: Any) -> Any:
    from ..langgraph import run_graph

    asks = call.options.asks and target.checkpointer  # one that has none could not go on from a question
    saver = None if target.checkpointer else False
    return await run_graph(
        ctx, target, call.inputs, config=call.config, checkpointer=saver, interrupts="ask" if asks else "return"
    )


def mode_of(context: ExecutionContext, mode: ExecutionMode) -> ExecutionMode:
    """Where a flow computes: as the context says, unless that says nothing special."""
    return mode if context.mode is ExecutionMode.LOCAL else context.mode
