"""The end of a thousand that sleep: run by run, and the whole tree of a runtime at once."""

from time import perf_counter

import trio
from attrs import define, frozen

import terzetto

from ._contest import Contest
from ._sizes import Sizes

_RAW_EACH = "Trio tasks in scopes of their own: cancel each, until every one has said that it ended"
_RAW_ALL = "a nursery of sleeping Trio tasks: cancel its scope, until it is gone"
MILLISECONDS = 1e3


@define
class Nothing:
    """A state without content."""


@frozen
class Arrivals:
    """Tells when everybody has come."""

    expected: int
    here: list[int]
    all_here: trio.Event

    def arrive(self) -> None:
        self.here[0] += 1
        if self.here[0] == self.expected:
            self.all_here.set()


def contests(sizes: Sizes) -> list[Contest]:
    """`cancel` and `cancel_tree`."""
    count = sizes.sleepers
    return [
        Contest(
            name="cancel",
            work=f"{count} runs in sleep_forever: cancel each, until every receipt and result is there",
            unit="ms",
            ours=lambda: trio.run(_each, count),
            raw=lambda: trio.run(_raw_each, count),
            against=_RAW_EACH,
            better="less",
            turns=3,
        ),
        Contest(
            name="cancel_tree",
            work=f"the same {count} runs: cancel the scope around their runtime, until it is gone",
            unit="ms",
            ours=lambda: trio.run(_tree, count),
            raw=lambda: trio.run(_raw_all, count),
            against=_RAW_ALL,
            better="less",
            turns=3,
        ),
    ]


def _graph() -> terzetto.Graph[Nothing, Arrivals]:
    graph = terzetto.Graph("sleep", state=Nothing, deps=Arrivals)

    @graph.node
    async def sleep(ctx: terzetto.NodeContext[Nothing, Arrivals]) -> None:
        ctx.deps.arrive()
        await trio.sleep_forever()

    graph.start(sleep)
    return graph


def _arrivals(count: int) -> Arrivals:
    return Arrivals(count, [0], trio.Event())


async def _submit_all(
    runtime: terzetto.Runtime, graph: terzetto.Graph[Nothing, Arrivals], arrivals: Arrivals
) -> list[terzetto.Run[Nothing]]:
    runs = [await runtime.submit(graph, Nothing()) for _ in range(arrivals.expected)]
    await arrivals.all_here.wait()
    return runs


async def _each(count: int) -> float:
    graph, arrivals = _graph(), _arrivals(count)
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, arrivals)], pool_size=count) as runtime:
        runs = await _submit_all(runtime, graph, arrivals)
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
    graph, arrivals, began = _graph(), _arrivals(count), 0.0
    with trio.CancelScope() as scope:
        async with terzetto.open_runtime("memory:", [terzetto.bind(graph, arrivals)], pool_size=count) as runtime:
            await _submit_all(runtime, graph, arrivals)
            began = perf_counter()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    return (perf_counter() - began) * MILLISECONDS


async def _raw_all(count: int) -> float:
    arrivals, began = _arrivals(count), 0.0
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_sleep, arrivals)
        await arrivals.all_here.wait()
        began = perf_counter()
        nursery.cancel_scope.cancel()
    return (perf_counter() - began) * MILLISECONDS


async def _sleep(arrivals: Arrivals) -> None:
    arrivals.arrive()
    await trio.sleep_forever()


async def _raw_each(count: int) -> float:
    arrivals = _arrivals(count)
    sleepers = [(trio.CancelScope(), trio.Event()) for _ in range(count)]
    async with trio.open_nursery() as tree:
        for scope, ended in sleepers:
            tree.start_soon(_sleep_in, scope, ended, arrivals)
        await arrivals.all_here.wait()
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for scope, ended in sleepers:
                nursery.start_soon(_cancel_raw, scope, ended)
        return (perf_counter() - began) * MILLISECONDS


async def _sleep_in(scope: trio.CancelScope, ended: trio.Event, arrivals: Arrivals) -> None:
    with scope:
        await _sleep(arrivals)
    ended.set()


async def _cancel_raw(scope: trio.CancelScope, ended: trio.Event) -> None:
    scope.cancel()
    await ended.wait()
