"""`terzetto doctor`: what is installed, how the store is, and what waits for whom."""

import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from msgspec import Struct

from terzetto_protocol.errors import Malformed, Refused, StoreDamaged, StoreError
from terzetto_protocol.graph import Bound
from terzetto_protocol.image import read_record, read_snapshot
from terzetto_protocol.records import Posted, RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.sayings import count, span
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.views import RunLine, run_line

from .._loading import load_carried
from ..stores import Store
from ..stores._url import discreet
from ._exits import Exit
from ._graphs import find_graph
from ._output import Output
from ._stores import DEFAULT_STORE, absolute, carrier_of, guest, is_made, owner_of, store_url
from ._words import typed

STUCK: Final = 300.0
"""Seconds without a commit after which a running run is worth a look."""
_PAGE: Final = 256
"""Commits that are read at once."""
_PACKAGES: Final = ("trio", "msgspec", "attrs", "cattrs", "apsw", "rich")
_WANTED_BY_FEW: Final = ("psycopg", "coredis", "langgraph", "metaflow")
"""Told of where they are installed."""


class Finding(Struct, frozen=True):
    """Something that waits, and what to do about it."""

    run_id: str
    """Empty for what concerns the whole store."""
    finding: str
    advice: str


class Report(Struct, frozen=True):
    """The JSON document of `doctor`."""

    versions: dict[str, str]
    store: str
    problems: tuple[str, ...]
    details: dict[str, str]
    owner: int | None
    """Process that owns the store."""
    runs: dict[str, int]
    """By status."""
    findings: tuple[Finding, ...]


async def doctor(args: Namespace, output: Output) -> int:
    """Look at everything and change nothing. A checkpoint."""
    url = store_url(args)
    if url == DEFAULT_STORE and not args.store and not is_made(url):
        report = Report(versions(), absolute(url), (), {"file": "not made yet"}, None, {}, ())
    else:
        report = await _examine(url, args.graph, deep=args.deep)
    output.document(report)
    _tell(output, report, deep=args.deep)
    return Exit.STORE if report.problems else Exit.FINE


async def _examine(url: str, graphs: Sequence[str], *, deep: bool) -> Report:
    try:
        async with guest(url) as store:
            health = await store.health(deep=deep)
            rows, barriers = await store.runs(limit=None), await store.barriers()
            posted = await store.posted(limit=1000)
            damaged = [found for row in rows if (found := await _damage(store, row, deep=deep))]
            stuck = await _left_behind(store, rows, graphs, absolute(url))
            lease = store.lease
            carriers = {
                row.run_id: await carrier_of(store, url, row.run_id) for row in rows if row.status in _UNFINISHED
            }
    except StoreError as error:
        return Report(versions(), discreet(absolute(url)), (str(error),), {}, owner_of(url), {}, ())
    owner = owner_of(url)
    lines = [run_line(row, barriers) for row in rows]
    looked = [
        found
        for line in lines
        if not line.damaged
        for found in _look(line, carriers.get(line.run_id, ""), absolute(url))
    ]
    findings = [*_commands(posted, owner, lease), *stuck, *looked]
    return Report(
        versions=versions(),
        store=discreet(absolute(url)),
        problems=tuple(dict.fromkeys((*health.problems, *damaged))),
        details={name: value for name, value in health.details if name != "owner"} | {"schema": str(health.version)},
        owner=owner,
        runs=dict(Counter(line.status for line in lines)),
        findings=tuple(findings),
    )


async def _damage(store: Store, row: RunRow, *, deep: bool) -> str:
    """Why a run cannot be read, if it cannot; `deep` looks at every commit and snapshot. A checkpoint."""
    if row.damaged or not deep:
        return f"run {row.run_id!r}: {row.damaged}" if row.damaged else ""
    after, where = 0, "at its beginning"
    try:
        while bodies := await store.records(row.run_id, after=after, limit=_PAGE):
            for record in map(read_record, bodies):
                if record.seq <= after:
                    return f"run {row.run_id!r}: commit {record.seq} comes after commit {after}"
                if record.seq == row.seq and record.status is not row.status:
                    return f"run {row.run_id!r}: its row has status {row.status} instead of {record.status}"
                after, where = record.seq, f"behind commit {record.seq}"
        for seq in await store.checkpoints(row.run_id):
            where, found = f"at commit {seq}", await store.snapshot(row.run_id, at=seq)
            if found is not None:  # else it was pruned meanwhile
                read_snapshot(found[1])
    except Malformed as error:
        return f"run {row.run_id!r}, {where}: {error}"
    except StoreDamaged as error:
        return f"run {row.run_id!r}: {error.place}: {error.reason}"
    return ""


