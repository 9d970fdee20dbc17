"""Which way a run goes after a visit: the rules of edges, as one pure function."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from .blueprint import Blueprint
from .errors import describe
from .places import Edge
from .statuses import FailureCode

S = TypeVar("S")


class Way(Struct, Generic[S], frozen=True):
    """Where the run goes: over `edge`, or nowhere (the run ends, or a failure stands)."""

    edge: Edge[S] | None


class NoWay(Struct, frozen=True):
    """No edge can be taken: the run fails with this code and message."""

    code: FailureCode
    message: str


def after_success(
    blueprint: Blueprint[S], place: str, exit_name: str, state: S, taken: Mapping[int, int]
) -> Way[S] | NoWay:
    """The first conditional edge that holds, else the plain one, else the fallback; no edges at all: the end.

    Args:
        blueprint: the graph.
        place: where the visit was.
        exit_name: the barrier's exit, or empty for a node.
        state: as of the visit's own commit.
        taken: how often each counted edge was taken so far, by its index.
    """
    routes = blueprint.routes_from(place, exit_name)
    if routes.empty:
        return Way(None)
    chosen = _first(routes.conditional, state, taken)
    if not isinstance(chosen, Way) or chosen.edge is not None:
        return chosen
    for edge in (routes.plain, routes.fallback):
        if edge is not None and _open(edge, taken):
            return Way(edge)
    edges = [*routes.conditional, *(edge for edge in (routes.plain, routes.fallback) if edge is not None)]
    tried = ", ".join(_tried(edge, taken) for edge in edges)
    return NoWay(FailureCode.UNROUTED, f"no edge out of {edges[0].origin} can be taken (tried: {tried})")


def _tried(edge: Edge[S], taken: Mapping[int, int]) -> str:
    if not _open(edge, taken):
        return f"{edge.label()}, which was taken {edge.max_visits} times"
    return f"{edge.label()} if {edge.predicate}"


def after_failure(blueprint: Blueprint[S], place: str, state: S, taken: Mapping[int, int]) -> Way[S] | NoWay:
    """The first `on_error` edge that holds, conditional ones first; `Way(None)` lets the failure stand."""
    return _first(blueprint.routes_from(place).on_error, state, taken)


def _first(edges: Iterable[Edge[S]], state: S, taken: Mapping[int, int]) -> Way[S] | NoWay:
    for edge in edges:
        if not _open(edge, taken):
            continue
        try:
            holds = edge.when is None or bool(edge.when(state))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's predicate may raise anything
            return NoWay(FailureCode.NODE_ERROR, f"the predicate of edge {edge.label()} raised {describe(error)}")
        if holds:
            return Way(edge)
    return Way(None)


def _open(edge: Edge[S], taken: Mapping[int, int]) -> bool:
    return edge.max_visits is None or taken.get(edge.index, 0) < edge.max_visits
