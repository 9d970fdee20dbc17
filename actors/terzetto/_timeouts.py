"""How long one attempt of a node may take: in all, and between two signs of life."""

from math import inf
from typing import Any

import trio
from attrs import define

from terzetto_protocol.context import Emission, NodeContext, Port
from terzetto_protocol.errors import NodeTimeout
from terzetto_protocol.places import Node
from terzetto_protocol.state import Entry


@define(eq=False)
class _Pulse:
    """Moves the deadline of an attempt with every sign of life: a record, a chunk, a heartbeat."""

    port: Port
    scope: trio.CancelScope
    idle: float

    def beat(self) -> None:
        self.scope.deadline = trio.current_time() + self.idle

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
    whole, idle = node.options.run_timeout, node.options.idle_timeout
    with trio.move_on_after(inf if whole is None else whole) as outer:
        with trio.move_on_after(inf if idle is None else idle) as inner:
            if idle is not None:
                pulse = _Pulse(ctx.port, inner, idle)
                ctx.port = Port(pulse.pack, pulse.emit, ctx.port.is_cancelled, pulse.beat)
            await node.fn(ctx)
        if inner.cancelled_caught and idle is not None:
            raise NodeTimeout("idle_timeout", idle)
    if outer.cancelled_caught and whole is not None:
        raise NodeTimeout("run_timeout", whole)
