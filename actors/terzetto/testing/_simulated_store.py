"""A store without a disk and without threads, which takes time and fails as disks do, by a seed.

A `SimulatedDisk` is what is durable: it survives every process. A `SimulatedStore` is one process's handle on it, and
is cut off when that process dies: nothing that a dead process still does reaches the disk.
"""

import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import islice
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import attrs
import trio

from terzetto_protocol.errors import StoreInUse, StoreUnavailable
from terzetto_protocol.records import Outcome, Posted, Rejected, RunRow, Write
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.threads import builds_on, overtaken

from ..stores import MemoryStore, StoredRun, StoreHealth
from ..stores._verdict import verdict
from ._simulated_calls import PassedOn
from ._simulated_luck import Luck, Trouble, Weather
from ._simulated_owners import Owners

T = TypeVar("T")

_DEAD: Final = "the process is dead"


class Witness:
    """Sees what becomes durable, in order, and makes nothing of it."""

    def applied(self, write: Write) -> None:
        """A write was applied. Not a checkpoint, as none of these is."""

    def moved(self, thread: str, left: str, head: str) -> None:
        """The head of a thread was put back from one run to another, or to none."""

    def pruned(self, run_id: str, first: int) -> None:
        """A run's log begins with this commit now, if it did not before."""

    def deleted(self, run_id: str) -> None:
        """A run has gone."""

    def kept(self, run_id: str, digest: str) -> None:
        """A run keeps a blob from now on."""

    def swept(self, digests: Sequence[str]) -> None:
        """These blobs have gone."""


class SimulatedDisk(MemoryStore):
    """What is durable in a simulation, and who owns it."""

    def __init__(self) -> None:
        super().__init__()
        self.owner: SimulatedStore | None = None
        """Who has it, where there is one owner."""
        self.owners: Final = Owners()
        """Who have it, where there are leases."""
        self.witness = Witness()
        """Told of all that becomes durable, once."""
        self._writer = ""

    def settle(self, write: Write) -> Outcome:
        """Apply one write, at once."""
        before = self._last(write.run_id)
        outcome = self._overtaken(write) or self._equal(write) or super().settle(write)
        if self._last(write.run_id) > before:
            self.witness.applied(write)
            if write.header is not None or write.epoch != write.expect:
                self.owners.wrote(self._writer, write.run_id)
        return outcome

    def _equal(self, write: Write) -> Outcome | None:
        """What a claim comes to whose bytes are equal to those of another owner's claim; None for any other write."""
        run = self._find(write.run_id)
        if run is None or write.epoch == write.expect or not self.owners.other(write.run_id, self._writer):
            return None
        return verdict(write, run.epoch, run.last, run.stored(write.seq), is_ours=False)

    def apply(self, writes: Sequence[Write], writer: str) -> list[Outcome]:
        """Apply a group that this owner writes, at once."""
        self._writer = writer
        return self.commit_now(writes)

    def _overtaken(self, write: Write) -> Outcome | None:
        """What a thread has come to meanwhile; where there is one owner, that looks for itself."""
        run = self._find(write.run_id)
        header = write.header or (None if run is None or write.base is None else run.header)
        if self.owner is not None or header is None or self._last(write.run_id) >= write.seq:
            return None
        head = self._heads.get(header.thread)
        return overtaken(write, header.thread, "" if head is None else head.run_id, self._line(header.thread))

    def _line(self, thread: str) -> list[RunRow]:
        return [self._known(run_id).row() for run_id in self._threads.get(thread, ())]

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says; a checkpoint, before anything happens."""
        await trio.lowlevel.checkpoint()
        if self.owner is None and builds_on(self._line(thread)) is not None:
            return False
        moved = await super().move_head(thread, expect, run_id, at)
        if moved:
            self.witness.moved(thread, expect, run_id)
        return moved

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint, before anything happens."""
        count = await super().prune(run_id, before, epoch=epoch, keep=keep, closed_before=closed_before)
        self.witness.pruned(run_id, self._known(run_id).before + 1)
        return count

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint, before anything happens."""
        count = await super().delete(run_id, epoch=epoch)
        self.witness.deleted(run_id)
        return count

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the contract says; a checkpoint, before anything happens."""
        is_there = await super().keep_blob(digest, upload=upload, run_id=run_id, at=at)
        if is_there and self._has_run(run_id):
            self.witness.kept(run_id, digest)
        return is_there

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the contract says; a checkpoint, before anything happens."""
        there = set(self._blobs)
        more = await super().sweep_blobs(before=before, live=live)
        self.witness.swept(sorted(there - self._blobs.keys()))
        return more

    def _last(self, run_id: str) -> int:
        run = self._find(run_id)
        return 0 if run is None else run.last

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says; a checkpoint."""
        return attrs.evolve(await super().health(deep=deep), url="simulated:", durable=True)


