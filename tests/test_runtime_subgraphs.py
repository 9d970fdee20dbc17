"""Subgraphs through a runtime: states, failures, depth, going on (SEMANTICS 5.6)."""

import weakref

import attrs
import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.events import NodeFinished
from terzetto_protocol.graph import Graph

from .runtimes import (
    CANCELLED,
    FAILED,
    INTERRUPTED,
    SUCCEEDED,
    Add,
    Held,
    Say,
    Tally,
    both,
    chain,
    opened,
    says,
    stores,
    told,
)
from .stores import trail
from .subgraphs import LEVELS, around, bare, fails, nested


@attrs.define
class Order:
    """A state of another type, for the outside of a subgraph."""

    number: int = 0
    notes: list[str] = attrs.Factory(list)


@attrs.frozen
class Note:
    text: str

    def apply(self, order: Order) -> None:
        order.notes.append(self.text)


@both
@stores
async def test_a_subgraph_works_through_its_lens(autojump_clock, dispatch, store):
    """5.6: a state of its own; its success is one outer commit."""
    inner = chain(says("first"), says("second"), name="inner")
    graph = Graph("orders", state=Order, mutations=[Note])

    async def before(ctx):
        ctx.record(Note("before"))

    def put(order: Order, tally: Tally) -> None:
        order.notes.extend(tally.trail)

    first = graph.node(before)
    below = graph.subgraph("below", inner, get=lambda order: Tally(trail=[f"for {order.number}"]), put=put)
    graph.start(first)
    graph.edge(first, below)
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Order(7), run_id="r")
        assert ["before", "for 7", "first", "second"] == (await run.result()).state.notes
        finished = [event.node for event in await told(run) if isinstance(event, NodeFinished)]
    assert ["before", "below/first", "below/second", "below"] == finished
    assert ["join below@2 SUCCEEDED -> SUCCEEDED"] == (await trail(shelf, "r"))[-1:]


@both
@stores
async def test_a_failed_subgraph_leaves_the_outer_state(autojump_clock, dispatch, store):
    """5.6: a failed subgraph leaves the outer state untouched; its failure leads on outside."""
    graph = bare()
    below = graph.subgraph("below", chain(says("never"), fails, name="inner"))
    graph.start(below)
    graph.edge(below, graph.node(name="rescued")(says("rescued")), on_error=True)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (SUCCEEDED, ["rescued"]) == (result.status, result.state.trail)


@both
@stores
async def test_twenty_levels_deep(autojump_clock, dispatch, store):
    """5.6: what is done at the bottom arrives at the top, one commit for each level."""
    graph = nested(chain(says("bottom"), name="inner"))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        assert ["bottom"] == (await runtime.run(graph, Tally(), run_id="r")).trail
    assert LEVELS == sum(line.startswith("join ") for line in await trail(shelf, "r"))
    assert ["bottom"] == (await terzetto.run(graph, Tally())).trail


@both
async def test_a_failure_twenty_levels_deep_names_the_whole_path(autojump_clock, dispatch):
    """9.4: the failure of the run names the path of the node that failed, once."""
    graph = nested(chain(fails, name="inner"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    path = "/".join([*(f"s{level}" for level in range(LEVELS)), "fails"])
    assert (FAILED, f"node '{path}': ValueError: bad") == (result.status, result.message)
    assert ("ValueError: bad",) == result.failure.errors


@both
@stores
async def test_a_cancel_twenty_levels_deep(autojump_clock, dispatch, store):
    """5.6, 9.1: cancellation is inherited; children first."""
    held = Held(cleanup=2)
    graph = nested(chain(held, name="inner"))
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        await run.cancel()
        assert CANCELLED is (await run.result()).status
    assert (["cancelled", "cleaned up"], 2) == (held.ends, trio.current_time())
    assert tasks == trio.lowlevel.current_statistics().tasks_living


@both
@stores
async def test_a_subgraph_goes_on_where_it_was(autojump_clock, dispatch, store):
    """5.6: resumable from inside: no finished visit of it runs again."""
    ran, held = [], Held()

    async def first(ctx):
        ran.append("first")
        ctx.record(Say("first"))

    graph = nested(chain(first, held, name="inner"), levels=3)
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    assert INTERRUPTED is (await shelf.run("r")).status
    held.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        assert ["first", "held"] == (await runtime.get("r").result()).state.trail
    assert ["first"] == ran


async def test_an_inner_graph_that_changed_leaves_the_run_as_it_is(autojump_clock):
    """2: every pending node is still declared, inside of subgraphs too; otherwise it stays as it is with a reason."""
    store, held = MemoryStore(), Held()
    graph = around(chain(says("first"), held, name="inner"))
    async with opened(store, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    before = await store.run("r")
    other = around(chain(says("first"), name="inner"))
    other.node(name="held")(says("not this one"))
    async with opened(store, other) as runtime:
        with pytest.raises(terzetto.Refused, match=r"no node \S*held\S* any more; it stays as it is"):
            await runtime.get("r").result()
    assert before == await store.run("r")


async def test_a_long_subgraph_without_a_store_keeps_no_history(autojump_clock):
    """Law 3: `terzetto.run` needs as much memory for a thousand visits as for ten, inside of subgraphs too."""

    class Known(Add, frozen=True, weakref=True):
        """A mutation that can be looked for."""

    inner = Graph("inner", state=Tally, mutations=[Known], max_steps=5_000)
    made: list[weakref.ref[Known]] = []
    kept = 0

    @inner.node
    async def work(ctx: terzetto.NodeContext[Tally]) -> None:
        nonlocal kept
        mutation = Known()
        made.append(weakref.ref(mutation))
        ctx.record(mutation)
        if len(made) == 2_000:
            kept = sum(ref() is not None for ref in made)
            ctx.end()

    inner.start(work)
    inner.edge(work, work)
    assert 2_000 == (await terzetto.run(around(inner), Tally(), max_steps=5_000)).count
    assert kept < 600
