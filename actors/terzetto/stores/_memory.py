"""The store for tests and for runs that may be forgotten: dicts and lists, gone with the process."""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from operator import itemgetter
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec
import trio

from terzetto_protocol.errors import StoreRejected, UnknownRun
from terzetto_protocol.records import (
    Applied,
    BarrierRow,
    Exists,
    Head,
    Outcome,
    Posted,
    RunHeader,
    RunRow,
    Write,
)
from terzetto_protocol.scribe import RESTING
from terzetto_protocol.statuses import PARKED, BarrierStatus, RunStatus
from terzetto_protocol.step_commit import StepCommit

from ._contract import TIMED, SettlingStore, StoredRun, StoreHealth
from ._memory_blobs import MemoryBlobs
from ._memory_rest import RestingRuns
from ._memory_run import KeptRun
from ._verdict import (
    check_deletable,
    check_prunable,
    in_order,
    misnumbered,
    nameless,
    unknown,
    verdict,
)

T = TypeVar("T")

_APPLIED: Final = Applied()


class MemoryStore(MemoryBlobs, SettlingStore):
    """Keeps runs as long as the object lives, and nothing longer: `durable` is False.

    Closing forgets nothing, so that a test can "restart" by opening the same object again. Commits
    are settled inside the call: `commit_now` is `commit` without the checkpoint.
    """

    durable = False

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, KeptRun] = {}
        """Those that somebody is at work on, or that are too heavy to rest."""
        self._resting = RestingRuns()
        self._keys: dict[str, str] = {}
        self._threads: dict[str, dict[str, None]] = {}
        """The runs on each thread."""
        self._barriers = 0
        """How many were opened."""
        self._heads: dict[str, Head] = {}
        self._inbox: dict[str, Posted] = {}
        self._waiting: dict[str, Posted] = {}
        """Commands without a receipt, oldest first."""
        self._groups = 0

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Do nothing; not a checkpoint, because there is nothing to wait for."""

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """As the contract says; a checkpoint, before anything happens."""
        await trio.lowlevel.checkpoint()
        return self.commit_now(writes)

    def commit_now(self, writes: Sequence[Write]) -> list[Outcome]:
        """What `commit` does, at once: every write is settled when this returns."""
        self._groups += 1
        return in_order(writes, self.settle)

    def settle(self, write: Write) -> Outcome:
        """Apply one write, at once."""
        run = self._runs.get(write.run_id)
        if run is None or run.epoch != write.expect or write.header is not None:
            return self._unusual(write, run)
        if run.before + len(run.log) + 1 != write.seq:
            return self._unusual(write, run)
        if write.blobs:
            if (missing := self._missing_blob(write.blobs)) is not None:
                return nameless(write, missing)
            self._keep(write.run_id, write.blobs)
        run.log.append((write.epoch, write.event_id, write.at, write.body))
        if write.moved or write.snapshot is not None or write.barriers or write.epoch != write.expect:
            self._note(run, write)
        return _APPLIED

    def settle_step(self, step: StepCommit) -> Outcome:
        """Apply the commit of an everyday step, at once; it is encoded when somebody reads it."""
        run = self._runs.get(step.run_id)
        if run is None or run.epoch != step.epoch or run.before + len(run.log) + 1 != step.seq:
            return self.settle(step.write)
        run.log.append(step)
        return _APPLIED

    def _has_run(self, run_id: str) -> bool:
        return run_id in self._runs or run_id in self._resting

    def _find(self, run_id: str) -> KeptRun | None:
        """A run, to be looked at."""
        return self._runs.get(run_id) or self._resting.get(run_id)

    def _wake(self, run_id: str) -> KeptRun | None:
        """A run, to be changed; `_rest` it afterwards."""
        run = self._runs.get(run_id) or self._resting.take(run_id)
        if run is not None:
            self._runs[run_id] = run
        return run

    def _rest(self, run: KeptRun) -> None:
        """Make a run small, if nobody is at work on it."""
        if run.status in RESTING and self._resting.add(run):
            del self._runs[run.header.run_id]

    def _note(self, run: KeptRun, write: Write) -> None:
        if write.moved or write.epoch != write.expect:
            run.move(write)
            if write.thread:
                self._heads[write.thread] = Head(write.thread, write.run_id, write.at)
        if write.snapshot is not None:
            run.snapshots.append((write.seq, write.snapshot))
        for row in write.barriers:
            self._barriers += row.barrier not in run.barriers
            number, _ = run.barriers.get(row.barrier, (self._barriers, row))
            run.barriers[row.barrier] = number, row
        self._rest(run)

    def _unusual(self, write: Write, run: KeptRun | None) -> Outcome:
        if run is None and (run := self._wake(write.run_id)) is not None:
            outcome = MemoryStore.settle(self, write)  # of this class: to one above it, it is one call
            if write.run_id in self._runs:
                self._rest(run)
            return outcome
        if write.header is not None:
            return self._create(write, write.header, run)
        if run is None:
            return unknown(write)
        # A write that could be applied does not come here, so there is always a verdict.
        return verdict(write, run.epoch, run.last, run.stored(write.seq)) or _APPLIED

    def _create(self, write: Write, header: RunHeader, run: KeptRun | None) -> Outcome:
        if run is not None and run.header == header and run.stored(write.seq) == (write.epoch, write.body):
            return _APPLIED
        taken = run or (self._find(self._keys.get(header.key, "")) if header.key else None)
        if taken is not None:
            return Exists(taken.row())
        if (wrong := misnumbered(write)) is not None:
            return wrong
        if (missing := self._missing_blob(write.blobs)) is not None:
            return nameless(write, missing)
        run = self._runs[write.run_id] = KeptRun(header, write)
        if header.key:
            self._keys[header.key] = write.run_id
        if header.thread:
            self._threads.setdefault(header.thread, {})[write.run_id] = None
        if write.blobs:
            self._keep(write.run_id, write.blobs)
        self._note(run, write)
        return _APPLIED

    async def reopen(self) -> None:
        """Do nothing; a checkpoint."""
        await trio.lowlevel.checkpoint()

    async def run(self, run_id: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        return None if run is None else run.row()

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says, of one moment; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        if run is None:
            return None
        newest = run.snapshots[-1] if run.snapshots else None
        bodies = [body for _, _, _, body in run.after(0 if newest is None else newest[0])]
        return StoredRun(run.row(), newest, bodies, list(run.rows()))

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(self._keys.get(key, ""))
        return None if run is None else run.row()

    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        wanted = frozenset(RunStatus if statuses is None else statuses)
        ages = self._ages(wanted) if thread is None else self._ages_on(thread, wanted)
        if before is not None:
            oldest = self._known(before).age()
            ages = (age for age in ages if age < oldest)
        return [self._known(run_id).row() for _, run_id in _first(sorted(ages, reverse=True), limit)]

    def _ages(self, statuses: Collection[RunStatus]) -> Iterable[tuple[float, str]]:
        """What the runs with these statuses are listed by."""
        working = (run.age() for run in self._runs.values() if run.status in statuses)
        return chain(working, self._resting.ages(statuses))

    def _ages_on(self, thread: str, statuses: Collection[RunStatus]) -> Iterable[tuple[float, str]]:
        """As `_ages`, of the runs on a thread."""
        runs = map(self._known, self._threads.get(thread, ()))
        return (run.age() for run in runs if run.status in statuses)

    def _known(self, run_id: str) -> KeptRun:
        run = self._find(run_id)
        if run is None:
            raise UnknownRun(run_id)
        return run

    async def timers(self) -> list[tuple[str, float]]:
        """As the contract says, without a look at the runs that rest; a checkpoint."""
        await trio.lowlevel.checkpoint()
        working = [(run.header.run_id, run.timer) for run in self._runs.values() if run.status in TIMED]
        return [(run_id, moment) for run_id, moment in working if moment is not None] + self._resting.timers()

    async def head(self, thread: str) -> Head | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        return self._heads.get(thread)

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        head = self._heads.get(thread)
        if head is None or head.run_id != expect:
            return False
        if run_id and not self._has_run(run_id):
            raise StoreRejected(f"there is no run {run_id!r} to be the head of thread {thread!r}")
        if run_id:
            self._heads[thread] = Head(thread, run_id, at)
        else:
            del self._heads[thread]
        return True

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        snapshots = [] if run is None else run.snapshots
        return next((each for each in reversed(snapshots) if at is None or each[0] <= at), None)

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        return [] if run is None else [seq for seq, _ in run.snapshots]

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        return [] if run is None else [body for _, _, _, body in run.after(after, limit)]

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        return [] if run is None else [body for _, _, _, body in run.told_after(after_event, limit)]

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        runs: Iterable[KeptRun]
        if run_id is None:
            runs = chain(self._runs.values(), self._resting.all(PARKED if only_open else RESTING))
        else:
            runs = filter(None, [self._find(run_id)])
        rows = (each for run in runs for each in run.barriers.values())
        wanted = [each for each in rows if not only_open or each[1].status is BarrierStatus.OPEN]
        return [row for _, row in sorted(wanted, key=itemgetter(0))]

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint, before anything happens."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        check_prunable(run_id, None if run is None else run.epoch, epoch)
        assert run is not None, "it was checked"
        run = self._wake(run_id) or run
        gone = run.prune(before, keep, closed_before)
        self._rest(run)
        return gone

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint, before anything happens."""
        await trio.lowlevel.checkpoint()
        run = self._find(run_id)
        thread = next((head.thread for head in self._heads.values() if head.run_id == run_id), None)
        check_deletable(run_id, None if run is None else (run.epoch, run.status), epoch, thread)
        assert run is not None, "it was checked"
        self._wake(run_id)
        del self._runs[run_id]
        self._keys.pop(run.header.key, None)
        self._let_go(run_id)
        if run.header.thread:
            del self._threads[run.header.thread][run_id]
        for command in [each for each in self._inbox.values() if each.run_id == run_id and each.receipt is not None]:
            del self._inbox[command.command_id]
        return run.left()

    async def post(self, command: Posted) -> None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        if command.command_id not in self._inbox:
            self._inbox[command.command_id] = command
            if command.receipt is None:
                self._waiting[command.command_id] = command

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        return _first(list(self._waiting.values()), limit)

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        command = self._waiting.pop(command_id, None)
        if command is not None:
            self._inbox[command_id] = msgspec.structs.replace(command, receipt=receipt)

    async def receipt(self, command_id: str) -> bytes | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        command = self._inbox.get(command_id)
        return None if command is None else command.receipt

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says; a checkpoint. There is nothing that could be damaged."""
        await trio.lowlevel.checkpoint()
        return StoreHealth("memory:", durable=False, version=1, details=(("runs", str(self._count())),))

    def _count(self) -> int:
        return len(self._runs) + len(self._resting)

    def statistics(self) -> dict[str, Any]:
        """Transactions, and the runs and commits that are kept."""
        commits = sum(len(run.log) for run in self._runs.values()) + self._resting.commits
        return {"transactions": self._groups, "runs": self._count(), "commits": commits}


def _first(items: list[T], limit: int | None) -> list[T]:
    return items if limit is None else items[: max(limit, 0)]
