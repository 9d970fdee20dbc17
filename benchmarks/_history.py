"""What a state that grows costs: bytes that are written when each of many steps appends to a list in it."""

from functools import cache, partial
from tempfile import TemporaryDirectory

import trio
from attrs import Factory, define, frozen

import terzetto

from ._contest import Contest
from ._sizes import Sizes
from ._sqlite import relaxed

TENTHS = (1, 2, 4, 8)
"""When it is looked, in tenths of the run: from one to the next bytes double, or quadruple if they are quadratic."""
AIM = 3.0
"""Between the two: a snapshot that has just been taken weighs as much as the deltas since the one before."""


@define
class History:
    """A state that only grows."""

    lines: list[str] = Factory(list)


@frozen
class Said:
    """One line more."""

    line: str

    def apply(self, history: History, /) -> None:
        history.lines.append(self.line)


@define
class Looks:
    """Who notes what has been written when."""

    steps: int
    runtime: terzetto.Runtime | None = None
    written: dict[int, int] = Factory(dict)

    def look(self, step: int) -> None:
        """Note the bytes of all commits before this step: a repeatable node begins when they are durable."""
        if step * 10 in [tenth * self.steps for tenth in TENTHS]:
            assert self.runtime is not None
            self.written[step * 10 // self.steps] = self.runtime.statistics().persistence.bytes


def contests(sizes: Sizes) -> list[Contest]:
    """`history_2`, `history_4` and `history_8`, each beside the half of it."""
    steps = sizes.history
    return [
        Contest(
            name=f"history_{tenth}",
            work=f"bytes of commits and snapshots after {tenth * steps // 10:,} steps that each append a line",
            unit="bytes",
            ours=partial(_written, steps, tenth),
            raw=partial(_written, steps, tenth // 2),
            against=f"the same after {tenth // 2 * steps // 10:,} steps: 2 is linear, 4 would be quadratic",
            better="less",
            aim=AIM,
            rounds=1,
        )
        for tenth in TENTHS[1:]
    ]


def _written(steps: int, tenth: int) -> float:
    return _all_written(steps)[tenth]


@cache
def _all_written(steps: int) -> dict[int, int]:
    """Of one run, at each look."""
    return trio.run(_run, Looks(steps))


async def _run(looks: Looks) -> dict[int, int]:
    graph = _graph()
    with TemporaryDirectory() as place:
        async with terzetto.open_runtime(relaxed(place), [terzetto.bind(graph, looks)]) as runtime:
            looks.runtime = runtime
            end = await runtime.run(graph, History(), max_steps=looks.steps)
    assert len(end.lines) == looks.steps
    return looks.written


def _graph() -> terzetto.Graph[History, Looks]:
    graph = terzetto.Graph("history", state=History, mutations=[Said], deps=Looks)

    @graph.node
    async def step(ctx: terzetto.NodeContext[History, Looks]) -> None:
        number = len(ctx.state.lines)
        ctx.deps.look(number)
        ctx.record(Said(f"line {number} of a conversation that grows"))
        if number + 1 == ctx.deps.steps:
            ctx.end()

    graph.start(step)
    graph.edge(step, step)
    return graph
