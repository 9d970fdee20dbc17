"""`open_runtime`, submitting runs and finding them: the same in both dispatch forms (SEMANTICS 1, 3 and 10)."""

from itertools import pairwise

import msgspec
import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import (
    RunConflict,
    UnknownRun,
)
from terzetto_protocol.events import NodeFinished, NodeStarted, RunEnded, RunQueued, RunStarted
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .runtimes import MUTATIONS, Add, Held, Say, Tally, both, chain, counts, once, opened, says, told
from .stores import FaultyStore, records, trail

SUCCEEDED = RunStatus.SUCCEEDED


@both
async def test_a_run_from_submit_to_result(autojump_clock, dispatch):
    store, graph = MemoryStore(), chain(says("one"), once(says("two")), says("three"))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r-1")
        result = await run.result()

        assert (SUCCEEDED, ["one", "two", "three"]) == (result.status, result.state.trail)
        assert ("r-1", "", "", None, ()) == (
            result.run_id, result.code, result.message, result.failure, result.unknown,
        )  # fmt: skip
        assert result.unwrap() is result.state
        assert SUCCEEDED is await run.status()
        assert ["one", "two", "three"] == (await run.state()).trail
    assert [
        "submit -> QUEUED",
        "claim -> RUNNING",
        "visit one@1 SUCCEEDED -> RUNNING",
        "intent two@2 RUNNING -> RUNNING",
        "visit two@2 SUCCEEDED -> RUNNING",
        "visit three@3 SUCCEEDED -> SUCCEEDED",
    ] == await trail(store, "r-1")


def mixed() -> Graph[Tally]:
    """Every way out of a node, on one path."""
    graph = Graph("mixed", state=Tally, mutations=MUTATIONS, max_steps=12)

    @graph.node
    async def loop(ctx):
        ctx.emit_text(f"round {ctx.state.count}")
        ctx.record(Add())

    @graph.node(effects="pure")
    async def pure(ctx):
        ctx.record(Say("pure"))

    @graph.node
    async def fails(ctx):
        ctx.record(Say("never"))
        raise ExceptionGroup("both", [ValueError("v"), KeyError("k")])

    @graph.node(effects="once")
    async def saves(ctx):
        await trio.lowlevel.checkpoint()
        ctx.record(Say(ctx.key[:4]))
        ctx.goto(pays)

    @graph.node(effects="once")
    async def pays(ctx):
        ctx.emit("paid", {"attempt": ctx.visit.attempt, "fence": ctx.fence})
        ctx.end()

    graph.start(loop)
    graph.edge(loop, loop, when=lambda tally: tally.count < 3)
    graph.edge(loop, pure)
    graph.edge(pure, fails)
    graph.edge(fails, saves, on_error=True)
    graph.edge(saves, loop)
    return graph


async def test_both_forms_write_and_tell_the_same(autojump_clock):
    """DESIGN: one dispatcher, same messages: records, events, status and seq do not depend on where a node lives."""
    seen = []
    for dispatch in ("direct", "task"):
        for store in (MemoryStore(), FaultyStore()):
            async with opened(store, graph := mixed(), dispatch=dispatch) as runtime:
                run = await runtime.submit(graph, Tally(), run_id="r")
                events = [timeless(event) for event in await told(run)]
            log = [
                timeless(msgspec.structs.replace(each, detail=without_trace(each.detail)))
                for each in await records(store, "r")
            ]
            seen.append((log, [without_failure(event) for event in events], (await store.run("r")).status))

    assert SUCCEEDED is seen[0][2]
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert len(seen[0][1]) > 20


def timeless(message):
    return msgspec.structs.replace(message, at=0.0)


def without_trace(detail):
    """Frames of the dispatcher itself are in it; and every submit and command has its own id."""
    if hasattr(detail, "command_id"):
        return msgspec.structs.replace(detail, command_id="")
    return msgspec.structs.replace(detail, trace=()) if hasattr(detail, "trace") else detail


