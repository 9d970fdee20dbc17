"""`terzetto._turns`: the canary for what Trio counts, and what a run makes of it."""

import pytest
import trio

import terzetto
from terzetto._turns import times_scheduled

from .runtimes import MUTATIONS, Add, Tally

STEPS = 40


async def test_canary_trio_counts_how_often_a_task_was_scheduled():
    task = trio.lowlevel.current_task()
    before = times_scheduled(task)

    await trio.lowlevel.checkpoint_if_cancelled()
    assert times_scheduled(task) == before, "a cancel check lets nobody run"
    await trio.lowlevel.checkpoint()
    assert times_scheduled(task) == before + 1


@pytest.mark.parametrize("yields", [True, False])
async def test_a_run_whose_nodes_let_others_run_does_not_do_it_again(yields):
    """No run holds the loop; and one that never does pays for no turn of its own."""
    graph = terzetto.Graph("steps", state=Tally, mutations=MUTATIONS, max_steps=STEPS + 1)

    @graph.node
    async def step(ctx):
        ctx.record(Add(1))
        if yields:
            await trio.lowlevel.checkpoint()
        if ctx.state.count + 1 == STEPS:
            ctx.end()

    graph.start(step)
    graph.edge(step, step)
    task = trio.lowlevel.current_task()
    before = times_scheduled(task)

    await terzetto.run(graph, Tally())

    turns = times_scheduled(task) - before
    assert turns in ((STEPS, STEPS + 1) if yields else range(STEPS // 16, STEPS // 2))
