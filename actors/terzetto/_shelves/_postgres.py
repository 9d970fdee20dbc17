"""A shelf in one table of a Postgres database, which any number of processes may use at the same time."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final, LiteralString, TypeVar, final

import psycopg
import psycopg_pool
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from terzetto_protocol.errors import StoreError, StoreRejected, StoreUnavailable

from ._contract import Row, pack, unpack

T = TypeVar("T")

CONNECTIONS: Final = 8
"""How many threads may ask the server at the same time; more wait for their turn."""
PATIENCE: Final = 10.0
"""How long a call waits for a connection, seconds."""
TRIES: Final = 2
"""How often a call is made whose connection breaks. What it does is the same when it is done twice."""
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
        self._schema = schema
        self._closed = False
        self._closing = Lock()
        self._pool = psycopg_pool.ConnectionPool(
            url,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=PATIENCE,
            configure=self._settle if schema else None,
            kwargs={"autocommit": True, "connect_timeout": int(PATIENCE), "application_name": "terzetto"},
            open=False,
        )
        try:
            self._pool.open(wait=True, timeout=PATIENCE)
            self._do(_make_table)
        except psycopg.Error as error:
            self._pool.close()
            raise _sentence(error) from error
        except BaseException:
            self._pool.close()
            raise

    def _settle(self, connection: Connection[TupleRow]) -> None:
        schema = sql.Identifier(self._schema)
        with suppress(errors.UniqueViolation):  # another process makes it at the same time
            connection.execute(sql.SQL("create schema if not exists {}").format(schema))
        connection.execute(sql.SQL("set search_path to {}").format(schema))

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

    def clear(self, room: str) -> None:
        """Delete the rows of a room."""
        self._do(_perform, [("delete from terzetto_checkpoints where room = %b", (pack(room),))])

    def close(self) -> None:
        """Close the connections, when the calls that run have ended."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._pool.close()

    def _do(self, fn: Callable[..., T], *args: Any) -> T:
        for _ in range(TRIES - 1):
            try:
                return self._once(fn, *args)
            except psycopg_pool.PoolTimeout as error:
                raise _sentence(error) from error
            except psycopg.OperationalError:
                continue
            except psycopg.Error as error:
                raise _sentence(error) from error
        try:
            return self._once(fn, *args)
        except psycopg.Error as error:
            raise _sentence(error) from error

    def _once(self, fn: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise StoreError("the store in Postgres is closed")
        with self._pool.connection() as connection:
            return fn(connection, *args)


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