def without_failure(event):
    return msgspec.structs.replace(event, failure=without_trace(event.failure)) if hasattr(event, "failure") else event


@both
async def test_events_tell_it_in_order(autojump_clock, dispatch):
    """3 D4: ids rise strictly; a run's events are seen in the order in which the machine made them."""
    store, graph = MemoryStore(), chain(says("one"), says("two"))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        events = await told(run)

    kinds = [RunQueued, RunStarted, NodeStarted, NodeFinished, NodeStarted, NodeFinished, RunEnded]
    assert kinds == [type(event) for event in events]
    ids = [event.id for event in events]
    assert sorted(set(ids)) == ids
    assert [3, 4] == [event.seq for event in events if isinstance(event, NodeFinished)]


@both
async def test_submit_returns_when_it_is_durable(autojump_clock, dispatch):
    """3 D1: `submit` returns => the run, its input and its graph version are durable."""
    store, graph = FaultyStore(), chain(says("one"), version="7")
    store.latency = 2.0
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(count=5), run_id="r", metadata={"who": "me"})

        assert 2 == trio.current_time()
        row = await store.inner.run("r")
        assert ("chain", "7", {"who": "me"}) == (row.header.graph, row.header.version, row.header.metadata)
        _, snapshot = await store.inner.snapshot("r")
        assert graph.build().state.pack(Tally(count=5)) in snapshot


async def test_nothing_runs_before_it_is_durable(autojump_clock):
    """3 D2, 3 D3: a non-pure node starts => the commit before it is durable; no event before its commit."""
    store, record = FaultyStore(), []
    store.latency = 1.0

    async def look(ctx):
        row = await store.inner.run("r")
        record.append((ctx.visit.node, row.seq, trio.current_time()))

    async def look_again(ctx):
        await look(ctx)

    graph = chain(look, once(look_again))
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        async with run.events() as events:
            async for event in events:
                if getattr(event, "durable", False):
                    assert (await store.inner.run("r")).event_id >= event.id
    assert [("look", 2, 2.0), ("look_again", 4, 4.0)] == record


async def test_pure_nodes_run_ahead_of_the_disk(autojump_clock):
    """3 D3: nodes declared pure may run ahead while their predecessors' commits are in flight; nobody sees them."""
    store, record = FaultyStore(), []
    store.latency = 1.0

    async def step(ctx):
        row = await store.inner.run("r")
        record.append((ctx.visit.visit, row.seq, trio.current_time()))

    graph = Graph("ahead", state=Tally, mutations=MUTATIONS)
    nodes = [graph.node(name=f"n{number}", effects="pure")(step) for number in range(5)]
    graph.start(nodes[0])
    for source, target in pairwise(nodes):
        graph.edge(source, target)
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        async with run.events() as events:
            seen = [(event.visit, trio.current_time()) async for event in events if isinstance(event, NodeFinished)]

    assert [(visit, 2, 2.0) for visit in range(1, 6)] == record  # the claim is on the disk, and none of them
    assert [1, 2, 3, 4, 5] == [visit for visit, _ in seen]
    assert all(at >= 3.0 for _, at in seen)


# -- the same run --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [MemoryStore, FaultyStore])
async def test_the_same_id_and_input_are_the_same_run(autojump_clock, store):
    """DESIGN: same id and input again = the same run: while it is live, parked and finished."""
    held, graph, shelf = Held(), None, store()
    graph = chain(held, "sign-off", says("done"))
    async with opened(shelf, graph) as runtime:
        first = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        live = await runtime.submit(graph, Tally(), run_id="r")
        held.go.set()
        await told(first, until=terzetto.BarrierOpened)
        await trio.testing.wait_all_tasks_blocked()
        still = await runtime.submit(graph, Tally(), run_id="r")
        await trio.testing.wait_all_tasks_blocked()
        assert RunStatus.AWAITING_INPUT is await first.status()
        await first.decide("sign-off", terzetto.Approve())
        result = await first.result()
        finished = await runtime.submit(graph, Tally(), run_id="r")

        assert [False, True, True, True] == [run.reused for run in (first, live, still, finished)]
        assert result == await finished.result()
        assert ["held", "done"] == result.state.trail
    async with opened(shelf, graph) as runtime:
        assert (await runtime.submit(graph, Tally(), run_id="r")).reused
    assert 1 == len(await shelf.runs())


