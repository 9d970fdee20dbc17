"""Looks at everything a run machine makes and shows, and holds it against SEMANTICS 2, 3 and 7.

It keeps its own books (which visit is where, what was seen, how often a body was started) and never asks the
machine, except to compare the machine's image and state with what the log alone makes of them.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.codec import pack
from terzetto_protocol.composites import Subgraph
from terzetto_protocol.decisions import Retry, name_of
from terzetto_protocol.errors import NotStorable
from terzetto_protocol.events import Event, RunEnded, count_told, told_by
from terzetto_protocol.fold import Fold
from terzetto_protocol.frames import SharedBranch
from terzetto_protocol.ids import split_event_id
from terzetto_protocol.image import Image, read_record, read_snapshot
from terzetto_protocol.inputs import CommitRefused, Input, Probed
from terzetto_protocol.limits import RUN_AHEAD
from terzetto_protocol.packing import upcast
from terzetto_protocol.receipts import (
    AlreadyResolved,
    CancelReceipt,
    DecisionKept,
    DecisionTaken,
    DecisionWithdrawn,
    PauseReceipt,
    Resumed,
    Undone,
)
from terzetto_protocol.records import Answer, Kind, Noted, Record, Resolution, Rewind, Sent, Write
from terzetto_protocol.scribe import RESTING
from terzetto_protocol.statuses import PARKED, RUN_MOVES, TERMINAL, VISIT_MOVES, FailureCode, RunStatus, VisitStatus
from terzetto_protocol.turn import Answered, Finish, Reply, Start
from terzetto_protocol.upcasting import upcast_all

_V = VisitStatus
_LASTING = {_V.SUCCEEDED, _V.FAILED, _V.CANCELLED, _V.SKIPPED}
_IDLE = RESTING | {RunStatus.QUEUED, RunStatus.INTERRUPTED}
_encode = msgspec.msgpack.encode


def record_of(write: Write) -> Record:
    return read_record(write.body)


class Witness:
    """What was seen of one run, over all its owners."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.seen: list[Event] = []
        self.starts: list[Start] = []
        self.gaps = False
        """Whether chunks may have been dropped."""
        self._stored: dict[int, bytes] = {}
        self._read = 0
        self._bodies: Counter[int] = Counter()
        self._again: Counter[int] = Counter()
        """Permissions to start a `once` body again: negative probes."""
        self._fenced = False
        self._records: list[Record] = []
        self._visits: dict[int, VisitStatus] = {}
        self._number = 0
        """The last visit's."""
        self._told_before: dict[int, list[Answer]] = {}
        """What bodies were told, by visits that came from elsewhere in the log or from another run."""
        self._entered: dict[int, int] = {}
        """The commit that each visit follows: a node may start when it is durable, whatever branches beside it do."""
        self._folds: list[Fold[Any]] = []
        """The log folded from its first snapshot, and from its newest."""

    # -- the log ---------------------------------------------------------------------------------------------

    def wrote(self, write: Write) -> None:
        """A write was handed over."""
        record = record_of(write)
        last = self._records[-1] if self._records else None
        assert not self._fenced, "a fenced process wrote"
        assert (record.seq, record.status, record.epoch, record.kind) == (
            write.seq,
            write.status,
            write.epoch,
            write.kind,
        )
        self._check_move(record, last)
        self._records.append(record)
        self._move_visits(record, write)
        if record.kind is Kind.INTENT:
            assert self._entered[record.visit] <= self.driver.disk.seq, (
                "D2: an intent before its predecessor is durable"
            )
        told = told_by(write.run_id, record)
        assert write.event_id == record.event_id + len(told) - 1
        if record.status in TERMINAL:
            assert isinstance(told[-1], RunEnded), "D7: END is told by the commit that ends the run"
        self._fold(write, record)

    def _check_move(self, record: Record, last: Record | None) -> None:
        if last is None:
            assert record.seq == 1
            assert record.status in RUN_MOVES[None]
            return
        assert record.seq == last.seq + 1
        assert record.epoch in (last.epoch, last.epoch + 1)
        assert last.status not in TERMINAL, f"{record.kind} after the end"
        assert record.status is last.status or record.status in RUN_MOVES[last.status], (last.status, record.status)
        assert record.event_id > last.event_id + count_told(last) - 1
        if last.status is RunStatus.CANCELLING:
            ends = record.kind in (Kind.END, Kind.MIGRATE)  # who finishes it under a newer version notes that first
            assert ends, f"D6: {record.kind} after a cancel"

    def _move_visits(self, record: Record, write: Write) -> None:
        if record.seq == 1 and not record.steps and write.snapshot is not None:  # it goes on from another run
            self._go_back(record, read_snapshot(write.snapshot).image)
        if record.visit:
            before = self._visits[record.visit]
            if record.outcome is not None and record.outcome is not before:
                assert record.outcome in VISIT_MOVES[before], (record.visit, before, record.outcome)
            if record.kind is Kind.VISIT and self._effects(record.place) == "once":
                assert before is _V.RUNNING, "D2: a `once` visit without an intent"
            if record.outcome is not None:
                self._visits[record.visit] = record.outcome
        if isinstance(record.detail, Rewind):
            self._go_back(record, read_snapshot(record.detail.snapshot).image)
        for step in record.steps:
            if step.visit not in self._visits:
                assert step.visit == self._number + 1, "visit numbers rise without a hole"
                self._number = step.visit
                self._visits[step.visit] = _V.PENDING
                self._entered[step.visit] = record.seq
            if step.opening is not None:
                status = _V.UNKNOWN if step.opening.reconcile else _V.AWAITING_INPUT
                assert status in VISIT_MOVES[self._visits[step.visit]]
                self._visits[step.visit] = status

    def _go_back(self, record: Record, image: Image) -> None:
        """What waited or ran then is pending again, under numbers of its own, and has been told what it was told."""
        for visit, entry in image.frontier.items():
            assert visit > self._number, "a visit number is used again"
            self._visits[visit], self._entered[visit] = _V.PENDING, record.seq
            self._told_before[visit] = [*entry.journal.values(), *([Answer()] if entry.sent else [])]
        self._number = image.visits

    def _fold(self, write: Write, record: Record) -> None:
        """Law 1, with the general path: what the log alone makes, from the beginning and from the newest snapshot."""
        for fold in self._folds:
            fold.replay(record)
        if write.snapshot is not None:
            blueprint, header = self.driver.blueprint, self.driver.header
            stored = upcast(blueprint, header, read_snapshot(write.snapshot))
            if self._folds:
                whole = self._folds[0]
                fresh = Fold.load(blueprint, header, write.snapshot, ())
                assert all_of(fresh) == all_of(whole), "a snapshot is not its log"
                assert stored.state == blueprint.state.pack(whole.state), "a snapshot is not its log"
            fresh = Fold.load(blueprint, header, write.snapshot, ())
            self._folds = [self._folds[0] if self._folds else Fold.load(blueprint, header, write.snapshot, ()), fresh]
        elif record.status in RESTING:
            assert state_of(self._folds[0]) is None, "a run that rests can be read from one snapshot"

    def compare(self) -> None:
        """Law 1: folding the log gives the live image and the live state."""
        if self._fenced or not (self.driver.logged and self.driver.watch):
            return
        live = self.driver.machine.fold
        for fold in self._folds:
            assert all_of(fold) == all_of(live), "law 1: the images differ"
            waiting = {each for entry in fold.image.frontier.values() for each, _, _ in entry.open_barriers}
            assert waiting == fold.opened.by_id.keys() == live.opened.by_id.keys(), "the index of barriers is stale"
            assert state_of(fold) == state_of(live), "law 1: the states differ"
        for fold in (*self._folds, live):
            assert counts_of(fold) == counted(fold), "what was counted on the way is not what is there"

    # -- what becomes visible --------------------------------------------------------------------------------

    def hears(self, msg: Input) -> None:
        """An input was accepted."""
        if isinstance(msg, CommitRefused):
            self._fenced = True
        elif isinstance(msg, Probed) and msg.happened is False:
            self._again[msg.visit] += 1

    def showed(self, event: Event) -> None:
        """An event was published."""
        assert not self._fenced, "D8: a stale writer published"
        hidden = [record_of(write) for write in self.driver.sent]
        assert all(record.event_id > event.id for record in hidden), "D3/D4: seen before what it depends on is durable"
        if self.seen:
            assert event.id > self.seen[-1].id, "D4: ids rise strictly"
            assert not isinstance(self.seen[-1], RunEnded), "D7: END is last"
            before, number = split_event_id(self.seen[-1].id), split_event_id(event.id)
            follows = event.id == self.seen[-1].id + 1 or (number[0] > before[0] and number[1] == 1)
            assert follows or self.gaps, f"a hole in the ids: {before} -> {number}"
        self.seen.append(event)
        if event.durable and self.driver.logged:
            assert _encode(event) == self._told().get(event.id), "D4: the stored commit tells another event"

    def _told(self) -> dict[int, bytes]:
        """Every durable event by its id, as a restarted process tells it."""
        records = self.driver.disk.records
        for record in records[self._read :]:
            self._stored |= {event.id: _encode(event) for event in told_by("r", record)}
        self._read = len(records)
        return self._stored

    def started(self, start: Start) -> None:
        """A body or a probe was started."""
        assert not self._fenced, "D8: a fenced process started a node"
        effects = self._effects(start.node)
        ahead = 0 if not self.driver.logged else max(0, self._entered[start.visit] - self.driver.disk.seq)
        assert start.visit not in self.driver.running, "a visit has one body at a time"
        if self.driver.logged:
            assert self._records[-1].status is RunStatus.RUNNING
            assert self._visits[start.visit] not in _LASTING, "a visit with a commit never starts again"
        assert ahead <= (RUN_AHEAD if effects == "pure" else 0), f"D2/D3: {effects} ran {ahead} commits ahead"
        self.starts.append(start)
        if effects == "once" and not start.probe:
            self._begin_once(start)

    def _begin_once(self, start: Start) -> None:
        self._bodies[start.visit] += 1
        if not self.driver.logged:
            return
        written = [record for record in self.driver.disk.records if record.visit == start.visit]
        assert written[-1].kind is Kind.INTENT, "D2: a `once` body without a durable intent"
        assert (written[-1].attempt, written[-1].epoch) == (start.attempt, self._records[-1].epoch)
        retries = sum(isinstance(r.detail, Resolution) and isinstance(r.detail.decision, Retry) for r in written)
        assert self._bodies[start.visit] <= 1 + retries + self._again[start.visit], "a `once` body was started again"

    def replied(self, reply: Reply) -> None:
        """A receipt was sent: what it says is on the disk."""
        assert not self._fenced, "D8: a stale writer answered"
        if not self.driver.logged:
            return
        receipt, disk = reply.receipt, self.driver.disk.records
        commands = {getattr(record.detail, "command_id", "") for record in disk if record.detail is not None}
        if isinstance(receipt, DecisionTaken | DecisionKept | DecisionWithdrawn | Resumed | Undone):
            assert reply.command_id in commands, "D5: acknowledged before it was durable"
        elif isinstance(receipt, AlreadyResolved):
            made = [(r.detail.barrier, name_of(r.detail.decision), r.detail.source) for r in disk if _resolves(r)]
            assert (receipt.barrier, receipt.decision, receipt.source) in made
        elif isinstance(receipt, CancelReceipt) and receipt.outcome == "requested":
            assert any(record.kind is Kind.CANCEL for record in disk), "D6: acknowledged before it was durable"
        elif isinstance(receipt, PauseReceipt):
            pauses = [record for record in disk if record.parks or record.status is RunStatus.PAUSED]
            assert pauses, "2: acknowledged before it was durable that the run pauses"
        else:
            assert disk[-1].status in TERMINAL, f"{receipt} before the end was durable"

    def answered(self, answered: Answered) -> None:
        """A body was told something: it is on the disk, and it is what the disk says."""
        assert not self._fenced, "D8: a stale writer answered"
        if not self.driver.logged:
            return
        said = [*self._told_before.get(answered.visit, [])]
        for record in self.driver.disk.records:
            if record.visit == answered.visit and isinstance(record.detail, Noted | Resolution | Sent):
                made = record.detail
                said.append(
                    made.answer if isinstance(made, Noted) else Answer(decision=getattr(made, "decision", None))
                )
                if isinstance(made, Sent) and answered.answer.failure is not None:
                    assert answered.answer.failure.code == FailureCode.STEPS_EXCEEDED
                    said.append(Answer(failure=answered.answer.failure))
        assert answered.answer in said, "D3: told before it was durable"
        before = self.driver.answers.get((answered.visit, answered.key), answered.answer)
        assert before == answered.answer, "a body that asks again is told the same"

    def finished(self, finish: Finish) -> None:
        """The machine said that the run needs no task: also what may have happened since needs none."""
        if finish.fenced:
            return
        assert finish.status in _IDLE
        if self.driver.logged:
            durable = self.driver.disk.records
            assert any(record.status is finish.status for record in durable), f"{finish} before it is durable"
            assert self._records[-1].status in _IDLE, f"{finish} of a run that is {self._records[-1].status}"

    def crashed(self) -> None:
        """The process died: everything that is not on the disk never was."""
        self._fenced = False
        writes, self._records, self._visits, self._folds = self.driver.disk.writes, [], {}, []
        self._number = 0
        records = list(map(record_of, writes))
        upcast_records = upcast_all(self.driver.blueprint, self.driver.header.version, records)
        for write, record, now in zip(writes, records, upcast_records, strict=True):
            self._records.append(record)
            self._move_visits(now, write)
            self._fold(write, record)
        told = self._told()
        late = [told[number] for number in sorted(told) if not self.seen or number > self.seen[-1].id]
        for data in late:  # a reader that resumes from its last id reads them from the store
            self.seen.append(msgspec.msgpack.decode(data, type=Event))

    # -- the end ---------------------------------------------------------------------------------------------

    def rests(self) -> None:
        """Liveness: nothing runs, nothing is under way, and the run says itself that it waits for somebody."""
        machine = self.driver.machine
        if self._fenced:
            return
        assert machine.status in _IDLE, f"law 5: {machine.status} with nothing to wait for"
        assert machine.at_rest
        assert machine.waits.gate == [], "a visit that may go once the run goes on would go twice"
        if self.driver.logged:
            self._rests_on_disk()

    def _rests_on_disk(self) -> None:
        disk = self.driver.disk
        told, seen = self._told(), {event.id for event in self.seen if event.durable}
        assert seen == set(told), "nothing durable is forgotten, and nothing else was seen as durable"
        waiting = [barrier for e in self.driver.frontier.values() for barrier, _, _ in e.open_barriers]
        assert sorted(disk.open_barriers()) == sorted(waiting)
        deadlines = [
            row.deadline for row in disk.barriers.values() if row.barrier in waiting and row.deadline is not None
        ]
        ends_at = self._ends_at()
        assert disk.row.timer == min([*deadlines, *([] if ends_at is None else [ends_at])], default=None)
        assert disk.row.status is self.driver.status
        ends = [event for event in self.seen if isinstance(event, RunEnded)]
        assert len(ends) == (self.driver.status in TERMINAL), "D7: END exactly once"

    def _ends_at(self) -> float | None:
        """When the run's own time is over; the time that it was parked does not count."""
        header, status, parked = self.driver.header, self.driver.status, 0.0
        for before, after in pairwise(self._records):
            parked += (after.at - before.at) * (before.status in PARKED)
        if header.deadline is None or status in TERMINAL or status in PARKED:
            return None
        return header.at + header.deadline + parked

    def _effects(self, place: str) -> str:
        return effects_in(self.driver.blueprint).get(place, "")


