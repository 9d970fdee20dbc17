"""What a state that grows costs: bytes that are written when each of many steps appends to a list in it."""

from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import trio
from attrs import define, frozen

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._rows import relaxed
from ._setting import Setting
from ._states import History, Said, line_of
from .limits import _history as limits

_DELTAS = "what the commits alone weigh, without the snapshots beside them"
_HALF = "the same run when half of the steps were made: 2 is linear, 4 would be quadratic"


@define
class Looks:
    """Who notes what has been written when half of the steps were made."""

    steps: int
    file: Path
    half: int = 0

    def look(self, step: int) -> None:
        """Note the bytes of all commits before this step: a repeatable node begins when they are durable."""
        if step == self.steps // 2:
            self.half = _stored(self.file, "commits") + _stored(self.file, "snapshots")


@frozen
class Written:
    """Bytes."""

    all: int
    """Commits and snapshots, as they stand in the file."""
    half: int
    """The same after half of the steps."""
    deltas: int
    """Commits alone."""


def contests(setting: Setting) -> list[Contest]:
    """`history` and `history_half` (G3e)."""
    steps = setting.sizes.history
    work = f"commits and snapshots in the file of a run of {steps:,} steps that each append a line to the state"
    return [
        Contest(
            goal="G3e",
            name="history",
            work=work,
            unit="bytes",
            ours=lambda: written(steps).all,
            opponents=[Opponent("the deltas", lambda: written(steps).deltas, _DELTAS, Bar(1.3, 1.1))],
            better="less",
            rounds=1,
            limit=Limit(lambda: written(steps).deltas + limits.snapshots(steps), limits.HOW),
        ),
        Contest(
            goal="G3e",
            name="history_half",
            work=work,
            unit="bytes",
            ours=lambda: written(steps).all,
            opponents=[Opponent("half of it", lambda: written(steps).half, _HALF, Bar(2.6))],
            better="less",
            rounds=1,
        ),
    ]


@cache
def written(steps: int) -> Written:
    """What one run has written."""
    with TemporaryDirectory() as place:
        looks = Looks(steps, Path(place) / "runs.db")
        trio.run(partial(_run, relaxed(place), looks))
        deltas = _stored(looks.file, "commits")
        return Written(deltas + _stored(looks.file, "snapshots"), looks.half, deltas)


async def _run(url: str, looks: Looks) -> None:
    graph = _graph()
    async with terzetto.open_runtime(url, [terzetto.bind(graph, looks)]) as runtime:
        end = await runtime.run(graph, History(), max_steps=looks.steps)
        assert len(end.lines) == looks.steps


def _stored(file: Path, table: str) -> int:
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    total = connection.execute(f"select sum(length(body)) from {table}").fetchall()[0][0]
    connection.close()
    assert isinstance(total, int)
    return total


def _graph() -> terzetto.Graph[History, Looks]:
    graph = terzetto.Graph("history", state=History, mutations=[Said], deps=Looks)

    @graph.node
    async def step(ctx: terzetto.NodeContext[History, Looks]) -> None:
        number = len(ctx.state.lines)
        ctx.deps.look(number)
        ctx.record(Said(line_of(number)))
        if number + 1 == ctx.deps.steps:
            ctx.end()

    graph.start(step)
    graph.edge(step, step)
    return graph
