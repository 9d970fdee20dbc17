"""`terzetto graph`: draw a graph, or check it without running it."""

from argparse import Namespace
from typing import Any

from msgspec import Struct

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Bound
from terzetto_protocol.places import Barrier, as_node
from terzetto_protocol.sayings import count

from ._exits import Exit
from ._graph_drawing import check_form, draw
from ._graphs import find_graph
from ._output import Output


class Checked(Struct, frozen=True):
    """The JSON document of `graph --check`."""

    graph: str
    version: str
    fingerprint: str
    """Empty when the graph has mistakes."""
    nodes: tuple[str, ...]
    barriers: tuple[str, ...]
    mistakes: tuple[str, ...]
    warnings: tuple[str, ...]
    cycles: tuple[str, ...]
    unreachable: tuple[str, ...]
    ends: tuple[str, ...]


async def graph(args: Namespace, output: Output) -> int:
    """Print a drawing, or what there is to know about a graph. A checkpoint where a run is drawn."""
    check_form(args)
    found = find_graph(args.graph)
    graph = found.graph if isinstance(found, Bound) else found
    if args.mermaid or args.dot or args.svg or args.html:
        await draw(args, graph, output)
        return Exit.FINE
    checked = _check(graph)
    output.document(checked)
    _tell(output, checked)
    return Exit.WRONG if checked.mistakes else Exit.FINE


def _check(graph: Declaration[Any, Any]) -> Checked:
    mistakes: tuple[str, ...] = ()
    try:
        fingerprint = graph.build().fingerprint
    except GraphError as error:
        mistakes, fingerprint = error.mistakes, ""
    analysis = graph.analyze()
    return Checked(
        graph=graph.name,
        version=graph.version,
        fingerprint=fingerprint,
        nodes=tuple(place.name for place in graph.places if as_node(place) is not None),
        barriers=tuple(place.name for place in graph.places if isinstance(place, Barrier)),
        mistakes=mistakes,
        warnings=analysis.warnings,
        cycles=tuple(map(str, analysis.cycles)),
        unreachable=analysis.unreachable,
        ends=analysis.ends,
    )


def _tell(output: Output, checked: Checked) -> None:
    size = f"{count(len(checked.nodes), 'node')}, {count(len(checked.barriers), 'barrier')}"
    output.line(f"graph {checked.graph} {checked.version}: {size}")
    for mistake in checked.mistakes:
        output.line(f"mistake: {mistake}", "red")
    for warning in checked.warnings:
        output.line(f"warning: {warning}", "yellow")
    for name in checked.unreachable:
        output.line(f"warning: no edge leads to {name}", "yellow")
    for cycle in checked.cycles:
        output.line(f"cycle: {cycle}")
    output.line(f"ends: {', '.join(checked.ends) or 'nowhere'}")
    if not checked.mistakes:
        output.line(f"fingerprint {checked.fingerprint}", "dim")
