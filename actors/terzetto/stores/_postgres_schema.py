"""The tables of a Postgres store, all in one schema, and how they are made and upgraded."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, TypeAlias
from zlib import crc32

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from terzetto_protocol.errors import StoreError, StoreMissing, StoreTooNew

Connected: TypeAlias = Connection[TupleRow]
"""A connection of ours: it commits by itself, and finds our tables without the name of their schema."""

_LOCK: Final = 0x74727A74
"""With the schema's name: whose lock it is, so that two who open a store at once make it once."""

TABLES: Final = """
create table terzetto (version integer not null);

-- Who carries runs, and until when, by this server's clock. A name is used once.
create table owners (
    name text collate "C" primary key,
    expires timestamptz not null
);

-- One row per run. Every commit moves `seq`, `event`, `moment` and `tip`, which are in no index, so that the new row
-- stays beside the old one.
create table runs (
    n bigint generated always as identity primary key,
    id text collate "C" not null unique,
    at double precision not null,
    key text collate "C" not null,
    thread text collate "C" not null,
    line bigint not null,
    header bytea not null,
    status text not null,
    epoch bigint not null,
    code text not null,
    message bytea not null,
    timer double precision,
    crc bigint not null,
    first bigint not null,
    seq bigint not null,
    event bigint not null,
    moment double precision not null,
    tip bigint not null,
    owner text collate "C" not null
) with (fillfactor = 60);
create unique index runs_key on runs (key) where key <> '';
create index runs_at on runs (at, id);
create index runs_status on runs (status, at, id);
create index runs_thread on runs (thread, at, id) where thread <> '';
create index runs_line on runs (thread, line)
    where thread <> '' and status not in ('SUCCEEDED', 'FAILED', 'CANCELLED');
create index runs_timer on runs (status) where timer is not null;

-- Where threads are.
create table threads (
    id text collate "C" primary key,
    run bigint not null,
    moved double precision not null,
    crc bigint not null
);
create index threads_run on threads (run);

-- One row per segment; `event` and `at` are the last commit's.
create table commits (
    run bigint not null,
    first bigint not null,
    last bigint not null,
    event bigint not null,
    epoch bigint not null,
    at double precision not null,
    body bytea not null,
    crc bigint not null,
    primary key (run, last)
);

-- Commits that stay when the log in front of them and behind them is pruned; each has its snapshot.
create table alone (
    run bigint not null,
    seq bigint not null,
    event bigint not null,
    body bytea not null,
    crc bigint not null,
    primary key (run, seq)
);

create table snapshots (
    run bigint not null,
    seq bigint not null,
    body bytea not null,
    crc bigint not null,
    primary key (run, seq)
);
alter table snapshots alter body set storage external; -- large ones are pressed before they come here

-- `n` is the order of opening, which closing does not change.
create table barriers (
    n bigint generated always as identity primary key,
    run bigint not null,
    barrier text collate "C" not null,
    open boolean not null,
    row bytea not null,
    crc bigint not null,
    unique (run, barrier)
);
create index barriers_open on barriers (n) where open;

-- Commands that other processes left. `n` is the order of arrival, `taker` the owner that was given it.
create table inbox (
    n bigint generated always as identity primary key,
    command text collate "C" not null unique,
    run text collate "C" not null,
    body bytea not null,
    at double precision not null,
    receipt bytea,
    crc bigint not null,
    taker text collate "C" not null default ''
);
create index inbox_waiting on inbox (n) where receipt is null;
create index inbox_run on inbox (run);

-- A blob, by its digest, or (while it is not whole) an upload, by a name of its own, with who began it, and when by
-- this server's clock. `kept` counts the runs that keep it, `held` is when it was kept without one for the last time.
create table blobs (
    n bigint generated always as identity primary key,
    name text collate "C" not null unique,
    whole boolean not null default false,
    kept bigint not null default 0,
    held double precision not null default 0,
    owner text collate "C" not null,
    began double precision not null default extract(epoch from clock_timestamp())
);
create index blobs_free on blobs (whole, held) where kept = 0;

create table blob_chunks (
    blob bigint not null,
    number bigint not null,
    body bytea not null,
    primary key (blob, number)
);
alter table blob_chunks alter body set storage external;

create table blob_runs (
    blob bigint not null,
    run bigint not null,
    primary key (blob, run)
);
create index blob_runs_run on blob_runs (run);
"""

DECLINED: Final = """
-- Which owners cannot carry out a command, and are not given it again until then, by this server's clock.
create table declined (
    owner text collate "C" not null,
    command text collate "C" not null,
    until timestamptz not null,
    primary key (owner, command)
);
"""

MIGRATIONS: Sequence[LiteralString] = (TABLES, DECLINED)
"""Each makes the tables of one version those of the next; the first one makes all of them out of nothing."""


def version_of(connection: Connected, schema: str) -> int:
    """The version of the tables that are there, 0 for an empty or missing schema; raises `StoreError` if not ours."""
    [(ours, others)] = connection.execute(
        """
        select to_regclass(quote_ident(%(schema)s) || '.terzetto') is not null,
            exists (select from pg_class where relnamespace = to_regnamespace(quote_ident(%(schema)s)))
        """,
        {"schema": schema},
    ).fetchall()
    if ours:
        rows: list[Any] = connection.execute("select version from terzetto").fetchall()
        return int(rows[0][0]) if rows else 0
    if others:
        raise StoreError(
            f"schema {schema!r} has tables of another program; nothing was changed: choose another one (?schema=NAME)"
        )
    return 0


def check_version(version: int, url: str) -> None:
    """Raise for a store that is not there, or of another version."""
    if version == 0:
        raise StoreMissing(f"there is no store {url}: check the name, or start an owner of it first")
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"{url} was written by a newer Terzetto (schema {version}, this one knows {len(MIGRATIONS)}): "
            "update Terzetto"
        )


def migrate(connection: Connected, schema: str, url: str) -> None:
    """Make the tables, or upgrade them, in one transaction; of several who do it at once, the others find it done."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s, %s)", (_LOCK, crc32(schema.encode()) & 0x7FFF_FFFF))
        version = version_of(connection, schema)
        if version == len(MIGRATIONS):
            return
        if version > 0:
            check_version(version, url)
        if not connection.execute("select 1 from pg_namespace where nspname = %s", (schema,)).fetchone():
            connection.execute(SQL("create schema {}").format(Identifier(schema)))
        for migration in MIGRATIONS[version:]:
            connection.execute(migration)
        connection.execute("delete from terzetto")
        connection.execute("insert into terzetto (version) values (%s)", (len(MIGRATIONS),))
