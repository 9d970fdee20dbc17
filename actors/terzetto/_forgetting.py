"""Forgetting on purpose: the beginning of a run's log, or a run that has ended; in the store, and wherever it is known.

It owns nothing. The store is told by way of the persistence actor, so that what is forgotten and what is committed
have an order; who knows the run in memory is told before anything else is stored.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol, TypeVar

from terzetto_protocol.errors import InvalidRequest, Refused, StaleEpoch, UnknownRun
from terzetto_protocol.image import read_record
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .stores._contract import Store

T = TypeVar("T")

_UNFINISHED: Final = tuple(status for status in RunStatus if status not in TERMINAL)


class Writer(Protocol):
    """Who writes to the store."""

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something done to the store while nothing else is written. A checkpoint."""
        ...


class Forgetting:
    """Prunes and deletes."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store: Final = store
        self._writer: Final = writer
        self.on_delete: Callable[[str], None] = _nobody
        """Called with the id of a run that was deleted, before anybody else can have it."""

    async def truncate(self, run_id: str, keep_from: int) -> int:
        """See `Runtime.prune`. A checkpoint."""
        while True:
            row = await self._row(run_id)
            if not 1 <= keep_from <= row.seq:
                raise InvalidRequest(f"run {run_id!r} has commits 1 to {row.seq}, and no {keep_from}")
            cut = max((seq for seq in await self._store.checkpoints(run_id) if seq <= keep_from), default=None)
            try:
                return 0 if cut is None else await self.cut(row, cut)
            except StaleEpoch:
                continue  # it was claimed meanwhile

    async def cut(self, row: RunRow, cut: int, keep: Collection[int] = ()) -> int:
        """Forget what is in front of a checkpoint, but these; returns how many commits. A checkpoint.

        Raises:
            UnknownRun: the run is not there any more.
            StaleEpoch: it was claimed since its row was read.
        """
        closed_before = await self.at(row.run_id, cut)
        return await self._writer.do(
            lambda: self._store.prune(row.run_id, cut, epoch=row.epoch, keep=keep, closed_before=closed_before)
        )

    async def at(self, run_id: str, seq: int) -> float:
        """When a commit was made, UNIX time; 0 when it is not there any more. A checkpoint."""
        found = [read_record(body) for body in await self._store.records(run_id, after=seq - 1, limit=1)]
        return found[0].at if found and found[0].seq == seq else 0.0

    async def delete(self, run_id: str) -> int:
        """See `Runtime.delete`. A checkpoint."""
        row = await self._row(run_id)
        if row.status not in TERMINAL:
            raise Refused(run_id, f"it is {row.status}, and only a run that has ended is deleted: cancel it first")
        user = (await self.needed()).get(run_id)
        if user is not None:
            raise Refused(run_id, f"{user}: that has to end first")
        return await self.remove(row)

    async def remove(self, row: RunRow) -> int:
        """Forget a run that has ended; returns how many commits. A checkpoint.

        Raises:
            UnknownRun: the run is not there any more.
            StaleEpoch, Refused: another run has its id.
        """

        async def work() -> int:
            count = await self._store.delete(row.run_id, epoch=row.epoch)
            self.on_delete(row.run_id)
            return count

        return await self._writer.do(work)

    async def is_head(self, row: RunRow) -> bool:
        """Whether the next run of a thread begins with what this one came to. A checkpoint on a thread."""
        head = await self._store.head(row.header.thread) if row.header.thread else None
        return head is not None and head.run_id == row.run_id

    async def needed(self) -> dict[str, str]:
        """Runs from which unfinished ones went on, each with a sentence that names one of those. A checkpoint."""
        needed = dict[str, str]()
        for row in await self._store.runs(statuses=_UNFINISHED, limit=None):
            if row.header.parent:
                needed[row.header.parent.rpartition("@")[0]] = (
                    f"run {row.run_id!r} went on from it, and is {row.status}"
                )
        return needed

    async def _row(self, run_id: str) -> RunRow:
        row = await self._store.run(run_id)
        if row is None:
            raise UnknownRun(run_id)
        return row


def _nobody(run_id: str) -> None:
    """Nobody wants to know."""
