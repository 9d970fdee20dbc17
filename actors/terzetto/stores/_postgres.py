"""The store that many processes share: a schema in a Postgres database."""

from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import attrs
import psycopg
import trio

from terzetto_protocol.errors import (
    StoreError,
    StoreInUse,
    StoreUnavailable,
)
from terzetto_protocol.records import BarrierRow, Head, Outcome, Posted, RunRow, Write
from terzetto_protocol.statuses import RunStatus

from . import (
    _postgres_blobs as blobs,
    _postgres_cut as cut,
    _postgres_inbox as inbox,
    _postgres_log as log,
    _postgres_owners as owners,
    _postgres_reads as reads,
    _postgres_runs as rows,
    _postgres_threads as threads,
)
from ._contract import Store, StoredRun, StoreHealth
from ._postgres_check import check_tables
from ._postgres_lane import Lane
from ._postgres_link import connect, sentence
from ._postgres_listener import Listener, channel_of
from ._postgres_schema import Connected, check_version, migrate, version_of
from ._postgres_settings import LEASE, SCHEMA, Settings
from ._worker import CALL_LIMIT

P = ParamSpec("P")
T = TypeVar("T")

_SIDES: Final = 2
"""Lanes for all that is no commit."""
_DETAILS: Final = """
    select current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_version'),
        current_setting('server_encoding'), (select count(*) from owners where expires > clock_timestamp()),
        (select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class
            where relkind = 'r' and relnamespace = to_regnamespace(quote_ident(%(schema)s)))
"""


