"""The store for tests and for runs that may be forgotten: dicts and lists, gone with the process."""

from collections.abc import Collection, Iterable, Iterator, Sequence
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
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from ._contract import SettlingStore, StoredRun, StoreHealth
from ._memory_blobs import MemoryBlobs
from ._verdict import (
    check_deletable,
    check_prunable,
    in_order,
    is_closed,
    misnumbered,
    nameless,
    unknown,
    verdict,
)

T = TypeVar("T")

_APPLIED: Final = Applied()


def _kept(write: Write) -> tuple[int, int, float, bytes]:
    return write.epoch, write.event_id, write.at, write.body


class _Run:
    # The writes themselves are kept: appending one is all that an everyday commit costs.
    __slots__ = ("alone", "barriers", "before", "blobs", "epoch", "header", "log", "moved", "snapshots")

    def __init__(self, header: RunHeader, first: Write) -> None:
        self.header = header
        self.epoch = first.epoch
        self.log = [_kept(first)]
        self.before = 0
        """The commits up to here are gone, but those that stand alone."""
        self.alone: dict[int, tuple[int, int, float, bytes]] = {}
        self.moved = first
        """The last write that said something about the run's row."""
        self.snapshots: list[tuple[int, bytes]] = []
        self.barriers: dict[str, BarrierRow] = {}
        self.blobs = set(first.blobs)

    def row(self) -> RunRow:
        (_, event_id, at, _), moved = self.log[-1], self.moved
        return RunRow(
            self.header, moved.status, self.epoch, self.last, event_id, at,
            moved.code, moved.message, moved.timer, self.before + 1,
        )  # fmt: skip

    @property
    def last(self) -> int:
        return self.before + len(self.log)

    def stored(self, seq: int) -> tuple[int, bytes] | None:
        if not self.before < seq <= self.last:
            return None
        epoch, _, _, body = self.log[seq - 1 - self.before]
        return epoch, body

    def after(self, seq: int) -> list[tuple[int, int, float, bytes]]:
        alone = [kept for number, kept in self.alone.items() if number > seq]
        return alone + self.log[max(0, seq - self.before) :]

    def left(self) -> int:
        return len(self.log) + len(self.alone)

    def cut(self, cut: int, keep: Collection[int]) -> None:
        kept = {seq for seq, _ in self.snapshots if seq >= cut or seq in keep}
        more = {seq: self.log[seq - 1 - self.before] for seq in sorted(kept) if self.before < seq < cut}
        self.alone = {seq: each for seq, each in self.alone.items() if seq in kept} | more
        del self.log[: max(0, cut - 1 - self.before)]
        self.before = max(self.before, cut - 1)
        self.snapshots = [each for each in self.snapshots if each[0] in kept]

    def age(self) -> tuple[float, str]:
        return self.header.at, self.header.run_id


