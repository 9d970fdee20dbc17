-- The tables of the first version, as its stores have them.
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
    timer real
) strict;
create unique index runs_key on runs (key) where key <> '';
create index runs_at on runs (at, id);
create index runs_status on runs (status, at, id);

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
