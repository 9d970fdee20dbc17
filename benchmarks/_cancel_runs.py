"""The end of a thousand runs: each by itself, and all with the runtime that carries them."""

from time import perf_counter

import trio

import terzetto

from ._arrivals import Arrivals, arrivals
from ._contest import Contest, Opponent
from ._setting import Setting
from ._states import Nothing

MILLISECONDS = 1e3
_RAW_EACH = "Trio tasks in scopes of their own: cancel each, until every one has said that it ended"
_RAW_ALL = "a nursery of sleeping Trio tasks: cancel its scope, until it is gone"


def contests(setting: Setting) -> list[Contest]:
    """`cancel_runs` and `cancel_tree`."""
    count = setting.sizes.sleepers
    return [
        Contest(
            name="cancel_runs",
            work=f"{count:,} runs in sleep_forever: cancel each, until every receipt and result is there",
            unit="ms",
            ours=lambda: trio.run(_each, count),
            opponents=[Opponent("raw Trio", lambda: trio.run(_raw_each, count), _RAW_EACH)],
            better="less",
        ),
        Contest(
            name="cancel_tree",
            work=f"the same {count:,} runs: cancel the scope around their runtime, until it is gone",
            unit="ms",
            ours=lambda: trio.run(_tree, count),
            opponents=[Opponent("raw Trio", lambda: trio.run(_raw_all, count), _RAW_ALL)],
            better="less",
        ),
    ]


def _graph() -> terzetto.Graph[Nothing, Arrivals]:
    graph = terzetto.Graph("sleep", state=Nothing, deps=Arrivals)

    @graph.node
    async def sleep(ctx: terzetto.NodeContext[Nothing, Arrivals]) -> None:
        await ctx.deps.sleep()

    graph.start(sleep)
    return graph


async def _submit_all(
    runtime: terzetto.Runtime, graph: terzetto.Graph[Nothing, Arrivals], here: Arrivals
) -> list[terzetto.Run[Nothing]]:
    runs = [await runtime.submit(graph, Nothing()) for _ in range(here.expected)]
    await here.all_here.wait()
    return runs


async def _each(count: int) -> float:
    graph, here = _graph(), arrivals(count)
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, here)], pool_size=count) as runtime:
        runs = await _submit_all(runtime, graph, here)
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for run in runs:
                nursery.start_soon(_cancel, run)
        return (perf_counter() - began) * MILLISECONDS


async def _cancel(run: terzetto.Run[Nothing]) -> None:
    await run.cancel()
    result = await run.result()
    assert result.status is terzetto.RunStatus.CANCELLED


async def _tree(count: int) -> float:
    graph, here, began = _graph(), arrivals(count), 0.0
    with trio.CancelScope() as scope:
        async with terzetto.open_runtime("memory:", [terzetto.bind(graph, here)], pool_size=count) as runtime:
            await _submit_all(runtime, graph, here)
            began = perf_counter()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    return (perf_counter() - began) * MILLISECONDS


async def _raw_all(count: int) -> float:
    here, began = arrivals(count), 0.0
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(here.sleep)
        await here.all_here.wait()
        began = perf_counter()
        nursery.cancel_scope.cancel()
    return (perf_counter() - began) * MILLISECONDS


async def _raw_each(count: int) -> float:
    here = arrivals(count)
    sleepers = [(trio.CancelScope(), trio.Event()) for _ in range(count)]
    async with trio.open_nursery() as tree:
        for scope, ended in sleepers:
            tree.start_soon(_sleep_in, scope, ended, here)
        await here.all_here.wait()
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for scope, ended in sleepers:
                nursery.start_soon(_cancel_raw, scope, ended)
        return (perf_counter() - began) * MILLISECONDS


async def _sleep_in(scope: trio.CancelScope, ended: trio.Event, here: Arrivals) -> None:
    with scope:
        await here.sleep()
    ended.set()


async def _cancel_raw(scope: trio.CancelScope, ended: trio.Event) -> None:
    scope.cancel()
    await ended.wait()
