"""`ctx.run`: a node runs another graph inside of itself (SEMANTICS 5.6)."""

from itertools import pairwise

import pytest
import trio
import trio.testing
from attrs import define, field, frozen

import terzetto
import terzetto.testing
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import GraphError, InvalidRequest, SubgraphFailed
from terzetto_protocol.events import BranchesStarted, NodeFinished
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .runtimes import FAILED, MUTATIONS, RUNNING, SUCCEEDED, Say, Tally, both, opened, says, settled, stores, told


@define
class Search:
    topic: str = ""
    found: list[str] = field(factory=list)


@frozen
class Found:
    what: str

    def apply(self, search: Search) -> None:
        search.found = [*search.found, self.what]


def search_graph(*bodies, barrier=False, **options):
    """The inner graph: one node after the other, and perhaps a barrier before the last."""
    graph = Graph("search", state=Search, mutations=[Found], **options)
    nodes = [graph.node(name=f"s{number}")(body) for number, body in enumerate(bodies)]
    gate = graph.barrier("gate") if barrier else None
    graph.start(nodes[0])
    for source, target in pairwise(nodes):
        if gate is not None and target is nodes[-1]:
            graph.edge(source, gate)
            graph.edge(gate.approved, target)
        else:
            graph.edge(source, target)
    return graph


def finds(what):
    async def body(ctx):
        await trio.lowlevel.checkpoint()
        ctx.record(Found(f"{ctx.state.topic}:{what}"))

    return body


def outer_graph(inner, body, **options):
    """`ask` runs the inner graph; `done` follows."""
    graph = Graph("outer", state=Tally, mutations=MUTATIONS)
    ask = graph.node(name="ask", runs=[inner], **options)(body)
    graph.start(ask)
    graph.edge(ask, graph.node(name="done")(says("done")))
    return graph


def asks(inner, *, topic="t", times=1):
    async def body(ctx):
        for number in range(times):
            ended = await ctx.run(inner, Search(f"{topic}{number}"))
            ctx.record(Say(" ".join(ended.found)))

    return body


# -- running -----------------------------------------------------------------------------------------------------


@both
@stores
async def test_a_node_runs_a_graph_and_gets_its_end(autojump_clock, dispatch, store):
    """5.6: a composite node may run one by `await ctx.run(inner, ...)`; its visits are under the node's path."""
    inner = search_graph(finds("a"), finds("b"))
    graph = outer_graph(inner, asks(inner, times=2))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        result = await run.result()
        assert (SUCCEEDED, ["t0:a t0:b", "t1:a t1:b", "done"]) == (result.status, result.state.trail)
        ended = [event.node for event in await told(run) if isinstance(event, NodeFinished)]
        began = [event.node for event in await told(run) if isinstance(event, BranchesStarted)]
    assert ["ask.search/s0", "ask.search/s1", "ask.search.1/s0", "ask.search.1/s1", "ask", "done"] == ended
    assert ["ask.search", "ask.search.1"] == began


@both
async def test_through_a_lens_its_end_changes_the_state(autojump_clock, dispatch):
    """5.6: a lens; 4.4: subgraph exit goes through the log."""
    inner = search_graph(finds("a"))
    lens = terzetto.Lens(
        inner, get=lambda tally: Search(f"{tally.count}"), put=lambda tally, search: tally.trail.extend(search.found)
    )

    async def body(ctx):
        ctx.record(Say("before"))
        await ctx.run(inner, lens=lens)
        assert ctx.state.trail == []  # nothing recorded is visible before the node has returned
        ctx.record(Say("after"))

    graph, store = outer_graph(lens, body), MemoryStore()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(3), run_id="r")
        assert ["before", "3:a", "after", "done"] == (await run.result()).state.trail
        assert (await run.replay()).holds
    async with opened(store, graph) as runtime:
        assert ["before", "3:a", "after", "done"] == (await runtime.state("r")).trail


