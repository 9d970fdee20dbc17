"""A shelf in one SQLite file, which any number of processes may use at the same time."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, TypeVar, final

import apsw

from terzetto_protocol.errors import StoreError, StoreTooNew

from ..stores._sqlite_file import BUSY, OLDEST_SQLITE, Synchronous, pragma, sentence
from ._contract import AFTER, Row, pack, unpack
from ._hops import check_process

T = TypeVar("T")

APPLICATION_ID: Final = 0x74727A73
"""What the file says it is ("trzs"), so that another program's database, or a store of runs, is never touched."""
VERSION: Final = 1
# With row ids: rows are appended, and only the index is in the order of the keys, so that a commit dirties few pages.
_TABLE: Final = "create table rows (key blob not null primary key, value blob not null) strict"
_PUT: Final = "insert into rows values (?, ?) on conflict do update set value = excluded.value"
_INSERT: Final = "insert into rows values (?, ?) on conflict do nothing"
_DELETE: Final = "delete from rows where key = ?"
_CLEAR: Final = "delete from rows where key >= ? and key < ? returning key"
_SCAN: Final = "select key, value from rows where key >= ? and key < ? order by key limit ?"
_SCAN_BACK: Final = "select key, value from rows where key >= ? and key < ? order by key desc limit ?"


class _Change:
    """Rows on their way to the file, from a thread that waits for them."""

    __slots__ = ("deletes", "error", "inserts", "is_done", "puts")

    def __init__(self, puts: Sequence[Row], inserts: Sequence[Row], deletes: Sequence[bytes]) -> None:
        self.puts, self.inserts, self.deletes = puts, inserts, deletes
        self.is_done = False
        self.error: Exception | None = None

    def make(self, connection: apsw.Connection) -> None:
        if self.puts:
            connection.executemany(_PUT, self.puts)
        if self.inserts:
            connection.executemany(_INSERT, self.inserts)
        if self.deletes:
            connection.executemany(_DELETE, [(key,) for key in self.deletes])


