"""Checkpoints that nodes ask for, and policies of graphs and submits (SEMANTICS 3.1)."""

import pytest

import terzetto
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.errors import InvalidRequest

from .runtimes import SUCCEEDED, Held, Say, Tally, chain, opened, says
from .stores import FaultyStore
from .walks import EVERY, at_gate, walk


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def test_a_label_is_shown_in_the_history(store):
    """3.1: `ctx.checkpoint(label)` makes the visit's commit a checkpoint."""

    async def publish(ctx):
        ctx.checkpoint("before publishing")

    async def log(ctx: terzetto.NodeContext):
        ctx.checkpoint("never mind")
        ctx.checkpoint()

    graph = chain(says("a"), publish, log, says("b"), checkpoints=CheckpointPolicy())
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        assert [None, None, None, "before publishing", "", None] == [
            commit.checkpoint for commit in reversed(await run.history())
        ]
        assert [1, 4, 5, 6] == await run.checkpoints()


async def test_a_checkpoint_that_is_asked_for_is_written_at_once(autojump_clock):
    """3.1: also in a run that keeps its commits together until it ends."""
    held = Held("held")

    async def save(ctx):
        ctx.record(Say("save"))
        ctx.checkpoint()

    graph = chain(says("a"), save, says("b"), held, checkpoints=CheckpointPolicy())
    async with opened(FaultyStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", durability="exit")
        await held.begun.wait()
        assert (4, ["a", "save"]) == ((await runtime.row("r")).seq, (await run.state()).trail)
        assert [1, 4] == await run.checkpoints()
        held.go.set()
        assert ["a", "save", "b", "held"] == (await run.result()).state.trail


async def test_a_node_of_a_dataflow_asks_for_a_checkpoint_too(store):
    flow = terzetto.Dataflow("flow", checkpoints=CheckpointPolicy())

    @flow.node()
    async def double(ctx: terzetto.FlowContext, number: int) -> None:
        ctx.checkpoint("doubled")

    flow.link(flow.input("number", int), double, "number")
    async with opened(store, flow) as runtime:
        run = await runtime.submit(flow, flow.begin({"number": 3}), run_id="r")
        assert SUCCEEDED is (await run.result()).status
        assert ["doubled"] == [c.checkpoint for c in await run.history() if c.checkpoint is not None]
        assert (await run.replay()).holds


async def test_a_submit_says_more_than_its_graph(autojump_clock):
    graph = walk(checkpoints=EVERY)
    async with opened(MemoryStore(), graph) as runtime:
        mine = await at_gate(runtime, graph, "mine", checkpoints=CheckpointPolicy(every=1))
        theirs = await at_gate(runtime, graph, "theirs")
        assert [*range(1, 8)] == await mine.checkpoints()
        assert [1, 3, 5, 7] == await theirs.checkpoints()
        with pytest.raises(InvalidRequest, match="a checkpoint every 0 commits"):
            await runtime.submit(graph, Tally(), checkpoints=CheckpointPolicy(every=0))
        fork = await mine.fork(new_id="f")
        assert CheckpointPolicy(every=1) == (await runtime.row(fork.run_id)).header.checkpoints
