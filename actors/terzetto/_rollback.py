"""Rollback: a thread goes back to where it was before one of its runs.

It owns nothing: the run is ended first where it has not ended, and the store moves the head, unless somebody builds on
the run.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn

from terzetto_protocol.commands import Cancel
from terzetto_protocol.errors import InvalidRequest, Refused, UnknownRun
from terzetto_protocol.image import Image, read_record, read_snapshot
from terzetto_protocol.receipts import CancelReceipt
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.threads import builds_on, check_last
from terzetto_protocol.travel import begun_effects

from ._heads import Heads
from .stores._contract import Store


class Rollback:
    """Takes runs off their threads again.

    Args:
        store: where the heads of threads are.
        heads: says who is under way on a thread.
        clock: UNIX time, seconds.
        end: ends a run, whoever carries it.
    """

    def __init__(
        self,
        store: Store,
        heads: Heads,
        clock: Callable[[], float],
        end: Callable[[Cancel], Awaitable[CancelReceipt]],
    ) -> None:
        self._store: Final = store
        self._heads: Final = heads
        self._clock: Final = clock
        self._end: Final = end

    async def roll_back(self, command: Cancel) -> CancelReceipt:
        """Put a run's thread back to where it was before the run; durable when it is told. A checkpoint.

        Raises:
            InvalidRequest: effects of `once` nodes would be forgotten.
            Refused: the run is on no thread, or something builds on it.
        """
        row = await self._store.run(command.run_id)
        if row is None:
            return CancelReceipt(command.run_id, "unknown", None, self._store.durable)
        if not row.header.thread:
            raise Refused(
                row.run_id, "it is on no thread that could be put back: cancel it, or fork it before the visit"
            )
        if row.status not in TERMINAL:  # not as the thread's holder: who holds it elsewhere may be waiting for this
            receipt = await self._end(command)
            if receipt.outcome != "already_terminal":
                return receipt
        async with self._heads.held(row.header.thread) as line:
            return await self._move_back(command, line)

    async def put_back(self, command: Cancel, line: Sequence[RunRow]) -> CancelReceipt:
        """As `roll_back`, for who holds the thread."""
        if all(row.run_id != command.run_id for row in line):
            return await self._move_back(command, line)
        receipt = await self._end(command)
        if receipt.outcome != "already_terminal":
            return receipt
        return await self._move_back(command, ())  # it has ended at this very moment: nobody behind it has begun

    async def _move_back(self, command: Cancel, line: Sequence[RunRow]) -> CancelReceipt:
        row, image = await self._ended(command.run_id)
        if row.status is not RunStatus.SUCCEEDED:  # it never moved the head
            return CancelReceipt(row.run_id, "already_terminal", row.status, self._store.durable)
        thread, base, head = row.header.thread, image.base or "", await self._heads.of(row.header.thread)
        while head != base:  # else it was done before
            check_last(row, head, line)
            if image.intents and not command.repeat_effects:
                await self.refuse(row.run_id)
            if base and await self._store.run(base) is None:
                raise Refused(row.run_id, f"run {base!r}, to which thread {thread!r} would go back, was deleted")
            if await self._store.move_head(thread, row.run_id, base, self._clock()):
                break
            begun = builds_on(await self._store.runs(thread=thread, limit=None))
            check_last(row, await self._heads.of(thread), () if begun is None else (begun,))
        return CancelReceipt(row.run_id, "rolled_back", row.status, self._store.durable, base)

    async def _ended(self, run_id: str) -> tuple[RunRow, Image]:
        row, found = await self._store.run(run_id), await self._store.snapshot(run_id)
        if row is None or found is None:
            raise UnknownRun(run_id)
        assert row.status in TERMINAL
        return row, read_snapshot(found[1]).image

    async def refuse(self, run_id: str) -> NoReturn:
        """Raise `InvalidRequest`, naming the `once` visits that a rollback would forget. A checkpoint."""
        records = [read_record(body) for body in await self._store.records(run_id)]
        names = ", ".join(begun_effects(records)) or "a `once` node"
        text = f"effects of {names} may happen again: say repeat_effects=True if that is meant"
        raise InvalidRequest(f"run {run_id!r}: {text}")
