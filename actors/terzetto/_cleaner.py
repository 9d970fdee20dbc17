"""The cleaner: forgets what a `Retention` does not keep, a piece at a time.

It owns the list of runs that have ended, and the sets of runs that have new checkpoints or old ones. It hears of
every write, and looks at the store only for runs of which it heard something, or of which something has become old
enough. Each piece is one transaction of the persistence actor, between two groups of commits; a crash between two
pieces leaves the rest to the next owner, who looks at everything once.
"""

import heapq
from bisect import insort
from collections.abc import Callable, Sequence
from typing import Final

import trio
from attrs import frozen

from terzetto_protocol.errors import ActorStopped, Refused, StaleEpoch, StoreUnavailable, TerzettoError, UnknownRun
from terzetto_protocol.image import read_record
from terzetto_protocol.limits import CLEANER_INTERVAL, PRUNE_COMMITS
from terzetto_protocol.records import RunRow, Write
from terzetto_protocol.retention import Retention, expired, next_cut, oldest_kept, usable
from terzetto_protocol.statuses import TERMINAL

from ._forgetting import Forgetting
from .stores._contract import Store

_PAGE: Final = 256
"""Rows or commits that are read at once."""


@frozen
class CleanerStatistics:
    """What the cleaner says of itself."""

    commits: int
    """Commits that were pruned."""
    runs: int
    """Runs that were deleted."""
    waiting: int
    """Runs that it will look at next."""
    ended: int
    """Runs that have ended and are kept."""
    failures: int
    """Runs that it could not clean, because something is wrong with them (see `terzetto doctor`)."""


