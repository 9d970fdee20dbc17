"""The work that every chain does in a step: count, and shift a log of ten lines."""

from collections.abc import Callable
from time import perf_counter

import trio

import terzetto

from ._states import Counted, Tally, checked_rate

RAW_CHAIN = "a Trio task that does the step and yields, trio.lowlevel.checkpoint(), after each"

Ctx = terzetto.NodeContext[Tally, int]
Chain = terzetto.Graph[Tally, int]


def chain_graph(effects: terzetto.Effects = "repeatable", when: Callable[[Tally], bool] | None = None) -> Chain:
    """One node that follows itself, until as many steps were made as its deps say."""
    graph = terzetto.Graph("chain", state=Tally, mutations=[Counted], deps=int)

    @graph.node(effects=effects)
    async def step(ctx: Ctx) -> None:
        count = ctx.state.count + 1
        ctx.record(Counted(f"step {count}"))
        if count == ctx.deps:
            ctx.end()

    graph.start(step)
    graph.edge(step, step, when=when)
    return graph


async def raw_step(tally: Tally) -> None:
    """The same step without a graph."""
    tally.count += 1
    tally.log = [*tally.log[1:], f"step {tally.count}"]


def raw_chain(steps: int) -> float:
    """Steps per second of a loop that yields after every step."""
    return trio.run(_raw_chain, steps)


async def _raw_chain(steps: int) -> float:
    tally, began = Tally(), perf_counter()
    for _ in range(steps):
        await raw_step(tally)
        await trio.lowlevel.checkpoint()
    return checked_rate(tally, steps, perf_counter() - began)
