"""A run as its log makes it: the durable half of the machine, moved by records and by nothing else.

Live turns, recovery and replay all end in `move`, which asks no predicate, no clock and no node: it
only does what the record says was decided.
"""

from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

from .blueprint import Blueprint
from .events import count_told
from .frames import Branch, Frame
from .ids import event_id
from .image import Image, Snapshot, read_record, read_snapshot
from .limits import OBSERVED_RUN
from .open_barriers import OpenBarriers
from .packing import Packing, upcast
from .pending import LASTING, WAITING, Pending, label_of
from .records import (
    Answer,
    Asked,
    Attempt,
    Called,
    Forked,
    Joined,
    Kept,
    Kind,
    Migrated,
    Note,
    Noted,
    Record,
    Resolution,
    Returned,
    Rewind,
    RunHeader,
    Sent,
    Step,
    Taken,
    Withdrawn,
    failure_in,
    failure_of,
)
from .statuses import PARKED, TERMINAL, RunStatus, VisitStatus

S = TypeVar("S")

_PROGRESS: Final = frozenset({Kind.VISIT, Kind.DECIDE, Kind.FORK, Kind.JOIN, Kind.SEND, Kind.CALL, Kind.RETURN})
_PENDING: Final = VisitStatus.PENDING


class Fold(Packing[S], Generic[S]):
    """The durable half of one run: how it stands, and how a record moves it."""

    __slots__ = ()

    @classmethod
    def load(cls, blueprint: Blueprint[S], header: RunHeader, snapshot: bytes, bodies: Iterable[bytes]) -> "Fold[S]":
        """As `resume`, of an encoded snapshot; raises `Malformed` for damaged bytes, too."""
        return cls.resume(blueprint, header, read_snapshot(snapshot), bodies)

    @classmethod
    def resume(cls, blueprint: Blueprint[S], header: RunHeader, was: Snapshot, bodies: Iterable[bytes]) -> "Fold[S]":
        """Fold the log onto a snapshot, which is the fold's own from here on.

        What an older version of the graph wrote is upcast. Raises `Malformed` when the graph cannot read it any more,
        and `MigrationFailed`.
        """
        stored = upcast(blueprint, header, was)
        fold = cls(blueprint, header, stored.image, blueprint.state.unpack(stored.state), stored.state)
        fold._note_moved(was.image.frontier.values(), stored.image.frontier.values())
        fold._restore_branches()
        fold._count_pending()
        for body in bodies:
            fold.replay(read_record(body))
        return fold

    def replay(self, record: Record) -> None:
        """Apply a stored commit."""
        if self._upcaster is not None:
            was, record = record, self._upcaster.record(record)
            self._note_moved(was.steps, record.steps)
        frame = self.frame(record.path)
        if isinstance(record.detail, Joined):
            entries = self.collected(record.visit, record.detail)
            (frame.note if isinstance(frame, Branch) else frame.apply)(entries)
        if isinstance(frame, Branch):
            frame.note(record.mutations)
        else:
            frame.apply(record.mutations)
        self.move(record)

    def _note_moved(self, before: Iterable[Pending | Step], after: Iterable[Pending | Step]) -> None:
        self.moved.update((new.path, old.path) for old, new in zip(before, after, strict=True) if old.path != new.path)

    # -- the log ---------------------------------------------------------------------------------------------

    def move(self, record: Record) -> None:
        """Do what the record says was decided about everything but the state."""
        image = self.image
        self._count_claims(record)
        image.parking = record.parks or (image.parking and record.status is not RunStatus.PAUSED)
        if record.status is not image.status:
            self._count_parked(record)
        image.seq, image.status, image.epoch = record.seq, record.status, record.epoch
        image.event_id = record.event_id + count_told(record) - 1
        if isinstance(record.detail, Kept | Withdrawn | Resolution):
            image.kept = _kept(image.kept, record.detail)
        self._rearrange(record)
        image.intents += record.kind is Kind.INTENT
        if record.visit:
            self._move_visit(record)
        for step in record.steps:
            self._enter(step)
        self._finish(record)

    def _rearrange(self, record: Record) -> None:
        """What a commit does to more than one visit."""
        if isinstance(record.detail, Rewind):
            self._rewind(record.detail)
        elif isinstance(record.detail, Forked):
            self._fork(record, record.detail)
        elif isinstance(record.detail, Joined):
            self._join(record, record.detail)
        elif isinstance(record.detail, Called):
            self._call(record, record.detail)
        elif isinstance(record.detail, Returned):
            self.image.unknown += record.detail.unknown
            self._close(record.detail.path)
        elif isinstance(record.detail, Taken):
            self._begin(record.detail)
        elif isinstance(record.detail, Migrated):
            self._migrate(record.detail)

    def _begin(self, made: Taken) -> None:
        self.image.base = made.base
        if made.state:
            self.state = self.blueprint.state.unpack(made.state)
            self.rebase(made.state)

    def _migrate(self, made: Migrated) -> None:
        self.image.version, self._upcaster = made.to, self.blueprint.upcaster(made.to)
        # It may be tried as often as a new run. A RUNNING one is INTERRUPTED next, which gives a claim back.
        self.image.claims = int(self.image.status is RunStatus.RUNNING)

    def set_going(self) -> None:
        """As `move`, for the first two commits of a run that nobody stores: it is submitted, and claimed."""
        image = self.image
        image.seq, image.status, image.epoch, image.event_id, image.claims = 2, RunStatus.RUNNING, 1, event_id(1, 1), 1
        self._enter(Step(1, self.blueprint.start))

    def end(self, entry: Pending, event: int, cost: float) -> None:
        """As `move`, for the end of a run that nobody stores: its lone visit has ended well, and nothing follows it."""
        image = self._leave_well(entry, event, cost)
        image.status = RunStatus.SUCCEEDED
        self.pending = self.retrying = 0

    def follow(self, entry: Pending, place: str, event: int, cost: float) -> None:
        """As `move`, for the everyday commit: the lone visit has ended well, and `place` follows it."""
        image, frontier = self.image, self.image.frontier  # as in `_leave_well`, without the call
        image.seq += 1
        image.event_id = event
        image.claims = 0
        image.finished += 1
        if cost:
            image.cost += cost
        del frontier[entry.visit]
        entry.visit = image.visits = visit = image.visits + 1
        entry.place = place
        if entry.status is not _PENDING or entry.attempt or entry.asked or entry.journal:
            self.retrying -= entry.due is not None
            entry.status, entry.attempt, entry.opening, entry.asked, entry.due = _PENDING, 0, None, 0, None
            entry.journal = {}
        frontier[visit] = entry

    def _leave_well(self, entry: Pending, event: int, cost: float) -> Image:
        image = self.image
        image.seq += 1
        image.event_id = event
        image.claims = 0
        image.finished += 1
        if cost:
            image.cost += cost
        del image.frontier[entry.visit]
        return image

    def end_branch(self, entry: Pending, branch: Branch[Any], event: int, cost: float) -> None:
        """As `move`, for the everyday commit: the last visit of a branch has ended well, and others live."""
        image = self._leave_well(entry, event, cost)
        branch.pending = 0
        branch.last = f"{entry.path}/{entry.place}"
        branch.ended = True
        image.forks[branch.fork].ended += 1

    def _count_claims(self, record: Record) -> None:
        image = self.image
        if record.kind is Kind.CLAIM:
            image.claims += 1
        elif record.kind in _PROGRESS:
            image.claims = 0
        elif record.kind is Kind.INTERRUPT and record.epoch == image.epoch:
            image.claims -= 1  # an owner that says goodbye gives its claim back; one that is found dead did not

    def _count_parked(self, record: Record) -> None:
        image = self.image
        if image.status in PARKED and record.status not in PARKED:
            image.parked += max(0.0, record.at - image.rested)
        elif record.status in PARKED and image.status not in PARKED:
            image.rested = record.at

    def _move_visit(self, record: Record) -> None:
        image, outcome = self.image, record.outcome
        entry = image.frontier[record.visit]
        self.waiting -= entry.status in WAITING
        self.retrying -= entry.due is not None and outcome is not None
        if outcome in LASTING:
            self.asking -= len(entry.asks)
            self.opened.drop_all(entry)
            del image.frontier[record.visit]
            if outcome is not VisitStatus.CANCELLED:
                self._account(record)
            self._leave(entry, record)
        elif outcome is not None:
            if entry.opening is not None:
                self.opened.drop(entry.barrier)
            entry.status, entry.attempt, entry.opening = outcome, record.attempt, None
            if isinstance(record.detail, Attempt):  # the next attempt runs anew what failed in this one
                entry.journal = {key: told for key, told in entry.journal.items() if told.failure is None}
            entry.due = record.detail.due if isinstance(record.detail, Attempt) else None
            self.retrying += entry.due is not None
            self.waiting += outcome in WAITING
        else:
            self._talk(entry, record.detail)

    def _leave(self, entry: Pending, record: Record) -> None:
        """A visit is over: so is its branch, when nothing else of it is pending, or when it failed for good."""
        frame, failure = self.frame(record.path), failure_in(record)
        frame.pending -= 1
        for path in self.calls(entry.visit) if self.image.forks else ():
            self._close(path)
        doomed = failure is not None and failure.final
        if not isinstance(frame, Branch):
            self.image.doomed = failure if doomed and record.status not in TERMINAL else self.image.doomed
            return
        frame.last = label_of(entry).rpartition("@")[0]
        if frame.ended or (frame.pending and not doomed):
            return
        if not any(step.path == record.path for step in record.steps):
            self._end_branch(frame, record)

    def _end_branch(self, branch: Branch[Any], record: Record) -> None:
        failure = failure_in(record)
        goes_on = branch.blueprint.flow is not None and failure is not None and not failure.final
        branch.ended, branch.failure = True, None if goes_on else failure
        self.image.forks[branch.fork].ended += 1

    def _talk(self, entry: Pending, detail: object) -> None:
        """What the body of a visit asked or was told."""
        if isinstance(detail, Asked):
            entry.asks[detail.key] = detail.ask
            self.opened.add(entry, detail.ask.barrier, detail.ask.name, detail.ask.opening)
            self.asking += 1
        elif isinstance(detail, Noted):
            entry.journal[detail.key] = detail.answer
        elif isinstance(detail, Sent):
            entry.sent += detail.digest
        elif isinstance(detail, Returned) and detail.answer is not None:
            entry.journal[detail.key] = detail.answer
        elif isinstance(detail, Resolution) and (key := entry.asked_as(detail.barrier)) is not None:
            self.opened.drop(detail.barrier)
            del entry.asks[key]
            self.asking -= 1
            entry.journal[key] = Answer(decision=detail.decision)

    def _account(self, record: Record) -> None:
        node = self.frame(record.path).blueprint.nodes.get(record.place)
        if node is not None:
            self.image.finished += 1
            self.image.cost += node.options.token_cost

    def _enter(self, step: Step) -> None:
        image = self.image
        entry = image.frontier.get(step.visit)
        if entry is None:
            entry = image.frontier[step.visit] = Pending(step.visit, step.place, step.path, ticket=step.ticket)
            image.visits = step.visit
            frame = self._frame_for(step)
            frame.pending += 1
            self._count(frame, step)
        if step.opening is not None:
            self.waiting += entry.status not in WAITING
            entry.opening = step.opening
            entry.asked += 1
            entry.status = VisitStatus.UNKNOWN if step.opening.reconcile else VisitStatus.AWAITING_INPUT
            self.opened.add(entry, entry.barrier, entry.place, step.opening)

    def _count(self, frame: Frame[Any], step: Step) -> None:
        counts = frame.counts
        counts.visits += counts is not self.counts
        counts.ticket = max(counts.ticket, step.ticket)
        if step.edge >= 0:
            counts.edges[step.edge] = counts.edges.get(step.edge, 0) + 1
        node = frame.blueprint.node(step.place)
        if node is not None and node.options.max_visits is not None:
            counts.places[step.place] = counts.places.get(step.place, 0) + 1

    def _finish(self, record: Record) -> None:
        image = self.image
        if record.observed is not None:
            image.observed = image.observed.with_all(record.observed, OBSERVED_RUN)
        if record.status not in TERMINAL:
            return
        image.failure = failure_of(record)
        if image.failure is None and isinstance(record.detail, Note):
            image.note = record.detail.text
        unsure = (VisitStatus.RUNNING, VisitStatus.UNKNOWN)  # RUNNING is durable only where an intent is
        image.unknown += tuple(label_of(entry) for entry in image.frontier.values() if entry.status in unsure)
        image.frontier, image.forks = {}, {}
        self.waiting, self.retrying, self.asking, self.opened = 0, 0, 0, OpenBarriers()
        self.branches, self.owners, self.pending = {}, {}, 0


def _kept(kept: tuple[Kept, ...], detail: Kept | Withdrawn | Resolution) -> tuple[Kept, ...]:
    """The decisions that are kept after this."""
    if isinstance(detail, Kept):
        return (*(each for each in kept if each.barrier != detail.barrier or not detail.standing), detail)
    if isinstance(detail, Withdrawn):
        return tuple(each for each in kept if each.barrier != detail.barrier)
    used = next((each for each in kept if each.barrier == detail.kept and not each.standing), None)
    return tuple(each for each in kept if each is not used)