@both
async def test_two_at_once(autojump_clock, dispatch):
    """Several graphs may run inside of one visit side by side; each has a path of its own."""
    met = []

    async def meets(ctx):
        met.append(ctx.state.topic)
        await trio.sleep(1)
        ctx.record(Found(ctx.state.topic))

    inner = search_graph(meets)

    async def body(ctx):
        async with trio.open_nursery() as nursery:
            for topic in "xy":
                nursery.start_soon(ctx.run, inner, Search(topic))

    graph = outer_graph(inner, body)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        began = trio.current_time()
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
        assert (["x", "y"], 1.0) == (sorted(met), trio.current_time() - began)


async def test_without_a_runtime(autojump_clock):
    inner = search_graph(finds("a"), finds("b"))
    graph = outer_graph(inner, asks(inner))
    assert ["t0:a t0:b", "done"] == (await terzetto.run(graph, Tally())).trail


@both
async def test_one_inside_the_other(autojump_clock, dispatch):
    """5.6: nesting, with readable paths."""
    inner = search_graph(finds("a"))

    async def asks_on(ctx):
        ended = await ctx.run(inner, Search("deep"))
        ctx.record(Found(*ended.found))

    middle = Graph("middle", state=Search, mutations=[Found])
    middle.start(middle.node(name="m", runs=[inner])(asks_on))
    graph = outer_graph(middle, asks(middle))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert ["deep:a", "done"] == (await run.result()).state.trail
        ended = [event.node for event in await told(run) if isinstance(event, NodeFinished)]
    assert ["ask.middle/m.search/s0", "ask.middle/m", "ask", "done"] == ended


@both
async def test_in_branches_side_by_side(autojump_clock, dispatch):
    """A branch that fails takes what its siblings run inside with it, and waits for its cleanup."""
    order = []

    async def sleeps(ctx):
        try:
            await trio.sleep_forever()
        finally:
            order.append("inner left")

    async def breaks(ctx):
        await trio.sleep(1)
        raise ValueError("broken")

    inner = search_graph(sleeps)
    graph = Graph("outer", state=Tally, mutations=MUTATIONS)
    one, other = graph.node(name="one", runs=[inner])(asks(inner)), graph.node(name="other")(breaks)
    graph.start(graph.parallel("both", [one, other]))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert FAILED is (await run.result()).status
        assert (await run.replay()).holds
    assert ["inner left"] == order


@both
async def test_a_dataflow_inside(autojump_clock, dispatch):
    flow = terzetto.Dataflow("flow")

    @flow.node(outputs={"twice": int})
    async def double(ctx: terzetto.FlowContext, number: int):
        return {"twice": 2 * number}

    flow.link(flow.input("number", int), double, "number")
    flow.output("twice", double.out("twice"))

    async def body(ctx):
        ended = await ctx.run(flow, flow.begin({"number": 21}))
        ctx.record(Say(str(ended.outputs)))

    graph = outer_graph(flow, body)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert ["{'twice': [42]}", "done"] == (await run.result()).state.trail


# -- failures ----------------------------------------------------------------------------------------------------


@both
async def test_a_failure_is_raised_and_leaves_the_outer_state_alone(autojump_clock, dispatch):
    """5.6: a failed subgraph leaves the outer state untouched."""

    async def breaks(ctx):
        raise ValueError("no such thing")

    inner = search_graph(finds("a"), breaks)

    async def body(ctx):
        try:
            await ctx.run(inner, Search("t"))
        except SubgraphFailed as error:
            ctx.record(Say(f"{error.graph} {error.code}"))

    graph = outer_graph(inner, body)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        assert ["search node_error", "done"] == (await (await runtime.submit(graph, Tally())).result()).state.trail


