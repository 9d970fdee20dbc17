"""Runs that are on a server, commit by commit, beside a raw client of the same server and our store on a file."""

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter

import trio
from msgspec import Struct

from . import _servers
from ._contest import Contest, Opponent
from ._durable import many_runs, row_bytes
from ._setting import Setting


class Server(Struct, frozen=True):
    """A server that keeps runs, and what a raw client of it does."""

    name: str
    how: str
    url: Callable[[str | None], str]
    """Names a store that nobody has had before; the server's data is in this folder."""
    raw: Opponent
    missing: str


def contests(setting: Setting) -> list[Contest]:
    """`store_postgres` and `store_redis`, and each of them with a hundred runs."""
    sizes = setting.sizes
    one = f"{sizes.rows:,} repeatable steps of one run, each durable before the next"
    many = f"{sizes.runs:,} runs at once of {sizes.steps:,} such steps, all of them together"
    return [
        contest
        for server in (_postgres(setting), _redis(setting))
        for contest in (
            _contest(setting.folder, f"store_{server.name}", one, server, (1, sizes.rows)),
            _contest(setting.folder, f"store_{server.name}_100", many, server, (sizes.runs, sizes.steps)),
        )
    ]


def _postgres(setting: Setting) -> Server:
    how = f"psycopg on one thread, autocommit: one row of the same size per insert, {_servers.POSTGRES}"
    raw = Opponent("raw psycopg", partial(_raw_postgres, setting.folder, setting.sizes.rows), how)
    return Server("postgres", _servers.POSTGRES, _postgres_url, raw, _servers.missing_postgres())


def _redis(setting: Setting) -> Server:
    how = f"coredis, one connection: one entry of the same size per XADD to one stream, {_servers.REDIS}"
    raw = Opponent("raw coredis", partial(_raw_redis, setting.folder, setting.sizes.rows), how)
    return Server("redis", _servers.REDIS, _redis_url, raw, _servers.missing_redis())


def _contest(folder: str | None, name: str, work: str, server: Server, counts: tuple[int, int]) -> Contest:
    return Contest(
        name=name,
        work=f"{work}, {server.how}",
        unit="commits/s",
        ours=lambda: _rate(server.url(folder), counts),
        opponents=[
            server.raw,
            Opponent("ours on SQLite", partial(_on_sqlite, folder, counts), "the same on sqlite:, FULL"),
        ],
        turns=2,
        missing=server.missing,
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
