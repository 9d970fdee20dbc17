"""Nodes of dataflows: functions that are called with what came in, and send what comes of it.

An async generator is iterated in the task of its visit, which every visit of a dataflow has for itself, and
each of its yields is a send: whatever ends the send, a cancel scope of the generator's own too, arrives there.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn, cast

from terzetto_protocol.context import FlowContext
from terzetto_protocol.errors import InvalidRequest, Refused
from terzetto_protocol.places import Node
from terzetto_protocol.port import Visit, port_like

from ._threads import run_in_thread
from ._timeouts import run_timed


async def run_block(node: Node[Any, Any], ctx: FlowContext[Any]) -> None:
    """Call a node's function with its inputs and send whatever it yields or returns. A checkpoint.

    Whoever keeps the context sends nothing more when this is over: another attempt of its visit may be under way.
    """
    fn, options = cast("Callable[..., Any]", node.fn), node.options
    whole = _body(fn)
    try:
        if whole is None:
            await _send_all(ctx, await _call_in_thread(node, fn, ctx))
        elif options.is_timed:
            await run_timed(whole, options, ctx)
        else:
            await whole(ctx)
    finally:
        ctx.port = port_like(ctx.port, send=partial(_refuse, ctx.visit))


def _refuse(visit: Visit, number: int, sending: object) -> NoReturn:
    raise Refused(visit.run_id, f"attempt {visit.attempt} of visit {number} of node {visit.node!r} is over")


async def _call_in_thread(node: Node[Any, Any], fn: Callable[..., Any], ctx: FlowContext[Any]) -> object:
    """What a plain function returns. A checkpoint; cancelled, whatever it returns counts for nothing."""
    returned: list[object] = []
    port = ctx.port
    try:
        await run_in_thread(_like(node, lambda ctx: returned.append(fn(ctx, **ctx.inputs))), ctx)
    finally:
        ctx.port = port  # the thread's own is of no use on the loop
    return returned.pop()


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
        if inspect.iscoroutine(returned):
            returned.close()
        kind = type(returned).__name__
        raise InvalidRequest(f"a node of a dataflow returns a mapping of outputs to values, or nothing, and not {kind}")
    for output, value in cast("Mapping[str, object]", returned).items():
        await ctx.send(output, value)


async def _iterate(ctx: FlowContext[Any], made: AsyncGenerator[object, None]) -> None:
    async with aclosing(made):
        try:
            pair = await anext(made)
            while True:
                pair = await _hand_over(ctx, made, pair)
        except StopAsyncIteration:
            return


async def _hand_over(ctx: FlowContext[Any], made: AsyncGenerator[object, None], pair: object) -> object:
    """Send what was yielded, as if the send stood in the place of the yield, and get the next."""
    try:
        await ctx.send(*_pair(pair))
    except BaseException as error:  # noqa: BLE001, ASYNC103 - the generator raises it again, unless it is meant for it
        return await made.athrow(error)  # noqa: ASYNC102, ASYNC104 - what it awaits now is its own cleanup, as in a node
    return await anext(made)


def _pair(made: object) -> tuple[str, object]:
    if not (isinstance(made, tuple) and len(cast("tuple[object, ...]", made)) == 2):
        raise InvalidRequest(f"a node of a dataflow yields (output, value), and not {made!r:.80}")
    output, value = cast("tuple[object, object]", made)
    if not isinstance(output, str):
        raise InvalidRequest(f"a node of a dataflow yields (output, value), and {output!r:.80} names no output")
    return output, value
