# pyright: basic, reportMissingImports=false
"""A child process with pydantic-graph 1, which prints steps per second.

`python -m benchmarks.peers._base_node none|memory STEPS`

It imports nothing of ours: the states of version 1 would come to know of it.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pydantic_graph import BaseNode, End, Graph, GraphRunContext
from pydantic_graph.persistence.in_mem import FullStatePersistence

WARM_UP = 50


@dataclass
class State:
    steps: int
    count: int = 0
    log: list[str] = field(default_factory=lambda: ["x"] * 10)


@dataclass
class Step(BaseNode[State, None, int]):
    async def run(self, ctx: GraphRunContext[State]) -> "Step | End[int]":
        state = ctx.state
        state.count += 1
        state.log = [*state.log[1:], f"step {state.count}"]
        return Step() if state.count < state.steps else End(state.count)


async def chain(kind: str, steps: int) -> float:
    graph: Any = Graph(nodes=(Step,), state_type=State, run_end_type=int)
    persistence = None
    if kind == "memory":
        persistence = FullStatePersistence()
        persistence.set_graph_types(graph)
    state = State(steps)
    began = perf_counter()
    await graph.run(Step(), state=state, persistence=persistence)
    took = perf_counter() - began
    assert state.count == steps
    return steps / took


if __name__ == "__main__":
    asyncio.run(chain(sys.argv[1], WARM_UP))
    print(asyncio.run(chain(sys.argv[1], int(sys.argv[2]))))
