"""A stable hash over what a run's log depends on: the graph's structure and the schemas of its types."""

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from .places import Barrier, Node
from .state import field_types

if TYPE_CHECKING:
    from .graph import Graph


def fingerprint(graph: "Graph[Any, Any]") -> str:
    """The same for the same declaration in every process; bodies of nodes and predicates are not part of it."""
    structure = {
        "name": graph.name,
        "start": graph.starts,
        "places": sorted(_place(place) for place in graph.places),
        "edges": [
            [edge.source, edge.exit, edge.target, edge.when is not None, edge.fallback, edge.on_error, edge.max_visits]
            for edge in graph.edges
        ],
        "state": _schema(graph.state),
        "mutations": {cls.__name__: _schema(cls) for cls in graph.mutations},
    }
    return hashlib.sha256(msgspec.json.encode(structure, order="deterministic")).hexdigest()[:32]


def _place(place: object) -> list[str]:
    if isinstance(place, Barrier):
        return [place.name, "barrier", *place.exits]
    assert isinstance(place, Node)  # noqa: S101 - there are two kinds of places
    return [place.name, "node", place.options.effects]


def _schema(cls: type) -> Any:
    try:
        return msgspec.json.schema(cls)
    except (TypeError, RuntimeError):  # a type that only cattrs can do: its declared fields must serve
        return {name: repr(hint) for name, hint in field_types(cls).items()}