async def _left_behind(store: Store, rows: Iterable[RunRow], graphs: Sequence[str], url: str) -> list[Finding]:
    """Runs that none of these graphs can go on with, and why. A checkpoint."""
    found = [find_graph(spec) for spec in graphs]
    registry = Registry(Bound(each.graph if isinstance(each, Bound) else each, None) for each in found)
    names = {blueprint.name for blueprint in registry.all()}
    left: list[Finding] = []
    for row in rows:
        if row.status in TERMINAL or row.header.graph not in names:
            continue
        try:
            if (stored := await store.load(row.run_id)) is not None:
                await load_carried(store, registry, stored)
        except (Refused, StoreDamaged) as error:
            reason = str(error).removeprefix(f"run {row.run_id!r}: ")
            left.append(Finding(row.run_id, f"cannot go on: {reason}", typed("show", row.run_id, "--store", url)))
    return left


def versions() -> dict[str, str]:
    """What is installed."""
    from .. import __version__

    found = {"terzetto": __version__, "python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    for name in _WANTED_BY_FEW:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    found["sqlite"] = _sqlite()
    return found


def _sqlite() -> str:
    import apsw

    return apsw.sqlite_lib_version()


def _commands(posted: Iterable[Posted], owner: int | None, lease: float | None) -> Iterator[Finding]:
    waiting = list(posted)
    if waiting:
        who = "the next owner carries them out" if owner is None else f"process {owner} should answer within a second"
        if lease is not None:
            who = "an owner that lives should answer within a second, and else the next one does"
        oldest = span(time.time() - waiting[0].at)
        yield Finding("", f"{count(len(waiting), 'command')} without an answer, the oldest for {oldest}", who)


def _look(line: RunLine, carrier: str, store: str) -> Iterator[Finding]:
    """What there is to say about one run."""
    since = span(time.time() - line.updated)
    for barrier in line.open_barriers:
        decide = typed("decide", line.run_id, barrier, "--approve", "--store", store)
        yield Finding(line.run_id, f"waits for a decision at {barrier} for {since}", decide)
    if line.status is RunStatus.PAUSED:
        yield Finding(line.run_id, f"is paused for {since}", typed("resume", line.run_id, "--store", store))
    elif line.status in _UNFINISHED:
        yield from _unfinished(line, since, carrier, store)
    elif line.code == "recovery_exhausted":
        yield Finding(line.run_id, f"FAILED: {line.message}", typed("show", line.run_id, "--store", store))


_UNFINISHED: Final = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.CANCELLING, RunStatus.INTERRUPTED)


def _unfinished(line: RunLine, since: str, carrier: str, store: str) -> Iterator[Finding]:
    if not carrier:
        resume = typed("resume", line.run_id, "MODULE:GRAPH", "--store", store)
        yield Finding(line.run_id, f"is {line.status}, and nobody carries it: an owner with its graph would", resume)
    elif time.time() - line.updated > STUCK:
        text = f"is {line.status} in {carrier}, without a commit for {since}: a step may be stuck"
        yield Finding(line.run_id, text, typed("cancel", line.run_id, "--store", store))


def _tell(output: Output, report: Report, *, deep: bool) -> None:
    output.line(", ".join(f"{name} {number}" for name, number in report.versions.items()))
    details = ", ".join(f"{name} {value}" for name, value in report.details.items())
    output.line(f"store {report.store}{f' ({details})' if details else ''}")
    for problem in report.problems:
        output.line(f"problem: {problem}", "red")
    if not report.problems and report.runs:
        output.line(
            "integrity: checked, and whole" if deep else "integrity: not checked (--deep does)", "green" if deep else ""
        )
    owner = "no process owns it now" if report.owner is None else f"owned by process {report.owner}"
    if "owners" in report.details:
        owner = f"{count(int(report.details['owners']), 'owner')} at work"
    runs = ", ".join(f"{number:,} {status}" for status, number in report.runs.items()) or "no runs"
    if report.details:  # else nobody could look
        output.line(f"{owner}; {runs}")
    elif report.owner is not None:
        output.line(owner)
    for found in report.findings:
        output.line(f"{f'run {found.run_id} ' if found.run_id else ''}{found.finding}", "yellow")
        output.line(f"  {found.advice}", copied=True)
