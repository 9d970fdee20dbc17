"""Graphs and tables of statuses as text that other tools draw: Mermaid and Graphviz DOT.

The same declaration gives the same text in every process, so that a drawing can be kept beside the code
and compared. Names become labels only, never identifiers: whatever is in them cannot end a quotation.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .figures import Arrow, Figure, Line, Shape, arrows_of, figures_of

if TYPE_CHECKING:
    from .declaration import Declaration

E = TypeVar("E", bound=StrEnum)


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
