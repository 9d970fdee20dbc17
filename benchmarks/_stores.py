"""Runs that are on a server, commit by commit, beside a raw client of the same server and our store on a file."""

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter

import trio

from . import _servers
from ._contest import Contest, Measure, Opponent
from ._durable import many_runs, row_bytes
from ._setting import Setting

Url = Callable[[str | None], str]
"""Names a store that nobody has had before, on a server whose data is in this folder."""


def contests(setting: Setting) -> list[Contest]:
    """`store_postgres` and `store_redis`, and each of them with a hundred runs."""
    folder, rows = setting.folder, setting.sizes.rows
    insert = "psycopg on one thread, a connection in autocommit: one row of the same size per insert"
    raw = Opponent("raw psycopg", partial(_raw_postgres, folder, rows), f"{insert}, {_servers.POSTGRES}")
    xadd = "coredis, one connection: one entry of the same size per XADD to one stream"
    raw_redis = Opponent("raw coredis", partial(_raw_redis, folder, rows), f"{xadd}, {_servers.REDIS}")
    return [
        *_on(setting, "postgres", _servers.POSTGRES, _postgres_url, raw, _servers.missing_postgres()),
        *_on(setting, "redis", _servers.REDIS, _redis_url, raw_redis, _servers.missing_redis()),
    ]


def _on(setting: Setting, name: str, server: str, url: Url, raw: Opponent, missing: str) -> list[Contest]:
    sizes = setting.sizes
    one = f"{sizes.rows:,} repeatable steps of one run, each durable before the next, {server}"
    many = f"{sizes.runs:,} runs at once of {sizes.steps:,} such steps, {server}"
    return [
        _contest(setting, f"store_{name}", one, url, (1, sizes.rows), raw, missing),
        _contest(setting, f"store_{name}_100", many, url, (sizes.runs, sizes.steps), raw, missing),
    ]


def _contest(
    setting: Setting, name: str, work: str, url: Url, counts: tuple[int, int], raw: Opponent, missing: str
) -> Contest:
    sqlite = Opponent("ours on SQLite", partial(_on_sqlite, setting.folder, counts), "the same on sqlite:, FULL")
    ours: Measure = lambda: _rate(url(setting.folder), counts)  # noqa: E731 - its type is what is said here
    return Contest(
        name=name, work=work, unit="commits/s", ours=ours, opponents=[raw, sqlite], turns=2, missing=missing
    )


def _rate(url: str, counts: tuple[int, int]) -> float:
    return trio.run(many_runs, url, *counts)


def _on_sqlite(folder: str | None, counts: tuple[int, int]) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return _rate(f"sqlite://{place}/runs.db", counts)


def _postgres_url(folder: str | None) -> str:
    return _servers.postgres(folder).url()


def _redis_url(folder: str | None) -> str:
    return _servers.redis(folder).url()


def _raw_postgres(folder: str | None, rows: int) -> float:
    body = bytes(row_bytes())
    with _servers.postgres(folder).connect() as connection:
        connection.execute("drop table if exists raw")
        connection.execute("create table raw (run text, seq integer, body bytea, primary key (run, seq))")
        began = perf_counter()
        for seq in range(rows):
            connection.execute("insert into raw values (%s, %s, %s)", ("run", seq, body))
        return rows / (perf_counter() - began)


def _raw_redis(folder: str | None, rows: int) -> float:
    return trio.run(_raw_entries, _servers.redis(folder).port, rows, bytes(row_bytes()))


async def _raw_entries(port: int, rows: int, body: bytes) -> float:
    from coredis import Redis

    async with Redis(host="127.0.0.1", port=port) as client:
        await client.delete(["raw"])
        began = perf_counter()
        for _ in range(rows):
            await client.xadd("raw", {"body": body})
        return rows / (perf_counter() - began)
