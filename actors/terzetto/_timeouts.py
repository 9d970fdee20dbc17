"""How long one attempt of a node may take: in all, and between two signs of life."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf
from typing import Any

import trio
from attrs import define
from msgspec.structs import replace

from terzetto_protocol.context import Emission, NodeContext, Port
from terzetto_protocol.errors import NodeTimeout
from terzetto_protocol.places import Node, NodeOptions
from terzetto_protocol.state import Entry


@define(eq=False)
class _Pulse:
    """Moves the deadline of an attempt with every sign of life: a record, a chunk, a heartbeat."""

    port: Port
    outer: trio.CancelScope
    inner: trio.CancelScope
    whole: float
    idle: float

    def begin(self) -> None:
        self.outer.deadline = trio.current_time() + self.whole
        self.beat()

    def beat(self) -> None:
        self.inner.deadline = trio.current_time() + self.idle

    def pack(self, mutation: Any) -> Entry:
        self.beat()
        return self.port.pack(mutation)

    def emit(self, visit: int, emission: Emission) -> None:
        self.beat()
        self.port.emit(visit, emission)


async def run_timed(node: Node[Any, Any], ctx: NodeContext[Any, Any]) -> None:
    """Run a body within its `run_timeout` and `idle_timeout`. A checkpoint if the body is one.

    Raises `NodeTimeout` when a timeout has cut it off; the body has had its cleanup by then.
    """
    with timed(node.options, ctx) as begin:
        begin()
        await node.fn(ctx)


@contextmanager
def timed(options: NodeOptions[Any, Any], ctx: NodeContext[Any, Any]) -> Generator[Callable[[], None]]:
    """Hold an attempt to its timeouts, which begin when what this gives is called; raises `NodeTimeout` for them."""
    whole, idle = options.run_timeout, options.idle_timeout
    with trio.CancelScope() as outer:
        with trio.CancelScope() as inner:
            pulse = _Pulse(ctx.port, outer, inner, inf if whole is None else whole, inf if idle is None else idle)
            if idle is not None:
                ctx.port = replace(ctx.port, pack=pulse.pack, emit=pulse.emit, beat=pulse.beat)
            yield pulse.begin
        if inner.cancelled_caught and idle is not None:
            raise NodeTimeout("idle_timeout", idle)
    if outer.cancelled_caught and whole is not None:
        raise NodeTimeout("run_timeout", whole)
