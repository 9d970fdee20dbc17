# pyright: basic, reportMissingImports=false
"""pydantic-graph 2: the graphs of its builder. It has no persistence, no pause and no streams."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from time import perf_counter
from typing import Any

from pydantic_graph import GraphBuilder, StepContext, TypeExpression, reduce_list_append

from .._cancel import DEPTH, MILLISECONDS
from .._import import figure
from .._many import STEPS
from .._setting import Peer, Setting, Way
from .._states import LINES
from ._asyncio import cancelled, gathered

_IMPORT = "from pydantic_graph import GraphBuilder"
_FIRST_RUN = """
import asyncio
from pydantic_graph import GraphBuilder, StepContext

builder = GraphBuilder(output_type=int)

async def one(ctx: StepContext[None, None, None]) -> int:
    return 1

step = builder.step(one)
builder.add(builder.edge_from(builder.start_node).to(step), builder.edge_from(step).to(builder.end_node))
assert asyncio.run(builder.build().run()) == 1
"""


@dataclass
class State:
    count: int = 0
    log: list[str] = field(default_factory=lambda: ["x"] * LINES)


def _loop(steps: int, *, yielding: bool = False) -> Any:
    builder = GraphBuilder(state_type=State, output_type=int)

    @builder.step
    async def step(ctx: StepContext[State, None, None]) -> int:
        if yielding:
            await asyncio.sleep(0)
        state: State = ctx.state
        state.count += 1
        state.log = [*state.log[1:], f"step {state.count}"]
        return state.count

    number = TypeExpression[int]
    again = builder.decision().branch(builder.match(number, matches=lambda count: count < steps).to(step))
    again = again.branch(builder.match(number, matches=lambda count: count >= steps).to(builder.end_node))
    builder.add(builder.edge_from(builder.start_node).to(step), builder.edge_from(step).to(again))
    return builder.build()


async def _chain(steps: int) -> float:
    graph, state = _loop(steps), State()
    began = perf_counter()
    await graph.run(state=state)
    took = perf_counter() - began
    assert state.count == steps
    return steps / took


def _fan_graph(width: int, body: Callable[[], Awaitable[None]]) -> Any:
    builder = GraphBuilder(state_type=State, output_type=list[int])

    @builder.step
    async def items(ctx: StepContext[State, None, None]) -> list[int]:
        return list(range(width))

    @builder.step
    async def branch(ctx: StepContext[State, None, int]) -> int:
        await body()
        item: int = ctx.inputs
        return item

    join = builder.join(reduce_list_append, initial_factory=list[int])
    builder.add(
        builder.edge_from(builder.start_node).to(items),
        builder.edge_from(items).map().to(branch),
        builder.edge_from(branch).to(join),
        builder.edge_from(join).to(builder.end_node),
    )
    return builder.build()


async def _fans(fans: int, width: int) -> float:
    graph, began = _fan_graph(width, lambda: asyncio.sleep(0)), perf_counter()
    for _ in range(fans):
        out = await graph.run(state=State())
        assert len(out) == width
    return fans * width / (perf_counter() - began)


def _many(setting: Setting) -> float:
    graph = _loop(STEPS, yielding=True)
    return asyncio.run(gathered(setting.sizes.at_once, lambda: graph.run(state=State())))


def _cancel(setting: Setting) -> float:
    count = setting.sizes.width**DEPTH

    def work(sleep: Callable[[], Awaitable[None]]) -> Any:
        return _fan_graph(count, sleep).run(state=State())

    return asyncio.run(cancelled(count, work)) * MILLISECONDS


PEER = Peer(
    "pydantic-graph",
    version("pydantic-graph"),
    {
        "chain": Way(lambda setting: asyncio.run(_chain(setting.sizes.peer_steps)), "a step and a decision, run"),
        "fan": Way(
            lambda setting: asyncio.run(_fans(setting.sizes.peer_fans, setting.sizes.branches)),
            "map, steps that yield, and a join",
        ),
        "many": Way(_many, "as many run in one gather, of steps that yield"),
        "cancel": Way(_cancel, "as many branches of one map, not nested: cancel the task, until the last has ended"),
        "import": Way(lambda _: figure(_IMPORT), _IMPORT),
        "first_run": Way(lambda _: figure(_FIRST_RUN), "import, a graph of one step, run"),
    },
)
