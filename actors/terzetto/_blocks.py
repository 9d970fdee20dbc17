"""Nodes of dataflows: functions that are called with what came in, and send what comes of it.

An async generator is iterated in a task of its own, so that a timeout or a nursery inside of it never holds what
the visit itself waits for.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

import trio

from terzetto_protocol.context import FlowContext
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.places import Node

from ._threads import run_in_thread
from ._timeouts import run_timed


async def run_block(node: Node[Any, Any], ctx: FlowContext[Any]) -> None:
    """Call a node's function with its inputs and send whatever it yields or returns. A checkpoint."""
    fn, options = cast("Callable[..., Any]", node.fn), node.options
    whole = _body(fn)
    if whole is None:
        returned: list[object] = []
        await run_in_thread(_like(node, lambda ctx: returned.append(fn(ctx, **ctx.inputs))), ctx)
        await _send_all(ctx, returned.pop())
    elif options.is_timed:
        await run_timed(_like(node, whole), ctx)
    else:
        await whole(ctx)


def _like(node: Node[Any, Any], fn: Callable[[Any], Any]) -> Node[Any, Any]:
    """The same node with another body."""
    return Node(fn, node.name, node.options, node.asks)


def _body(fn: Callable[..., Any]) -> Callable[[Any], Awaitable[None]] | None:
    """The whole of a function's work on the event loop; None for a plain one."""
    inner = inspect.unwrap(fn)
    if inspect.isasyncgenfunction(inner):
        return lambda ctx: _iterate(ctx, fn(ctx, **ctx.inputs))
    if inspect.iscoroutinefunction(inner):
        return lambda ctx: _await(ctx, fn(ctx, **ctx.inputs))
    return None


async def _await(ctx: FlowContext[Any], made: Awaitable[object]) -> None:
    await _send_all(ctx, await made)


async def _send_all(ctx: FlowContext[Any], returned: object) -> None:
    """Send what a function returned, if it returned anything."""
    if returned is None:
        return
    if not isinstance(returned, Mapping):
        kind = type(returned).__name__
        raise InvalidRequest(f"a node of a dataflow returns a mapping of outputs to values, or nothing, and not {kind}")
    for output, value in cast("Mapping[str, object]", returned).items():
        await ctx.send(output, value)


async def _iterate(ctx: FlowContext[Any], made: AsyncGenerator[tuple[str, object], None]) -> None:
    sending, receiving = trio.open_memory_channel[object](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, made, sending)
        async with receiving:
            async for pair in receiving:
                output, value = _pair(pair)
                await ctx.send(output, value)


async def _pump(made: AsyncGenerator[object, None], sending: trio.MemorySendChannel[object]) -> None:
    async with sending, aclosing(made):
        async for pair in made:
            await sending.send(pair)


def _pair(made: object) -> tuple[str, object]:
    if not (isinstance(made, tuple) and len(cast("tuple[object, ...]", made)) == 2):
        raise InvalidRequest(f"a node of a dataflow yields (output, value), and not {made!r:.80}")
    output, value = cast("tuple[object, object]", made)
    if not isinstance(output, str):
        raise InvalidRequest(f"a node of a dataflow yields (output, value), and {output!r:.80} names no output")
    return output, value
