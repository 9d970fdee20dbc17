"""Threads as the second book of a simulation has them: whose turn it is, and where each head is."""

from collections.abc import Callable
from typing import Final

from terzetto_protocol.image import read_snapshot
from terzetto_protocol.records import Record, Taken, Write

from ._ledger_log import Log


class ThreadBook:
    """Every thread, read from the log alone.

    Args:
        check: `check(run_id, fine, promise)` complains unless it is fine.
    """

    def __init__(self, check: Callable[[str, object, str], None]) -> None:
        self.heads: Final[dict[str, str]] = {}
        """Which run is the head of each thread that has one."""
        self._check: Final = check
        self._lines: Final[dict[str, dict[str, Log]]] = {}
        """Runs that have not ended, in order of submission."""
        self._members: Final[dict[str, set[str]]] = {}

    def applied(self, log: Log, write: Write, record: Record) -> None:
        """1, 3 D7: a commit of any run has become durable. Not a checkpoint."""
        thread, run_id = log.header.thread, log.run_id
        wins = bool(thread) and log.status == "SUCCEEDED"
        fine = write.thread == (thread if wins else "")
        self._check(run_id, fine, f"commit {record.seq} ({record.status}) moves the head of thread {write.thread!r}")
        if not thread:
            return
        line = self._lines.setdefault(thread, {})
        line.setdefault(run_id, log)
        self._members.setdefault(thread, set()).add(run_id)
        if record.seq == 1 and not log.header.line and write.snapshot is not None:
            self._begins(log, read_snapshot(write.snapshot).image.base or "", line)
        elif isinstance(record.detail, Taken):
            self._begins(log, record.detail.base, line)
        if write.thread:
            head = self.heads.get(thread, "")
            fine = log.base == head
            self._check(run_id, fine, f"it began with {log.base!r}, and the head of its thread is {head!r} at its end")
            self.heads[thread] = run_id
        if log.has_ended:
            del line[run_id]

    def _begins(self, log: Log, base: str, line: dict[str, Log]) -> None:
        head = self.heads.get(log.header.thread, "")
        self._check(log.run_id, base == head, f"it begins with run {base!r}, and the head of its thread is {head!r}")
        first = next(iter(line))
        self._check(log.run_id, first == log.run_id, f"it begins, and run {first} before it has not ended")
        log.base = base

    def knows(self, thread: str, run_id: str) -> bool:
        """Whether a run was ever on a thread. Not a checkpoint."""
        return run_id in self._members.get(thread, ())

    def waits(self, log: Log) -> bool:
        """Whether a run waits for its turn behind one that rests. Not a checkpoint."""
        line = self._lines.get(log.header.thread, {})
        first = next(iter(line.values()), log)
        return log.status == "QUEUED" and first is not log and first.rests

    def moved(self, thread: str, left: str, head: str, log: Log | None) -> None:
        """9.2: a head was put back from one run to another, or to none. Not a checkpoint."""
        self._check(left, self.heads.get(thread) == left, f"thread {thread!r} is put back, and it is not its head")
        fine = log is not None and log.base == head
        self._check(left, fine, f"its thread is put back to {head!r}, and it began with {log and log.base!r}")
        begun = [other.run_id for other in self._lines.get(thread, {}).values() if other.base is not None]
        self._check(left, not begun, f"its thread is put back, and {begun} began with what it came to")
        self.heads[thread] = head
        if not head:
            del self.heads[thread]

    def deleted(self, log: Log) -> None:
        """3.3: a run has gone, and no thread goes on from it. Not a checkpoint."""
        head = self.heads.get(log.header.thread)
        self._check(log.run_id, head != log.run_id, f"it was deleted, and is the head of thread {log.header.thread!r}")
