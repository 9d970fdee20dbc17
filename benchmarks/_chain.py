"""A chain of steps that touches no disk: without a store, and with the memory store."""

from functools import partial
from time import perf_counter

import trio

import terzetto

from ._contest import Contest
from ._sizes import Sizes
from ._work import Chain, Tally, chain_graph, raw_chain

_RAW = "a Trio task that does the step and yields, trio.lowlevel.checkpoint(), after each"


def contests(sizes: Sizes) -> list[Contest]:
    """`chain`, `chain_when` and `memory`."""
    steps, raw = sizes.chain, partial(raw_chain, sizes.chain)
    return [
        Contest(
            name="chain",
            work=f"{steps} steps by terzetto.run, no store",
            unit="steps/s",
            ours=lambda: trio.run(_alone, chain_graph(), steps),
            raw=raw,
            against=_RAW,
            aim=0.6,
        ),
        Contest(
            name="chain_when",
            work="the same over an edge with a condition",
            unit="steps/s",
            ours=lambda: trio.run(_alone, chain_graph(when=_goes_on), steps),
            raw=raw,
            against=_RAW,
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


def _goes_on(tally: Tally) -> bool:
    return tally.count > 0


async def _alone(graph: Chain, steps: int) -> float:
    bound, began = terzetto.bind(graph, steps), perf_counter()
    end = await terzetto.run(bound, Tally(), max_steps=steps)
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
