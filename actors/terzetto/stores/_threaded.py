"""The store contract over a synchronous driver: subclasses write plain methods, one thread runs them all."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Self

from terzetto_protocol.errors import StoreError
from terzetto_protocol.records import BarrierRow, Head, Outcome, Posted, RunRow, Write
from terzetto_protocol.statuses import RunStatus

from ._contract import Store, StoredRun, StoreHealth
from ._threaded_blobs import ThreadedBlobs
from ._worker import CALL_LIMIT, WorkerThread


class ThreadedStore(ThreadedBlobs, Store):
    """A store whose driver blocks: every `do_` method runs alone, on one thread that belongs to the store.

    Subclasses therefore need no locks, and drivers that are bound to their thread work. A `do_` method
    promises what the method without the prefix promises, as a plain function that raises or returns.

    A call that waits for the thread is withdrawn when its caller is cancelled; one that has begun is
    awaited to its end, for `limit` seconds at most, and its result is returned. A store may be opened
    again after it was closed, by one task at a time.
    """

    def __init__(self, url: str, *, limit: float = CALL_LIMIT) -> None:
        self.url, self._limit = url, limit
        self._worker: WorkerThread | None = None

    async def __aenter__(self) -> Self:
        """Open; a checkpoint. Cancelled or failed, it leaves nothing behind."""
        if self._worker is not None:
            raise StoreError(f"store {self.url} is open already, or its thread still hangs in an earlier call")
        self._worker = worker = WorkerThread(f"store {self.url}", self._limit)
        worker.start()
        try:
            await worker.call("open", self.do_open)
        except BaseException:
            await self._close()  # noqa: ASYNC102 - the worker shields and bounds it
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close; a checkpoint, shielded and bounded. A call that is running ends first."""
        await self._close()  # noqa: ASYNC102 - the worker shields and bounds it

    async def _close(self) -> None:
        await self._thread.close(self.do_close)
        self._worker = None  # a thread that hangs keeps its place: its late `do_close` must not meet a new connection

    @property
    def _thread(self) -> WorkerThread:
        if self._worker is None:
            raise StoreError(f"store {self.url} is not open: use `async with`")
        return self._worker

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("commit", self.do_commit, writes)

    async def reopen(self) -> None:
        """As the contract says; a checkpoint."""
        await self._thread.call("reopen", self.do_reopen)

    async def run(self, run_id: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        return await self._thread.call("run", self.do_run, run_id)

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says, with one visit to the thread; a checkpoint."""
        return await self._thread.call("load", self.do_load, run_id)

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        return await self._thread.call("run_by_key", self.do_run_by_key, key)

    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("runs", self.do_runs, statuses, before, limit, thread)

    async def head(self, thread: str) -> Head | None:
        """As the contract says; a checkpoint."""
        return await self._thread.call("head", self.do_head, thread)

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says; a checkpoint."""
        return await self._thread.call("move_head", self.do_move_head, thread, expect, run_id, at)

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the contract says; a checkpoint."""
        return await self._thread.call("snapshot", self.do_snapshot, run_id, at)

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("checkpoints", self.do_checkpoints, run_id)

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("records", self.do_records, run_id, after, limit)

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("records_by_event", self.do_records_by_event, run_id, after_event, limit)

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("barriers", self.do_barriers, run_id, only_open)

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint."""
        return await self._thread.call("prune", self.do_prune, run_id, before, epoch, keep, closed_before)

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint."""
        return await self._thread.call("delete", self.do_delete, run_id, epoch)

    async def post(self, command: Posted) -> None:
        """As the contract says; a checkpoint."""
        await self._thread.call("post", self.do_post, command)

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the contract says; a checkpoint."""
        return await self._thread.call("posted", self.do_posted, limit)

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """As the contract says; a checkpoint."""
        await self._thread.call("answer", self.do_answer, command_id, receipt)

    async def receipt(self, command_id: str) -> bytes | None:
        """As the contract says; a checkpoint."""
        return await self._thread.call("receipt", self.do_receipt, command_id)

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says; a checkpoint."""
        return await self._thread.call("health", self.do_health, deep)

    @abstractmethod
    def do_open(self) -> None:
        """Connect, and make or check the schema; `do_close` follows, also when this raises."""

    @abstractmethod
    def do_close(self) -> None:
        """Let go of everything; must cope with a store that was opened in part."""

    @abstractmethod
    def do_reopen(self) -> None:
        """Replace the connection; see `Store.reopen`."""

    @abstractmethod
    def do_commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`."""

    @abstractmethod
    def do_run(self, run_id: str) -> RunRow | None:
        """See `Store.run`."""

    def do_load(self, run_id: str) -> StoredRun | None:
        """See `Store.load`."""
        row = self.do_run(run_id)
        if row is None:
            return None
        snapshot = self.do_snapshot(run_id, None)
        records = self.do_records(run_id, 0 if snapshot is None else snapshot[0], None)
        return StoredRun(row, snapshot, records, self.do_barriers(run_id, only_open=False))

    @abstractmethod
    def do_run_by_key(self, key: str) -> RunRow | None:
        """See `Store.run_by_key`."""

    @abstractmethod
    def do_runs(
        self, statuses: Sequence[RunStatus] | None, before: str | None, limit: int | None, thread: str | None
    ) -> list[RunRow]:
        """See `Store.runs`."""

    @abstractmethod
    def do_head(self, thread: str) -> Head | None:
        """See `Store.head`."""

    @abstractmethod
    def do_move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """See `Store.move_head`."""

    @abstractmethod
    def do_snapshot(self, run_id: str, at: int | None) -> tuple[int, bytes] | None:
        """See `Store.snapshot`."""

    @abstractmethod
    def do_checkpoints(self, run_id: str) -> list[int]:
        """See `Store.checkpoints`."""

    @abstractmethod
    def do_records(self, run_id: str, after: int, limit: int | None) -> list[bytes]:
        """See `Store.records`."""

    @abstractmethod
    def do_records_by_event(self, run_id: str, after_event: int, limit: int | None) -> list[bytes]:
        """See `Store.records_by_event`."""

    @abstractmethod
    def do_barriers(self, run_id: str | None, only_open: bool) -> list[BarrierRow]:  # noqa: FBT001 - as in the contract
        """See `Store.barriers`."""

    @abstractmethod
    def do_prune(self, run_id: str, before: int, epoch: int, keep: Collection[int], closed_before: float) -> int:
        """See `Store.prune`."""

    @abstractmethod
    def do_delete(self, run_id: str, epoch: int) -> int:
        """See `Store.delete`."""

    @abstractmethod
    def do_post(self, command: Posted) -> None:
        """See `Store.post`."""

    @abstractmethod
    def do_posted(self, limit: int) -> list[Posted]:
        """See `Store.posted`."""

    @abstractmethod
    def do_answer(self, command_id: str, receipt: bytes) -> None:
        """See `Store.answer`."""

    @abstractmethod
    def do_receipt(self, command_id: str) -> bytes | None:
        """See `Store.receipt`."""

    @abstractmethod
    def do_health(self, deep: bool) -> StoreHealth:  # noqa: FBT001 - as in the contract
        """See `Store.health`."""
