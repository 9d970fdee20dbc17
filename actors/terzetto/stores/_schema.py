"""The tables of a SQLite store, and the numbers by which it is recognised."""

from collections.abc import Mapping
from typing import Final, TypeAlias

APPLICATION_ID: Final = 0x74727A74
"""What the file says it is ("trzt"), so that another program's database is never touched."""
VERSION: Final = 6
"""Version of the tables below; a store with a higher one is refused, one with a lower one is upgraded by its owner."""
THREADS_SINCE: Final = 2
"""The first version that knows threads."""
BLOBS_SINCE: Final = 3
"""The first version that knows blobs."""
PRUNES_SINCE: Final = 4
"""The first version that knows logs whose beginning was pruned."""
SUMS_SINCE: Final = 5
"""The first version whose rows have checksums. With the one after it large snapshots are pressed (see `_pressing`)."""

Value: TypeAlias = int | float | str | bytes | None
"""What a column holds."""

TABLES: Final = """
-- One row per run. What changes with every commit is not here: an everyday commit leaves this row alone.
create table runs (
    n integer primary key,
    id text not null unique,
    at real not null,
    key text not null,
    header blob not null,
    status text not null,
    epoch integer not null,
    code text not null,
    message text not null,
    timer real,
    thread text not null default ''
) strict;
create unique index runs_key on runs (key) where key <> '';
create index runs_at on runs (at, id);
create index runs_status on runs (status, at, id);
create index runs_thread on runs (thread, at, id) where thread <> '';

-- Where threads are.
create table threads (
    id text not null primary key,
    run integer not null,
    moved real not null
) strict, without rowid;

-- One row per segment: commits `first` to `last` of one run, which came in one group under one epoch. The body of a
-- single commit stands as it is; several stand as a msgpack array of [last event id, body]. `event` and `at` are the
-- last commit's. Rows are appended, and the index is small, so that a group of many runs dirties few pages.
create table commits (
    n integer primary key,
    run integer not null,
    last integer not null,
    first integer not null,
    event integer not null,
    epoch integer not null,
    at real not null,
    body blob not null
) strict;
create unique index commits_run on commits (run, last);

-- A large body is pressed, and then begins with "x", which none does that is not.
create table snapshots (
    run integer not null,
    seq integer not null,
    body blob not null,
    primary key (run, seq)
) strict, without rowid;

-- `n` is the order of opening, which closing does not change.
create table barriers (
    n integer primary key,
    run integer not null,
    barrier text not null,
    open integer not null,
    row blob not null,
    unique (run, barrier)
) strict;
create index barriers_open on barriers (n) where open;

-- Commands that other processes left for the owner. `n` is the order of arrival.
create table inbox (
    n integer primary key,
    command text not null unique,
    run text not null,
    body blob not null,
    at real not null,
    receipt blob
) strict;
create index inbox_waiting on inbox (n) where receipt is null;
"""

BLOBS: Final = """
-- A blob, by its digest, or (while it is not whole) an upload, by a name of its own. `kept` counts the runs that keep
-- it, and `held` is when it was kept without one for the last time.
create table blobs (
    n integer primary key,
    name text not null unique,
    whole integer not null,
    kept integer not null default 0,
    held real not null default 0
) strict;
create index blobs_free on blobs (whole, held) where kept = 0;

create table blob_chunks (
    n integer primary key,
    blob integer not null,
    number integer not null,
    body blob not null,
    unique (blob, number)
) strict;

create table blob_runs (
    blob integer not null,
    run integer not null,
    primary key (blob, run)
) strict, without rowid;
create index blob_runs_run on blob_runs (run);

create trigger blob_kept after insert on blob_runs begin
    update blobs set kept = kept + 1 where n = new.blob;
end;
create trigger blob_let_go after delete on blob_runs begin
    update blobs set kept = kept - 1 where n = old.blob;
end;
-- Whoever deletes a run lets its blobs go.
create trigger run_deleted after delete on runs begin
    delete from blob_runs where run = old.n;
end;
"""
"""The tables of blobs."""

PRUNES: Final = """
-- Commits that stay when the log in front of them and behind them is pruned; each has its snapshot.
create table alone (
    run integer not null,
    seq integer not null,
    event integer not null,
    body blob not null,
    primary key (run, seq)
) strict, without rowid;
-- Whose rows are looked for when a run is deleted.
create index inbox_run on inbox (run);
create index threads_run on threads (run);
"""
"""What knows logs whose beginning was pruned, and runs that are deleted."""

SUMMED: Final = ("runs", "threads", "commits", "snapshots", "barriers", "inbox", "alone")
"""Tables whose rows have checksums. Those of blobs need none: blobs are read by their digests."""
SUMS: Final = "".join(f"alter table {table} add column crc integer;" for table in SUMMED)
"""What holds the checksums (see `_checksums`). Rows from before there were any have none, and are believed."""

UPGRADES: Final[Mapping[int, str]] = {
    1: """
        alter table runs add column thread text not null default '';
        create index runs_thread on runs (thread, at, id) where thread <> '';
        create table threads (
            id text not null primary key, run integer not null, moved real not null
        ) strict, without rowid;
    """,
    2: BLOBS,
    3: PRUNES,
    4: SUMS,
    5: "-- what is stored already is read as it was",
}
"""What makes the tables of one version those of the next."""
