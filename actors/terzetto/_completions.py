"""Completions: runs that were submitted with `on_completion="delete"` go when they have ended.

It owns the list of those that have, and forgets them by way of the persistence actor, some time after the end, so that
whoever submitted them can read it. What a process left behind when it died is found by the next one that has such runs.
What kills it is the end of the runtime; what it has not come to by then is left behind, too.
"""

from collections.abc import Callable
from typing import Final

import trio

from terzetto_protocol.errors import ActorStopped, StaleEpoch, StoreUnavailable, TerzettoError, UnknownRun
from terzetto_protocol.limits import CLEANER_INTERVAL, FINISHED_GRACE
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL

from ._forgetting import Forgetting
from .stores._contract import Store

_PAGE: Final = 256
"""Rows that are read at once."""


class Completions:
    """Deletes runs that are not to be kept.

    Args:
        read_by: how many read a run's events; one that is read is not deleted.
        clock: UNIX time, seconds.
    """

    def __init__(
        self, store: Store, forgetting: Forgetting, read_by: Callable[[str], int], clock: Callable[[], float]
    ) -> None:
        self._store: Final = store
        self._forgetting: Final = forgetting
        self._read_by: Final = read_by
        self._clock: Final = clock
        self._ended: dict[str, None] = {}
        self._asked = trio.Event()
        self._surveyed = False

    def __len__(self) -> int:
        return len(self._ended)

    def expect(self) -> None:
        """Hear that there are such runs in this store. Not a checkpoint."""
        self._asked.set()

    def ended(self, run_id: str) -> None:
        """Hear that one of them has ended. Not a checkpoint."""
        self._ended[run_id] = None
        self._asked.set()

    def forget(self, run_id: str) -> None:
        """A run was deleted: what has its id now is another one. Not a checkpoint."""
        self._ended.pop(run_id, None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Delete what has ended for `FINISHED_GRACE` seconds, until cancelled. A checkpoint."""
        task_status.started()
        while True:
            await self._asked.wait()
            try:
                await self._survey()
                await trio.sleep(CLEANER_INTERVAL)
                self._asked = trio.Event()
                await self._sweep()
            except (StoreUnavailable, ActorStopped):
                await trio.sleep(CLEANER_INTERVAL)
            if self._ended:
                self._asked.set()

    async def _survey(self) -> None:
        """Find what an earlier process has left: once, and again if that was not possible."""
        page = [] if self._surveyed else await self._store.runs(limit=_PAGE)
        while page:
            self._ended |= {row.run_id: None for row in page if _is_over(row)}
            try:
                page = await self._store.runs(before=page[-1].run_id, limit=_PAGE)
            except UnknownRun:  # it was deleted meanwhile: from the start once more
                page = await self._store.runs(limit=_PAGE)
        self._surveyed = True

    async def _sweep(self) -> None:
        needed = await self._forgetting.needed() if self._ended else {}
        for run_id in list(self._ended):
            if run_id not in needed and not self._read_by(run_id):
                await self._delete(run_id)

    async def _delete(self, run_id: str) -> None:
        row = await self._store.run(run_id)
        if row is not None and _is_over(row):
            if row.updated + FINISHED_GRACE > self._clock():
                return
            try:
                await self._forgetting.remove(row)
            except (StoreUnavailable, ActorStopped):
                raise
            except StaleEpoch:
                return  # what has its id now is looked at the next time
            except TerzettoError:  # whatever is wrong with this one (`terzetto doctor` tells), the others go
                pass
        self._ended.pop(run_id, None)


def _is_over(row: RunRow) -> bool:
    """Whether a run has ended that is not to be kept."""
    return row.status in TERMINAL and row.header.on_completion == "delete"
