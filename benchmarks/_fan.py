"""From one to many branches and back: a map and its join, beside a nursery and a loop over what its tasks left."""

from collections.abc import Callable
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import trio

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._rows import INSERT, open_raw, relaxed
from ._setting import Setting
from ._states import Counted, Tally, checked_rate
from .limits import _fan as limits

Fan = terzetto.Graph[Tally, None]
Ctx = terzetto.ItemContext[Tally, int]

_RAW = "a Trio nursery with as many tasks that do the step and yield, and a loop that folds what they left, in order"


def contests(setting: Setting) -> list[Contest]:
    """`fan` and `fan_def` (G4), `fan_memory` and `fan_sqlite`."""
    fans, branches = setting.sizes.fans, setting.sizes.branches
    work = f"{fans:,} times from 1 to {branches:,} branches of a map, a visit each, and to the join"
    raw = partial(_raw_opponent, fans, branches)
    return [
        Contest(
            goal="G4",
            name="fan",
            work=f"{work}, by terzetto.run, no store",
            unit="branches/s",
            ours=lambda: trio.run(_alone, _graph(fans, branches), fans * branches),
            opponents=[raw(Bar(0.65, 0.8)), *setting.peers_at("fan", LangGraph=Bar(12, 15))],
            limit=Limit(partial(limits.tasks, fans, branches), limits.TASKS),
        ),
        Contest(
            goal="G4",
            name="fan_def",
            work=f"{work}, each a plain def on the loop, no store",
            unit="branches/s",
            ours=lambda: trio.run(_alone, _graph(fans, branches, plain=True), fans * branches),
            opponents=[raw(Bar(2.5, 5))],
            limit=Limit(partial(limits.calls, fans, branches), limits.CALLS),
        ),
        Contest(
            name="fan_memory",
            work=f"{work}, in a runtime on memory:",
            unit="branches/s",
            ours=lambda: trio.run(_stored, "memory:", fans, branches),
            opponents=[raw(None)],
        ),
        Contest(
            name="fan_sqlite",
            work=f"{work}, each visit durable before the join",
            unit="branches/s",
            ours=partial(_on_disk, setting.folder, fans, branches),
            opponents=[_raw_disk_opponent(setting.folder, fans, branches)],
            turns=2,
        ),
    ]


def _raw_opponent(fans: int, branches: int, bar: Bar | None) -> Opponent:
    return Opponent("raw nursery", lambda: trio.run(_raw, fans, branches), _RAW, bar)


def _raw_disk_opponent(folder: str | None, fans: int, branches: int) -> Opponent:
    how = f"{_RAW}; then a row of the same size for each of them, in one synced transaction"
    return Opponent("raw nursery and apsw", partial(_raw_on_disk, folder, fans, branches), how)


def _graph(fans: int, branches: int, *, plain: bool = False) -> Fan:
    graph = terzetto.Graph("fan", state=Tally, mutations=[Counted], max_steps=fans * (branches + 2))

    @graph.node
    async def work(ctx: Ctx) -> None:
        ctx.record(Counted(f"step {ctx.item}"))

    @graph.node(thread=False)
    def plain_work(ctx: Ctx) -> None:
        ctx.record(Counted(f"step {ctx.item}"))

    @graph.node
    async def again(ctx: terzetto.NodeContext[Tally]) -> None:
        if ctx.state.count == fans * branches:
            ctx.end()

    fan = graph.map("fan", plain_work if plain else work, over=lambda _: range(branches), merge="replay")
    graph.start(fan)
    graph.edge(fan, again)
    graph.edge(again, fan)
    return graph


async def _alone(graph: Fan, total: int) -> float:
    graph.build()
    began = perf_counter()
    end = await terzetto.run(graph, Tally())
    return checked_rate(end, total, perf_counter() - began)


async def _stored(url: str, fans: int, branches: int) -> float:
    graph = _graph(fans, branches)
    async with terzetto.open_runtime(url, [graph]) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Tally())
        return checked_rate(end, fans * branches, perf_counter() - began)


def _on_disk(folder: str | None, fans: int, branches: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return trio.run(_stored, f"sqlite://{place}/runs.db", fans, branches)


async def _raw(fans: int, branches: int) -> float:
    return await _raw_fans(fans, branches, lambda: None)


def _raw_on_disk(folder: str | None, fans: int, branches: int) -> float:
    body = bytes(_row_bytes(branches))
    with TemporaryDirectory(dir=folder) as place:
        connection, seq = open_raw(Path(place) / "raw.db"), count()

        def keep() -> None:
            connection.execute("begin immediate")
            connection.executemany(INSERT, [("run", next(seq), body) for _ in range(branches)])
            connection.execute("commit")

        speed = trio.run(_raw_fans, fans, branches, keep)
        connection.close()
    return speed


async def _raw_fans(fans: int, branches: int, keep: Callable[[], None]) -> float:
    tally, began = Tally(), perf_counter()
    for _ in range(fans):
        lines = [""] * branches
        async with trio.open_nursery() as nursery:
            for index in range(branches):
                nursery.start_soon(_raw_branch, lines, index)
        for line in lines:
            Counted(line).apply(tally)
        keep()
    return checked_rate(tally, fans * branches, perf_counter() - began)


async def _raw_branch(lines: list[str], index: int) -> None:
    lines[index] = f"step {index}"
    await trio.lowlevel.checkpoint()


@cache
def _row_bytes(branches: int) -> int:
    """What a commit of a branch weighs, its share of the fork and the join included."""
    return trio.run(_bytes_per_branch, branches)


async def _bytes_per_branch(branches: int) -> int:
    graph = _graph(1, branches)
    with TemporaryDirectory() as place:
        async with terzetto.open_runtime(relaxed(place), [graph]) as runtime:
            await runtime.run(graph, Tally())
            return round(runtime.statistics().persistence.bytes / branches)
