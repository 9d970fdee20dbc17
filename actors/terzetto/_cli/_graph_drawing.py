"""`terzetto graph` with a form: the graph as a drawing, on its own or with what a run has done."""

from argparse import Namespace
from typing import Any

from msgspec import Struct

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.image import Snapshot
from terzetto_protocol.migrations import chain_from
from terzetto_protocol.progress_view import progress_view
from terzetto_protocol.records import Record, RunRow
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import RunStatus

from .._history import left_of, progress_of
from ._exits import Stop
from ._graphs import check_graph
from ._output import Output
from ._stores import carrier_of, find_run, guest, store_url


class Drawn(Struct, frozen=True):
    """The JSON document of a drawing."""

    graph: str
    drawing: str


def check_form(args: Namespace) -> None:
    """Raise `Stop` for options that mean nothing together."""
    if args.run is not None and not (args.svg or args.html):
        raise Stop("--run draws what a run has done: say --svg or --html as well")
    if args.store is not None and args.run is None:
        raise Stop("--store says where a run is kept: say which one, with --run RUN")


async def draw(args: Namespace, graph: Declaration[Any, Any], output: Output) -> None:
    """Print a drawing and nothing else. A checkpoint."""
    graph.build()
    shown, title = ({}, "") if args.run is None else await _progress(args, graph, output)
    drawing = _drawing(args, graph, shown, title)
    output.document(Drawn(graph.name, drawing))
    output.piece(f"{drawing}\n")  # as it is: a terminal would break lines, and a drawing has few of them


def _drawing(args: Namespace, graph: Declaration[Any, Any], shown: dict[str, Shown], title: str) -> str:
    if args.mermaid or args.dot:
        return (graph.mermaid() if args.mermaid else graph.dot()).rstrip("\n")
    picture = graph.svg(shown, title) if args.svg else graph.html(shown, title)
    # What is redirected into a file is read as UTF-8, whatever this terminal's encoding is.
    return picture.rstrip("\n").encode("ascii", "xmlcharrefreplace").decode()


async def _progress(args: Namespace, graph: Declaration[Any, Any], output: Output) -> tuple[dict[str, Shown], str]:
    """What the run has done by now, and a title that says how it is."""
    url = store_url(args)
    async with guest(url) as store:
        row = await find_run(store, args.run)
        check_graph(args.graph, graph, row)
        begin, records = await left_of(store, row)
        carried = await carrier_of(store, url, row.run_id) != ""
    # Commits that came between the two reads are left out, so that title and picture are of one moment.
    records = [record for record in records if record.seq <= row.seq]
    shown = _shown(graph, row, begin, records, carried=carried)
    strangers = shown.keys() - {place.name for place in graph.places}
    if strangers:
        names = ", ".join(sorted(strangers))
        output.note(f"not drawn, because {args.graph} has changed since run {row.run_id} was submitted: {names}")
    return shown, f"{graph.name}: run {row.run_id} {_standing(row, carried=carried)}"


def _shown(
    graph: Declaration[Any, Any], row: RunRow, begin: Snapshot, records: list[Record], *, carried: bool
) -> dict[str, Shown]:
    if not chain_from(graph, begin.image.version or row.header.version):
        return progress_view(records, carried=carried, begin=begin)
    return progress_of(graph.build(), row.header, begin, records, carried=carried)


def _standing(row: RunRow, *, carried: bool) -> str:
    if row.status is RunStatus.RUNNING and not carried:
        return f"{row.status}, and no process carries it"
    return f"{row.status}, {row.code}" if row.code else row.status
