"""A context for unit tests of nodes: `await node(context(State()))`, without a runtime."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

import trio

from terzetto_protocol.context import FlowContext, LeafContext, NodeContext
from terzetto_protocol.port import Emission, PortOf, Visit
from terzetto_protocol.questions import Sending
from terzetto_protocol.records import ObservedError
from terzetto_protocol.state import Mutation

from .._blobs import Blobs

S = TypeVar("S")
D = TypeVar("D")

Emissions: TypeAlias = Sequence[Emission]


class _TestPort(PortOf):
    __slots__ = ("shown", "went")

    def __init__(self, blobs: Blobs, *, cancelled: bool) -> None:
        super().__init__(lambda mutation: mutation, self._show, lambda: cancelled, send=self._send, blobs=blobs)
        self.shown: list[Emission] = []
        self.went: list[tuple[str, Any]] = []

    def _show(self, _: int, emission: Emission) -> None:
        self.shown.append(emission)

    async def _send(self, _: int, sending: Sending) -> None:
        await trio.lowlevel.checkpoint()
        self.went.append((sending.output, sending.value))


@overload
def context(
    state: S, *, run_id: str = ..., visit: int = ..., cancelled: bool = ..., blobs: Blobs | None = ...
) -> NodeContext[S, None]: ...
@overload
def context(
    state: S, *, deps: D, run_id: str = ..., visit: int = ..., cancelled: bool = ..., blobs: Blobs | None = ...
) -> NodeContext[S, D]: ...
def context(
    state: S,
    *,
    deps: Any = None,
    run_id: str = "test",
    visit: int = 1,
    cancelled: bool = False,
    blobs: Blobs | None = None,
) -> NodeContext[S, Any]:
    """A context that keeps what a node records and emits, for `recorded(ctx)`, `emissions(ctx)` and `reported(ctx)`.

    Nothing is encoded and nothing is applied: the test sees the very mutations that the node made.

    Args:
        state: what the node reads.
        deps: what it finds as `ctx.deps`.
        run_id: part of `ctx.key`.
        visit: part of `ctx.key`.
        cancelled: what `ctx.is_cancelled()` says.
        blobs: where its blobs are; by default in memory, for this context alone.
    """
    return NodeContext(state, deps, Visit(run_id, "node", visit, 1), _TestPort(blobs or Blobs(), cancelled=cancelled))


@overload
def flow_context(
    *, run_id: str = ..., visit: int = ..., cancelled: bool = ..., blobs: Blobs | None = ...
) -> FlowContext[None]: ...
@overload
def flow_context(
    *, deps: D, run_id: str = ..., visit: int = ..., cancelled: bool = ..., blobs: Blobs | None = ...
) -> FlowContext[D]: ...
def flow_context(
    *, deps: Any = None, run_id: str = "test", visit: int = 1, cancelled: bool = False, blobs: Blobs | None = None
) -> FlowContext[Any]:
    """A context for a node of a dataflow, which keeps what it sends for `sent(ctx)`.

    Nothing is encoded and no output is checked: the test sees the very values that the node sent. Takes what `context`
    does.
    """
    return FlowContext({}, deps, Visit(run_id, "node", visit, 1), _TestPort(blobs or Blobs(), cancelled=cancelled))


def sent(ctx: FlowContext[Any]) -> list[tuple[str, Any]]:
    """What was sent so far, as (output, value), in order."""
    port = ctx.port
    return list(port.went) if isinstance(port, _TestPort) else []


def recorded(ctx: NodeContext[S, Any]) -> list[Mutation[S]]:
    """The mutations that were recorded so far, in order."""
    return cast("list[Mutation[S]]", list(ctx.batch))  # nothing was encoded: see `context`


def reported(ctx: LeafContext[Any, Any] | FlowContext[Any]) -> Sequence[ObservedError]:
    """The errors that were reported so far and ended nothing, in order."""
    return () if ctx.remarks.observed is None else ctx.remarks.observed.errors


def emissions(ctx: LeafContext[Any, Any] | FlowContext[Any]) -> Emissions:
    """What was emitted so far, in order."""
    port = ctx.port
    return tuple(port.shown) if isinstance(port, _TestPort) else ()
