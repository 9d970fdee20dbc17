"""A state of 100 KB of which each step changes a little: how fast, and how many bytes are kept of it."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import trio
from attrs import Factory, define

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._states import Counted, Tally
from .limits import _durable as limits

BULK_LINES, BULK_LINE = 100, "y" * 1000
LIMIT = 1536.0
"""Bytes a step."""


@define
class Large(Tally):
    """A tally that carries a bulk which no step changes."""

    bulk: list[str] = Factory(lambda: [BULK_LINE] * BULK_LINES)


def contests(setting: Setting) -> list[Contest]:
    """`large` and `large_bytes` (G3d)."""
    steps = setting.sizes.large
    work = f"{steps:,} pure steps of one run with a state of 100 KB, one small change a step, SQLite FULL"
    return [
        Contest(
            goal="G3d",
            name="large",
            work=work,
            unit="steps/s",
            ours=partial(_rate, setting.folder, steps),
            opponents=setting.peers_at("large", LangGraph=Bar(60, 150)),
            limit=Limit(partial(limits.ahead, setting.folder, steps, Large), limits.AHEAD),
        ),
        Contest(
            goal="G3d",
            name="large_bytes",
            work=f"{work}: size of the store when it is closed, per step",
            unit="bytes/step",
            ours=partial(_bytes, setting.folder, steps),
            opponents=[
                Opponent("the limit", lambda: LIMIT, "1.5 KB; it stands still", Bar(1.0, 0.4)),
                *setting.peers_at("large_bytes"),
            ],
            better="less",
            rounds=1,
        ),
    ]


def _graph() -> terzetto.Graph[Large, int]:
    graph = terzetto.Graph("large", state=Large, mutations=[Counted], deps=int)

    @graph.node(effects="pure")
    async def step(ctx: terzetto.NodeContext[Large, int]) -> None:
        count = ctx.state.count + 1
        ctx.record(Counted(f"step {count}"))
        if count == ctx.deps:
            ctx.end()

    graph.start(step)
    graph.edge(step, step)
    return graph


def _rate(folder: str | None, steps: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        return trio.run(_run, place, steps)


def _bytes(folder: str | None, steps: int) -> float:
    with TemporaryDirectory(dir=folder) as place:
        trio.run(_run, place, steps)
        return folder_bytes(place) / steps


async def _run(place: str, steps: int) -> float:
    graph = _graph()
    async with terzetto.open_runtime(f"sqlite://{place}/runs.db", [terzetto.bind(graph, steps)]) as runtime:
        began = perf_counter()
        end = await runtime.run(graph, Large(), max_steps=steps)
        took = perf_counter() - began
    assert end.count == steps
    return steps / took


def folder_bytes(place: str) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in Path(place).iterdir())
