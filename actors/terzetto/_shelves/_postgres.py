"""A shelf in one table of a Postgres database, which any number of processes may use at the same time."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeVar, final
from weakref import finalize

import psycopg
from psycopg import Connection, errors, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from terzetto_protocol.errors import InvalidRequest, StoreError, StoreRejected, StoreUnavailable

from ._contract import Row, pack, unpack
from ._hops import check_process

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")

CONNECTIONS: Final = 8
"""How many threads may ask the server at the same time; more wait for their turn."""
PATIENCE: Final = 10.0
"""How long a call waits for a connection, and the server for what a statement waits for, seconds."""
SLACK: Final = 2.0
"""How much longer the server may be silent about a statement, before its connection is given up, seconds."""
TRIES: Final = 2
"""How often a call is made whose connection breaks. What it does is the same when it is done twice."""
_TICK: Final = 0.1
"""How often a wait looks whether Ctrl-C was pressed, seconds; as psycopg does."""
_LOCK: Final = 0x74727A73
"""Whoever makes the table holds this advisory lock: `create table if not exists` alone is no protection."""
_TABLE: Final = """
create table if not exists terzetto_checkpoints (
    room bytea not null,
    key bytea not null,
    value bytea not null,
    primary key (room, key)
)
"""
_PUT: Final = """
insert into terzetto_checkpoints select %b, k, v from unnest(%b::bytea[], %b::bytea[]) as new (k, v)
on conflict (room, key) do update set value = excluded.value
"""
_INSERT: Final = """
insert into terzetto_checkpoints select %b, k, v from unnest(%b::bytea[], %b::bytea[]) as new (k, v)
on conflict do nothing
"""
_DELETE: Final = "delete from terzetto_checkpoints where room = %b and key = any(%b::bytea[])"
_CLEAR: Final = "delete from terzetto_checkpoints where room = %b returning key"
_READ: Final = "select key, value from terzetto_checkpoints where room = %b and key = any(%b::bytea[])"
_SCAN: Final = """
select key, value from terzetto_checkpoints where room = %b and key >= %b and key < %b order by key limit %b
"""
_SCAN_BACK: Final = """
select key, value from terzetto_checkpoints where room = %b and key >= %b and key < %b order by key desc limit %b
"""
_KEYS: Final = "select key from terzetto_checkpoints where room = %b and key >= %b and key < %b order by key"
# One step of the index for each room, however many rows it has.
_ROOMS: Final = """
with recursive found as (
    (select room from terzetto_checkpoints order by room limit 1)
    union all
    select (select room from terzetto_checkpoints as next where next.room > found.room order by room limit 1)
    from found where found.room is not null
)
select room from found where room is not null
"""

Step = tuple[LiteralString, Sequence[Any]]
"""A statement and what it is about."""


@final
class PostgresShelf:
    """Keeps rows in the table `terzetto_checkpoints`, durable as the server's `synchronous_commit` says.

    A call whose connection breaks is made once more on another: what it does is the same when it is
    done twice, so that a commit whose answer was lost is neither lost nor doubled.
    """

    blocks = True

    def __init__(self, url: str, schema: str = "") -> None:
        _check_place(url)
        self._lines = _Lines(partial(_connect, url, schema))
        self._end = finalize(self, self._lines.close)
        try:
            self._do(_make_table)
        except BaseException:
            self.close()
            raise

    def apply(self, room: str, puts: Sequence[Row], inserts: Sequence[Row] = (), deletes: Sequence[bytes] = ()) -> None:
        """Write, insert and delete, in one transaction."""
        there = pack(room)
        steps = list[Step]()
        if puts:
            steps.append((_PUT, (there, [key for key, _ in puts], [value for _, value in puts])))
        if inserts:
            steps.append((_INSERT, (there, [key for key, _ in inserts], [value for _, value in inserts])))
        if deletes:
            steps.append((_DELETE, (there, list(deletes))))
        self._do(_perform, steps)

    def read(self, room: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, all as of one moment."""
        found: dict[bytes, bytes] = dict(self._do(_fetch, _READ, (pack(room), list(keys)))) if keys else {}
        return [found.get(key) for key in keys]

    def scan(
        self, room: str, first: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows of a range."""
        rows = self._do(_fetch, _SCAN_BACK if reverse else _SCAN, (pack(room), first, end, limit))
        return [(key, value) for key, value in rows]

    def keys(self, room: str, first: bytes, end: bytes) -> list[bytes]:
        """Keys of a range."""
        return [key for (key,) in self._do(_fetch, _KEYS, (pack(room), first, end))]

    def rooms(self) -> list[str]:
        """All rooms."""
        return [unpack(room)[0] for (room,) in self._do(_fetch, _ROOMS, ())]

    def clear(self, room: str) -> list[bytes]:
        """Delete the rows of a room."""
        return [key for (key,) in self._do(_fetch, _CLEAR, (pack(room),))]

    def close(self) -> None:
        """Close the connections; one that is at work when its call has ended."""
        self._end()

    def _do(self, fn: Callable[..., T], *args: Any) -> T:
        try:
            for _ in range(TRIES - 1):
                try:
                    with self._lines.one() as connection:
                        return fn(connection, *args)
                except psycopg.OperationalError as error:
                    self._lines.drop()  # what broke one may have broken all
                    if isinstance(error, _Silent):
                        raise
            with self._lines.one() as connection:
                return fn(connection, *args)
        except psycopg.Error as error:
            raise _sentence(error) from error


class _Silent(psycopg.OperationalError):
    """The server says nothing at all: it hangs, or the network does."""


class _Line(Connection[TupleRow]):
    """A connection that waits for no answer for ever."""

    def wait(self, gen: "PQGen[T]", interval: float = _TICK, timeout: float | None = None) -> T:
        """Wait for an answer, and give the connection up when none comes."""
        limit = PATIENCE + SLACK
        try:
            return super().wait(gen, interval, limit if timeout is None else timeout)
        except errors._WaitTimeout:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # it has no other name
            if timeout is not None:
                raise
        self.close()
        raise _Silent(f"the server did not answer within {limit:g} s")


@final
class _Lines:
    """Connections that threads take turns with; one that broke is made anew."""

    def __init__(self, make: Callable[[], Connection[TupleRow]]) -> None:
        self._make = make
        self._turns = BoundedSemaphore(CONNECTIONS)
        self._free: deque[Connection[TupleRow]] = deque()
        self._closed = False
        self._opened_in = os.getpid()

    @contextmanager
    def one(self) -> Generator[Connection[TupleRow]]:
        """A connection that nobody else has meanwhile."""
        check_process(self._opened_in)
        if not self._turns.acquire(timeout=PATIENCE):
            raise StoreUnavailable(f"the store in Postgres: no connection was free for {PATIENCE:g} s")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._turns.release()

    def _take(self) -> Connection[TupleRow]:
        if self._closed:
            raise StoreError("the store in Postgres is closed")
        try:
            return self._free.pop()
        except IndexError:
            return self._make()

    def _give_back(self, connection: Connection[TupleRow]) -> None:
        # An interrupt may have left a question on it that was not answered.
        if connection.info.transaction_status is TransactionStatus.IDLE and not self._closed:
            self._free.append(connection)
        else:
            connection.close()
        if self._closed:
            self.drop()

    def close(self) -> None:
        """Close those that are free, and give out no more; in a forked process they are the other's, and stay."""
        self._closed = True
        if os.getpid() == self._opened_in:
            self.drop()

    def drop(self) -> None:
        """Close those that are free."""
        with suppress(IndexError):
            while True:
                self._free.pop().close()


def _check_place(url: str) -> None:
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its words may have the password in them
        text = "this does not say where a Postgres server is (a percent sign in it escapes two hexadecimal digits)"
        raise InvalidRequest(text) from None


def _connect(url: str, schema: str) -> Connection[TupleRow]:
    connection = _Line.connect(
        url, autocommit=True, connect_timeout=int(PATIENCE), application_name="terzetto", client_encoding="UTF8"
    )
    try:
        connection.execute("select set_config('statement_timeout', %s, false)", (f"{int(PATIENCE * 1000)}ms",))
        if schema:
            _settle(connection, sql.Identifier(schema))
    except BaseException:
        connection.close()
        raise
    return connection


def _settle(connection: Connection[TupleRow], schema: sql.Identifier) -> None:
    with suppress(errors.UniqueViolation):  # another process makes it at the same time
        connection.execute(sql.SQL("create schema if not exists {}").format(schema))
    connection.execute(sql.SQL("set search_path to {}").format(schema))


def _make_table(connection: Connection[TupleRow]) -> None:
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_TABLE)


def _perform(connection: Connection[TupleRow], steps: Sequence[Step]) -> None:
    if len(steps) == 1:
        connection.execute(*steps[0])  # a transaction of its own, in one round trip
        return
    with connection.transaction():
        for step in steps:
            connection.execute(*step)


def _fetch(connection: Connection[TupleRow], query: LiteralString, args: Sequence[Any]) -> list[TupleRow]:
    return connection.cursor(binary=True).execute(query, args).fetchall()


def _sentence(error: psycopg.Error) -> StoreError:
    unreachable = isinstance(error, psycopg.OperationalError) and not isinstance(error, errors.ProgramLimitExceeded)
    kind = StoreUnavailable if unreachable else StoreRejected
    return kind(f"the store in Postgres: {' '.join(str(error).split())}")
