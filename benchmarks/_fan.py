"""From one to many branches and back: a map and its join, beside a nursery and a loop over what its tasks left."""

from collections.abc import Callable
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import trio

import terzetto

from ._contest import Contest
from ._sizes import Sizes
from ._sqlite import INSERT, open_raw, relaxed
from ._work import Counted, Tally

Fan = terzetto.Graph[Tally, None]

_RAW = "a Trio nursery with as many tasks that do the step and yield, and a loop that folds what they left, in order"


def contests(sizes: Sizes, folder: str | None) -> list[Contest]:
    """`fan_alone`, `fan_memory` and `fan_sqlite`, the last on the disk of `folder`."""
    fans, branches = sizes.fans, sizes.branches
    work = f"{fans} times from 1 to {branches} branches of a map, a visit each, and to the join"
    raw = partial(trio.run, _raw, fans, branches)
    return [
        Contest(
            name="fan_alone",
            work=f"{work}, by terzetto.run, no store",
            unit="branches/s",
            ours=lambda: trio.run(_alone, fans, branches),
            raw=raw,
            against=_RAW,
        ),
        Contest(
            name="fan_memory",
            work=f"{work}, in a runtime on memory:",
            unit="branches/s",
            ours=lambda: trio.run(_stored, "memory:", fans, branches),
            raw=raw,
            against=_RAW,
        ),
        Contest(
            name="fan_sqlite",
            work=f"{work}, each visit durable before the join",
            unit="branches/s",
            ours=partial(_on_disk, folder, fans, branches),
            raw=partial(_raw_on_disk, folder, fans, branches),
            against=f"{_RAW}; then a row of the same size for each of them, in one synced transaction",
            turns=2,
        ),
    ]


def _graph(fans: int, branches: int) -> Fan:
    graph = terzetto.Graph("fan", state=Tally, mutations=[Counted], max_steps=fans * (branches + 2))

    @graph.node
    async def work(ctx: terzetto.ItemContext[Tally, int]) -> None:
        ctx.record(Counted(f"step {ctx.item}"))

    @graph.node
    async def again(ctx: terzetto.NodeContext[Tally]) -> None:
        if ctx.state.count == fans * branches:
            ctx.end()

    fan = graph.map("fan", work, over=lambda _: range(branches), merge="replay")
    graph.start(fan)
    graph.edge(fan, again)
    graph.edge(again, fan)
    return graph


async def _alone(fans: int, branches: int) -> float:
    graph, began = _graph(fans, branches), perf_counter()
    end = await terzetto.run(graph, Tally())
    return _per_second(end, fans * branches, perf_counter() - began)


async def _stored(url: str, fans: int, branches: int) -> float:
    graph = _graph(fans, branches)
    async with terzetto.open_runtime(url, [graph]) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Tally())
        return _per_second(end, fans * branches, perf_counter() - began)


def _per_second(end: Tally, count: int, took: float) -> float:
    assert end.count == count
    return count / took


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
    return _per_second(tally, fans * branches, perf_counter() - began)


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
