"""The end of a thousand nodes of one run: three maps deep, beside nurseries of the same nesting."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

import trio

import terzetto

from ._arrivals import Arrivals, arrivals
from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._states import Nothing
from .limits import _cancel as limits

MILLISECONDS = 1e3
DEPTH = 3
"""Maps in maps."""
_RAW = "nurseries in nurseries of the same nesting: cancel the outermost scope, until it is left"


Nest = terzetto.Graph[Nothing, Arrivals]
Ctx = terzetto.ItemContext[Nothing, int, Arrivals]


def contests(setting: Setting) -> list[Contest]:
    """`cancel` and `cancel_scope` (G7)."""
    width = setting.sizes.width
    work = f"{width**DEPTH:,} nodes of one run in sleep_forever, maps of {width} in maps of {width}, {DEPTH} deep"
    opponents = [
        Opponent("raw Trio", lambda: trio.run(_raw, width), _RAW, Bar(1.5, 1.2)),
        *setting.peers_at("cancel", LangGraph=Bar(0.6)),
    ]
    return [
        Contest(
            goal="G7",
            name="cancel",
            work=f"{work}, on memory: run.cancel(), until the result is here",
            unit="ms",
            ours=lambda: trio.run(_run, width),
            opponents=opponents,
            better="less",
            turns=2,
            limit=Limit(lambda: limits.run(width, DEPTH) * MILLISECONDS, limits.RUN),
        ),
        Contest(
            goal="G7",
            name="cancel_scope",
            work=f"{work}, by terzetto.run, no store: cancel the scope around it, until it is left",
            unit="ms",
            ours=lambda: trio.run(_scope, width),
            opponents=opponents,
            better="less",
            turns=2,
            limit=Limit(lambda: limits.scope(width, DEPTH) * MILLISECONDS, limits.SCOPE),
        ),
    ]


def _nest(width: int, depth: int = DEPTH) -> Nest:
    graph = terzetto.Graph(f"nest-{depth}", state=Nothing, deps=Arrivals)
    if depth == 1:

        @graph.node
        async def sleep(ctx: Ctx) -> None:
            await ctx.deps.sleep()

        fan = graph.map("fan", sleep, over=lambda _: range(width))
    else:
        inner = graph.subgraph("inner", _nest(width, depth - 1))
        fan = graph.map("fan", inner, over=lambda _: range(width), item=int)
    graph.start(fan)
    return graph


async def _run(width: int) -> float:
    graph, here = _nest(width), arrivals(width**DEPTH)
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, here)]) as runtime:
        run = await runtime.submit(graph, Nothing())
        await here.all_here.wait()
        began = perf_counter()
        await run.cancel()
        result = await run.result()
        took = perf_counter() - began
    assert result.status is terzetto.RunStatus.CANCELLED
    return took * MILLISECONDS


async def _scope(width: int) -> float:
    here = arrivals(width**DEPTH)
    bound = terzetto.bind(_nest(width), here)
    return await _cancelled(here, partial(terzetto.run, bound, Nothing()))


async def _raw(width: int) -> float:
    here = arrivals(width**DEPTH)
    return await _cancelled(here, partial(_raw_nest, here, width, DEPTH))


async def _cancelled(here: Arrivals, work: Callable[[], Awaitable[object]]) -> float:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await here.all_here.wait()
        began = perf_counter()
        nursery.cancel_scope.cancel()
    return (perf_counter() - began) * MILLISECONDS


async def _raw_nest(here: Arrivals, width: int, depth: int) -> None:
    if not depth:
        await here.sleep()
    async with trio.open_nursery() as nursery:
        for _ in range(width):
            nursery.start_soon(_raw_nest, here, width, depth - 1)