@both
async def test_an_uncaught_failure_is_the_nodes(autojump_clock, dispatch):
    async def breaks(ctx):
        raise ValueError("no such thing")

    inner = search_graph(breaks)
    graph = outer_graph(inner, asks(inner))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, []) == (result.status, result.state.trail)
    assert "graph 'search' failed (node_error): node 'ask.search/s0': ValueError: no such thing" in result.message


@both
async def test_what_failed_is_run_again_by_the_next_attempt_and_what_ended_well_is_not(autojump_clock, dispatch):
    began = []

    async def flaky(ctx):
        began.append(ctx.state.topic)
        if ctx.state.topic == "t1" and began.count("t1") == 1:
            raise OSError("busy")
        ctx.record(Found(ctx.state.topic))

    inner = search_graph(flaky)
    retry = terzetto.RetryPolicy(max_attempts=2, initial=1)
    graph = outer_graph(inner, asks(inner, times=2), retry=retry)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (["t0", "t1", "done"], ["t0", "t1", "t1"]) == (result.state.trail, began)


@both
async def test_own_step_limit(autojump_clock, dispatch):
    """5.6: own namespace and step limit."""
    inner = Graph("search", state=Search, mutations=[Found], max_steps=3)
    again = inner.node(name="again")(finds("a"))
    inner.start(again)
    inner.edge(again, again)
    graph = outer_graph(inner, asks(inner))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert FAILED is result.status
    assert "steps_exceeded" in result.message


# -- people, crashes, stops --------------------------------------------------------------------------------------


@both
@stores
async def test_a_barrier_inside(autojump_clock, dispatch, store):
    """2: a run with a node waiting inside its frame is RUNNING with open barriers."""
    inner = search_graph(finds("a"), finds("b"), barrier=True)
    graph = outer_graph(inner, asks(inner))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        (row,) = await run.barriers()
        assert (RUNNING, "gate") == (await run.status(), row.name)
        await run.decide("", Approve())
        assert ["t0:a t0:b", "done"] == (await run.result()).state.trail


@both
async def test_after_a_restart_it_goes_on_inside(autojump_clock, dispatch):
    """5.6: resumable from inside; what is committed inside is not run again, and the node is told the end."""
    began = []

    def notes(name):
        async def body(ctx):
            began.append(name)
            ctx.record(Found(name))

        return body

    inner = search_graph(notes("a"), notes("b"), barrier=True)

    async def body(ctx):
        began.append("ask")
        ended = await ctx.run(inner, Search())
        ctx.record(Say(" ".join(ended.found)))

    graph, store = outer_graph(inner, body), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await settled()
        await runtime.get("r").decide("", Approve())
        assert ["a b", "done"] == (await runtime.get("r").result()).state.trail
    assert ["ask", "a", "ask", "b"] == began


@both
async def test_a_soft_stop_does_not_wait_for_who_only_waits(autojump_clock, dispatch):
    """9.6: running work reaches its commits; a body that waits for a graph has nothing to commit."""
    inner = search_graph(finds("a"), finds("b"), barrier=True)
    graph, store = outer_graph(inner, asks(inner)), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=100) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        began = trio.current_time()
    assert (0, RunStatus.INTERRUPTED) == (trio.current_time() - began, (await store_status(store)))


async def store_status(store):
    async with store:
        row = await store.run("r")
    return row.status


@both
async def test_a_cancel_of_the_run_reaches_inside(autojump_clock, dispatch):
    cleaned = []

    async def sleeps(ctx):
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append("inner")

    inner = search_graph(sleeps)
    graph = outer_graph(inner, asks(inner))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        await run.cancel()
        assert (RunStatus.CANCELLED, ["inner"]) == ((await run.result()).status, cleaned)


