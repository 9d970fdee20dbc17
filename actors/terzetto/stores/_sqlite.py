"""The default store: one SQLite file, one owner, guests beside it."""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple, get_args

import apsw
import attrs
import trio

from terzetto_protocol.errors import (
    InvalidRequest,
    StoreDamaged,
    StoreInUse,
    StoreMissing,
    StoreRejected,
    StoreUnavailable,
    describe,
)
from terzetto_protocol.records import BarrierRow, Head, Outcome, Posted, RunRow, Write
from terzetto_protocol.statuses import RunStatus

from ._checksums import UNREADABLE, Damaged, checksum, sum_blob
from ._contract import StoreHealth
from ._schema import BLOBS_SINCE, PRUNES_SINCE, SUMS_SINCE, THREADS_SINCE, Value
from ._sqlite_blobs import BlobTable
from ._sqlite_check import check_file
from ._sqlite_cut import Cutter
from ._sqlite_file import OwnerLock, Synchronous, connect, pragma, sentence
from ._sqlite_log import DATA_ERRORS, HandleLost, LogWriter
from ._sqlite_reads import Reader
from ._threaded import ThreadedStore
from ._worker import CALL_LIMIT

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_DISTRUSTED: Final = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)
"""Errors after which a connection may believe what is not on the disk."""
_POST: Final = {
    False: "insert or ignore into main.inbox (command, run, body, at, receipt) values (?, ?, ?, ?, ?)",
    True: "insert or ignore into main.inbox (command, run, body, at, receipt, crc) values (?, ?, ?, ?, ?, ?)",
}
"""By whether the file knows checksums."""
_ANSWER: Final = """
    update inbox set receipt = ?2, crc = ((crc >> 32) << 32) | ?3 where command = ?1 and receipt is null
"""


_ALL: Final = "what is stored of it"


