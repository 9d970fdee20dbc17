"""`terzetto runs`: the runs of a store, newest first."""

import time
from argparse import Namespace
from difflib import get_close_matches

from terzetto_protocol.sayings import span
from terzetto_protocol.statuses import OTHER_NAMES, RunStatus
from terzetto_protocol.views import RunLine, run_line

from ._exits import Exit, Stop
from ._output import Output
from ._remote import lines_there
from ._stores import guest, store_url
from ._words import STYLES, typed


async def runs(args: Namespace, output: Output) -> int:
    """List runs. A checkpoint."""
    statuses = [status_of(word) for given in args.status for word in given.split(",")] or None
    lines = await lines_there(args, statuses) if args.url else await _lines(args, statuses)
    output.document({"runs": lines})
    if not lines:
        output.line("no runs" if statuses is None and args.before is args.thread is None else "no such runs")
        return Exit.FINE
    now, threads = time.time(), any(line.thread for line in lines)
    cells = [[*_cells(line), *([line.thread] if threads else []), _updated(line, now), _note(line)] for line in lines]
    head = ("RUN", "STATUS", "GRAPH", "COMMITS", *(["THREAD"] if threads else []), "UPDATED", "NOTE")
    output.table(head, cells, {**STYLES})
    if args.limit is not None and len(lines) == args.limit:
        same = [*([] if args.thread is None else ["--thread", args.thread]), *(["--url", args.url] if args.url else [])]
        output.line(f"(older ones: {typed('runs', *same, '--before', lines[-1].run_id)})", "dim", copied=True)
    return Exit.FINE


async def _lines(args: Namespace, statuses: list[RunStatus] | None) -> list[RunLine]:
    async with guest(store_url(args)) as store:
        rows = await store.runs(statuses=statuses, before=args.before, limit=args.limit, thread=args.thread)
        waiting = await store.barriers()
    return [run_line(row, waiting) for row in rows]


def _cells(line: RunLine) -> tuple[str, str, str, str]:
    version = "" if line.version == "1" else f" {line.version}"
    return line.run_id, line.status, f"{line.graph}{version}", f"{line.seq:,}"


def _updated(line: RunLine, now: float) -> str:
    return "" if line.damaged else f"{span(now - line.updated)} ago"


def _note(line: RunLine) -> str:
    if line.damaged:
        return f"damaged: {line.damaged}"
    if line.open_barriers:
        return f"waits at {', '.join(line.open_barriers)}"
    return ": ".join(filter(None, (line.code, line.message)))


def status_of(word: str) -> RunStatus:
    """The status of this name, in any case, also by the names of other systems; raises `Stop`."""
    name = word.strip().upper().replace("-", "_")
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    if name in RunStatus.__members__:
        return RunStatus(name)
    close = get_close_matches(name, [*RunStatus.__members__, *OTHER_NAMES], n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(RunStatus.__members__)}"
    raise Stop(f"{word!r} is not a status: {hint}")
