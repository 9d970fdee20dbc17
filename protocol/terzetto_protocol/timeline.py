"""When each visit of a run began, waited, was tried again and ended: what a chart of them side by side is made of.

Made of the log and of nothing else. The log does not tell when a body begins, unless it is that of a `once` node: a
first attempt begins here when the visit was due. Of a log that was pruned, what was under way at its first commit
begins with that commit.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import Factory, define
from msgspec import Struct

from .ids import barrier_id
from .image import Snapshot, read_snapshot
from .pending import LASTING, Pending, is_within
from .records import Asked, Attempt, Joined, Kind, Record, Resolution, Returned, Rewind, Step
from .statuses import TERMINAL, VisitStatus

_V = VisitStatus


class Try(Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt of a visit."""

    number: int
    """From 1."""
    begin: float
    """UNIX time, seconds."""
    end: float | None = None
    """None while it goes on."""
    failed: bool = False


class Wait(Struct, frozen=True, forbid_unknown_fields=True):
    """A time in which a visit waited for somebody, or for its next attempt."""

    what: Literal["barrier", "retry"]
    begin: float
    """UNIX time, seconds."""
    end: float | None = None
    """None while it waits for somebody; of a rest before an attempt, when that is due."""
    barrier: str = ""
    """The barrier's id."""


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """One visit, from when it was due to its end."""

    visit: int
    node: str
    """With its path, where it has one."""
    begin: float
    """UNIX time, seconds."""
    end: float | None
    """None while it goes on."""
    status: VisitStatus
    tries: tuple[Try, ...] = ()
    """None of a barrier, at which nothing is tried."""
    waits: tuple[Wait, ...] = ()


def timeline(records: Iterable[Record], *, begin: Snapshot | None = None, at: float = 0.0) -> tuple[Span, ...]:
    """Every visit that the log tells of, in the order of their numbers.

    Args:
        records: the whole log, in order; with `begin`, what came after that.
        begin: the run as it was at the first commit that is left; of a fork its log alone does not tell that.
        at: when that was, as UNIX time.
    """
    chart = _Chart()
    if begin is not None:
        chart.begin(begin, at)
    for record in records:
        chart.move(record)
    return tuple(visit.span() for _, visit in sorted(chart.visits.items()))


@define(eq=False)
class _Visit:
    number: int
    node: str
    path: str
    fork: str
    """The path of what it opens, where it opens branches or a graph."""
    begin: float
    end: float | None = None
    status: VisitStatus = _V.PENDING
    tries: list[Try] = Factory(list[Try])
    waits: list[Wait] = Factory(list[Wait])

    def try_again(self, number: int, begin: float) -> None:
        """An attempt begins: the first one, or one after the other has ended."""
        if self.tries and self.tries[-1].end is None:
            self.tries.pop()  # the log only says now when it began
        self.tries.append(Try(number, begin))

    def end_try(self, at: float, *, failed: bool) -> None:
        if self.tries and self.tries[-1].end is None:
            last = self.tries[-1]
            self.tries[-1] = Try(last.number, last.begin, max(at, last.begin), failed)

    def wait(self, barrier: str, at: float) -> None:
        self.waits.append(Wait("barrier", at, barrier=barrier))

    def decided(self, barrier: str, at: float) -> None:
        self.waits = [_ended(each, at) if barrier in ("", each.barrier) else each for each in self.waits]

    def close(self, status: VisitStatus, at: float) -> None:
        self.decided("", at)
        self.end_try(at, failed=status is _V.FAILED)
        self.status, self.end = status, at

    def span(self) -> Span:
        tries, waits = tuple(self.tries), tuple(self.waits)
        return Span(self.number, self.node, self.begin, self.end, self.status, tries, waits)


def _ended(wait: Wait, at: float) -> Wait:
    """A wait that is over at a time, if it had not ended by then."""
    over = wait.end is not None and wait.end <= at
    return wait if over else Wait(wait.what, wait.begin, max(at, wait.begin), wait.barrier)


class _Chart:
    def __init__(self) -> None:
        self.visits: dict[int, _Visit] = {}
        self._live: dict[int, _Visit] = {}

    def begin(self, snapshot: Snapshot, at: float) -> None:
        """Take a run as it was at a commit, instead of the records up to there."""
        for entry in snapshot.image.frontier.values():
            self._resume(entry, at)

    def move(self, record: Record) -> None:
        """Take the next record of the log."""
        if isinstance(record.detail, Joined | Returned):
            self._drop(self._inside(record, record.detail), record.at)
        elif isinstance(record.detail, Rewind):
            self._drop(list(self._live), record.at)
            self.begin(read_snapshot(record.detail.snapshot), record.at)
        if record.visit in self._live:
            self._go_on(self._live[record.visit], record)
        for step in record.steps:
            self._enter(step, record.at)
        if record.status in TERMINAL:
            self._drop(list(self._live), record.at)

    def _inside(self, record: Record, detail: Joined | Returned) -> Iterator[int]:
        """The visits of branches or of a graph that has ended."""
        path = detail.path if isinstance(detail, Returned) else self._live[record.visit].fork
        return (number for number, visit in list(self._live.items()) if is_within(visit.path, path))

    def _drop(self, numbers: Iterable[int], at: float) -> None:
        """End visits whose branch or run has ended without them; what became of an effect then nobody knows."""
        for number in numbers:
            visit = self._live.pop(number)
            visit.close(_V.UNKNOWN if visit.status in (_V.RUNNING, _V.UNKNOWN) else _V.CANCELLED, at)

    def _resume(self, entry: Pending, at: float) -> None:
        self._enter(
            Step(entry.visit, entry.place, path=entry.path, ticket=entry.ticket), at, attempt=max(1, entry.attempt)
        )
        visit = self._live[entry.visit]
        visit.status = entry.status
        for barrier, _, opening in entry.open_barriers:
            visit.wait(barrier, opening.at or at)

    def _enter(self, step: Step, at: float, attempt: int = 1) -> None:
        visit = self._live.get(step.visit)
        if visit is None:
            around = f"{step.path}/" if step.path else ""
            fork = f"{around}{step.place}.{step.ticket}" if step.ticket else around + step.place
            visit = _Visit(step.visit, around + step.place, step.path, fork, at)
            self.visits[step.visit] = self._live[step.visit] = visit
            if step.opening is None:
                visit.try_again(attempt, at)
        if step.opening is not None:
            visit.wait(step.opening.known or barrier_id(step.path, step.place, step.visit, step.k), at)
            visit.status = _V.UNKNOWN if step.opening.reconcile else _V.AWAITING_INPUT
            visit.end_try(at, failed=True)  # where there was one its process has died

    def _go_on(self, visit: _Visit, record: Record) -> None:
        made = record.detail
        if isinstance(made, Asked):
            visit.wait(made.ask.barrier, record.at)
        elif isinstance(made, Resolution):
            visit.decided(made.barrier, record.at)
        elif record.kind is Kind.INTENT:
            visit.try_again(record.attempt, record.at)
        elif isinstance(made, Attempt):
            visit.end_try(record.at, failed=True)
            visit.waits.append(Wait("retry", record.at, made.due))
            visit.try_again(record.attempt + 1, made.due)
        if record.outcome is not None:
            visit.status = record.outcome
        if visit.status in LASTING:
            self._live.pop(visit.number).close(visit.status, record.at)
