"""The limits of chains: of steps on one task, with and without a log in memory, and of a task for each step."""

from time import perf_counter
from typing import Final

import trio
from attrs import frozen

from .._states import Tally, checked_rate
from ._visit import EDGES, YIELD_STEPS, Context, Kept, Node, step

_NODES: Final[dict[str, Node]] = {"step": step}

ALONE: Final = (
    "a loop that looks up the node, makes its context, awaits it, checks and applies what it recorded, looks up what "
    "follows, and looks for a cancel after each step; every 16th time it yields"
)
STORED: Final = (
    "the same loop; a step is encoded as one msgpack commit and kept, of which its events are made when somebody reads"
)
TASKS: Final = f"{STORED}; and each step is a task, which its predecessor starts in a nursery that stays open"


def alone(steps: int) -> float:
    """Steps per second of a run of which nothing is kept."""
    return trio.run(_alone, steps)


async def _alone(steps: int) -> float:
    tally, began = Tally(), perf_counter()
    await carry(tally, steps, _NODES)
    return checked_rate(tally, steps, perf_counter() - began)


async def carry(tally: Tally, steps: int, nodes: dict[str, Node]) -> None:
    """Make all steps of a run of which nothing is kept and nobody hears: its events need not be made."""
    place, visit, lowlevel = "step", 0, trio.lowlevel
    while True:
        visit += 1
        ctx = Context(tally, steps)
        await nodes[place](ctx)
        for _, mutation in ctx.batch:
            mutation.apply(tally)
        if ctx.is_over:
            return
        place = EDGES[place]
        if visit % YIELD_STEPS:
            await lowlevel.checkpoint_if_cancelled()
        else:
            await lowlevel.checkpoint()


def stored(steps: int) -> float:
    """Steps per second of a run with a log in memory."""
    return trio.run(_stored, steps)


async def _stored(steps: int) -> float:
    tally, kept, place, visit, lowlevel = Tally(), Kept(), "step", 0, trio.lowlevel
    began = perf_counter()
    while True:
        visit += 1
        ctx = Context(tally, steps)
        await _NODES[place](ctx)
        for _, mutation in ctx.batch:
            mutation.apply(tally)
        after = EDGES[place]
        kept.commit(visit, place, after, ctx.batch)
        if ctx.is_over:
            break
        place = after
        if visit % YIELD_STEPS:
            await lowlevel.checkpoint_if_cancelled()
        else:
            await lowlevel.checkpoint()
    return checked_rate(tally, steps, perf_counter() - began)


def tasks(steps: int) -> float:
    """Steps per second of such a run with a task for each step."""
    return trio.run(_tasks, steps)


async def _tasks(steps: int) -> float:
    tally, began = Tally(), perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_visit, _Run(nursery, Kept(), tally, steps), 1, "step")
    return checked_rate(tally, steps, perf_counter() - began)


@frozen
class _Run:
    nursery: trio.Nursery
    kept: Kept
    tally: Tally
    steps: int


async def _visit(run: _Run, visit: int, place: str) -> None:
    await trio.lowlevel.checkpoint_if_cancelled()
    ctx = Context(run.tally, run.steps)
    await _NODES[place](ctx)
    for _, mutation in ctx.batch:
        mutation.apply(run.tally)
    after = EDGES[place]
    run.kept.commit(visit, place, after, ctx.batch)
    if not ctx.is_over:
        run.nursery.start_soon(_visit, run, visit + 1, after)
