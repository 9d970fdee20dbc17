"""`Run.pause`: a run stops at its next commit, and goes on when it is resumed (SEMANTICS 2.8)."""

import pytest
import trio

import terzetto
from terzetto import PauseReceipt, RetryPolicy
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import IllegalTransition, Refused, UnknownRun
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .runtimes import (
    AWAITING,
    CANCELLED,
    FAILED,
    MUTATIONS,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Held,
    Say,
    Tally,
    both,
    chain,
    crowd,
    opened,
    parked,
    says,
    settled,
    stores,
    told,
)

PAUSED = RunStatus.PAUSED


async def held(runtime, graph, body, run_id="r"):
    """A run whose body waits to be let go."""
    run = await runtime.submit(graph, Tally(), run_id=run_id)
    await body.begun.wait()
    return run


@both
@stores
async def test_a_running_node_ends_and_commits_first(autojump_clock, dispatch, store):
    """2.8: no commit is lost, and nothing begins until the run is resumed."""
    body, shelf = Held(), store()
    graph = chain(body, says("next"))
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await held(runtime, graph, body)
        assert PauseReceipt("r", "requested", shelf.durable) == await run.pause()
        assert (RUNNING, []) == (await run.status(), body.ends)
        body.go.set()
        await told(run, until=terzetto.RunPaused)
        await settled()
        assert (PAUSED, ["held"]) == (await run.status(), (await run.state()).trail)
        said = runtime.statistics().supervisor
        assert (0, 0) == (said.live, said.carried), "a paused run holds neither a slot nor a task"
        assert PauseReceipt("r", "paused", shelf.durable) == await run.pause()
        await run.resume()
        assert ["held", "next"] == (await run.result()).state.trail


@both
@stores
async def test_a_pause_is_kept_when_the_runtime_goes(autojump_clock, dispatch, store):
    """2.8: a crash between the request and the pause: recovery finishes it."""
    body, shelf = Held(), store()
    graph = chain(body, says("next"))
    async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        run = await held(runtime, graph, body)
        await run.pause()
    body.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await settled()
        assert (PAUSED, ["cancelled"]) == (await runtime.get("r").status(), body.ends)
        await runtime.get("r").resume()
        assert ["held", "next"] == (await runtime.get("r").result()).state.trail


@both
async def test_a_run_rests_between_two_attempts(autojump_clock, dispatch):
    """2.8, 9.8: paused at once, and the attempt that was due begins when it is resumed."""
    begun = []

    async def tries(ctx):
        begun.append(trio.current_time())
        if len(begun) == 1:
            raise OSError("down")

    graph = Graph("tries", state=Tally, mutations=MUTATIONS)
    graph.start(graph.node(name="tries", retry=RetryPolicy(max_attempts=2, initial=5, jitter=0))(tries))
    async with opened(terzetto.stores.MemoryStore(), graph, dispatch=dispatch, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.RetryScheduled)
        assert "paused" == (await run.pause()).outcome
        await trio.sleep(20)
        await run.resume()
        assert SUCCEEDED is (await run.result()).status
    assert [0, 20] == begun