@pytest.mark.parametrize("store", [MemoryStore, FaultyStore])
async def test_submitting_at_the_same_time_makes_one_run(autojump_clock, store):
    shelf, graph, reused = store(), chain(says("one")), []

    async def submit(**options) -> None:
        run = await runtime.submit(graph, Tally(), **options)
        reused.append((run.run_id, run.reused))

    async with opened(shelf, graph) as runtime:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(lambda: submit(run_id="r"))
        assert [("r", False), *[("r", True)] * 9] == sorted(reused)
        reused.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(lambda: submit(key="order-7"))
        (chosen,) = {run_id for run_id, _ in reused}
        assert [False, *[True] * 9] == sorted(again for _, again in reused)
        assert SUCCEEDED is (await runtime.get(chosen).result()).status
    assert 2 == len(await shelf.runs())


@pytest.mark.parametrize("store", [MemoryStore, FaultyStore])
async def test_the_same_id_with_another_input_is_a_conflict(autojump_clock, store):
    """10: same id + other input = conflict; the run that is there is not disturbed."""
    held, shelf = Held(), store()
    graph, other = chain(held, "wait"), chain(says("x"), name="other")
    async with opened(shelf, graph, other) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", key="k")
        await held.begun.wait()
        for _ in range(2):
            with pytest.raises(RunConflict) as caught:
                await runtime.submit(graph, Tally(count=1), run_id="r")
            assert "r" == caught.value.run_id
            with pytest.raises(RunConflict):
                await runtime.submit(other, Tally(), run_id="r")
            with pytest.raises(RunConflict, match="key 'k'"):
                await runtime.submit(graph, Tally(count=1), run_id="r2", key="k")
            held.go.set()
            await told(run, until=terzetto.BarrierOpened)
            await trio.testing.wait_all_tasks_blocked()

        assert RunStatus.AWAITING_INPUT is await run.status()
        with pytest.raises(UnknownRun):
            await runtime.get("r2").status()
        await run.decide("", terzetto.Approve())
        assert SUCCEEDED is (await run.result()).status


@pytest.mark.parametrize("store", [MemoryStore, FaultyStore])
async def test_an_idempotency_key_finds_its_run(autojump_clock, store):
    """10: idempotency keys (`reused=True`), whatever the id."""
    graph, shelf = chain(counts()), store()
    async with opened(shelf, graph) as runtime:
        first = await runtime.submit(graph, Tally(), key="k")
        again = await runtime.submit(graph, Tally(), key="k", run_id="mine")
        await first.result()
        later = await runtime.submit(graph, Tally(), key="k")
        other = await runtime.submit(graph, Tally(), key="k2")

    assert first.run_id == again.run_id == later.run_id != other.run_id
    assert [False, True, True, False] == [run.reused for run in (first, again, later, other)]


async def test_a_cancelled_submit_may_be_made_again(autojump_clock):
    """Cancelled, the run may or may not be there: submit it again under the same id tells."""
    store, graph = FaultyStore(), chain(says("one"))
    async with opened(store, graph, pool_size=1, queue_size=1) as runtime:
        for number in range(3):
            store.hold()
            with trio.move_on_after(1) as scope:
                await runtime.submit(graph, Tally(), run_id=f"r-{number}")
            assert scope.cancelled_caught
            store.release()
            assert (await runtime.submit(graph, Tally(), run_id=f"r-{number}")).reused
            assert SUCCEEDED is (await runtime.get(f"r-{number}").result()).status
        for number in range(5):  # no place in the queue was lost
            await (await runtime.submit(graph, Tally(), run_id=f"s-{number}")).result()
