"""Many runs at once, each of ten steps that let the others go on."""

from functools import partial
from time import perf_counter

import trio

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._states import Counted, Tally
from ._work import raw_step
from .limits import _many as limits

STEPS = 10
_RAW_NAME = "raw Trio"
_RAW = "as many Trio tasks in one nursery, which do the step and yield ten times each"
_Many = terzetto.Graph[Tally, None]


def contests(setting: Setting) -> list[Contest]:
    """`many` and `many_more` (G5a), `many_memory`."""
    some, more = setting.sizes.at_once, setting.sizes.many_at_once
    work = f"runs at once by terzetto.run, no store, of {STEPS} steps that yield"
    return [
        Contest(
            goal="G5a",
            name="many",
            work=f"{some:,} {work}",
            unit="runs/s",
            ours=lambda: trio.run(_alone, some),
            opponents=[_raw(some), *setting.peers_at("many", LangGraph=Bar(60))],
            rounds=3,
            limit=Limit(partial(limits.runs, some, STEPS), limits.HOW),
        ),
        Contest(
            goal="G5a",
            name="many_more",
            work=f"{more:,} {work}",
            unit="runs/s",
            ours=lambda: trio.run(_alone, more),
            opponents=[
                _raw(more),
                Opponent(
                    "a few of ours", lambda: trio.run(_alone, some), f"the same with {some:,} runs", Bar(0.65, 0.85)
                ),
            ],
            rounds=3,
            limit=Limit(partial(limits.runs, more, STEPS), limits.HOW, beside=_RAW_NAME),
        ),
        Contest(
            name="many_memory",
            work=f"{some:,} runs at once of {STEPS} such steps in a runtime on memory:",
            unit="runs/s",
            ours=lambda: trio.run(_in_memory, some),
            opponents=[Opponent("raw Trio", lambda: trio.run(_raw_tasks, some), _RAW)],
        ),
    ]


def _raw(count: int) -> Opponent:
    return Opponent(_RAW_NAME, lambda: trio.run(_raw_tasks, count), _RAW, Bar(0.45, 0.7))


def _graph() -> _Many:
    graph = terzetto.Graph("many", state=Tally, mutations=[Counted])

    @graph.node
    async def step(ctx: terzetto.NodeContext[Tally]) -> None:
        await trio.lowlevel.checkpoint()
        count = ctx.state.count + 1
        ctx.record(Counted(f"step {count}"))
        if count == STEPS:
            ctx.end()

    graph.start(step)
    graph.edge(step, step)
    return graph


async def _alone(count: int) -> float:
    graph = _graph()
    graph.build()
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(terzetto.run, graph, Tally())
    return count / (perf_counter() - began)


async def _in_memory(count: int) -> float:
    graph = _graph()
    async with terzetto.open_runtime("memory:", [graph], pool_size=count) as runtime:
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(partial(runtime.run, graph, Tally()))
        return count / (perf_counter() - began)


async def _raw_tasks(count: int) -> float:
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_raw_run)
    return count / (perf_counter() - began)


async def _raw_run() -> None:
    tally = Tally()
    for _ in range(STEPS):
        await raw_step(tally)
        await trio.lowlevel.checkpoint()
