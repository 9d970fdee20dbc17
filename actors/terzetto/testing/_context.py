"""A context for unit tests of nodes: `await node(context(State()))`, without a runtime."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

from terzetto_protocol.context import Emission, LeafContext, NodeContext, Port, Visit
from terzetto_protocol.records import ObservedError
from terzetto_protocol.state import Mutation

from .._blobs import Blobs

S = TypeVar("S")
D = TypeVar("D")

Emissions: TypeAlias = Sequence[Emission]


class _TestPort(Port):
    shown: list[Emission] = []  # noqa: RUF012 - a Struct's default, which every instance gets a copy of


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
    shown: list[Emission] = []
    port = _TestPort(
        pack=lambda mutation: mutation,
        emit=lambda _, emission: shown.append(emission),
        is_cancelled=lambda: cancelled,
        blobs=blobs or Blobs(),
    )
    port.shown = shown
    return NodeContext(state, deps, Visit(run_id, "node", visit, 1), port)


def recorded(ctx: NodeContext[S, Any]) -> list[Mutation[S]]:
    """The mutations that were recorded so far, in order."""
    return cast("list[Mutation[S]]", list(ctx.batch))  # nothing was encoded: see `context`


def reported(ctx: LeafContext[Any, Any]) -> Sequence[ObservedError]:
    """The errors that were reported so far and ended nothing, in order."""
    return () if ctx.observed is None else ctx.observed.errors


def emissions(ctx: NodeContext[Any, Any]) -> Emissions:
    """What was emitted so far, in order."""
    port = ctx.port
    return tuple(port.shown) if isinstance(port, _TestPort) else ()