def _resolves(record: Record) -> bool:
    return isinstance(record.detail, Resolution)


def effects_in(blueprint: Blueprint[Any]) -> dict[str, str]:
    """The effects of every node, those of graphs inside included; no two have one name."""
    found: dict[str, str] = {}
    blueprints = [blueprint]
    for each in blueprints:  # which grows meanwhile; a dataflow may run itself
        found |= {name: str(node.options.effects) for name, node in each.nodes.items()}
        places = [*each.places.values(), *each.calls.values()]
        inner = [place.lens.blueprint for place in places if isinstance(place, Subgraph)]
        blueprints += [within for within in inner if within not in blueprints]
    return found


def all_of(fold: Fold[Any]) -> list[object]:
    """Everything durable about a run but its state, byte by byte; of its branches also their states."""
    known: list[object] = [pack(fold.image, "image")]
    for path, branch in fold.branches.items():
        image = branch.image()
        known += [path, branch.ended, image.failure, image.counts]
        known += (
            [image.entries] if isinstance(branch, SharedBranch) else [branch.blueprint.state.try_pack(branch.state)]
        )
    return known


def counts_of(fold: Fold[Any]) -> list[object]:
    """What is counted so that nobody has to look at every visit."""
    pending = {path: branch.pending for path, branch in fold.branches.items()}
    nested = {path: fork.nested for path, fork in fold.image.forks.items()}
    return [fold.waiting, fold.retrying, fold.asking, set(fold.owners), fold.pending, pending, nested]


def counted(fold: Fold[Any]) -> list[object]:
    """The same, by looking at every visit."""
    visits, forks = fold.image.frontier.values(), fold.image.forks
    waiting = sum(entry.status in (_V.AWAITING_INPUT, _V.UNKNOWN) for entry in visits)
    retrying = sum(entry.due is not None for entry in visits)
    asking = sum(len(entry.asks) for entry in visits)
    owners = {fork.owner for fork in forks.values() if not fork.called}
    pending = Counter(entry.path for entry in visits)
    around = [path.rpartition("/")[0] for path in forks if not isinstance(fold.composite_of(path), Subgraph)]
    nested = Counter(fold.branches[path].fork for path in around if path)
    branches = {path: pending[path] for path in fold.branches}
    return [waiting, retrying, asking, owners, pending[""], branches, {path: nested[path] for path in forks}]


def state_of(fold: Fold[Any]) -> bytes | None:
    try:
        return fold.blueprint.state.pack(fold.state)
    except NotStorable:
        return None
