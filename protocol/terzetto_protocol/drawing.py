"""Graphs and tables of statuses as text that other tools draw: Mermaid and Graphviz DOT.

The same declaration gives the same text in every process, so that a drawing can be kept beside the code
and compared. Names become labels only, never identifiers: whatever is in them cannot end a quotation.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen

from .analysis import analyze
from .composites import Map, Parallel, Subgraph, as_composite
from .places import Edge, Place, as_node

if TYPE_CHECKING:
    from .declaration import Declaration

E = TypeVar("E", bound=StrEnum)


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


def mermaid(graph: "Declaration[Any, Any]") -> str:
    """A Mermaid flowchart: barriers are hexagons, `once` nodes have double sides, `on_error` edges are thick.

    A place that opens branches is a trapezium, with a round end where each branch begins.
    """
    arrows = list(arrows_of(graph))
    failing = [str(number) for number, arrow in enumerate(arrows) if arrow.line is Line.ERROR]
    lines = [*map(_mermaid_figure, figures_of(graph)), *map(_mermaid_arrow, arrows)]
    if failing:
        lines.append(f"linkStyle {','.join(failing)} stroke:#c33")
    return _indented("flowchart TD", lines)


def dot(graph: "Declaration[Any, Any]") -> str:
    """A Graphviz digraph: barriers are hexagons, `once` nodes have a double frame, `on_error` edges are red.

    A place that opens branches is a trapezium, with a round end where each branch begins.
    """
    lines = [*map(_dot_figure, figures_of(graph)), *map(_dot_arrow, arrows_of(graph))]
    return _indented(f"digraph {_dot_text(graph.name)} {{", lines) + "}\n"


def status_diagram(title: str, table: Mapping[E | None, frozenset[E]]) -> str:
    """A Mermaid state diagram of a transition table; statuses that nothing follows lead to the end."""
    order = list(table)
    lines = [f"accTitle: {' '.join(title.split())}"]
    for source, targets in table.items():
        begin = "[*]" if source is None else source.value
        lines += [f"{begin} --> {target.value}" for target in sorted(targets, key=order.index)]
        lines += [] if targets else [f"{begin} --> [*]"]
    return _indented("stateDiagram-v2", lines)


def _indented(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head, *(f"    {line}" for line in lines)]) + "\n"


def figures_of(graph: "Declaration[Any, Any]") -> Iterator[Figure]:
    """The start, every place, and the end."""
    yield Figure("start", Shape.START, ("start",))
    for number, place in enumerate(graph.places):
        yield Figure(f"n{number}", _shape(place), _label(place))
    yield Figure("finish", Shape.END, ("end",))


def _shape(place: Place[Any]) -> Shape:
    node = as_node(place)
    if node is None:
        return _OTHERS.get(type(place), Shape.BARRIER)
    return Shape.ONCE if node.options.effects == "once" else Shape.NODE


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
    for edge in graph.edges:
        if edge.source in ids and edge.target in ids:
            yield Arrow(ids[edge.source], ids[edge.target], _line(edge), ", ".join(_conditions(edge)))
    for origin in analyze(graph).ends:
        name, _, exit_name = (origin, "", "") if origin in ids else origin.partition(".")
        if name in ids:
            yield Arrow(ids[name], "finish", label=exit_name)


_OTHERS: Final[Mapping[type, Shape]] = {Parallel: Shape.FORK, Map: Shape.FORK, Subgraph: Shape.GRAPH}


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


_MERMAID_SHAPES: Final[Mapping[Shape, tuple[str, str]]] = {
    Shape.START: ("((", "))"),
    Shape.END: ("(((", ")))"),
    Shape.NODE: ("(", ")"),
    Shape.ONCE: ("[[", "]]"),
    Shape.BARRIER: ("{{", "}}"),
    Shape.FORK: ("[/", "\\]"),
    Shape.GRAPH: ("([", "])"),
}
_MERMAID_LINES: Final[Mapping[Line, str]] = {
    Line.PLAIN: "-->",
    Line.FALLBACK: "-.->",
    Line.ERROR: "==>",
    Line.BRANCH: "--o",
}
_MERMAID_SPECIAL: Final = frozenset('"#&<>%`\\;:{}[]()|')


def _mermaid_text(text: str) -> str:
    """A quoted label: what could end it, open markup or a directive, or be one, becomes an entity."""
    codes = (f"#{ord(char)};" if char in _MERMAID_SPECIAL else char for char in " ".join(text.split()))
    return "".join(codes)


def _mermaid_figure(figure: Figure) -> str:
    left, right = _MERMAID_SHAPES[figure.shape]
    label = "<br/>".join(map(_mermaid_text, figure.label))
    return f'{figure.id}{left}"{label}"{right}'


def _mermaid_arrow(arrow: Arrow) -> str:
    label = f'|"{_mermaid_text(arrow.label)}"|' if arrow.label else ""
    return f"{arrow.source} {_MERMAID_LINES[arrow.line]}{label} {arrow.target}"


_DOT_SHAPES: Final[Mapping[Shape, str]] = {
    Shape.START: "shape=circle",
    Shape.END: "shape=doublecircle",
    Shape.NODE: "shape=box style=rounded",
    Shape.ONCE: "shape=box peripheries=2",
    Shape.BARRIER: "shape=hexagon",
    Shape.FORK: "shape=trapezium",
    Shape.GRAPH: "shape=box3d",
}
_DOT_LINES: Final[Mapping[Line, str]] = {
    Line.PLAIN: "",
    Line.FALLBACK: "style=dashed",
    Line.ERROR: 'style=bold color="#cc3333"',
    Line.BRANCH: "arrowhead=odot",
}


def _dot_escaped(text: str) -> str:
    return " ".join(text.split()).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _dot_text(*lines: str) -> str:
    """A quoted string, in which the quotation mark, the backslash and entities mean something to DOT."""
    return '"' + "\\n".join(map(_dot_escaped, lines)) + '"'


def _dot_figure(figure: Figure) -> str:
    return f"{figure.id} [label={_dot_text(*figure.label)} {_DOT_SHAPES[figure.shape]}];"


def _dot_arrow(arrow: Arrow) -> str:
    label = f"label={_dot_text(arrow.label)}" if arrow.label else ""
    attributes = " ".join(filter(None, (label, _DOT_LINES[arrow.line])))
    return f"{arrow.source} -> {arrow.target}" + (f" [{attributes}];" if attributes else ";")
