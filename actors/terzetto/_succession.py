"""Succession: who is next on a thread, when a run on it has ended, was deleted or was left behind.

It owns what is known of runs elsewhere behind which somebody may wait here, and a task per thread while it looks at the
line. What kills it is the supervisor; whose turn has come is then found by recovery.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

import trio

from terzetto_protocol.admission import Admission
from terzetto_protocol.errors import ActorStopped, StoreUnavailable
from terzetto_protocol.statuses import RunStatus

from ._heads import Heads
from ._pool import Pool
from ._roster import Roster
from .stores._contract import Store


class Succession:
    """Has runs admitted whose turn on their thread has come."""

    def __init__(self, store: Store, heads: Heads, roster: Roster, pool: Pool, admission: Admission) -> None:
        self._store: Final = store
        self._heads: Final = heads
        self._roster: Final = roster
        self._pool: Final = pool
        self._admission: Final = admission
        self._nursery: trio.Nursery | None = None
        self._ahead: Final[dict[str, str]] = {}
        """Threads on which somebody may wait here, by the runs that do not live here and have to end first."""

    @property
    def awaited(self) -> Collection[str]:
        """The runs behind which somebody may wait here, and that did not live here."""
        return self._ahead

    def open(self, nursery: trio.Nursery) -> None:
        """Look at lines in this nursery. Not a checkpoint."""
        self._nursery = nursery

    def close(self) -> None:
        """Look no more, and forget who waits. Not a checkpoint; twice is once."""
        self._nursery = None
        self._ahead.clear()

    def joined(self, thread: str) -> None:
        """A run waits for its turn here, which comes when who is before it has ended, here or elsewhere."""
        if self._store.lease is not None:
            self.next_on(thread)

    def ended(self, run_id: str, thread: str = "") -> None:
        """A run has ended or was deleted, here or elsewhere: if somebody here waits behind it, that is next.

        Args:
            run_id: which.
            thread: its thread, if that is known.
        """
        thread = self._ahead.pop(run_id, "") or thread
        if thread:
            self.next_on(thread)

    def next_on(self, thread: str) -> None:
        """A run on this thread has ended, or was left behind: have the next one admitted. Not a checkpoint."""
        if self._nursery is not None:
            self._nursery.start_soon(self._admit_next, thread)

    async def _admit_next(self, thread: str) -> None:
        with suppress(StoreUnavailable, ActorStopped):  # the look that follows, or the next owner's, finds it
            first = await self._heads.front(thread)
            if first is None or self._pool.closing:
                return
            if self._store.lease is not None and not self._roster.lives(first.run_id):
                self._ahead[first.run_id] = thread  # another owner may carry it
            if first.status is RunStatus.QUEUED:
                self._admission.enqueue(first.run_id, returning=False)
                self._pool.fill()
