"""The blobs of a runtime: put and read through the persistence actor, and swept when nobody names them any more.

Every chunk is a piece of work of its own, so that commits go between two of them. It owns nothing but the time of its
next look; what a crash left behind is found by it, or by the next owner.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import trio

from terzetto_protocol.errors import ActorStopped, StoreUnavailable
from terzetto_protocol.limits import BLOB_GRACE, BLOB_SWEEP

from ._blobs import Blobs
from ._clock import wall_clock
from ._persistence import Persistence

T = TypeVar("T")


class StoredBlobs(Blobs):
    """Blobs of a runtime: between two groups of commits, and for as long as it takes where the store is gone."""

    def __init__(self, persistence: Persistence, *, max_bytes: int) -> None:
        super().__init__(persistence.store, max_bytes=max_bytes)
        self._persistence: Final = persistence

    async def keep(self, digest: str, run_id: str) -> bool:
        """Have a run keep a blob that is there; False when it is not. A checkpoint."""
        return await self._keep(digest, "", run_id)

    async def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await self._persistence.do(work)
            except StoreUnavailable:
                await trio.lowlevel.checkpoint()  # the actor takes nothing more before the store is back

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sweep every `BLOB_SWEEP` seconds until cancelled. A checkpoint."""
        task_status.started()
        while True:
            await trio.sleep(BLOB_SWEEP)
            with suppress(ActorStopped):
                await self.sweep()

    async def sweep(self) -> None:
        """Free what no run keeps, and what is left of uploads that nobody goes on with. A checkpoint.

        Cancelled, the rest is freed the next time.
        """
        before = wall_clock()() - BLOB_GRACE
        while await self._do(lambda: self.store.sweep_blobs(before=before, live=frozenset(self.on_their_way))):
            pass  # commits go between two pieces
