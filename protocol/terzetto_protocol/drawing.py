"""Graphs and tables of statuses as text that other tools draw: Mermaid and Graphviz DOT.

The same declaration gives the same text in every process, so that a drawing can be kept beside the code
and compared. Names become labels only, never identifiers: whatever is in them cannot end a quotation.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen

from .analysis import analyze
from .places import Edge, Place, as_node

if TYPE_CHECKING:
    from .graph import Graph

E = TypeVar("E", bound=StrEnum)


class _Shape(Enum):
    START = "start"
    END = "end"
    NODE = "node"
    ONCE = "once"
    BARRIER = "barrier"


class _Line(Enum):
    PLAIN = "plain"
    FALLBACK = "fallback"
    ERROR = "error"


@frozen
class _Figure:
    id: str
    shape: _Shape
    label: tuple[str, ...]


@frozen
class _Arrow:
    source: str
    target: str
    line: _Line = _Line.PLAIN
    label: str = ""


def mermaid(graph: "Graph[Any, Any]") -> str:
    """A Mermaid flowchart: barriers are hexagons, `once` nodes have double sides, `on_error` edges are thick."""
    arrows = list(_arrows(graph))
    failing = [str(number) for number, arrow in enumerate(arrows) if arrow.line is _Line.ERROR]
    lines = [*map(_mermaid_figure, _figures(graph)), *map(_mermaid_arrow, arrows)]
    if failing:
        lines.append(f"linkStyle {','.join(failing)} stroke:#c33")
    return _indented("flowchart TD", lines)


def dot(graph: "Graph[Any, Any]") -> str:
    """A Graphviz digraph: barriers are hexagons, `once` nodes have a double frame, `on_error` edges are red."""
    lines = [*map(_dot_figure, _figures(graph)), *map(_dot_arrow, _arrows(graph))]
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


def _figures(graph: "Graph[Any, Any]") -> Iterator[_Figure]:
    yield _Figure("start", _Shape.START, ("start",))
    for number, place in enumerate(graph.places):
        yield _Figure(f"n{number}", _shape(place), _label(place))
    yield _Figure("finish", _Shape.END, ("end",))


def _shape(place: Place[Any]) -> _Shape:
    node = as_node(place)
    if node is None:
        return _Shape.BARRIER
    return _Shape.ONCE if node.options.effects == "once" else _Shape.NODE


def _label(place: Place[Any]) -> tuple[str, ...]:
    node = as_node(place)
    if node is None:
        return (place.name,)
    limit = "" if node.options.max_visits is None else f"at most {node.options.max_visits} times"
    kind = "" if node.options.effects == "repeatable" else node.options.effects
    return tuple(filter(None, (node.name, kind, limit)))


def _arrows(graph: "Graph[Any, Any]") -> Iterator[_Arrow]:
    """From the start, along every edge whose ends are declared, and to the end."""
    ids = {place.name: f"n{number}" for number, place in enumerate(graph.places)}
    for name in graph.starts:
        if name in ids:
            yield _Arrow("start", ids[name])
    for edge in graph.edges:
        if edge.source in ids and edge.target in ids:
            yield _Arrow(ids[edge.source], ids[edge.target], _line(edge), ", ".join(_conditions(edge)))
    for origin in analyze(graph).ends:
        name, _, exit_name = (origin, "", "") if origin in ids else origin.partition(".")
        if name in ids:
            yield _Arrow(ids[name], "finish", label=exit_name)


def _line(edge: Edge[Any]) -> _Line:
    if edge.on_error:
        return _Line.ERROR
    return _Line.FALLBACK if edge.fallback else _Line.PLAIN


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


_MERMAID_SHAPES: Final[Mapping[_Shape, tuple[str, str]]] = {
    _Shape.START: ("((", "))"),
    _Shape.END: ("(((", ")))"),
    _Shape.NODE: ("(", ")"),
    _Shape.ONCE: ("[[", "]]"),
    _Shape.BARRIER: ("{{", "}}"),
}
_MERMAID_LINES: Final[Mapping[_Line, str]] = {_Line.PLAIN: "-->", _Line.FALLBACK: "-.->", _Line.ERROR: "==>"}
_MERMAID_SPECIAL: Final = frozenset('"#&<>%`\\;:{}[]()|')


def _mermaid_text(text: str) -> str:
    """A quoted label: what could end it, open markup or a directive, or be one, becomes an entity."""
    codes = (f"#{ord(char)};" if char in _MERMAID_SPECIAL else char for char in " ".join(text.split()))
    return "".join(codes)


def _mermaid_figure(figure: _Figure) -> str:
    left, right = _MERMAID_SHAPES[figure.shape]
    label = "<br/>".join(map(_mermaid_text, figure.label))
    return f'{figure.id}{left}"{label}"{right}'


def _mermaid_arrow(arrow: _Arrow) -> str:
    label = f'|"{_mermaid_text(arrow.label)}"|' if arrow.label else ""
    return f"{arrow.source} {_MERMAID_LINES[arrow.line]}{label} {arrow.target}"


_DOT_SHAPES: Final[Mapping[_Shape, str]] = {
    _Shape.START: "shape=circle",
    _Shape.END: "shape=doublecircle",
    _Shape.NODE: "shape=box style=rounded",
    _Shape.ONCE: "shape=box peripheries=2",
    _Shape.BARRIER: "shape=hexagon",
}
_DOT_LINES: Final[Mapping[_Line, str]] = {
    _Line.PLAIN: "",
    _Line.FALLBACK: "style=dashed",
    _Line.ERROR: 'style=bold color="#cc3333"',
}


def _dot_escaped(text: str) -> str:
    return " ".join(text.split()).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _dot_text(*lines: str) -> str:
    """A quoted string, in which the quotation mark, the backslash and entities mean something to DOT."""
    return '"' + "\\n".join(map(_dot_escaped, lines)) + '"'


def _dot_figure(figure: _Figure) -> str:
    return f"{figure.id} [label={_dot_text(*figure.label)} {_DOT_SHAPES[figure.shape]}];"


def _dot_arrow(arrow: _Arrow) -> str:
    label = f"label={_dot_text(arrow.label)}" if arrow.label else ""
    attributes = " ".join(filter(None, (label, _DOT_LINES[arrow.line])))
    return f"{arrow.source} -> {arrow.target}" + (f" [{attributes}];" if attributes else ";")
