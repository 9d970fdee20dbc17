"""A stable hash over what a run's log depends on: the graph's structure and the schemas of its types."""

import hashlib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, cast, get_args, get_origin

import msgspec

from .composites import Map, as_composite
from .fields import field_types, has_fields
from .forms import msgspec_can
from .places import Barrier, Place, as_node
from .state import StateForm

if TYPE_CHECKING:
    from .dataflow import Dataflow
    from .declaration import Declaration
    from .wiring import Pin


def fingerprint(graph: "Declaration[Any, Any]") -> str:
    """The same for the same declaration in every process.

    Edges count in their order, which both routing and the log refer to. Not part of it: bodies of nodes
    and predicates, docstrings, transient fields, and what `build` may be told anew without touching a log.
    Of a dataflow nodes, pins with their types, links, declared defaults and masks count, there and in every
    dataflow that it runs; not its limit, and what a failed visit means.
    """
    structure = {
        "name": graph.name,
        "start": graph.starts,
        "places": sorted(_place(place) for place in graph.places),
        "edges": [
            [edge.source, edge.exit, edge.target, edge.when is not None, edge.fallback, edge.on_error, edge.max_visits]
            for edge in graph.edges
        ],
        "state": _schema(StateForm(graph.state).stored),
        "mutations": {cls.__name__: _schema(cls) for cls in graph.mutations},
        "items": {place.name: _schema(place.item) for place in graph.places if isinstance(place, Map)},
        **_flow(graph),
    }
    return _digest(structure)


def state_schema(state: StateForm[Any]) -> str:
    """The same for the same type of state in every graph and process; transient fields are no part of it."""
    return _digest(_schema(state.stored))


def _digest(structure: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(structure, order="deterministic")).hexdigest()[:32]


def _flow(graph: "Declaration[Any, Any]") -> dict[str, Any]:
    """What is linked in a dataflow and in all that it runs, each of them once: one may run itself."""
    from .dataflow import Dataflow

    if not isinstance(graph, Dataflow):
        return {}
    found: list[Dataflow[Any]] = [graph]
    for each in found:  # which grows meanwhile
        found += [inner for inner in each.inner.values() if not any(inner is known for known in found)]
    numbers = {id(each): number for number, each in enumerate(found)}
    return {"flow": [_linked(each, numbers) for each in found]}


def _linked(flow: "Dataflow[Any]", numbers: Mapping[int, int]) -> dict[str, Any]:
    from .dataflow import SubFlow

    nodes = [
        [name, _pins(spec.inputs), _schemas(spec.outputs), spec.is_open, _values(spec.inputs, spec.defaults)]
        for name, spec in flow.nodes
    ]
    given = {name: pin.default for name, pin in flow.inputs.items() if not pin.is_needed}
    return {
        "name": flow.name,
        "inputs": _pins(flow.inputs),
        "defaults": _values(flow.inputs, given),
        "masks": {place.name: _plain(Any, place.masks) for place in flow.places if isinstance(place, SubFlow)},
        "outputs": _schemas(flow.outputs),
        "places": [_place(place) for place in flow.places],
        "nodes": nodes,
        "links": [[link.source, link.output, link.steps, link.sink, link.pin, link.static] for link in flow.links],
        "inner": {name: numbers[id(inner)] for name, inner in flow.inner.items()},
    }


def _pins(pins: "Mapping[str, Pin]") -> dict[str, Any]:
    return _schemas({name: pin.type for name, pin in pins.items()})


def _values(pins: "Mapping[str, Pin]", values: Mapping[str, Any]) -> dict[str, Any]:
    """What is declared for pins, or for parts of them."""
    return {name: _plain(pins[name].type if name in pins else Any, value) for name, value in values.items()}


def _plain(kind: Any, value: Any) -> Any:
    """A value of this type as it would be stored, with sets in order."""
    if msgspec_can(kind):
        return msgspec.to_builtins(value, str_keys=True, order="deterministic")
    from .wiring import as_plain  # here, for most graphs are no dataflows

    return _settled(as_plain("", "", kind, value))


def _schemas(types: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _schema(kind) for name, kind in types.items()}


def _place(place: Place[Any]) -> list[str]:
    node = as_node(place)
    if node is not None:
        return [node.name, "node", node.options.effects, *(lens.blueprint.fingerprint for lens in node.options.runs)]
    composite = as_composite(place)
    if composite is not None:
        return [place.name, *composite.shape]
    return [place.name, "barrier", *cast("Barrier[Any]", place).exits]


def _schema(cls: type[Any]) -> Any:
    try:
        return _undocumented(msgspec.json.schema(cls))
    except (TypeError, RuntimeError, ValueError):  # a type or a default that JSON cannot describe
        return _outline(cls, [])


_TABLES: Final = frozenset({"properties", "$defs"})
_VALUES: Final = frozenset({"default", "const", "enum", "examples"})


def _undocumented(schema: Any, *, names: bool = False) -> Any:
    """A JSON schema without its descriptions, which come from docstrings; `names` says that keys are names."""
    if isinstance(schema, list):
        return [_undocumented(item) for item in cast("Iterable[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    kept = [item for item in cast("Mapping[str, Any]", schema).items() if names or item[0] != "description"]
    return {
        key: _settled(value)
        if key in _VALUES and not names
        else _undocumented(value, names=key in _TABLES and not names)
        for key, value in kept
    }


def _settled(value: Any) -> Any:
    """A value of a schema with its lists sorted: a default that is a set stands there in any order."""
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if not isinstance(value, list):
        return value
    return sorted(map(_settled, cast("Iterable[Any]", value)), key=msgspec.json.encode)


def _outline(hint: Any, seen: list[object]) -> Any:
    """A type by the names of its parts, all the way down: nothing in it depends on the process."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _outline(args[0], seen)
    if origin in (typing.Union, types.UnionType):
        return ["union", *(_outline(arg, seen) for arg in args)]
    if origin is typing.Literal:
        return ["literal", *map(repr, args)]
    if origin is not None:
        return [_name(origin), *(_outline(arg, seen) for arg in args)]
    if not has_fields(hint) or hint in seen:
        return _name(hint)
    inner = {name: _outline(part, [*seen, hint]) for name, part in field_types(hint).items()}
    return {"class": _name(hint), "fields": inner}


def _name(hint: Any) -> str:
    return getattr(hint, "__qualname__", None) or getattr(hint, "__name__", None) or str(hint)
