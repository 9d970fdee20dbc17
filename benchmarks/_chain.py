"""A chain of steps that touches no disk: without a store, and with the memory store."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Literal

import trio

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._states import Tally, checked_rate
from ._work import RAW_CHAIN, Chain, chain_graph, raw_chain
from .limits import _chain as limits

Dispatch = Literal["direct", "task"]


def contests(setting: Setting) -> list[Contest]:
    """`chain` (G1), `chain_when` and `memory` (G2)."""
    steps = setting.sizes.chain
    raw = _beside_raw(steps)
    return [
        Contest(
            goal="G1",
            name="chain",
            work=f"a chain of {steps:,} trivial async steps by terzetto.run, no store",
            unit="steps/s",
            ours=lambda: trio.run(alone, chain_graph(), steps),
            opponents=[raw(Bar(1.0, 1.5)), *setting.peers_at("chain", LangGraph=Bar(50, 90))],
            fastest=Bar(2.5),
            limit=Limit(partial(limits.alone, steps), limits.ALONE),
        ),
        Contest(
            name="chain_when",
            work="the same over an edge with a condition",
            unit="steps/s",
            ours=lambda: trio.run(alone, chain_graph(when=_goes_on), steps),
            opponents=[raw(None)],
        ),
        Contest(
            goal="G2",
            name="memory",
            work=f"{steps:,} steps in a runtime on memory:, a commit each",
            unit="steps/s",
            ours=lambda: trio.run(in_memory, steps, "direct"),
            opponents=[raw(Bar(0.8, 1.2)), *setting.peers_at("memory", LangGraph=Bar(50, 90))],
            limit=Limit(partial(limits.stored, steps), limits.STORED),
        ),
    ]


def _beside_raw(steps: int) -> Callable[[Bar | None], Opponent]:
    return lambda bar: Opponent("raw Trio", partial(raw_chain, steps), RAW_CHAIN, bar)


def _goes_on(tally: Tally) -> bool:
    return tally.count > 0


async def alone(graph: Chain, steps: int) -> float:
    """Steps per second of one run without a runtime."""
    bound = terzetto.bind(graph, steps)
    graph.build()
    began = perf_counter()
    end = await terzetto.run(bound, Tally(), max_steps=steps)
    return checked_rate(end, steps, perf_counter() - began)


async def in_memory(steps: int, dispatch: Dispatch) -> float:
    """Steps per second of one run in a runtime on the memory store."""
    graph = chain_graph()
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, steps)], dispatch=dispatch) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Tally(), max_steps=steps)
        return checked_rate(end, steps, perf_counter() - began)
