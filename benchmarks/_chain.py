"""A chain of steps that touches no disk: without a store, and with the memory store."""

from functools import partial
from time import perf_counter

import trio

import terzetto

from ._contest import Contest
from ._sizes import Sizes
from ._work import Tally, chain_graph, raw_chain

_RAW = "a Trio task that does the step and yields, trio.lowlevel.checkpoint(), after each"


def contests(sizes: Sizes) -> list[Contest]:
    """`chain` and `memory`."""
    steps, raw = sizes.chain, partial(raw_chain, sizes.chain)
    return [
        Contest(
            name="chain",
            work=f"{steps} steps by terzetto.run, no store",
            unit="steps/s",
            ours=lambda: trio.run(_alone, steps),
            raw=raw,
            against=_RAW,
            aim=0.6,
        ),
        Contest(
            name="memory",
            work=f"{steps} steps in a runtime on memory:, a commit each",
            unit="steps/s",
            ours=lambda: trio.run(_in_memory, steps),
            raw=raw,
            against=_RAW,
        ),
    ]


async def _alone(steps: int) -> float:
    graph, began = terzetto.bind(chain_graph(), steps), perf_counter()
    end = await terzetto.run(graph, Tally(), max_steps=steps)
    took = perf_counter() - began
    assert end.count == steps
    return steps / took


async def _in_memory(steps: int) -> float:
    graph = chain_graph()
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, steps)]) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Tally(), max_steps=steps)
        took = perf_counter() - began
    assert end.count == steps
    return steps / took
