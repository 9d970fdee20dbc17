"""The store on a Redis server: many owners, many processes, many machines."""

import os
import socket
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import uuid4

import attrs
import trio

from terzetto_protocol.errors import StoreDamaged, StoreError, StoreInUse, StoreRejected, StoreUnavailable, describe
from terzetto_protocol.records import BarrierRow, Head, Outcome, Posted, RunRow, Write
from terzetto_protocol.statuses import RunStatus

from ._checksums import Damaged
from ._contract import UNFINISHED, Store, StoredRun, StoreHealth
from ._redis_blobs import Blobs
from ._redis_check import check
from ._redis_cut import Cutter
from ._redis_inbox import Inbox
from ._redis_place import LEASE, read_place
from ._redis_reads import Reader
from ._redis_scripts import Argument, scripts
from ._redis_writes import GroupWriter

if TYPE_CHECKING:
    from ._redis_bell import Bell
    from ._redis_greeting import Greeting
    from ._redis_line import Line

REDIS_LIMIT: Final = 10.0
"""How long a call may take before its caller gives up on it, seconds."""
CLOSE_LIMIT: Final = 2.0
"""How long closing waits for a server to take note that this owner is gone, seconds."""


class RedisStore(Store):
    """Keeps runs on a Redis (or Valkey) server that many processes share: what it has acknowledged the server has.

    It is `durable` where the server says that what it has answered is on its disk (`appendonly yes`, `appendfsync
    always`, `no-appendfsync-on-rewrite no`), and else it is not, and says so. A server that evicts keys is refused.

    Each open store is an owner, whose runs are its own until it closes or has not renewed its `lease`; the epoch of a
    run decides, in the script that writes, which of two owners may. A `guest` reads, and posts commands.

    A group of writes is one script, which the server runs whole or not at all. All keys are in one slot of a cluster.
    What has vanished from the server (keys that somebody deleted, a database that was emptied) is never taken for what
    was never there: `StoreDamaged` where it concerns one run, else `StoreUnavailable`, until a copy is restored.

    Args:
        url: `redis://user:password@host:port/db?prefix=terzetto:&ttl=SECONDS&lease=15`, or `rediss://` for TLS; all but
            the host may be left out. With `ttl`, a run is forgotten so long after it has ended (or, where it is the
            head of a thread, after another is).
        guest: open beside the owners, to read and to post commands.
        limit: time that a call may take, seconds.
    """

    durable = False
    shared = True

    def __init__(self, url: str, *, guest: bool = False, limit: float = REDIS_LIMIT) -> None:
        self._place: Final = read_place(url)
        self.url: Final = self._place.url
        self.guest: Final = guest
        self.lease: float | None = self._place.lease
        self._limit = limit
        self._owner = ""
        self._nursery: trio.Nursery | None = None
        self._tree: Any = None
        self._line: Line | None = None
        self._bell: Bell | None = None
        self._greeting: Greeting | None = None
        self._reader, self._inbox = Reader(self._ask), Inbox(self._ask)
        self._blobs, self._cutter = Blobs(self._ask), Cutter(self._ask)
        self._writer = GroupWriter(self._ask, self.url, round((self._place.ttl or 0) * 1000))
        self._counts = {"transactions": 0, "writes": 0}

    # -- opening and closing --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Connect, look, become an owner; a checkpoint. Cancelled or failed, it leaves nothing behind.

        Raises:
            StoreError: the server evicts keys, or the keys are not a store's.
        """
        line_type, bell_type, greeting_type = _driver()
        if self._line is not None:
            raise StoreError(f"store {self.url} is open already")
        self._greeting = greeting_type(self._place, guest=self.guest)
        self._owner = "" if self.guest else f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:12]}"
        self._tree = trio.open_nursery()
        self._nursery = nursery = await self._tree.__aenter__()
        try:
            self._line = line_type(self._place, self._limit, nursery, self._greeting)
            self._bell = bell_type(
                line_type(self._place, self._limit, nursery, _no_greeting), self._place.base + "bell"
            )
            await self._find()
        except BaseException:
            await self._leave()  # noqa: ASYNC102 - it is bounded, and its nursery is shielded
            raise
        return self

    async def _find(self) -> None:
        assert self._line is not None, "it was made"
        assert self._greeting is not None, "it was made"
        await self._line.call(b"PING")
        self.durable = self._greeting.settings is not None and self._greeting.settings.durable
        await self.renew()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give the runs free, and close; a checkpoint, shielded and bounded."""
        try:
            with suppress(StoreError):  # then they are free when the lease ends
                with trio.CancelScope(deadline=trio.current_time() + min(self._limit, CLOSE_LIMIT), shield=True):
                    await self._end_lease()
        finally:
            await self._leave()  # noqa: ASYNC102 - its nursery is shielded

    async def _leave(self) -> None:
        assert self._nursery is not None, "it was opened"
        for each in (self._line, self._bell):
            if each is not None:
                each.close()
        self._line = self._bell = None
        # The nursery is told of no error: nothing of what lives in it is worth a group around what the caller raised.
        self._nursery.cancel_scope.shield = True
        self._nursery.cancel_scope.cancel()
        await self._tree.__aexit__(None, None, None)

    async def reopen(self) -> None:
        """Connect anew, and see that the same store is there; a checkpoint."""
        self._own_line.drop()
        await self._own_line.call(b"PING")
        await self.renew()

    @property
    def _own_line(self) -> "Line":
        if self._line is None:
            raise StoreError(f"store {self.url} is not open: use `async with`")
        return self._line

    async def _ask(self, name: str, *args: Argument) -> Any:
        line, greeting = self._own_line, self._greeting
        assert greeting is not None, "it is open"
        return await line.run(scripts()[name], self._place.base, greeting.incarnation, self._owner, *args)

    @contextmanager
    def _blaming(self) -> Generator[None]:
        try:
            yield
        except Damaged as damage:
            raise StoreDamaged(self.url, damage.run_id, damage.place, damage.reason) from damage
        except UnicodeEncodeError as error:
            raise StoreRejected(f"store {self.url} will never take this: {describe(error)}") from error

    @contextmanager
    def _listing(self) -> Generator[None]:
        # What is damaged is a list, or nobody knows whose it is: then no list is better than a short one.
        try:
            with self._blaming():
                yield
        except StoreDamaged as damage:
            raise StoreUnavailable(str(damage)) from damage

    @contextmanager
    def _owning(self, what: str) -> Generator[None]:
        if self.guest:
            raise StoreInUse(
                f"store {self.url} was opened as a guest, which reads and posts commands: {what} is an owner's"
            )
        with self._blaming():
            yield

    # -- owners -----------------------------------------------------------------------------------------------------

    async def renew(self) -> None:
        """As the contract says; a checkpoint."""
        if self.guest:
            await trio.lowlevel.checkpoint()
        else:
            await self._ask("renew", self._lease_in_ms())

    def _lease_in_ms(self) -> int:
        return max(1, round((self.lease or LEASE) * 1000))

    async def _end_lease(self) -> None:
        if not self.guest:
            await self._ask("renew", 0)

    async def unfinished(self) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        with self._listing():
            return await self._reader.runs(UNFINISHED, free=True)

    async def foreign(self, run_ids: Collection[str]) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        with self._listing():
            return await self._reader.foreign(run_ids)

    async def timers(self) -> list[tuple[str, float]]:
        """As the contract says, with a look at those runs alone that have one; a checkpoint."""
        with self._listing():
            return await self._reader.timers()

    # -- runs -------------------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """As the contract says, in one script; a checkpoint."""
        with self._owning("commit"):
            outcomes = await self._writer.commit(writes)
        self._counts["transactions"] += 1
        self._counts["writes"] += len(outcomes)
        return outcomes

    async def run(self, run_id: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.run(run_id)

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says, in one script; a checkpoint."""
        with self._blaming():
            return await self._reader.load(run_id)

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.run_by_key(key)

    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """As the contract says, page by page; a checkpoint."""
        with self._listing():
            return await self._reader.runs(statuses, before, limit, thread)

    async def head(self, thread: str) -> Head | None:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.head(thread)

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says; a checkpoint."""
        with self._owning("moving a head"):
            return await self._writer.move_head(thread, expect, run_id, at)

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.snapshot(run_id, at)

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.checkpoints(run_id)

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.records(run_id, after, limit)

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.records(run_id, 0, limit, after_event)

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._reader.barriers(run_id, only_open=only_open)

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint."""
        with self._owning("prune"):
            return await self._cutter.prune(run_id, before, epoch, keep, closed_before)

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint."""
        with self._owning("delete"):
            return await self._cutter.delete(run_id, epoch)

    # -- blobs ------------------------------------------------------------------------------------------------------

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """As the contract says; a checkpoint."""
        with self._owning("storing a blob"):
            await self._blobs.put_chunk(upload, number, data)

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the contract says; a checkpoint."""
        with self._owning("storing a blob"):
            return await self._blobs.keep(digest, upload, run_id, at)

    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._blobs.chunk(digest, number)

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the contract says; a checkpoint."""
        with self._owning("sweeping"):
            return await self._blobs.sweep(before, live)

    # -- commands ---------------------------------------------------------------------------------------------------

    async def post(self, command: Posted) -> None:
        """As the contract says; the one thing that a guest writes. A checkpoint."""
        with self._blaming():
            await self._inbox.post(command)

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the contract says; a guest is told of all, and given none. A checkpoint."""
        with self._listing():
            return await self._inbox.posted(limit)

    async def decline(self, command_id: str) -> None:
        """As the contract says; a checkpoint."""
        with self._owning("declining"):
            await self._inbox.decline(command_id, self._lease_in_ms())

    async def wait_posted(self, seconds: float) -> None:
        """As the contract says: the server tells. A checkpoint."""
        if self._bell is None:
            raise StoreError(f"store {self.url} is not open: use `async with`")
        await self._bell.wait(seconds)

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """As the contract says; a checkpoint."""
        with self._owning("answering"):
            await self._inbox.answer(command_id, receipt)

    async def receipt(self, command_id: str) -> bytes | None:
        """As the contract says; a checkpoint."""
        with self._blaming():
            return await self._inbox.receipt(command_id)

    # -- health -----------------------------------------------------------------------------------------------------

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says, also of a server that is gone; a checkpoint. A deep check asks run by run."""
        health = self._told()
        try:
            sizes = await self._ask("sizes")
            problems = await check(self._ask, self._reader, sizes[0]) if deep else []
        except StoreUnavailable as error:
            return attrs.evolve(health, problems=(str(error),))
        counts = dict(zip(sizes[1][::2], sizes[1][1::2], strict=True))
        more = (("owners", str(sizes[2])), ("runs", str(counts.get(b"runs", 0))))
        return attrs.evolve(health, problems=tuple(problems), details=(*health.details, *more))

    def _told(self) -> StoreHealth:
        greeting = self._greeting
        if self._line is None or greeting is None or greeting.settings is None:
            raise StoreError(f"store {self.url} is not open: use `async with`")
        settings = greeting.settings
        details = [("owner", "no, a guest" if self.guest else self._owner), ("server", settings.server)]
        details += [*settings.said.items(), ("maxmemory-policy", settings.policy)]
        if settings.note:
            details.append(("durable", settings.note))
        details.append(("lease", f"{self.lease or LEASE:g} s"))
        if self._place.ttl is not None:
            details.append(("ttl", f"{self._place.ttl:g} s"))
        return StoreHealth(self.url, durable=self.durable, version=greeting.version, details=tuple(details))

    def statistics(self) -> dict[str, Any]:
        """Transactions, and the writes that they answered, since the store was made."""
        return dict(self._counts)


async def _no_greeting(_: object) -> None:
    await trio.lowlevel.checkpoint()


def _driver() -> "tuple[type[Line], type[Bell], type[Greeting]]":
    # Loading the driver takes most of a second, so it is loaded by those who open a store, and by nobody else.
    try:
        from ._redis_bell import Bell
        from ._redis_greeting import Greeting
        from ._redis_line import Line
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "coredis":
            raise
        raise ImportError("a Redis store needs coredis: pip install 'terzetto[redis]'", name=error.name) from error
    return Line, Bell, Greeting