class SqliteStore(ThreadedStore):
    """Keeps runs in a SQLite file: what it has acknowledged is on the disk, when `synchronous` is "full".

    With "normal" the death of the process loses nothing, a power failure may lose the last commits.
    One process owns the file (an operating system lock on `<file>.owner`, released by its death); a
    `guest` opens it beside the owner, reads, and posts commands. After an error that leaves in doubt
    what is on the disk, a failed sync above all, everything is refused until `reopen`.

    Every row has a checksum, over its columns and whose it is: what is not what was stored is `StoreDamaged`.
    Rows from before there were checksums have none, and are believed.

    Reads and commits share one connection and one thread. A read holds up a commit for about four
    milliseconds per thousand commits that it returns; the deep check of `health`, which takes longer,
    has a connection and a thread of its own. A child made by `fork` without `exec` shares the hold on
    the file, which then lasts until both have ended.
    """

    durable = True
    shared = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        guest: bool = False,
        vfs: str | None = None,
        limit: float = CALL_LIMIT,
    ) -> None:
        if synchronous not in get_args(Synchronous):
            raise InvalidRequest(f"synchronous is full or normal, not {synchronous!r}")
        self.path: Final = str(Path(path).absolute())
        self.guest: Final = guest
        self.synchronous: Final[Synchronous] = synchronous
        options = "" if synchronous == "full" else f"?synchronous={synchronous}"
        super().__init__(f"sqlite:{os.fspath(path)}{options}", limit=limit)
        self._vfs = vfs
        self._lock = OwnerLock(self.path)
        self._connection: apsw.Connection | None = None
        self._broken = ""
        self._inbox_seen = -1
        self._counts = {"transactions": 0, "writes": 0}

    def do_open(self) -> None:
        """Lock, connect, check; raises `StoreInUse`, `StoreTooNew`, `StoreUnavailable`, or `StoreError` if not ours."""
        try:
            if not self.guest:
                self._lock.acquire()
            self._use(self._connect(create=not self.guest))
        except (apsw.Error, OSError) as error:
            raise sentence(self.path, "opening", error) from error

    def _connect(self, *, create: bool = False) -> apsw.Connection:
        if self.guest and not Path(self.path).exists():
            raise StoreMissing(f"there is no store {self.path}: check the name, or start its owner first")
        return connect(self.path, create=create, synchronous=self.synchronous, vfs=self._vfs)

    def _use(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._writer = LogWriter(connection)
        self._reader = Reader(connection, lambda: self._knows(PRUNES_SINCE))
        self._blobs = BlobTable(connection, self._writer.transaction)
        self._cutter = Cutter(connection, self._writer.transaction)
        self._broken, self._inbox_seen = "", -1

    def do_close(self) -> None:
        """Close the connection, then give the file up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)
        self._lock.release()

    def do_reopen(self) -> None:
        """Connect anew, and only then close the old connection."""
        # In this order, because the first connection to a file reads the log from the disk, where a commit may stand
        # that failed to be synced: it would count as durable although it is not. While one connection is open, the
        # others take its word for where the log ends, and the next commit overwrites the failed one.
        try:
            old, fresh = self._connection, self._connect()
        except (apsw.Error, OSError) as error:
            raise sentence(self.path, "opening it again", error) from error
        self._use(fresh)
        if old is not None:
            _close(old)

    def do_commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """One transaction; see `LogWriter`."""
        outcomes = self._own("commit", self._writer.commit, writes)
        self._counts["transactions"] += 1
        self._counts["writes"] += len(outcomes)
        return outcomes

    def do_run(self, run_id: str) -> RunRow | None:
        """As the contract says."""
        return self._read(run_id, self._reader.run, run_id)

    def do_run_by_key(self, key: str) -> RunRow | None:
        """As the contract says."""
        return self._do("reading", self._reader.run_by_key, key)

    def do_runs(
        self, statuses: Sequence[RunStatus] | None, before: str | None, limit: int | None, thread: str | None
    ) -> list[RunRow]:
        """As the contract says."""
        if thread is not None and not self._knows(THREADS_SINCE):
            return []
        return self._do("reading", self._reader.runs, statuses, before, limit, thread)

    def do_head(self, thread: str) -> Head | None:
        """As the contract says."""
        if not self._knows(THREADS_SINCE):
            return None
        return self._do("reading", _blame, "", f"the head of thread {thread!r}", self._reader.head, thread)

    def _knows(self, since: int) -> bool:
        # A guest may look at a file that no owner has upgraded yet: no threads, no blobs, no pruned logs are in it.
        return not self.guest or self._do("reading", self._version) >= since

    def do_move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the contract says."""
        return self._own("moving a head", self._move_head, thread, expect, run_id, at)

    def _move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        try:
            return self._writer.move_head(thread, expect, run_id, at)
        except DATA_ERRORS as error:
            raise self._never(error) from error

    def do_snapshot(self, run_id: str, at: int | None) -> tuple[int, bytes] | None:
        """As the contract says."""
        return self._read(run_id, self._reader.snapshot, run_id, at)

    def do_checkpoints(self, run_id: str) -> list[int]:
        """As the contract says."""
        return self._read(run_id, self._reader.checkpoints, run_id)

    def do_records(self, run_id: str, after: int, limit: int | None) -> list[bytes]:
        """As the contract says."""
        return self._read(run_id, self._reader.records, run_id, after, limit)

    def do_records_by_event(self, run_id: str, after_event: int, limit: int | None) -> list[bytes]:
        """As the contract says."""
        return self._read(run_id, self._reader.records_by_event, run_id, after_event, limit)

    def do_barriers(self, run_id: str | None, only_open: bool) -> list[BarrierRow]:  # noqa: FBT001 - as in the contract
        """As the contract says."""
        if run_id is None:
            return self._do("reading", self._reader.barriers, None, only_open)
        return self._read(run_id, self._reader.barriers, run_id, only_open)

    def do_put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """One transaction; see `BlobTable`."""
        self._own("storing a blob", self._blobs.put_chunk, upload, number, data)

    def do_keep_blob(self, digest: str, upload: str, run_id: str, at: float) -> bool:
        """One transaction; see `BlobTable`."""
        return self._own("storing a blob", self._blobs.keep, digest, upload, run_id, at)

    def do_blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the contract says."""
        return self._do("reading", self._blobs.chunk, digest, number) if self._knows(BLOBS_SINCE) else None

    def do_sweep_blobs(self, before: float, live: Collection[str]) -> bool:
        """One transaction, and none where there is nothing to free; see `BlobTable`."""
        return self._own("sweeping", self._blobs.sweep, before, live)

    def do_prune(self, run_id: str, before: int, epoch: int, keep: Collection[int], closed_before: float) -> int:
        """One transaction; see `Cutter`."""
        return self._own("prune", _blame, run_id, _ALL, self._cutter.prune, run_id, before, epoch, keep, closed_before)

    def do_delete(self, run_id: str, epoch: int) -> int:
        """One transaction; see `Cutter`."""
        return self._own("delete", _blame, run_id, _ALL, self._cutter.delete, run_id, epoch)

    def do_post(self, command: Posted) -> None:
        """As the contract says; the one thing that a guest writes."""
        said = (command.command_id, command.run_id, command.body, command.at, command.receipt)
        self._do("posting", self._post, said)
        self._inbox_seen = -1

    def _post(self, said: tuple[str, str, bytes, float, bytes | None]) -> None:
        command_id, run_id, body, at, receipt = said
        sums = self._knows(SUMS_SINCE)
        try:
            crc = checksum(receipt or b"", command_id, run_id, float(at), body)
        except DATA_ERRORS as error:
            raise self._never(error) from error
        self._execute(_POST[sums], (*said, crc) if sums else said)

    def do_posted(self, limit: int) -> list[Posted]:
        """As the contract says; costs no query while nothing was posted since the last time nothing was waiting."""
        return self._do("reading", self._posted, limit)

    def _posted(self, limit: int) -> list[Posted]:
        # The number changes whenever another connection has written, and posting through this one forgets it.
        version = int(pragma(self._open_connection, "data_version"))
        if version == self._inbox_seen:
            return []
        commands = self._reader.posted(limit)
        self._inbox_seen = -1 if commands or limit < 1 else version
        return commands

    def do_answer(self, command_id: str, receipt: bytes) -> None:
        """As the contract says."""
        self._own("answering", self._execute, _ANSWER, (command_id, receipt, sum_blob(receipt)))

    def do_receipt(self, command_id: str) -> bytes | None:
        """As the contract says."""
        return self._do("reading", _blame, "", f"command {command_id!r}", self._reader.receipt, command_id)

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the contract says; a checkpoint. A cancelled deep check stops; commits go on meanwhile."""
        health = await super().health()
        if not deep:
            return health
        found = await trio.to_thread.run_sync(self._check)
        return attrs.evolve(health, problems=(*health.problems, *found))

    def _check(self) -> list[str]:
        # In a thread of Trio's, on a connection of its own.
        try:
            connection = self._connect()
            try:
                return check_file(connection, trio.from_thread.check_cancelled)
            finally:
                connection.close()
        except apsw.Error as error:
            return [str(sentence(self.path, "checking", error))]

    def do_health(self, deep: bool) -> StoreHealth:  # noqa: FBT001 - as in the contract
        """What costs nothing to ask; answers also when the connection is distrusted."""
        problems = (self._broken,) if self._broken else ()
        details = [("owner", "no, a guest" if self.guest else f"process {os.getpid()}")]
        if not self._broken:
            details += self._do("reading", self._details)
        version = 0 if self._broken else self._do("reading", self._version)
        return StoreHealth(self.url, durable=True, version=version, problems=problems, details=tuple(details))

    def _version(self) -> int:
        return int(pragma(self._open_connection, "user_version"))

    def _details(self) -> list[tuple[str, str]]:
        connection = self._open_connection
        size = int(pragma(connection, "page_count")) * int(pragma(connection, "page_size"))
        level = ("OFF", "NORMAL", "FULL", "EXTRA")[int(pragma(connection, "synchronous"))]
        return [
            ("journal_mode", str(pragma(connection, "journal_mode"))),
            ("synchronous", level),
            ("sqlite", apsw.sqlite_lib_version()),
            ("bytes", str(size)),
        ]

    def statistics(self) -> dict[str, Any]:
        """Transactions, and the writes that they answered, since the store was made."""
        return dict(self._counts)

    @property
    def _open_connection(self) -> apsw.Connection:
        assert self._connection is not None, "do_open comes first"
        return self._connection

    def _execute(self, statement: str, values: tuple[Value, ...]) -> None:
        try:
            self._open_connection.execute(statement, values)
        except DATA_ERRORS as error:
            raise self._never(error) from error

    def _never(self, error: Exception) -> StoreRejected:
        return StoreRejected(f"store {self.path} will never take this: {describe(error)}")

    def _read(self, run_id: str, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        return self._do("reading", _blame, run_id, _ALL, fn, *args)

    def _own(self, what: str, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        if self.guest:
            raise StoreInUse(
                f"store {self.path} was opened as a guest, which reads and posts commands: {what} is its owner's"
            )
        return self._do(what, fn, *args)

    def _do(self, what: str, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        if self._broken:
            raise StoreUnavailable(self._broken)
        try:
            return fn(*args)
        except Damaged as damage:
            raise StoreDamaged(self.path, damage.run_id, damage.place, damage.reason) from damage
        except HandleLost as lost:
            raise self._distrust(what, lost.error) from lost.error
        except _DISTRUSTED as error:
            raise self._distrust(what, error) from error
        except (apsw.Error, *UNREADABLE) as error:
            raise sentence(self.path, what, error) from error

    def _distrust(self, what: str, error: Exception) -> StoreUnavailable:
        self._broken = f"{sentence(self.path, what, error)}; nothing is trusted to this connection until `reopen`"
        return StoreUnavailable(self._broken)


def _blame(run_id: str, place: str, fn: Callable[[*Ts], T], *args: *Ts) -> T:
    # What is damaged is of one run, and the connection is as good as before: only that run is none the better for it.
    try:
        return fn(*args)
    except (apsw.CorruptError, *UNREADABLE) as error:
        raise Damaged(run_id, place, describe(error)) from error


def _close(connection: apsw.Connection) -> None:
    # The last connection tidies up when it closes. If the disk fails then, the log stays, with all that was
    # acknowledged, and whoever opens the file next tidies up instead.
    with suppress(apsw.Error):
        connection.close()
