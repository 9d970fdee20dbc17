"""Runs that are on the disk, commit by commit, beside raw SQLite and the stores of others."""

from functools import cache, partial
from tempfile import TemporaryDirectory
from time import perf_counter

import trio

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._rows import HOW, raw_rows, relaxed
from ._setting import Setting
from ._states import Tally, checked_rate
from ._work import RAW_CHAIN, Chain, chain_graph, raw_chain
from .limits import _durable as limits

KILOBYTE = 1024


def contests(setting: Setting) -> list[Contest]:
    """`ahead` (G3a), `durable` (G3b) and `durable_100` (G3c)."""
    sizes, folder = setting.sizes, setting.folder
    grouped = f"{HOW}: 100 rows of 1 KB per transaction"
    return [
        Contest(
            goal="G3a",
            name="ahead",
            work=f"{sizes.ahead:,} pure steps of one run, running ahead of the disk, SQLite FULL",
            unit="steps/s",
            ours=partial(_one, folder, "pure", sizes.ahead),
            opponents=[
                Opponent("raw Trio", partial(raw_chain, sizes.chain), RAW_CHAIN, Bar(0.3, 0.5)),
                Opponent("raw apsw", partial(raw_rows, folder, sizes.grouped, KILOBYTE, 100), grouped, Bar(0.9)),
                *setting.peers_at("ahead", LangGraph=Bar(60, 130)),
            ],
            turns=2,
            limit=Limit(partial(limits.ahead, folder, sizes.ahead), limits.AHEAD),
        ),
        Contest(
            goal="G3b",
            name="durable",
            work=f"{sizes.rows:,} repeatable steps of one run, each durable before the next, SQLite FULL",
            unit="steps/s",
            ours=partial(_one, folder, "repeatable", sizes.rows),
            opponents=[_one_by_one(setting, Bar(0.5, 0.65)), *setting.peers_at("durable", LangGraph=Bar(3.5, 4.5))],
            turns=2,
            limit=Limit(partial(limits.one_run, folder, sizes.rows), limits.ONE_RUN),
        ),
        Contest(
            goal="G3c",
            name="durable_100",
            work=f"{sizes.runs:,} runs at once of {sizes.steps:,} such steps, all of them together",
            unit="commits/s",
            ours=partial(_many, folder, sizes.runs, sizes.steps),
            opponents=[_one_by_one(setting, Bar(8, 12))],
            turns=2,
            limit=Limit(partial(limits.many_runs, folder, sizes.runs, sizes.steps), limits.MANY_RUNS),
        ),
    ]


def _one_by_one(setting: Setting, bar: Bar) -> Opponent:
    how = f"{HOW}, no thread between: one row of the same size per transaction"
    return Opponent("raw apsw", lambda: raw_rows(setting.folder, setting.sizes.rows, row_bytes()), how, bar)


def _one(folder: str | None, effects: terzetto.Effects, steps: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return trio.run(_one_run, f"sqlite://{place}/runs.db", chain_graph(effects), steps)


async def _one_run(url: str, graph: Chain, steps: int) -> float:
    async with terzetto.open_runtime(url, [terzetto.bind(graph, steps)]) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Tally(), max_steps=steps)
        return checked_rate(end, steps, perf_counter() - began)


def _many(folder: str | None, runs: int, steps: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return trio.run(many_runs, f"sqlite://{place}/runs.db", runs, steps)


async def many_runs(url: str, runs: int, steps: int) -> float:
    """Commits per second of so many runs at once of so many steps, on this store."""
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
    return trio.run(_bytes_per_commit, 1_000)


async def _bytes_per_commit(steps: int) -> int:
    graph = chain_graph()
    with TemporaryDirectory() as place:
        async with terzetto.open_runtime(relaxed(place), [terzetto.bind(graph, steps)]) as runtime:
            await runtime.run(graph, Tally(), max_steps=steps)
            said = runtime.statistics().persistence
    return round(said.bytes / said.commits)