@final
class SqliteShelf:
    """Keeps rows in a file of their own, durable when a call returns.

    With `normal` the last ones may be lost in a power cut, and none by `kill -9`.

    Threads that write at the same time share a transaction: whoever comes while one is made durable
    waits, and the first of those writes for all of them.
    """

    blocks = True

    def __init__(self, path: str, *, synchronous: Synchronous = "full") -> None:
        self.path = path
        self._writing, self._reading = Lock(), Lock()
        self._waiting: deque[_Change] = deque()
        self._closed = False
        self._opened_in = os.getpid()
        with self._said("opening it"):
            self._writer = _connect(path, synchronous)
            try:
                self._reader = apsw.Connection(path, apsw.SQLITE_OPEN_READONLY)
                self._reader.set_busy_timeout(int(BUSY * 1000))
            except BaseException:
                self._writer.close()
                raise

    def apply(self, room: str, puts: Sequence[Row], inserts: Sequence[Row] = (), deletes: Sequence[bytes] = ()) -> None:
        """Write, insert and delete, in one transaction, which others may share."""
        check_process(self._opened_in)
        prefix = pack(room)
        change = _Change(
            [(prefix + key, value) for key, value in puts],
            [(prefix + key, value) for key, value in inserts],
            [prefix + key for key in deletes],
        )
        self._waiting.append(change)
        with self._writing:
            if not change.is_done:
                self._write_all()
        if change.error is not None:
            with self._said("writing"):
                raise change.error

    def _write_all(self) -> None:
        # Called with `_writing` held. What an interrupt leaves undone is put back for the threads that wait for it.
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            try:
                self._commit(batch)
            except Exception:  # noqa: BLE001 - each is tried alone, and told what is wrong with it
                for change in batch:
                    self._commit_alone(change)
        except BaseException:
            self._waiting.extendleft(change for change in reversed(batch) if not change.is_done)
            raise

    def _commit(self, batch: Sequence[_Change]) -> None:
        with self._transaction():
            for change in batch:
                change.make(self._writer)
        for change in batch:
            change.is_done = True

    def _commit_alone(self, change: _Change) -> None:
        try:
            self._commit([change])
        except Exception as error:  # noqa: BLE001 - it is raised where the change came from
            change.error, change.is_done = error, True

    @contextmanager
    def _transaction(self) -> Generator[None]:
        if self._closed:
            raise StoreError(f"store {self.path} is closed")
        self._writer.execute("begin immediate")
        try:
            yield
            self._writer.execute("commit")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("rollback")
            raise

    def read(self, room: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, all as of one moment."""
        prefix = pack(room)

        def look(connection: apsw.Connection) -> list[bytes | None]:
            with _one_moment(connection):
                return [_value(connection, prefix + key) for key in keys]

        return self._read(look)

    def scan(
        self, room: str, first: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows of a range."""
        prefix, query = pack(room), _SCAN_BACK if reverse else _SCAN
        bounds = (prefix + first, prefix + end, -1 if limit is None else limit)
        found: list[Any] = self._read(lambda connection: connection.execute(query, bounds).fetchall())
        return [(key[len(prefix) :], value) for key, value in found]

    def keys(self, room: str, first: bytes, end: bytes) -> list[bytes]:
        """Keys of a range."""
        prefix = pack(room)
        bounds = prefix + first, prefix + end
        query = "select key from rows where key >= ? and key < ? order by key"
        found: list[Any] = self._read(lambda connection: connection.execute(query, bounds).fetchall())
        return [key[len(prefix) :] for (key,) in found]

    def rooms(self) -> list[str]:
        """All rooms: one step of the index each, however many rows they have."""

        def look(connection: apsw.Connection) -> list[str]:
            rooms, after = list[str](), b""
            while row := connection.execute("select key from rows where key >= ? order by key", (after,)).fetchone():
                key: Any = row[0]
                after = key[: _end_of_room(key)]
                rooms += unpack(after)
                after += AFTER
            return rooms

        return self._read(look)

    def clear(self, room: str) -> list[bytes]:
        """Delete the rows of a room, in one transaction."""
        check_process(self._opened_in)
        prefix = pack(room)
        with self._writing, self._said("deleting"), self._transaction():
            gone: list[Any] = self._writer.execute(_CLEAR, (prefix, prefix + AFTER)).fetchall()
        return [key[len(prefix) :] for (key,) in gone]

    def close(self) -> None:
        """Close the file, when the calls that run have ended; in a forked process it is the other's, and stays."""
        if os.getpid() != self._opened_in:
            return
        with self._writing, self._reading:
            if not self._closed:
                self._closed = True
                self._reader.close()
                self._writer.close()

    def _read(self, look: Callable[[apsw.Connection], T]) -> T:
        check_process(self._opened_in)
        with self._reading, self._said("reading"):
            if self._closed:
                raise StoreError(f"store {self.path} is closed")
            return look(self._reader)

    @contextmanager
    def _said(self, what: str) -> Generator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise sentence(self.path, what, error) from error


@contextmanager
def _one_moment(connection: apsw.Connection) -> Generator[None]:
    with connection:
        yield


def _value(connection: apsw.Connection, key: bytes) -> bytes | None:
    row: Any = connection.execute("select value from rows where key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def _end_of_room(key: bytes) -> int:
    end = key.index(b"\0")
    while key[end + 1 : end + 2] == b"\xff":
        end = key.index(b"\0", end + 1)
    return end + 1


def _connect(path: str, synchronous: Synchronous) -> apsw.Connection:
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise StoreError(f"SQLite {apsw.sqlite_lib_version()} may damage files that two processes use: update apsw")
    connection = apsw.Connection(path)
    try:
        connection.set_busy_timeout(int(BUSY * 1000))
        _identify(connection, path)
        if pragma(connection, "journal_mode=wal") != "wal":
            raise StoreError(f"{path} cannot be in WAL mode: its file system has no shared memory")
        connection.execute(f"pragma synchronous={synchronous}")
        _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _identify(connection: apsw.Connection, path: str) -> None:
    # Nothing is written before it is known that the file is ours to write.
    if pragma(connection, "application_id") == APPLICATION_ID:
        version = pragma(connection, "user_version")
        if int(version) > VERSION:
            raise StoreTooNew(f"{path} was written by a newer Terzetto (shelf {version}, this one knows {VERSION})")
    elif pragma(connection, "application_id") or pragma(connection, "schema_version"):
        raise StoreError(
            f"{path} is another program's SQLite database, or a store of runs; nothing was changed: "
            "checkpoints of LangGraph have a file of their own"
        )


def _create(connection: apsw.Connection) -> None:
    # One transaction, and it looks again: two processes may find the same empty file.
    if not pragma(connection, "application_id"):
        connection.execute("begin immediate")
        if not pragma(connection, "application_id"):
            connection.execute(_TABLE)
            connection.execute(f"pragma user_version={VERSION}")
            connection.execute(f"pragma application_id={APPLICATION_ID}")
        connection.execute("commit")
