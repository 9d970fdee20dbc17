"""Recovery: a loop, not a one-shot, that finds the runs which should be live and are not.

It owns nothing but its next look. What it finds goes to the admission queue; a parked run's deadline goes
to the timers.
"""

from collections.abc import Callable, Iterable
from typing import Final

import trio

from terzetto_protocol.admission import Admission
from terzetto_protocol.backoff import backoff
from terzetto_protocol.errors import StoreUnavailable
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import RunStatus

from ._pool import Pool
from ._roster import Roster
from ._timers import Timers
from .stores._contract import Store

RECOVERY_INTERVAL: Final = 30.0
"""Seconds between looks."""


class Recovery:
    """Looks at the store every `RECOVERY_INTERVAL` seconds, and when it is told to."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        pool: Pool,
        admission: Admission,
        timers: Timers[str],
        *,
        next_on: Callable[[str], None],
        doubt: Callable[[], None],
    ) -> None:
        self._store: Final = store
        self._roster: Final = roster
        self._pool: Final = pool
        self._admission: Final = admission
        self._timers: Final = timers
        self._next_on: Final = next_on
        """Has the run admitted whose turn has come on this thread."""
        self._doubt: Final = doubt
        """Says that the store could not be read: where nobody writes, nobody else would notice."""
        self._failures = 0
        self._wanted = trio.Event()

    def look(self) -> None:
        """Look now. Not a checkpoint."""
        self._wanted.set()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Look until cancelled; it has started after the first look. A checkpoint."""
        await self._look()
        task_status.started()
        while True:
            with trio.move_on_after(RECOVERY_INTERVAL):
                await self._wanted.wait()
            await self._look()

    async def _look(self) -> None:
        self._wanted = trio.Event()
        try:
            await self._look_through()
        except StoreUnavailable:  # the persistence actor tells when it is back
            self._failures += 1
            await trio.sleep(backoff(self._failures))
            self._doubt()
        else:
            self._failures = 0

    async def _look_through(self) -> None:
        rows = reversed(await self._store.unfinished())
        self._admit([row for row in rows if not (self._here(row) or self._pool.closing)])
        for run_id, due in await self._store.timers():  # who looks closer at a damaged one is told what is wrong
            if run_id not in self._roster.live:
                self._timers.set(run_id, due)
        self._pool.fill()

    def _admit(self, rows: Iterable[RunRow]) -> None:
        threads: dict[str, None] = {}
        for row in rows:
            if row.header.line and row.status is RunStatus.QUEUED:
                threads[row.header.thread] = None  # whose turn it is on a thread takes a look at the whole line
            else:
                self._admission.enqueue(row.run_id, returning=row.status is not RunStatus.QUEUED)
        for thread in threads:
            self._next_on(thread)

    def _here(self, row: RunRow) -> bool:
        """Whether the run is somebody's; one that was only read to be asked something is nobody's."""
        actor = self._roster.live.get(row.run_id)
        carried = actor is not None and actor.machine.owned and not actor.machine.at_rest
        return carried or row.run_id in self._roster.arriving
