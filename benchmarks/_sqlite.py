"""Runs that are on the disk, commit by commit, beside a loop that commits one row of the same size at a time."""

from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import apsw
import trio

import terzetto

from ._contest import Contest
from ._sizes import Sizes
from ._work import Chain, Tally, chain_graph

_RAW = "apsw on one thread, WAL, synchronous=FULL: one row of the same size per transaction"
INSERT = "insert into log values (?, ?, ?)"


def contests(sizes: Sizes, folder: str | None) -> list[Contest]:
    """`sqlite`, `sqlite_pure` and `sqlite_100`, on the disk of `folder`."""
    raw = partial(_raw_rows, folder, sizes.rows)
    return [
        Contest(
            name="sqlite",
            work=f"{sizes.rows} repeatable steps of one run, each durable before the next",
            unit="steps/s",
            ours=partial(_one, folder, "repeatable", sizes.rows),
            raw=raw,
            against=_RAW,
            aim=0.45,
            turns=2,
        ),
        Contest(
            name="sqlite_pure",
            work=f"{sizes.ahead} pure steps of one run, running ahead of the disk",
            unit="steps/s",
            ours=partial(_one, folder, "pure", sizes.ahead),
            raw=raw,
            against=_RAW,
            turns=2,
        ),
        Contest(
            name="sqlite_100",
            work=f"{sizes.runs} runs at once of {sizes.steps} repeatable steps",
            unit="commits/s",
            ours=partial(_many, folder, sizes.runs, sizes.steps),
            raw=raw,
            against=_RAW,
            aim=6.0,
            turns=2,
        ),
    ]


def _one(folder: str | None, effects: terzetto.Effects, steps: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return trio.run(_one_run, f"sqlite://{place}/runs.db", chain_graph(effects), steps)


async def _one_run(url: str, graph: Chain, steps: int) -> float:
    async with terzetto.open_runtime(url, [terzetto.bind(graph, steps)]) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Tally(), max_steps=steps)
        took = perf_counter() - began
    assert end.count == steps
    return steps / took


def _many(folder: str | None, runs: int, steps: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return trio.run(_many_runs, f"sqlite://{place}/runs.db", runs, steps)


async def _many_runs(url: str, runs: int, steps: int) -> float:
    graph = chain_graph()
    async with terzetto.open_runtime(url, [terzetto.bind(graph, steps)]) as runtime:
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(runs):
                nursery.start_soon(partial(runtime.run, graph, Tally(), max_steps=steps))
        took = perf_counter() - began
        commits = runtime.statistics().persistence.commits
    assert commits >= runs * steps
    return commits / took


@cache
def row_bytes() -> int:
    """What a commit of the chain weighs, its share of the snapshots included."""
    return trio.run(_row_bytes, 1_000)


async def _row_bytes(steps: int) -> int:
    graph = chain_graph()
    with TemporaryDirectory() as place:
        async with terzetto.open_runtime(relaxed(place), [terzetto.bind(graph, steps)]) as runtime:
            await runtime.run(graph, Tally(), max_steps=steps)
            said = runtime.statistics().persistence
    return round(said.bytes / said.commits)


def relaxed(place: str) -> str:
    """A store in this folder that syncs nothing."""
    return f"sqlite://{place}/runs.db?synchronous=normal"  # for where only the size counts


def _raw_rows(folder: str | None, rows: int) -> float:
    body = bytes(row_bytes())
    with TemporaryDirectory(dir=folder) as place:
        connection = open_raw(Path(place) / "raw.db")
        began = perf_counter()
        for seq in range(rows):
            connection.execute("begin immediate")
            connection.execute(INSERT, ("run", seq, body))
            connection.execute("commit")
        took = perf_counter() - began
        connection.close()
    return rows / took


def open_raw(path: Path) -> apsw.Connection:
    """A file with the table that `INSERT` fills, as durable as ours."""
    connection = apsw.Connection(str(path))
    assert connection.execute("pragma journal_mode=wal").fetchall() == [("wal",)]
    connection.execute("pragma synchronous=full")
    connection.execute("create table log (run text, seq integer, body blob, primary key (run, seq)) without rowid")
    return connection
