"""What is durable in a simulation, read from the log alone, and held against its own tables as it is written.

It knows the format of the log and nothing of the code that makes it. Whatever people, readers and the outside world
were told is asked of it: the promise has to be true at that very moment.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from attrs import Factory, define

from terzetto_protocol.decisions import Retry
from terzetto_protocol.places import Effects
from terzetto_protocol.port import Visit
from terzetto_protocol.records import Record, Resolution, Rewind, Write

_ENDS: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
_RUN: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"QUEUED"}),
    "QUEUED": frozenset({"QUEUED", "RUNNING", "CANCELLED", "FAILED"}),
    "RUNNING": frozenset({"RUNNING", "AWAITING_INPUT", "PAUSED", "CANCELLING", "INTERRUPTED", "SUCCEEDED", "FAILED"}),
    "AWAITING_INPUT": frozenset({"AWAITING_INPUT", "QUEUED", "RUNNING", "PAUSED", *_ENDS}),
    "PAUSED": frozenset({"PAUSED", "QUEUED", "RUNNING", "CANCELLED", "FAILED"}),
    "CANCELLING": frozenset({"CANCELLING", "CANCELLED"}),
    "INTERRUPTED": frozenset({"INTERRUPTED", "QUEUED", "RUNNING", "AWAITING_INPUT", "CANCELLED", "FAILED"}),
}
"""Which status may follow which; SEMANTICS 2, written down a second time on purpose."""
_RESTING: Final = frozenset({*_ENDS, "AWAITING_INPUT", "PAUSED"})
_VISIT_ENDS: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"})
_VISIT: Final[Mapping[str, frozenset[str]]] = {
    "PENDING": frozenset({"RUNNING", "AWAITING_INPUT", "WAITING_RETRY", *_VISIT_ENDS}),
    "RUNNING": frozenset({"RUNNING", "UNKNOWN", "WAITING_RETRY", "SUCCEEDED", "FAILED", "CANCELLED"}),
    "AWAITING_INPUT": frozenset({"SUCCEEDED", "FAILED", "CANCELLED"}),
    "WAITING_RETRY": frozenset({"PENDING", "RUNNING", "WAITING_RETRY", "SUCCEEDED", "FAILED", "CANCELLED"}),
    "UNKNOWN": frozenset({"SUCCEEDED", "PENDING", "RUNNING", "FAILED", "CANCELLED"}),
}
_FRAME: Final = 32
_decode: Final = msgspec.msgpack.Decoder(Record).decode


@define(eq=False)
class Log:
    """One run, as far as it is durable."""

    run_id: str
    records: list[Record] = Factory(list[Record])
    writes: list[Write] = Factory(list[Write])
    status: str = ""
    visits: dict[int, str] = Factory(dict[int, str])
    """Visits and their statuses."""
    intents: set[tuple[int, int]] = Factory(set[tuple[int, int]])
    """Visits of `once` nodes that were meant to begin, by their attempts."""
    retries: dict[int, int] = Factory(dict[int, int])
    """How often a person had a visit started again whose effect was unknown."""
    decided: dict[str, int] = Factory(dict[str, int])
    """Barriers that were decided, by the commit that says so."""
    resolved: set[str] = Factory(set[str])
    """Barriers that somebody answered, whatever came of it."""
    open: set[str] = Factory(set[str])
    """Barriers that wait."""
    begins_elsewhere: bool = False
    """Whether some of its visits come from another run, or from its own past."""

    @property
    def event_id(self) -> int:
        """Its last durable event."""
        return self.writes[-1].event_id

    @property
    def has_ended(self) -> bool:
        """Whether nothing may follow."""
        return self.status in _ENDS

    @property
    def rests(self) -> bool:
        """Whether it has ended, or waits for nobody but people."""
        return self.status in _RESTING or self.asks

    @property
    def asks(self) -> bool:
        """Whether it waits for a person, and keeps its slot meanwhile."""
        return self.status == "RUNNING" and bool(self.open)

    @property
    def holds_back(self) -> bool:
        """Whether it was asked to promise less."""
        header = self.writes[0].header
        return header is not None and header.durability != "commits"

    def tells(self, event_id: int) -> bool:
        """Whether this is the id of a durable event."""
        return any(
            record.event_id <= event_id <= write.event_id
            for record, write in zip(self.records, self.writes, strict=True)
        )

    def told_between(self, after: int, before: int) -> list[int]:
        """Ids of the durable events after one and before another."""
        ids = [
            number
            for record, write in zip(self.records, self.writes, strict=True)
            if write.event_id > after and record.event_id < before
            for number in range(record.event_id, write.event_id + 1)
        ]
        return [number for number in ids if after < number < before]


class Ledger:
    """Every run's log, and everything that is wrong with it.

    Args:
        complain: told in a sentence of each promise that is broken.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self.logs: Final[dict[str, Log]] = {}
        self._complain: Final = complain
        self._fences: dict[str, int] = {}
        self._begun: dict[tuple[str, int], int] = {}
        """How often the body of a `once` visit has begun."""

    def forget(self, run_id: str) -> None:
        """A run was deleted. Not a checkpoint."""
        self.logs.pop(run_id, None)

    def check(self, run_id: str, fine: object, promise: str) -> None:
        """Complain unless it is so. Not a checkpoint."""
        if not fine:
            self._complain(f"run {run_id}: {promise}")

    # -- the log ---------------------------------------------------------------------------------------------

    def applied(self, write: Write) -> Record:
        """A write has become durable. Not a checkpoint."""
        record = _decode(write.body)
        log = self.logs.setdefault(write.run_id, Log(write.run_id))
        self._follows(log, write, record)
        log.records.append(record)
        log.writes.append(write)
        log.status = record.status.value
        if record.visit:
            self._moves(log, record)
        self._enters(log, write, record)
        if isinstance(record.detail, Resolution):
            self._decided(log, record, record.detail)
        log.open = (log.open - {row.barrier for row in write.barriers}) | {
            row.barrier for row in write.barriers if row.status.value == "OPEN"
        }
        return record

    def _follows(self, log: Log, write: Write, record: Record) -> None:
        """2, 3 D4, D7, D8: a commit and the one before it."""
        run_id, status = log.run_id, record.status.value
        self.check(run_id, record.seq == len(log.records) + 1, f"commit {record.seq} after {len(log.records)} commits")
        self.check(run_id, not log.has_ended, f"commit {record.seq} ({record.kind}) after the end")
        if not log.has_ended:
            fine = status in _RUN[log.status]
            self.check(run_id, fine, f"illegal transition from {log.status or 'nothing'} to {status}")
        last = log.records[-1] if log.records else None
        if last is not None:
            fine = record.epoch == last.epoch + (record.epoch > last.epoch) and record.epoch >= last.epoch
            self.check(run_id, fine, f"a commit of epoch {record.epoch} follows one of epoch {last.epoch}")
            self.check(run_id, record.event_id > log.event_id, f"event {record.event_id} does not rise")
            if log.status == "CANCELLING":
                self.check(run_id, status == "CANCELLED", f"commit {record.seq} ({record.kind}) after a cancel")
        told = write.event_id - record.event_id
        self.check(run_id, told >= -1, f"commit {record.seq} tells {told + 1} events")
        if write.event_id >= record.event_id:
            fine = record.event_id >> _FRAME == write.event_id >> _FRAME == record.epoch
            self.check(run_id, fine, f"event {record.event_id} is not one of epoch {record.epoch}")

    def _moves(self, log: Log, record: Record) -> None:
        """2: a visit finishes once, and goes only where it may."""
        before = log.visits.get(record.visit, "PENDING")
        after = "" if record.outcome is None else record.outcome.value
        label = f"visit {record.place}@{record.visit}"
        if after and not (after == before and after not in _VISIT_ENDS):
            fine = after in _VISIT.get(before, ())
            self.check(log.run_id, fine, f"{label} goes from {before} to {after} ({record.kind})")
            log.visits[record.visit] = after
        if record.kind.value == "intent":
            log.intents.add((record.visit, record.attempt))

    def _enters(self, log: Log, write: Write, record: Record) -> None:
        log.begins_elsewhere |= isinstance(record.detail, Rewind) or (record.seq == 1 and not record.steps)
        for step in record.steps:
            if step.opening is not None:
                log.visits[step.visit] = "UNKNOWN" if step.opening.reconcile else "AWAITING_INPUT"
            else:
                log.visits.setdefault(step.visit, "PENDING")

    def _decided(self, log: Log, record: Record, made: Resolution) -> None:
        """3 D5: a barrier has one winner."""
        log.resolved.add(made.barrier)
        before = log.decided.setdefault(made.barrier, record.seq)
        if isinstance(made.decision, Retry):
            log.retries[record.visit] = log.retries.get(record.visit, 0) + 1
            log.visits[record.visit] = "PENDING"
            del log.decided[made.barrier]
        else:
            self.check(log.run_id, before == record.seq, f"barrier {made.barrier} was decided twice")

    # -- bodies ----------------------------------------------------------------------------------------------

    def fences(self, visit: Visit) -> bool:
        """Whether a receiver that keeps the highest fence of each run takes this one. Not a checkpoint."""
        highest = max(visit.fence, self._fences.get(visit.run_id, 0))
        self._fences[visit.run_id] = highest
        return visit.fence == highest

    def began(self, visit: Visit, effects: Effects, *, frozen: bool) -> None:
        """3, 3 D2, 7: a body has begun, in a process that is alive. Not a checkpoint.

        Args:
            visit: whose.
            effects: what its node is declared as.
            frozen: whether its process has lost the store, so that what it knows may be old.
        """
        run_id, log = visit.run_id, self.logs.get(visit.run_id)
        label = f"{effects} body of {visit.node}@{visit.visit}"
        if log is None:
            self._complain(f"run {run_id}: {label} began before the run was durable")
            return
        if effects == "once":
            begun = self._begun[run_id, visit.visit] = self._begun.get((run_id, visit.visit), 0) + 1
            allowed = 1 + log.retries.get(visit.visit, 0)
            self.check(run_id, begun <= allowed, f"{label} began {begun} times, and {allowed} were allowed")
        if frozen:
            return
        status = log.visits.get(visit.visit, "")
        self.check(run_id, status not in _VISIT_ENDS, f"{label} runs again, and its end ({status}) is durable")
        if effects == "once":
            fine = (visit.visit, visit.attempt) in log.intents
            self.check(run_id, fine, f"{label} began before its intent was durable")
        elif effects == "repeatable" and not (log.holds_back or log.begins_elsewhere):
            self.check(run_id, status, f"{label} began before what led to it was durable")