class SimulatedStore(PassedOn):
    """A handle on a `SimulatedDisk`: quiet unless it is given weather.

    What a call does happens before or after the time that it takes, by seed; so whoever is cut off meanwhile has done
    it or not. After a failure nothing works before `reopen()`.

    Args:
        disk: what is durable.
        weather: how long calls take, and which of them fail; by default none does, at once.
        guest: whether it is not the owner's: it reads, and leaves commands.
        shared: whether the owner looks for commands of guests.
        name: who holds it, for messages; where there is a lease, its own.
        lease: seconds for which its runs stay its own while it says nothing; None: it is the only owner.
    """

    durable = True

    def __init__(
        self,
        disk: SimulatedDisk,
        weather: Weather | None = None,
        *,
        guest: bool = False,
        shared: bool = True,
        name: str = "a process",
        lease: float | None = None,
    ) -> None:
        super().__init__(disk)
        self.disk: Final = disk
        self.name: Final = name
        self.shared = shared
        self.lease = lease
        self._weather: Final = weather or Weather(Random(0), trio.current_time)  # noqa: S311 - luck, no secret
        self._guest: Final = guest
        self._gone = trio.Event()
        self._broken = False
        self._thaw = 0.0

    # -- what happens to it ----------------------------------------------------------------------------------

    @property
    def dead(self) -> bool:
        """Whether it was cut off."""
        return self._gone.is_set()

    def cut(self) -> None:
        """The process died: nothing of it reaches the disk any more, which is free now. Not a checkpoint."""
        self._gone.set()
        self._let_go()

    def freeze(self, seconds: float) -> None:
        """The process stands still and loses its lock: what it does then comes when it thaws. Not a checkpoint."""
        self._thaw = trio.current_time() + seconds
        self._let_go()

    def _let_go(self) -> None:
        if self.disk.owner is self:
            self.disk.owner = None

    # -- the contract ----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open: as the contract says. A checkpoint."""
        try:
            await self._call("open", self._open)
        except BaseException:
            self._let_go()
            raise
        return self

    async def _open(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._guest:
            return
        if self.lease is not None:
            self.disk.owners.renew(self.name, self.lease)
            return
        if self.disk.owner is not None:
            raise StoreInUse(f"the simulated store is owned by {self.disk.owner.name}: wait until it is free")
        self.disk.owner = self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close; not a checkpoint."""
        self._let_go()
        if not (self.dead or self._guest):
            self.disk.owners.leave(self.name)

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """As the contract says; a checkpoint. A dead process is told that nobody tried."""
        self._check("commit")
        try:
            return await self._call("commit", lambda: self._commit(writes))
        except StoreUnavailable:
            if self.dead:
                return [Rejected(_DEAD, final=False) for _ in writes]
            raise

    async def _commit(self, writes: Sequence[Write]) -> list[Outcome]:
        await trio.lowlevel.checkpoint()
        return self.disk.apply(writes, self.name)

    # -- what is whose ---------------------------------------------------------------------------------------

    async def renew(self) -> None:
        """As the contract says; a checkpoint."""
        await self._call("renew", self._open)

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says; a checkpoint."""
        stored = await super().load(run_id)
        owner = "" if stored is None or stored.row.status in TERMINAL else self._other(run_id)
        return attrs.evolve(stored, owner=owner) if stored is not None and owner else stored

    async def unfinished(self) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return [row for row in await super().unfinished() if not self._other(row.run_id)]

    async def timers(self) -> list[tuple[str, float]]:
        """As the contract says; a checkpoint."""
        return [each for each in await super().timers() if not self._other(each[0])]

    async def foreign(self, run_ids: Collection[str]) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        ours = ("", self.name)
        rows = [await self.run(run_id) for run_id in sorted(run_ids) if self.disk.owners.writer(run_id) not in ours]
        return [row for row in rows if row is not None]

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the contract says; a checkpoint."""
        if self.lease is None:
            return await super().posted(limit=limit)
        return await self._read("posted", lambda: self._given(limit))

    async def _given(self, limit: int) -> list[Posted]:
        waiting = await self.disk.posted(limit=sys.maxsize)
        return list(
            islice((each for each in waiting if self.disk.owners.gives(each, self.name)), min(limit, sys.maxsize))
        )

    async def decline(self, command_id: str) -> None:
        """As the contract says; a checkpoint."""
        await self._own("decline", lambda: self._decline(command_id))

    async def _decline(self, command_id: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.lease is not None:
            self.disk.owners.declines(command_id, self.name, self.lease)

    def _other(self, run_id: str) -> str:
        return self.disk.owners.other(run_id, self.name)

    # -- when it fails ---------------------------------------------------------------------------------------

    async def reopen(self) -> None:
        """As the contract says; a checkpoint. A dead process is told that it worked, so that it ends soon."""
        await trio.lowlevel.checkpoint()
        luck = self._weather.next(writes=False)
        if luck.fate == "fails" and not self.dead:
            raise StoreUnavailable("the simulated store is gone")
        self._broken = False

    def statistics(self) -> dict[str, Any]:
        """As the disk's."""
        return self.disk.statistics()

    # -- calls -----------------------------------------------------------------------------------------------

    async def _call(self, what: str, work: Callable[[], Awaitable[T]], *, writes: bool = True) -> T:
        await self._ready()
        luck = self._weather.next(writes=writes)
        if luck.fate or luck.delay:
            return await self._suffer(what, work, luck)
        return await work()

    async def _suffer(self, what: str, work: Callable[[], Awaitable[T]], luck: Luck) -> T:
        """Do it, or not, as luck has it."""
        done: list[T] = []
        if luck.early:
            done.append(await work())
        if luck.delay:
            with trio.move_on_after(luck.delay):
                await self._gone.wait()
        await self._ready()
        if not (done or luck.fate == "fails" or (luck.fate == "hangs" and not luck.early)):
            done.append(await work())
        if luck.fate:
            self._broken = True
            raise StoreUnavailable(f"simulated: {what} {luck.fate}")
        return done[0]

    async def _ready(self) -> None:
        """Wait while it is frozen; raise when it is dead, or waits for `reopen`. A checkpoint where it waits."""
        while trio.current_time() < self._thaw and not self.dead:
            with trio.move_on_at(self._thaw):
                await self._gone.wait()
        if self.dead:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable(_DEAD)
        if self._broken:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the simulated store failed; nothing works before `reopen`")

    def _check(self, what: str) -> None:
        if self._guest:
            raise StoreInUse(f"the simulated store was opened as a guest, which reads and posts: {what} is its owner's")


__all__ = ["SimulatedDisk", "SimulatedStore", "Trouble", "Witness"]
