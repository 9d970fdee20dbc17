"""Progress: what a run did at each place of its graph, made of its log and of nothing else, as pictures show it.

Visits in branches count at the places of the graph that they are visits of. What happens inside a subgraph is another
graph's: the subgraph's place shows the last of what goes on there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from attrs import Factory, define

from .decisions import Exiting, name_of
from .ids import barrier_id
from .image import Snapshot, read_snapshot
from .pending import LASTING, Pending, is_within
from .records import (
    Asked,
    Attempt,
    Called,
    Failure,
    Forked,
    Joined,
    Kind,
    Record,
    Resolution,
    Returned,
    Rewind,
    Step,
    failure_in,
)
from .shown import Shown
from .statuses import TERMINAL, RunStatus, VisitStatus

_V = VisitStatus


def progress_view(records: Iterable[Record], *, carried: bool, begin: Snapshot | None = None) -> dict[str, Shown]:
    """What a run did at each place that it came to, by name; of a log that was pruned, what is left of that.

    Args:
        records: its whole log, in order; with `begin`, what came after that.
        begin: the run as it was at the first commit that is left; of a fork its log alone does not tell that.
        carried: whether some process carries the run now. The log does not tell when a body begins, so that what is to
            be done next is RUNNING in a run that is carried, and PENDING in any other.
    """
    progress = Progress()
    if begin is not None:
        progress.begin(begin)
    for record in records:
        progress.move(record)
    return progress.places(carried=carried)


@define(eq=False)
class _Visit:
    place: str
    path: str
    ticket: int = 0
    status: VisitStatus = _V.PENDING
    is_over: bool = False
    attempt: int = 1
    said: str = ""
    """What its last commit said about it."""
    waits_for: list[str] = Factory(list[str])
    """Open barriers."""
    opened: Forked | None = None
    ended: int = 0
    """Branches, of those it opened."""
    inside: "list[_Visit]" = Factory(list["_Visit"])
    """All visits of the graphs that it opened or ran."""
    calls: list[str] = Factory(list[str])
    """Paths of the graphs that it runs."""

    def end(self, status: VisitStatus) -> None:
        self.status, self.is_over = status, True
        self.waits_for.clear()

    @property
    def fork(self) -> str:
        """The path of what it opens."""
        return _joined(self.path, f"{self.place}.{self.ticket}" if self.ticket else self.place)

    @property
    def focus(self) -> "_Visit":
        """What it is about now: itself, or a visit of the graph that it opened."""
        busy = [visit for visit in self.inside if not visit.is_over]
        return busy[-1] if busy else self

    @property
    def note(self) -> str:
        if self.waits_for:
            return f"{', '.join(self.waits_for)} {'is' if len(self.waits_for) == 1 else 'are'} open"
        if self.focus is not self:
            return self.focus.note or f"at {self.focus.place}"
        if self.said or self.opened is None or self.opened.state:
            return self.said
        count = self.opened.count
        of_all = "" if self.ended == count else f"{self.ended} of "
        return f"{of_all}{count} {'branch' if count == 1 else 'branches'}"


class Progress:
    """The same for who follows a run: `move` by each record of its log in order, and look at any time."""

    def __init__(self) -> None:
        self._status = RunStatus.QUEUED
        self._places: Final[dict[str, list[_Visit]]] = {}
        self._live: Final[dict[int, _Visit]] = {}
        self._forks: Final[dict[str, _Visit]] = {}
        """By their paths, those that are over too: their places open nothing else when they are visited again."""

    def begin(self, snapshot: Snapshot) -> None:
        """Take a run as it was at a commit, instead of the records up to there."""
        image = snapshot.image
        self._status = image.status
        for path, fork in image.forks.items():  # outer ones first
            owner = self._live.get(fork.owner) or self._begin(_step_of(image.frontier[fork.owner]))
            self._forks[path] = owner
            if fork.called:
                owner.calls.append(path)
            else:
                inner = image.branches.get(path)  # a subgraph's, whose path is its own
                owner.opened, owner.ended = Forked(fork.count, state=b"" if inner is None else inner.base), fork.ended
        for entry in image.frontier.values():
            visit = self._live.get(entry.visit) or self._begin(_step_of(entry))
            visit.status = entry.status if visit.opened is None else _V.RUNNING
            visit.attempt = max(1, entry.attempt)
            visit.waits_for = [barrier for barrier, _, _ in entry.open_barriers]

    def move(self, record: Record) -> None:
        """Take the next record of the log."""
        self._status = record.status
        if isinstance(record.detail, Forked):
            self._fork(record, record.detail)
        elif isinstance(record.detail, Joined):
            self._drop_within(self._live[record.visit].fork)
        elif isinstance(record.detail, Called):
            self._forks[record.detail.path] = self._live[record.visit]
            self._live[record.visit].calls.append(record.detail.path)
        elif isinstance(record.detail, Returned):
            self._drop_within(record.detail.path)
        elif isinstance(record.detail, Rewind):
            self._drop(list(self._live))
            self.begin(read_snapshot(record.detail.snapshot))
            self._status = record.status
        if record.visit:
            self._go_on(record)
        for step in record.steps:
            self._enter(step)
        if record.status in TERMINAL:
            self._drop(list(self._live))

    def places(self, *, carried: bool) -> dict[str, Shown]:
        """What happened at each place by now; see `progress_view`."""
        runs = carried and self._status is RunStatus.RUNNING
        return {name: _shown(visits, _V.RUNNING if runs else _V.PENDING) for name, visits in self._places.items()}

    def _fork(self, record: Record, opened: Forked) -> None:
        visit = self._live[record.visit]
        visit.status, visit.opened = _V.RUNNING, opened
        self._forks[visit.fork] = visit

    def _drop(self, numbers: Iterable[int]) -> None:
        """End visits whose branch or run has ended without them; what became of an effect then nobody knows."""
        for number in numbers:
            visit = self._live.pop(number)
            unsure = visit.opened is None and visit.status in (_V.RUNNING, _V.UNKNOWN)
            visit.end(_V.UNKNOWN if unsure else _V.CANCELLED)

    def _drop_within(self, path: str) -> None:
        self._drop([number for number, visit in self._live.items() if is_within(visit.path, path)])

    def _go_on(self, record: Record) -> None:
        visit = self._live[record.visit]
        if isinstance(record.detail, Asked):
            visit.waits_for.append(record.detail.ask.barrier)
        elif isinstance(record.detail, Resolution) and record.detail.barrier in visit.waits_for:
            visit.waits_for.remove(record.detail.barrier)
        if record.outcome is None:
            return
        if record.kind in (Kind.INTENT, Kind.RETRY):
            visit.attempt = record.attempt + (record.kind is Kind.RETRY)
        visit.status, visit.said = record.outcome, _said(record, visit.attempt)
        if record.outcome in LASTING:
            self._live.pop(record.visit).end(record.outcome)
            for path in visit.calls:
                self._drop_within(path)
            if record.path and not any(step.path == record.path for step in record.steps):
                self._fork_of(record.path).ended += 1

    def _fork_of(self, path: str) -> _Visit:
        return self._forks.get(path) or self._forks[path.rpartition("/")[0]]

    def _enter(self, step: Step) -> None:
        visit = self._live.get(step.visit) or self._begin(step)
        if step.opening is not None:
            known = step.opening.known or barrier_id(step.path, step.place, step.visit, step.k)
            visit.waits_for.append(known)
            visit.status = _V.UNKNOWN if step.opening.reconcile else _V.AWAITING_INPUT

    def _begin(self, step: Step) -> _Visit:
        visit = self._live[step.visit] = _Visit(step.place, step.path, step.ticket)
        around = self._subgraph_around(step.path)
        (self._places.setdefault(step.place, []) if around is None else around.inside).append(visit)
        return visit

    def _subgraph_around(self, path: str) -> _Visit | None:
        """The outermost visit that opened or runs a graph into which a path leads."""
        forks = map(self._forks.get, accumulate(path.split("/"), _joined))
        return next((fork for fork in forks if fork and (fork.opened is None or fork.opened.state)), None)


def _step_of(entry: Pending) -> Step:
    return Step(entry.visit, entry.place, path=entry.path, ticket=entry.ticket)


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _shown(visits: Sequence[_Visit], begun: VisitStatus) -> Shown:
    """Of visits side by side none is the last: one that goes on stands for all, and how they differ is told."""
    statuses = [visit.focus.status for visit in visits]
    statuses = [begun if status is _V.PENDING else status for status in statuses]
    going_on = [number for number, visit in enumerate(visits) if not visit.is_over]
    last = going_on[-1] if going_on else len(visits) - 1
    in_branches = bool(visits[last].path)
    alone = not in_branches or len(visits) == 1 or len(going_on) == 1
    note = visits[last].note if alone else ""
    return Shown(statuses[last], len(visits), note or (_tally(statuses) if in_branches else ""))


def _tally(statuses: Sequence[VisitStatus]) -> str:
    counts = Counter(statuses)
    words = (f"{counts[status]} {status.lower().replace('_', ' ')}" for status in VisitStatus if status in counts)
    return ", ".join(words) if len(counts) > 1 else ""


def _said(record: Record, attempt: int) -> str:
    made, failure = record.detail, failure_in(record)
    if isinstance(made, Resolution):
        answer = made.decision.exit if isinstance(made.decision, Exiting) else name_of(made.decision)
        return f"{answer} by {made.source or 'somebody'}"
    numbered = f"attempt {attempt}" if attempt > 1 else ""
    if isinstance(made, Attempt):
        return f"{numbered} after {_reason(made.failure)}"
    return ": ".join(filter(None, (numbered, _reason(failure) if failure else _observed(record))))


def _observed(record: Record) -> str:
    """The last error that a visit reported, and that did not end it."""
    if record.observed is None:
        return ""
    error = record.observed.errors[-1]
    return f"{error.level.replace('_', ' ')}: {error.message}"


def _reason(failure: Failure) -> str:
    """A failure in few words: without the place, at which it shows."""
    return failure.errors[0] if len(failure.errors) == 1 else failure.message