@both
async def test_a_body_that_gives_up_ends_it_and_goes_on(autojump_clock, dispatch):
    """A cancelled `ctx.run` cancels what runs inside, waits for its cleanup, and leaves nothing behind."""
    order = []

    async def sleeps(ctx):
        try:
            await trio.sleep_forever()
        finally:
            order.append("inner left")

    inner = search_graph(finds("a"), sleeps)

    async def body(ctx):
        with trio.move_on_after(3):
            await ctx.run(inner, Search("t"))
        order.append("outer goes on")
        ctx.record(Say("gave up"))

    graph = outer_graph(inner, body)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert ["gave up", "done"] == (await run.result()).state.trail
        assert (await run.replay()).holds
    assert ["inner left", "outer goes on"] == order


@both
async def test_a_timeout_of_the_node_ends_it(autojump_clock, dispatch):
    inner = search_graph(finds("a"), finds("b"), barrier=True)
    graph = outer_graph(inner, asks(inner), run_timeout=5)
    store = MemoryStore()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        result = await run.result()
        assert (FAILED, []) == (result.status, await run.barriers())
    assert "run_timeout" in result.message


@both
async def test_a_node_that_waits_for_a_graph_is_not_idle(autojump_clock, dispatch):
    """9.7: its silence is counted from its own last sign of life, not while the graph is at work or asks people."""
    at = []

    async def slow(ctx):
        await trio.sleep(10)

    async def waits(ctx):
        await ctx.run(inner, Search("t"))
        at.append(trio.current_time())
        await trio.sleep(100)

    inner = search_graph(slow, finds("a"), barrier=True)
    graph = outer_graph(inner, waits, idle_timeout=4)
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        await trio.sleep(30)
        await run.decide("", Approve())
        result = await run.result()
        assert (FAILED, True, 30, 34) == (result.status, "idle_timeout" in result.message, *at, trio.current_time())


@both
async def test_a_pause_from_inside(autojump_clock, dispatch):
    """9: a run that is paused inside goes on inside."""

    async def pauses(ctx):
        ctx.record(Found("p"))
        ctx.pause()

    inner = search_graph(pauses, finds("b"))
    graph = outer_graph(inner, asks(inner))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        assert RunStatus.PAUSED is await run.status()
        await run.resume()
        assert ["p t0:b", "done"] == (await run.result()).state.trail


@both
async def test_a_fork_goes_on_inside(autojump_clock, dispatch):
    inner = search_graph(finds("a"), finds("b"), barrier=True)
    graph = outer_graph(inner, asks(inner))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        fork = await run.fork()
        await settled()
        await fork.decide("", Approve())
        assert ["t0:a t0:b", "done"] == (await fork.result()).state.trail


# -- mistakes ----------------------------------------------------------------------------------------------------


async def test_an_undeclared_graph_is_refused(autojump_clock):
    inner, other = search_graph(finds("a")), search_graph(finds("b"))
    graph = outer_graph(inner, asks(other))
    with pytest.raises(terzetto.RunFailed, match=r"say so with @graph.node\(runs="):
        await terzetto.run(graph, Tally())


async def test_an_undeclared_lens_is_refused(autojump_clock):
    inner = search_graph(finds("a"))

    async def body(ctx):
        await ctx.run(inner, lens=terzetto.Lens(inner, get=lambda _: Search(), put=lambda *_: None))

    with pytest.raises(terzetto.RunFailed, match="does not declare"):
        await terzetto.run(outer_graph(inner, body), Tally())


def test_mistakes_of_the_declaration():
    inner = Graph("search", state=Search)
    with pytest.raises(GraphError) as caught:
        outer_graph(inner, asks(inner), effects="once").build()
    assert ["nodes.ask.runs: a once node would not run again", "nodes.ask.runs.search.start"] == [
        mistake[: len(expected)]
        for mistake, expected in zip(
            caught.value.mistakes,
            ["nodes.ask.runs: a once node would not run again", "nodes.ask.runs.search.start"],
            strict=True,
        )
    ]


async def test_a_unit_test_has_no_graph_to_run():
    inner = search_graph(finds("a"))
    with pytest.raises(InvalidRequest, match="needs a runtime"):
        await terzetto.testing.context(Tally()).run(inner, Search())
