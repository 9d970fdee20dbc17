"""What is durable in a simulation, read from the log alone, and held against its own tables as it is written.

It knows the format of the log and nothing of the code that makes it. Whatever people, readers and the outside world
were told is asked of it: the promise has to be true at that very moment.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from terzetto_protocol.decisions import Retry
from terzetto_protocol.places import Effects
from terzetto_protocol.port import Visit
from terzetto_protocol.records import Record, Resolution, Rewind, Write

from ._ledger_blobs import BlobBook
from ._ledger_log import ENDS, Log
from ._ledger_threads import ThreadBook

_RUN: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"QUEUED"}),
    "QUEUED": frozenset({"QUEUED", "RUNNING", "CANCELLED", "FAILED"}),
    "RUNNING": frozenset({"RUNNING", "AWAITING_INPUT", "PAUSED", "CANCELLING", "INTERRUPTED", "SUCCEEDED", "FAILED"}),
    "AWAITING_INPUT": frozenset({"AWAITING_INPUT", "QUEUED", "RUNNING", "PAUSED", *ENDS}),
    "PAUSED": frozenset({"PAUSED", "QUEUED", "RUNNING", "CANCELLED", "FAILED"}),
    "CANCELLING": frozenset({"CANCELLING", "CANCELLED"}),
    "INTERRUPTED": frozenset({"INTERRUPTED", "QUEUED", "RUNNING", "AWAITING_INPUT", "CANCELLED", "FAILED"}),
}
"""Which status may follow which; SEMANTICS 2, written down a second time on purpose."""
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


class Ledger:
    """Every run's log, and everything that is wrong with it.

    Args:
        complain: told in a sentence of each promise that is broken.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self.logs: Final[dict[str, Log]] = {}
        """Runs that are there."""
        self.gone: Final[dict[str, Log]] = {}
        """Runs that were deleted; another may have the id of one by now."""
        self.threads: Final = ThreadBook(self.check)
        self.blobs: Final = BlobBook(self.check)
        self._complain: Final = complain
        self._fences: dict[str, int] = {}
        self._begun: dict[tuple[str, int], int] = {}
        """How often the body of a `once` visit has begun."""

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
        self.threads.applied(log, write, record)
        self.blobs.named(write.run_id, write.blobs)
        log.closed |= {row.barrier for row in write.barriers if row.status.value != "OPEN"}
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
                fine = status == "CANCELLED" or record.kind.value == "migrate"  # who finishes it may be a newer version
                self.check(run_id, fine, f"commit {record.seq} ({record.kind}) after a cancel")
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

    def pruned(self, run_id: str, first: int) -> None:
        """3.2: commits in front of this one have gone. Not a checkpoint."""
        log = self.logs[run_id]
        if first > log.first:
            fine = first <= len(log.writes) and log.writes[first - 1].snapshot is not None
            self.check(run_id, fine, f"it was pruned in front of commit {first}, which is no checkpoint")
            log.first = first

    def deleted(self, run_id: str) -> None:
        """3.3, 3.4: a run has gone, and its id is free. Not a checkpoint."""
        log = self.gone[run_id] = self.logs.pop(run_id)
        self.check(run_id, log.has_ended, f"it was deleted while it was {log.status}")
        for other in self.logs.values():
            needs = not other.has_ended and other.header.parent.rpartition("@")[0] == run_id
            self.check(run_id, not needs, f"it was deleted, and run {other.run_id}, which went on from it, is not over")
        self.threads.deleted(log)
        self.blobs.deleted(run_id)
        self._fences.pop(run_id, None)
        self._begun = {visit: begun for visit, begun in self._begun.items() if visit[0] != run_id}

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