class MemoryStore(MemoryBlobs, SettlingStore):
    """Keeps runs as long as the object lives, and nothing longer: `durable` is False.

    Closing forgets nothing, so that a test can "restart" by opening the same object again. Commits
    are settled inside the call: `commit_now` is `commit` without the checkpoint.
    """

    durable = False

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, _Run] = {}
        self._keys: dict[str, _Run] = {}
        self._barriers: dict[tuple[str, str], None] = {}
        """Every barrier, in order of opening."""
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
            run.blobs.update(write.blobs)
        run.log.append((write.epoch, write.event_id, write.at, write.body))
        if write.moved or write.snapshot is not None or write.barriers or write.epoch != write.expect:
            self._note(run, write)
        return _APPLIED

    def _blobs_of(self, run_id: str) -> set[str] | None:
        run = self._runs.get(run_id)
        return None if run is None else run.blobs

    def _kept_blobs(self) -> Iterator[set[str]]:
        return (run.blobs for run in self._runs.values())

    def _note(self, run: _Run, write: Write) -> None:
        if write.moved or write.epoch != write.expect:
            run.moved, run.epoch = write, write.epoch
            if write.thread:
                self._heads[write.thread] = Head(write.thread, write.run_id, write.at)
        if write.snapshot is not None:
            run.snapshots.append((write.seq, write.snapshot))
        for barrier in write.barriers:
            run.barriers[barrier.barrier] = barrier
            self._barriers[write.run_id, barrier.barrier] = None

    def _unusual(self, write: Write, run: _Run | None) -> Outcome:
        if write.header is not None:
            return self._create(write, write.header, run)
        if run is None:
            return unknown(write)
        # A write that could be applied does not come here, so there is always a verdict.
        return verdict(write, run.epoch, run.last, run.stored(write.seq)) or _APPLIED

    def _create(self, write: Write, header: RunHeader, run: _Run | None) -> Outcome:
        if run is not None and run.header == header and run.stored(write.seq) == (write.epoch, write.body):
            return _APPLIED
        taken = run or (self._keys.get(header.key) if header.key else None)
        if taken is not None:
            return Exists(taken.row())
        if (wrong := misnumbered(write)) is not None:
            return wrong
        if (missing := self._missing_blob(write.blobs)) is not None:
            return nameless(write, missing)
        run = self._runs[write.run_id] = _Run(header, write)
        if header.key:
            self._keys[header.key] = run
        self._note(run, write)
        return _APPLIED

    async def reopen(self) -> None:
        """Do nothing; a checkpoint."""
        await trio.lowlevel.checkpoint()

    async def run(self, run_id: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        return None if run is None else run.row()

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says, of one moment; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        if run is None:
            return None
        newest = run.snapshots[-1] if run.snapshots else None
        bodies = [body for _, _, _, body in run.after(0 if newest is None else newest[0])]
        return StoredRun(run.row(), newest, bodies, list(run.barriers.values()))

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._keys.get(key)
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
        found: Iterable[_Run] = self._runs.values()
        if thread is not None:
            found = _on(found, thread)
        if statuses is not None:
            found = _having(found, frozenset(statuses))
        if before is not None:
            found = _older(found, self._known(before).age())
        return [run.row() for run in _first(sorted(found, key=_Run.age, reverse=True), limit)]

    def _known(self, run_id: str) -> _Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise UnknownRun(run_id) from None

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
        if run_id and run_id not in self._runs:
            raise StoreRejected(f"there is no run {run_id!r} to be the head of thread {thread!r}")
        if run_id:
            self._heads[thread] = Head(thread, run_id, at)
        else:
            del self._heads[thread]
        return True

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        snapshots = [] if run is None else run.snapshots
        return next((each for each in reversed(snapshots) if at is None or each[0] <= at), None)

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        return [] if run is None else [seq for seq, _ in run.snapshots]

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        return [] if run is None else [body for _, _, _, body in _first(run.after(after), limit)]

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        told = [] if run is None else [body for _, event_id, _, body in run.after(0) if event_id > after_event]
        return _first(told, limit)

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        rows = self._barriers_of(run_id)
        return [row for row in rows if row.status is BarrierStatus.OPEN] if only_open else list(rows)

    def _barriers_of(self, run_id: str | None) -> Iterator[BarrierRow]:
        if run_id is None:
            return (self._runs[run].barriers[barrier] for run, barrier in self._barriers)
        run = self._runs.get(run_id)
        return iter(() if run is None else run.barriers.values())

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint, before anything happens."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        check_prunable(run_id, None if run is None else run.epoch, epoch)
        assert run is not None, "it was checked"
        cut = max((seq for seq, _ in run.snapshots if seq <= before), default=None)
        if cut is None:
            return 0
        left = run.left()
        run.cut(cut, keep)
        for barrier in [row for row in run.barriers.values() if is_closed(row, closed_before)]:
            del run.barriers[barrier.barrier], self._barriers[run_id, barrier.barrier]
        return left - run.left()

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint, before anything happens."""
        await trio.lowlevel.checkpoint()
        run = self._runs.get(run_id)
        thread = next((head.thread for head in self._heads.values() if head.run_id == run_id), None)
        check_deletable(run_id, None if run is None else (run.epoch, run.moved.status), epoch, thread)
        assert run is not None, "it was checked"
        del self._runs[run_id]
        self._keys.pop(run.header.key, None)
        for barrier in run.barriers:
            del self._barriers[run_id, barrier]
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
        return StoreHealth("memory:", durable=False, version=1, details=(("runs", str(len(self._runs))),))

    def statistics(self) -> dict[str, Any]:
        """Transactions, and the runs and commits that are kept."""
        commits = sum(len(run.log) for run in self._runs.values())
        return {"transactions": self._groups, "runs": len(self._runs), "commits": commits}


def _having(runs: Iterable[_Run], statuses: Collection[RunStatus]) -> Iterator[_Run]:
    return (run for run in runs if run.moved.status in statuses)


def _on(runs: Iterable[_Run], thread: str) -> Iterator[_Run]:
    return (run for run in runs if thread and run.header.thread == thread)


def _older(runs: Iterable[_Run], age: tuple[float, str]) -> Iterator[_Run]:
    return (run for run in runs if run.age() < age)


def _first(items: list[T], limit: int | None) -> list[T]:
    return items if limit is None else items[: max(limit, 0)]
