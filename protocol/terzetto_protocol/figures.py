"""What every drawing of a graph shows: a figure for each place, and arrows from one to the next.

The arrows of a dataflow are its links, all that lead from one node to another together.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .analysis import analyze
from .composites import Subgraph, as_composite
from .dataflow import Dataflow
from .errors import Malformed
from .flow_state import INPUTS
from .pins import Step, parse_pin
from .places import Edge, Place, as_node
from .wiring import ERROR, OUTPUTS, Link

if TYPE_CHECKING:
    from .declaration import Declaration


class Shape(Enum):
    """What a figure stands for."""

    START = "start"
    END = "end"
    NODE = "node"
    ONCE = "once"
    BARRIER = "barrier"
    FORK = "fork"
    GRAPH = "graph"


class Line(Enum):
    """What an arrow stands for."""

    PLAIN = "plain"
    FALLBACK = "fallback"
    ERROR = "error"
    BRANCH = "branch"


@frozen
class Figure:
    """A place, the start or the end, as every drawing shows it."""

    id: str
    shape: Shape
    label: tuple[str, ...]


@frozen
class Arrow:
    """A way from one figure to another."""

    source: str
    target: str
    line: Line = Line.PLAIN
    label: str = ""


def figures_of(graph: "Declaration[Any, Any]") -> Iterator[Figure]:
    """The start, every place, and the end."""
    yield Figure("start", Shape.START, ("start",))
    for number, place in enumerate(graph.places):
        label = _inputs(graph) if isinstance(graph, Dataflow) and place.name == INPUTS else _label(place)
        yield Figure(f"n{number}", _shape(place), label)
    yield Figure("finish", Shape.END, ("end",))


def _shape(place: Place[Any]) -> Shape:
    node, composite = as_node(place), as_composite(place)
    if node is not None:
        return Shape.ONCE if node.options.effects == "once" else Shape.NODE
    if composite is None:
        return Shape.BARRIER
    return Shape.GRAPH if isinstance(composite, Subgraph) else Shape.FORK


def _label(place: Place[Any]) -> tuple[str, ...]:
    node, composite = as_node(place), as_composite(place)
    if composite is not None:
        return (composite.name, composite.title)
    if node is None:
        return (place.name,)
    limit = "" if node.options.max_visits is None else f"at most {node.options.max_visits} times"
    kind = "" if node.options.effects == "repeatable" else node.options.effects
    return tuple(filter(None, (node.name, kind, limit)))


def arrows_of(graph: "Declaration[Any, Any]") -> Iterator[Arrow]:
    """From the start, along every edge whose ends are declared, and to the end."""
    ids = {place.name: f"n{number}" for number, place in enumerate(graph.places)}
    for name in graph.starts:
        if name in ids:
            yield Arrow("start", ids[name])
    for place in graph.places:
        composite = as_composite(place)
        for branch in () if composite is None else composite.leads_to:
            if branch in ids:
                yield Arrow(ids[place.name], ids[branch], Line.BRANCH)
    if isinstance(graph, Dataflow):
        yield from _flow_arrows(graph, ids)
        return
    for edge in graph.edges:
        if edge.source in ids and edge.target in ids:
            yield Arrow(ids[edge.source], ids[edge.target], _line(edge), ", ".join(_conditions(edge)))
    for origin in analyze(graph).ends:
        name, _, exit_name = (origin, "", "") if origin in ids else origin.partition(".")
        if name in ids:
            yield Arrow(ids[name], "finish", label=exit_name)


def _inputs(flow: "Dataflow[Any]") -> tuple[str, ...]:
    return tuple(filter(None, (INPUTS, ", ".join(flow.inputs))))


def _flow_arrows(flow: "Dataflow[Any]", ids: Mapping[str, str]) -> Iterator[Arrow]:
    """To the nodes that wait for nothing, along every link, and to the end, also from where nothing leads on."""
    ends = {**ids, OUTPUTS: "finish"}
    links = [link for link in flow.links if link.source in ids and link.sink in ends]
    fed, leading = {link.sink for link in links}, {link.source for link in links}
    for name in ids:
        if name != INPUTS and name not in fed:
            yield Arrow("start", ids[name])
    labels: dict[tuple[str, str, Line], list[str]] = {}
    for link in links:
        line = Line.ERROR if link.output == ERROR and link.source != INPUTS else Line.PLAIN
        labels.setdefault((ids[link.source], ends[link.sink], line), []).append(_carried(link))
    for (source, target, line), told in labels.items():
        yield Arrow(source, target, line, ", ".join(dict.fromkeys(told)))
    for name in ids:
        if name not in leading and (name != INPUTS or len(ids) == 1):
            yield Arrow(ids[name], "finish")


def _carried(link: Link) -> str:
    """What a link takes and where to: one name where both have the same."""
    taken, pin = _part(link.output, link.steps), _pin(link.pin)
    way = taken if taken == pin else f"{taken} → {pin}"
    return f"static {way}" if link.static else way


def _pin(name: str) -> str:
    try:
        return _part(*parse_pin(name))
    except Malformed:
        return name  # a mistake, which `build` tells


def _part(base: str, steps: Sequence[Step]) -> str:
    """A value or a part of it: `rows[0].town`."""
    return base + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _line(edge: Edge[Any]) -> Line:
    if edge.on_error:
        return Line.ERROR
    return Line.FALLBACK if edge.fallback else Line.PLAIN


def _conditions(edge: Edge[Any]) -> Iterator[str]:
    """Everything that has to hold for an edge to be taken, as its label says it."""
    if edge.exit:
        yield edge.exit
    if edge.on_error:
        yield "on error"
    if edge.predicate:
        yield edge.predicate
    if edge.fallback:
        yield "else"
    if edge.max_visits is not None:
        yield f"at most {edge.max_visits} times"
