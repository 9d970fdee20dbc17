"""The calls of a store that a simulated one passes on to what is durable, each as `_call` has it."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from terzetto_protocol.records import BarrierRow, Head, Posted, RunRow
from terzetto_protocol.statuses import RunStatus

from ..stores import MemoryStore, Store, StoredRun, StoreHealth

T = TypeVar("T")


class PassedOn(Store):
    """Every call but those that open, close and commit."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner

    @abstractmethod
    async def _call(self, what: str, work: Callable[[], Awaitable[T]], *, writes: bool = True) -> T:
        """Do something to what is durable, or fail. A checkpoint."""

    @abstractmethod
    def _check(self, what: str) -> None:
        """Raise unless the caller owns what is durable. Not a checkpoint."""

    async def _read(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        return await self._call(what, work, writes=False)

    async def _own(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        self._check(what)
        return await self._call(what, work)

    async def run(self, run_id: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        return await self._read("run", lambda: self._inner.run(run_id))

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says; a checkpoint."""
        return await self._read("load", lambda: self._inner.load(run_id))

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        return await self._read("run_by_key", lambda: self._inner.run_by_key(key))

    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return await self._read(
            "runs", lambda: self._inner.runs(statuses=statuses, before=before, limit=limit, thread=thread)
        )

    async def unfinished(self) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return await self._read("unfinished", self._inner.unfinished)

    async def timers(self) -> list[tuple[str, float]]:
        """As the contract says; a checkpoint."""
        return await self._read("timers", self._inner.timers)

    async def head(self, thread: str) -> Head | None:
        """As the contract says; a checkpoint."""
        return await self._read("head", lambda: self._inner.head(thread))

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says; a checkpoint."""
        return await self._own("move_head", lambda: self._inner.move_head(thread, expect, run_id, at))

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the contract says; a checkpoint."""
        return await self._read("snapshot", lambda: self._inner.snapshot(run_id, at=at))

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the contract says; a checkpoint."""
        return await self._read("checkpoints", lambda: self._inner.checkpoints(run_id))

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        return await self._read("records", lambda: self._inner.records(run_id, after=after, limit=limit))

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        return await self._read(
            "records_by_event", lambda: self._inner.records_by_event(run_id, after_event=after_event, limit=limit)
        )

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the contract says; a checkpoint."""
        return await self._read("barriers", lambda: self._inner.barriers(run_id, only_open=only_open))

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint."""
        return await self._own(
            "prune", lambda: self._inner.prune(run_id, before, epoch=epoch, keep=keep, closed_before=closed_before)
        )

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint."""
        return await self._own("delete", lambda: self._inner.delete(run_id, epoch=epoch))

    async def post(self, command: Posted) -> None:
        """As the contract says; a checkpoint."""
        return await self._call("post", lambda: self._inner.post(command))

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the contract says; a checkpoint."""
        return await self._read("posted", lambda: self._inner.posted(limit=limit))

    async def decline(self, command_id: str) -> None:
        """As the contract says; a checkpoint."""
        return await self._own("decline", lambda: self._inner.decline(command_id))

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """As the contract says; a checkpoint."""
        return await self._own("answer", lambda: self._inner.answer(command_id, receipt))

    async def receipt(self, command_id: str) -> bytes | None:
        """As the contract says; a checkpoint."""
        return await self._read("receipt", lambda: self._inner.receipt(command_id))

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says; a checkpoint."""
        return await self._read("health", lambda: self._inner.health(deep=deep))

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """As the contract says; a checkpoint."""
        return await self._own("put_chunk", lambda: self._inner.put_chunk(upload, number, data))

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the contract says; a checkpoint."""
        return await self._own("keep_blob", lambda: self._inner.keep_blob(digest, upload=upload, run_id=run_id, at=at))

    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the contract says; a checkpoint."""
        return await self._read("blob_chunk", lambda: self._inner.blob_chunk(digest, number))

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the contract says; a checkpoint."""
        return await self._own("sweep_blobs", lambda: self._inner.sweep_blobs(before=before, live=live))