class Cleaner:
    """Keeps to a retention.

    Args:
        read_by: how many read a run's events; one that is read is not deleted.
    """

    def __init__(
        self,
        retention: Retention,
        store: Store,
        forgetting: Forgetting,
        read_by: Callable[[str], int],
        clock: Callable[[], float],
    ) -> None:
        self._retention: Final = retention
        self._store: Final = store
        self._forgetting: Final = forgetting
        self._read_by: Final = read_by
        self._clock: Final = clock
        self._changed: dict[str, None] = {}
        """Runs with new checkpoints."""
        self._aging: list[tuple[float, str]] = []
        """When the history of a run has something that is too old, or earlier: a heap, with each run once."""
        self._is_aging: set[str] = set()
        self._ended: list[tuple[float, str]] = []
        """Runs that have ended and when, the earliest first."""
        self._heads: dict[str, set[tuple[float, str]]] = {}
        """Those of them that would go if they had not been the heads of these threads."""
        self._surveyed = False
        self._commits = self._runs = self._failures = 0

    def note(self, write: Write) -> None:
        """Hear of a write. Not a checkpoint."""
        if write.snapshot is not None and not self._retention.history.everything:
            self._changed[write.run_id] = None
        if write.status in TERMINAL and not self._retention.finished.everything:
            insort(self._ended, (write.at, write.run_id))
            for head in self._heads.pop(write.thread, ()):  # it is not the head any more
                insort(self._ended, head)

    def statistics(self) -> CleanerStatistics:
        """Numbers since the start."""
        ended = len(self._ended) + sum(map(len, self._heads.values()))
        return CleanerStatistics(self._commits, self._runs, len(self._changed), ended, self._failures)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Clean every `CLEANER_INTERVAL` seconds until cancelled. A checkpoint."""
        self._surveyed = False  # a clean that was cut off by a restart may have left something
        task_status.started()
        while True:
            try:
                await self._survey()
                await self._trim_all()
                await self._expire()
            except (StoreUnavailable, ActorStopped):
                pass  # what was not done is done the next time
            await trio.sleep(CLEANER_INTERVAL)

    async def _survey(self) -> None:
        """Look at every run that was there before: once, and again if that was not possible."""
        if self._surveyed:
            return
        ended = set[tuple[float, str]]()
        page = await self._store.runs(limit=_PAGE)
        while page:
            if not self._retention.history.everything:
                self._changed |= dict.fromkeys(row.run_id for row in page)
                await self._trim_all()
            if not self._retention.finished.everything:
                ended |= {(row.updated, row.run_id) for row in page if row.status in TERMINAL}
            page = await self._page_after(page[-1].run_id)
        self._ended = sorted({*self._ended, *ended})
        self._surveyed = True

    async def _page_after(self, last: str) -> list[RunRow]:
        try:
            return await self._store.runs(before=last, limit=_PAGE)
        except UnknownRun:  # it was deleted meanwhile: from the start once more, where most is done by now
            return await self._store.runs(limit=_PAGE)

    # -- histories -------------------------------------------------------------------------------------------

    async def _trim_all(self) -> None:
        while self._aging and self._aging[0][0] <= self._clock():
            run_id = heapq.heappop(self._aging)[1]
            self._is_aging.discard(run_id)
            self._changed[run_id] = None
        for run_id in list(self._changed):
            del self._changed[run_id]  # before it is looked at: what it writes meanwhile is new again
            try:
                await self._trim(run_id)
            except (StaleEpoch, StoreUnavailable, ActorStopped) as error:
                self._changed[run_id] = None
                if not isinstance(error, StaleEpoch):
                    raise
            except TerzettoError as error:  # whatever is wrong with this run, the others are cleaned
                self._failures += not isinstance(error, UnknownRun)

    async def _trim(self, run_id: str) -> None:
        """Cut a run's log in front of the oldest checkpoint that is kept, and remember when more is too old."""
        row = await self._store.run(run_id)
        if row is None:
            return
        checkpoints = await self._store.checkpoints(run_id)
        found = usable(checkpoints, row.first, row.seq if row.status in TERMINAL else None)
        place = max(oldest_kept(found, self._retention.history.latest), await self._oldest_young(run_id, found))
        first, alone = row.first, {seq for seq in checkpoints if seq < row.first}
        while found and first < found[place]:
            cut = next_cut(found, first, found[place], PRUNE_COMMITS)
            alone |= await self._asked_for(run_id, first, cut)
            self._commits += await self._forgetting.cut(row, cut, alone)
            first = cut

    async def _oldest_young(self, run_id: str, found: Sequence[int]) -> int:
        """The position of the newest checkpoint that is as old as is kept; those after it are younger."""
        max_age = self._retention.history.max_age
        if max_age is None or not found:
            return 0
        limit, low, high = self._clock() - max_age, 0, len(found)
        while high - low > 1:  # the first is kept if all are younger
            middle = (low + high) // 2
            low, high = (middle, high) if await self._forgetting.at(run_id, found[middle]) <= limit else (low, middle)
        if high < len(found):
            self._age(run_id, await self._forgetting.at(run_id, found[high]) + max_age)
        return low

    def _age(self, run_id: str, due: float) -> None:
        if run_id not in self._is_aging:
            self._is_aging.add(run_id)
            heapq.heappush(self._aging, (due, run_id))

    async def _asked_for(self, run_id: str, first: int, cut: int) -> set[int]:
        """Commits that a node wanted to be checkpoints, from the first on and in front of a cut."""
        asked = set[int]()
        for after in range(first - 1, cut - 1, _PAGE):
            bodies = await self._store.records(run_id, after=after, limit=min(_PAGE, cut - 1 - after))
            asked |= {record.seq for record in map(read_record, bodies) if record.checkpoint is not None}
        return asked

    # -- runs that have ended --------------------------------------------------------------------------------

    async def _expire(self) -> None:
        count = expired(self._ended, self._retention.finished, self._clock())
        needed = await self._forgetting.needed() if count else {}
        for ended in self._ended[:count]:
            if not (ended[1] in needed or self._read_by(ended[1])):
                await self._delete(*ended)
                self._ended.remove(ended)

    async def _delete(self, at: float, run_id: str) -> None:
        try:
            row = await self._store.run(run_id)
            if row is None or row.updated != at or row.status not in TERMINAL:
                return  # it is gone, and what has its id now is another run
            if await self._is_head(at, row):
                return
            await self._shorten(row)
            await self._forgetting.remove(row)
        except (StoreUnavailable, ActorStopped):
            raise
        except TerzettoError as error:
            self._failures += not isinstance(error, UnknownRun | StaleEpoch | Refused)
        else:
            self._runs += 1

    async def _is_head(self, at: float, row: RunRow) -> bool:
        """Whether the run stays because it is where its thread is; if so it is looked at when that moves on."""
        if not row.header.thread:
            return False
        heads = self._heads.setdefault(row.header.thread, set())
        heads.add((at, row.run_id))  # before it is asked for: the head may move meanwhile
        if await self._forgetting.is_head(row):
            return True
        heads.discard((at, row.run_id))
        if not heads:
            self._heads.pop(row.header.thread, None)
        return False

    async def _shorten(self, row: RunRow) -> None:
        """Cut a long log in pieces, so that not all of it has to go at once."""
        first, checkpoints = row.first, await self._store.checkpoints(row.run_id)
        while checkpoints and row.seq - first > PRUNE_COMMITS and first < checkpoints[-1]:
            cut = next_cut(checkpoints, first, checkpoints[-1], PRUNE_COMMITS)
            self._commits += await self._forgetting.cut(row, cut)
            first = cut
