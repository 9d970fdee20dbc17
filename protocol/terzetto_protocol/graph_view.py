"""A graph as a client is shown it: what it takes to draw it, and to make a form for its state and its mutations."""

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from .figures import Arrow, Figure, arrows_of, figures_of
from .places import Barrier
from .state import StateForm

if TYPE_CHECKING:
    from .declaration import Declaration


class BarrierShown(Struct, frozen=True, forbid_unknown_fields=True):
    """A barrier as its graph declares it."""

    name: str
    exits: tuple[str, ...]
    """What `Choose` may name; `Approve` takes `approved` and `Reject` takes `rejected`."""


class GraphView(Struct, frozen=True, forbid_unknown_fields=True):
    """One graph."""

    name: str
    version: str
    fingerprint: str
    figures: tuple[Figure, ...]
    """The start, every place and the end, in order of declaration."""
    arrows: tuple[Arrow, ...]
    places: dict[str, str]
    """The id of the figure of each place, by the name of the place."""
    barriers: tuple[BarrierShown, ...]
    state: dict[str, Any] | None
    """JSON Schema of its state, for a form; None for a type that JSON cannot describe."""
    mutations: dict[str, dict[str, Any] | None]
    """The same for what nodes may record, by name."""


def graph_view(graph: "Declaration[Any, Any]") -> GraphView:
    """All of a graph that is shown; raises `GraphError` for one that cannot be built."""
    figures = tuple(figures_of(graph))
    barriers = (place for place in graph.places if isinstance(place, Barrier))
    return GraphView(
        name=graph.name,
        version=graph.version,
        fingerprint=graph.build().fingerprint,
        figures=figures,
        arrows=tuple(arrows_of(graph)),
        places={place.name: figure.id for place, figure in zip(graph.places, figures[1:], strict=False)},
        barriers=tuple(BarrierShown(each.name, tuple(each.exits)) for each in barriers),
        state=schema_of(StateForm(graph.state).stored),
        mutations={cls.__name__: schema_of(cls) for cls in graph.mutations},
    )


def schema_of(kind: Any) -> dict[str, Any] | None:
    """The JSON Schema of a type, or None where it has none."""
    try:
        return msgspec.json.schema(kind)
    except (TypeError, RuntimeError, ValueError):  # a type or a default that JSON cannot describe
        return None
