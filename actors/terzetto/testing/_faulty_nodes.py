"""Visits under a fault plan: the dispatcher that starts them, and their bodies."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from terzetto_protocol.places import Node
from terzetto_protocol.port import Visit
from terzetto_protocol.remarks import NO_REMARKS
from terzetto_protocol.turn import Start

from .._node import Lent, call
from ._actions import Action, Twist, act

if TYPE_CHECKING:
    from ._plan import FaultPlan


Handle: TypeAlias = Callable[[Node[Any, Any]], Awaitable[Any]]


async def carry(plan: "FaultPlan", node: Node[Any, Any], start: Start, lent: Lent, handle: Handle) -> Any:
    """Have a node handled, with what a plan has in mind. A checkpoint as that."""
    fold = lent.fold
    visit = Visit(fold.header.run_id, start.node, start.visit, start.attempt, start.path, fold.image.epoch)
    for action in plan.due("dispatch", node.name, visit):
        await act(action)
    plan("node_start", visit)
    return await handle(node if start.probe else _Body(plan, node).node())


class _Body:
    """A node's function, with something before it and something after it."""

    def __init__(self, plan: "FaultPlan", node: Node[Any, Any]) -> None:
        self._plan, self._node, self._fn = plan, node, node.fn

    def node(self) -> Node[Any, Any]:
        """The same node with another body, which lives where the node's own would."""
        node, inner = self._node, inspect.unwrap(self._fn)
        if inspect.isasyncgenfunction(inner):
            body: Any = self._generator()
        elif inspect.iscoroutinefunction(inner):
            body = self._coroutine()
        else:
            body = self._on_the_loop if node.runs == "on the loop" else self._in_a_thread()
        return Node(body, node.name, node.options, node.asks)

    async def _before(self, ctx: Any) -> bool:
        """What comes before the body; whether that is to run twice."""
        actions = self._plan.due("node", self._node.name, ctx, self._suits)
        for action in actions:
            await act(action)
        return any(isinstance(action, Twist) for action in actions)

    async def _after(self, ctx: Any) -> None:
        for action in self._plan.due("after", self._node.name, ctx):
            await act(action)

    def _suits(self, action: Action) -> bool:
        """A `once` body runs once; and a second one of a dataflow would send on where the first has stopped."""
        return not (isinstance(action, Twist) and (self._node.options.effects == "once" or self._node.asks.block))

    def _coroutine(self) -> Callable[..., Awaitable[Any]]:
        fn: Callable[..., Awaitable[Any]] = self._fn

        @wraps(fn)
        async def body(ctx: Any, **inputs: Any) -> Any:
            if await self._before(ctx):
                await fn(ctx)
                _forget(ctx)
            made = await fn(ctx, **inputs)
            await self._after(ctx)
            return made

        return body

    def _in_a_thread(self) -> Callable[..., Any]:
        fn: Callable[..., Any] = self._fn

        @wraps(fn)
        def body(ctx: Any, **inputs: Any) -> Any:
            if trio.from_thread.run(self._before, ctx):
                fn(ctx)
                _forget(ctx)
            made = fn(ctx, **inputs)
            trio.from_thread.run(self._after, ctx)
            return made

        return body

    async def _on_the_loop(self, ctx: Any) -> None:
        if await self._before(ctx):
            call(self._fn, ctx)
            _forget(ctx)
        call(self._fn, ctx)
        await self._after(ctx)

    def _generator(self) -> Callable[..., AsyncGenerator[object, None]]:
        fn: Callable[..., Any] = self._fn

        @wraps(fn)
        async def body(ctx: Any, **inputs: Any) -> AsyncGenerator[object, None]:  # noqa: ASYNC900 - as the node's own
            await self._before(ctx)
            async with aclosing(fn(ctx, **inputs)) as made:
                with suppress(StopAsyncIteration):
                    pair = await anext(made)
                    while True:
                        try:
                            yield pair  # noqa: ASYNC119 - whoever iterates closes it
                        except BaseException as error:  # noqa: BLE001, ASYNC103 - it is meant for the body
                            pair = await made.athrow(error)  # noqa: ASYNC102 - as `run_block` does
                        else:
                            pair = await anext(made)
            await self._after(ctx)

        return body


def _forget(ctx: Any) -> None:
    """What a first run of a body has said counts for nothing."""
    ctx.batch, ctx.remarks, ctx.asked = [], NO_REMARKS, None
