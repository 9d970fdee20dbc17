"""`run.progress()`: where a run is, also one whose log does not begin with its beginning (SEMANTICS 1, 3.1)."""

from math import inf

import pytest
import trio

from terzetto.stores import MemoryStore
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve
from terzetto_protocol.graph import Graph

from .runtimes import MUTATIONS, Tally, chain, opened, parked, says, settled


def walked():
    """`write`, then the barriers `read` and `print`."""
    return chain(says("write"), "read", "print")


async def statuses(run):
    return {name: (each.visits, each.status, each.note) for name, each in (await run.progress()).items()}


async def test_where_a_fork_is(autojump_clock):
    """It begins in the middle, which its own log does not tell."""
    graph = walked()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("read", Approve())
        await settled()
        assert {"read": (1, "AWAITING_INPUT", "read@2 is open")} == await statuses(await run.fork(at=3))


async def test_where_a_run_is_that_was_undone(autojump_clock):
    """What is undone was cut off; what it goes back to is visited again."""
    graph = walked()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("read", Approve())
        await settled()
        await run.undo()
        await settled()
        assert {
            "write": (1, "SUCCEEDED", ""),
            "read": (2, "AWAITING_INPUT", "read@4 is open"),
            "print": (1, "CANCELLED", ""),
        } == await statuses(run)


def asking(limit=inf):
    """`ask` runs a graph for so many seconds, in which `search` comes before a barrier; then the barrier `gate`."""
    inner = Graph("inner", state=Tally, mutations=MUTATIONS)
    inner.start(inner.node(name="search")(says("search")))
    inner.edge("search", inner.barrier("gate"))
    graph = Graph("outer", state=Tally, mutations=MUTATIONS, checkpoints=CheckpointPolicy(every=1))

    @graph.node(runs=[inner])
    async def ask(ctx):
        with trio.move_on_after(limit):
            if limit:
                await ctx.run(inner, Tally())

    graph.start(ask)
    graph.edge(ask, graph.barrier("gate"))
    return graph


async def asked(runtime, graph, pruned):
    """A run that is at the barrier inside."""
    run = await parked(runtime, graph, "r")
    if pruned:
        assert 3 == await run.truncate(4)
    await settled()
    assert {"ask": (1, "AWAITING_INPUT", "ask.inner/gate@3 is open")} == await statuses(run)
    return run


OVER = {"ask": (1, "SUCCEEDED", ""), "gate": (1, "AWAITING_INPUT", "gate@4 is open")}


@pytest.mark.parametrize("pruned", [False, True])
async def test_where_a_run_is_whose_node_runs_a_graph(autojump_clock, pruned):
    """The node stands for the graph that it runs, whose places have names of their own."""
    graph = asking()
    async with opened(MemoryStore(), graph) as runtime:
        run = await asked(runtime, graph, pruned)
        await run.decide("", Approve())
        await settled()
        assert OVER == await statuses(run)
        await run.cancel()
        assert OVER | {"gate": (1, "CANCELLED", "")} == await statuses(run)


@pytest.mark.parametrize("pruned", [False, True])
async def test_a_graph_for_which_nobody_waits_any_more_is_over(autojump_clock, pruned):
    """5.6: it ends before the body that ran it."""
    graph = asking(1.0)
    async with opened(MemoryStore(), graph) as runtime:
        run = await asked(runtime, graph, pruned)
        await trio.sleep(2)
        assert OVER == await statuses(run)


@pytest.mark.parametrize("pruned", [False, True])
async def test_a_graph_that_a_later_life_does_not_run_is_over(autojump_clock, pruned):
    """5.6: it ends with the visit."""
    store = MemoryStore()
    async with opened(store, graph := asking()) as runtime:
        await asked(runtime, graph, pruned)
    async with opened(store, asking(0)) as runtime:
        await settled()
        assert OVER == await statuses(runtime.get("r"))