@both
@stores
async def test_a_barrier_waits_through_a_pause(autojump_clock, dispatch, store):
    """2: AWAITING_INPUT -> PAUSED; the barrier stays open and nobody decides it meanwhile."""
    graph = chain("gate", says("end"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        assert "paused" == (await run.pause()).outcome
        assert (PAUSED, ["gate@1"]) == (await run.status(), [row.barrier for row in await run.barriers()])
        with pytest.raises(Refused, match="PAUSED"):
            await run.decide("gate", Approve())
        await run.resume()
        await settled()
        assert AWAITING is await run.status()
        await run.decide("gate", Approve())
        assert ["end"] == (await run.result()).state.trail


@both
async def test_a_deadline_that_passes_in_a_pause_decides_after_it(autojump_clock, dispatch):
    """6.4: counted from the opening; a paused run is left alone."""
    graph = Graph("timed", state=Tally, mutations=MUTATIONS)
    gate = graph.barrier("gate", timeout=5)
    graph.start(gate)
    graph.edge(gate.rejected, graph.node(name="late")(says("late")))
    async with opened(terzetto.stores.MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await parked(runtime, graph, "r")
        await run.pause()
        await trio.sleep(100)
        assert PAUSED is await run.status()
        await run.resume()
        assert ["late"] == (await run.result()).state.trail


@both
@stores
async def test_branches_end_their_visits_first(autojump_clock, dispatch, store):
    """2.8, 5.5: with parallel branches, PAUSED when the last live visit has committed."""
    graph = Graph("wide", state=Tally, mutations=MUTATIONS)
    bodies = [Held("one"), Held("two")]
    nodes = [graph.node(name=body.__name__)(wrap(body)) for body in bodies]
    for node in nodes:
        graph.edge(node, graph.node(name=f"{node.name}-after")(says(f"{node.name} after")))
    graph.start(graph.parallel("fan", nodes, merge="replay"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        for body in bodies:
            await body.begun.wait()
        await run.pause()
        bodies[0].go.set()
        await settled()
        assert RUNNING is await run.status()
        bodies[1].go.set()
        await told(run, until=terzetto.RunPaused)
        await settled()
        assert PAUSED is await run.status()
        await run.resume()
        assert ["one", "one after", "two", "two after"] == (await run.result()).state.trail


def wrap(body):
    async def call(ctx):
        await body(ctx)

    return call


async def test_a_run_that_waits_for_a_slot_is_paused_by_its_claim(autojump_clock):
    """2: QUEUED does not go to PAUSED; no node of it begins."""
    graph, order, go = crowd()
    async with opened(terzetto.stores.MemoryStore(), graph, pool_size=1) as runtime:
        first = await runtime.submit(graph, Tally(), run_id="first")
        await settled()
        second = await runtime.submit(graph, Tally(), run_id="second")
        assert "requested" == (await second.pause()).outcome
        assert QUEUED is await second.status()
        go["first"].set()
        await first.result()
        await settled()
        assert (PAUSED, ["first"]) == (await second.status(), order)
        await second.resume()
        await settled()
        go["second"].set()
        assert SUCCEEDED is (await second.result()).status


@both
@stores
async def test_a_cancel_ends_a_run_that_was_to_be_paused(autojump_clock, dispatch, store):
    body = Held()
    graph = chain(body, says("next"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await held(runtime, graph, body)
        await run.pause()
        await run.cancel()
        assert (CANCELLED, ["cancelled"]) == ((await run.result()).status, body.ends)


async def test_what_cannot_be_paused(autojump_clock):
    """2: a run that has ended is refused, with its status; 8.3: looking for a run creates none."""

    async def fails(ctx):
        raise ValueError("no")

    graph = chain(fails)
    async with opened(terzetto.stores.MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert FAILED is (await run.result()).status
        with pytest.raises(IllegalTransition, match="from FAILED to PAUSED"):
            await run.pause()
        with pytest.raises(UnknownRun):
            await runtime.pause("nobody")


@both
@stores
async def test_a_dataflow_stops_too(autojump_clock, dispatch, store):
    """2.8, 5.7: what a live visit sends is committed, and the visits that it feeds begin when the run is resumed."""
    sent, began, go = trio.Event(), [], trio.Event()
    flow = terzetto.Dataflow("flow")

    @flow.node(outputs={"number": int})
    async def count(ctx: terzetto.FlowContext) -> None:
        sent.set()
        await go.wait()
        for number in range(3):
            await ctx.send("number", number)

    @flow.node(outputs={"twice": int})
    async def double(ctx: terzetto.FlowContext, number: int) -> None:
        began.append(number)
        await ctx.send("twice", 2 * number)

    flow.link(count.out("number"), double, "number")
    flow.output("all", double.out("twice"), int)
    async with opened(store(), flow, dispatch=dispatch) as runtime:
        run = await runtime.submit(flow, flow.begin(), run_id="r")
        await sent.wait()
        assert "requested" == (await run.pause()).outcome
        go.set()
        await told(run, until=terzetto.RunPaused)
        await settled()
        assert (PAUSED, []) == (await run.status(), began)
        await run.resume()
        assert [0, 2, 4] == sorted((await run.result()).state.outputs["all"])


@both
@stores
async def test_a_body_that_runs_a_graph_is_no_hindrance(autojump_clock, dispatch, store):
    """2.8, 5.6: what runs inside commits, the body that waits for it leaves, and goes on inside when it is resumed."""
    body = Held()
    inner = chain(body, says("inside"), name="inner")
    graph = Graph("outer", state=Tally, mutations=MUTATIONS)

    @graph.node(runs=[inner])
    async def ask(ctx: terzetto.NodeContext[Tally]) -> None:
        ended = await ctx.run(inner, Tally())
        ctx.record(Say(" ".join(ended.trail)))

    graph.start(ask)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await held(runtime, graph, body)
        assert "requested" == (await run.pause()).outcome
        body.go.set()
        await told(run, until=terzetto.RunPaused)
        await settled()
        assert (PAUSED, ["finished"]) == (await run.status(), body.ends)
        await run.resume()
        assert ["held inside"] == (await run.result()).state.trail
        assert ["finished"] == body.ends


@stores
async def test_a_run_that_promises_less_stores_what_it_held_with_the_request(autojump_clock, store):
    """3, D3: a receipt depends on nothing that is not durable, so that what is held is written before it."""
    body, shelf = Held(), store()
    graph = chain(says("first"), body, says("next"))
    async with opened(shelf, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", durability="exit")
        await body.begun.wait()
        before = len(await shelf.records("r"))
        assert "requested" == (await run.pause()).outcome
        assert ["submit", "claim", "visit", "pause"] == [commit.kind for commit in (await run.history())[::-1]]
        assert 2 == before
        body.go.set()
        await told(run, until=terzetto.RunPaused)
        await settled()
        assert PAUSED is await run.status()
