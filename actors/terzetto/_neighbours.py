"""Neighbours: the other owners of a store, and what of theirs is read here.

It owns nothing: it keeps our lease on the store alive, so that what we carry stays ours, and looks for what others have
stored of the runs that somebody here reads or waits for. What died with its owner is found by recovery.
"""

from contextlib import suppress
from typing import Final, Protocol

import trio

from terzetto_protocol.backoff import backoff
from terzetto_protocol.errors import StoreDamaged, StoreUnavailable
from terzetto_protocol.limits import INBOX_POLL
from terzetto_protocol.records import RunRow
from terzetto_protocol.scribe import RESTING
from terzetto_protocol.statuses import TERMINAL

from ._elsewhere import Elsewhere
from ._hub import Hub
from ._persistence import Persistence
from .stores._contract import Store

RENEWALS: Final = 3
"""How often a lease is renewed in its time: two that fail are not the end."""


class Carrier(Protocol):
    """Whoever carries the runs that are ours."""

    @property
    def elsewhere(self) -> Elsewhere:
        """What is heard there of other owners' runs."""
        ...

    def store_changed(self) -> None:
        """What belonged to somebody may be anybody's now."""

    def forget(self, run_id: str) -> None:
        """Tell those who wait that the run was deleted."""


class Neighbours:
    """Renews our lease, and follows the runs of others.

    Args:
        store: one with a lease.
        hub: shows what others have stored.
        carrier: carries our own runs.
        persistence: writes to the store, and hears when we could not reach it.
    """

    def __init__(self, store: Store, hub: Hub, carrier: Carrier, persistence: Persistence) -> None:
        self._store: Final = store
        self._hub: Final = hub
        self._carrier: Final = carrier
        self._elsewhere: Final = carrier.elsewhere
        self._persistence: Final = persistence
        self._there: set[str] = set()
        """Runs that somebody here reads or waits for, nobody else's, and not deleted when they became so."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Renew and follow until cancelled. A checkpoint."""
        assert self._store.lease is not None, "there are no neighbours where there is one owner"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, self._store.lease / RENEWALS)
            nursery.start_soon(self._follow)
            task_status.started()

    async def _keep(self, pause: float) -> None:
        failures = 0
        while True:
            await trio.sleep(min(pause, backoff(failures)) if failures else pause)
            try:
                await self._persistence.renew()
                await self._let_go()
            except StoreUnavailable:
                failures += 1
                self._persistence.doubt()
            else:
                failures = 0
                self._carrier.store_changed()  # meanwhile somebody's lease may have ended

    async def _let_go(self) -> None:
        """Of what others have claimed, because we were late with our lease."""
        for row in await self._store.foreign(self._elsewhere.live()):
            self._elsewhere.lost(row)

    async def _follow(self) -> None:
        while True:
            await trio.sleep(INBOX_POLL)
            with suppress(StoreUnavailable):  # whoever keeps the lease tells
                await self._look()

    async def _look(self) -> None:
        wanted = {*self._hub.read(), *self._elsewhere.awaited()}
        rows = await self._store.foreign(wanted) if wanted else []
        for row in rows:
            await self._show(row)
        await self._miss(wanted - {row.run_id for row in rows})

    async def _miss(self, run_ids: set[str]) -> None:
        """Tell of those that are nobody else's whether they are there no more: whoever carried them may delete them."""
        self._there &= run_ids
        for run_id in run_ids - self._there:
            if self._hub.lives(run_id):
                continue
            with suppress(StoreDamaged):
                if await self._store.run(run_id) is None and not self._hub.lives(run_id):
                    self._hub.forget(run_id)
                    self._carrier.forget(run_id)
                    continue
            self._there.add(run_id)

    async def _show(self, row: RunRow) -> None:
        self._elsewhere.lost(row)
        with suppress(StoreDamaged):  # whoever reads it is told so
            await self._hub.follow(row.run_id, row.event_id)
        if self._hub.lives(row.run_id):
            return
        if row.status in RESTING:
            self._hub.idle(row.run_id, row.epoch)
        if row.status in TERMINAL and row.run_id in self._elsewhere.awaited():
            await self._elsewhere.ended(row.run_id)