class PostgresStore(Store):
    """Keeps runs in a schema of a Postgres database: what it has acknowledged is on the server's disk.

    Many may open it at once. Each is an owner with a lease by the server's clock, which `renew` prolongs; what a run
    is worth to whom, the epoch decides, in the transaction that writes. A `guest` reads, and posts commands.
    `durable` is False where the server was told not to wait for its disk (`synchronous_commit` or `fsync` is off).

    Commits have a connection and a thread of their own, so that nothing else holds them up; two more answer
    questions, and one listens for commands. A call that does not end in `limit` seconds is cut off, and
    `StoreUnavailable`; whoever calls next is connected anew, and so is everybody after `reopen`.

    Args:
        conninfo: how libpq is told where to connect: a URL or words.
        schema: where the tables are; the first owner makes them.
        lease: seconds.
        guest: beside the owners.
        limit: seconds that a call may take.
    """

    shared = True

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = SCHEMA,
        lease: float = LEASE,
        guest: bool = False,
        limit: float = CALL_LIMIT,
    ) -> None:
        self._settings: Final = Settings.check(conninfo, schema, lease)
        self.url: Final = self._settings.url
        self.guest: Final = guest
        self.durable: bool = True
        self.lease: float | None = lease
        self._limit = limit
        self._me = ""
        self._lanes: list[Lane] = []
        self._counts = {"transactions": 0, "writes": 0}

    def _connect(self) -> Connected:
        return connect(self._settings.conninfo, self._settings.schema, self._limit)

    async def __aenter__(self) -> Self:
        """Open, and make or upgrade the tables if this is an owner; a checkpoint."""
        if self._lanes:
            raise StoreError(f"store {self.url} is open already, or a thread of it still hangs in an earlier call")
        self._me = "" if self.guest else owners.new_name()
        self._lanes = [Lane(self.url, self._connect, self._limit) for _ in range(1 + _SIDES)]
        self._listener = Listener(self._connect, channel_of(self._settings.schema))
        for lane in self._lanes:
            lane.start()
        try:
            await self._lanes[0].call("opening", self._open)
        except BaseException:
            await self._close()  # noqa: ASYNC102 - the lanes shield and bound it
            raise
        return self

    def _open(self, link: Connected) -> None:
        schema = self._settings.schema
        version = version_of(link, schema)
        if self.guest:
            check_version(version, self.url)
        else:
            migrate(link, schema, self.url)
        [(synchronous, fsync)] = link.execute(
            "select current_setting('synchronous_commit'), current_setting('fsync')"
        ).fetchall()
        self.durable = synchronous != "off" and fsync == "on"
        self._join(link)

    def _join(self, link: Connected) -> None:
        if not self.guest:
            owners.join(link, self._me, self.lease or 0.0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close; a checkpoint, shielded and bounded. Calls that are running end first, and the runs are anybody's."""
        await self._close()  # noqa: ASYNC102 - the lanes shield and bound it

    async def _close(self) -> None:
        self._listener.close()
        hangs: StoreUnavailable | None = None
        for lane in reversed(self._lanes):
            try:
                await lane.close(self._leave if lane is self._lanes[0] else None)
            except StoreUnavailable as error:  # the others end all the same
                hangs = error
        if hangs is not None:
            raise hangs  # its thread keeps its place: its late end must not meet new connections
        self._lanes = []

    def _leave(self, link: Connected) -> None:
        if not self.guest:
            owners.leave(link, self._me)

    async def reopen(self) -> None:
        """As the contract says; a checkpoint."""
        for lane in self._open_lanes():
            await lane.drop()
        await self._lanes[0].call("opening it again", self._join)

    # -- writing -------------------------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """As the contract says; a checkpoint."""
        self._own("commit")
        outcomes = await self._open_lanes()[0].call("commit", log.commit, writes, self._me)
        self._counts["transactions"] += 1
        self._counts["writes"] += len(outcomes)
        return outcomes

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says; a checkpoint."""
        self._own("moving a head")
        return await self._ask("moving a head", threads.move_head, thread, expect, run_id, at)

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the contract says; a checkpoint."""
        self._own("prune")
        return await self._ask("prune", cut.prune, run_id, before, epoch, keep, closed_before)

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the contract says; a checkpoint."""
        self._own("delete")
        return await self._ask("delete", cut.delete, run_id, epoch)

    async def renew(self) -> None:
        """As the contract says; a checkpoint."""
        await self._ask("renewing", self._renew)

    def _renew(self, link: Connected) -> None:
        if not self.guest:
            owners.renew(link, self._me, self.lease or 0.0)

    # -- reading -------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        return await self._read(rows.read_run, run_id)

    async def load(self, run_id: str) -> StoredRun | None:
        """As the contract says, of one moment; a checkpoint."""
        return await self._read(reads.load, run_id, self._me)

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the contract says; a checkpoint."""
        return await self._read(rows.read_run_by_key, key)

    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return await self._read(rows.read_runs, statuses, before, limit, thread)

    async def unfinished(self) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return await self._read(rows.read_unfinished, self._me)

    async def foreign(self, run_ids: Collection[str]) -> list[RunRow]:
        """As the contract says; a checkpoint."""
        return await self._read(rows.read_foreign, run_ids, self._me)

    async def timers(self) -> list[tuple[str, float]]:
        """As the contract says, without a look at what has no timer; a checkpoint."""
        return await self._read(rows.read_timers, self._me)

    async def head(self, thread: str) -> Head | None:
        """As the contract says; a checkpoint."""
        return await self._read(threads.head, thread)

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the contract says; a checkpoint."""
        return await self._read(reads.snapshot, run_id, at)

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the contract says; a checkpoint."""
        return await self._read(reads.checkpoints, run_id)

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        return await self._read(reads.records, run_id, after, limit)

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the contract says; a checkpoint."""
        return await self._read(reads.records_by_event, run_id, after_event, limit)

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the contract says; a checkpoint."""
        return await self._read(reads.barriers, run_id, only_open=only_open)

    # -- blobs ---------------------------------------------------------------------------------------------------

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """As the contract says; a checkpoint."""
        self._own("storing a blob")
        await self._ask("storing a blob", blobs.put_chunk, upload, number, data, self._me)

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the contract says; a checkpoint."""
        self._own("storing a blob")
        return await self._ask("storing a blob", blobs.keep, digest, upload, run_id, at)

    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the contract says; a checkpoint."""
        return await self._read(blobs.chunk, digest, number)

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the contract says; a checkpoint."""
        self._own("sweeping")
        return await self._ask("sweeping", blobs.sweep, before, live, self._me)

    # -- commands ------------------------------------------------------------------------------------------------

    async def post(self, command: Posted) -> None:
        """As the contract says; a checkpoint. Owners that wait for commands hear of it."""
        await self._ask("posting", inbox.post, command, channel_of(self._settings.schema))

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the contract says; a checkpoint. A guest sees all of them."""
        return await self._read(inbox.posted, limit, self._me)

    async def decline(self, command_id: str) -> None:
        """As the contract says; a checkpoint."""
        self._own("declining")
        await self._ask("declining", inbox.decline, command_id, self._me, self.lease or 0.0)

    async def wait_posted(self, seconds: float) -> None:
        """As the contract says, and no later than a command is there; a checkpoint."""
        self._open_lanes()
        await self._listener.wait(seconds)

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """As the contract says; a checkpoint."""
        self._own("answering")
        await self._ask("answering", inbox.answer, command_id, receipt)

    async def receipt(self, command_id: str) -> bytes | None:
        """As the contract says; a checkpoint."""
        return await self._read(inbox.receipt, command_id)

    # -- health --------------------------------------------------------------------------------------------------

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says; a checkpoint. A cancelled deep check stops; commits go on meanwhile."""
        try:
            version, details = await self._read(self._details)
        except StoreUnavailable as error:
            return StoreHealth(self.url, durable=self.durable, version=0, problems=(str(error),))
        health = StoreHealth(self.url, durable=self.durable, version=version, details=tuple(details))
        if not deep:
            return health
        return attrs.evolve(health, problems=tuple(await trio.to_thread.run_sync(self._check)))

    def _check(self) -> list[str]:
        # In a thread of Trio's, on a connection of its own.
        try:
            with self._connect() as link:
                return check_tables(link, trio.from_thread.check_cancelled)
        except psycopg.Error as error:
            return [str(sentence(self.url, "checking", error))]

    def _details(self, link: Connected) -> tuple[int, list[tuple[str, str]]]:
        schema = self._settings.schema
        [(synchronous, fsync, server, encoding, living, size)] = link.execute(_DETAILS, {"schema": schema}).fetchall()
        return version_of(link, schema), [
            ("owner", "no, a guest" if self.guest else self._me),
            ("owners", str(living)),
            ("lease", f"{self.lease:g} s"),
            ("synchronous_commit", synchronous),
            ("fsync", fsync),
            ("postgres", server),
            ("encoding", encoding),
            ("bytes", str(size)),
        ]

    def statistics(self) -> dict[str, Any]:
        """Transactions, and the writes that they answered, since the store was made."""
        return dict(self._counts)

    # -- lanes ---------------------------------------------------------------------------------------------------

    def _open_lanes(self) -> list[Lane]:
        if not self._lanes:
            raise StoreError(f"store {self.url} is not open: use `async with`")
        return self._lanes

    def _own(self, what: str) -> None:
        if self.guest:
            raise StoreInUse(
                f"store {self.url} was opened as a guest, which reads and posts commands: {what} is for its owners"
            )

    async def _ask(self, what: str, fn: Callable[Concatenate[Connected, P], T], *args: P.args, **kw: P.kwargs) -> T:
        return await self._side().call(what, fn, *args, **kw)

    async def _read(self, fn: Callable[Concatenate[Connected, P], T], *args: P.args, **kw: P.kwargs) -> T:
        return await self._side().read("reading", fn, *args, **kw)

    def _side(self) -> Lane:
        return min(self._open_lanes()[1:], key=lambda each: each.waiting)
