"""Cancelling runs (SEMANTICS 9.1, 9.3, 9.4 and 3 D6): in every status, durably, and with the nodes' cleanup."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.events import CancelRequested, RunEnded, RunPaused
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import CancelReceipt, DecisionTaken
from terzetto_protocol.records import Kind, Stale, Write
from terzetto_protocol.statuses import TERMINAL, BarrierStatus, RunStatus

from .runtimes import MUTATIONS, Add, Held, Tally, both, chain, once, opened, parked, says, told
from .stores import FaultyStore, claim_elsewhere, records, trail

CANCELLED, QUEUED, RUNNING = RunStatus.CANCELLED, RunStatus.QUEUED, RunStatus.RUNNING
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


@both
@stores
async def test_a_running_node_is_cancelled(autojump_clock, dispatch, store):
    """9.1: cancel is a durable command with receipts; `requested`, then the run ends CANCELLED."""
    shelf, held = store(), Held()
    graph = chain(says("before"), held, says("never"))
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        assert CancelReceipt("r", "requested", RunStatus.CANCELLING, shelf.durable) == await run.cancel("enough")
        result = await run.result()

        assert (CANCELLED, ["before"], ()) == (result.status, result.state.trail, result.unknown)
        assert ["cancelled"] == held.ends
        assert CancelReceipt("r", "already_terminal", CANCELLED, shelf.durable) == await run.cancel()
        events = await told(run)
    (requested,) = [event for event in events if isinstance(event, CancelRequested)]
    assert "enough" == requested.reason
    assert (CANCELLED, RunEnded) == (events[-1].status, type(events[-1]))
    assert ["cancel -> CANCELLING", "end -> CANCELLED"] == (await trail(shelf, "r"))[-2:]


@both
async def test_cleanup_runs_to_its_end(autojump_clock, dispatch):
    """9.1: `Cancelled` is never swallowed, and a node's shielded `finally` is waited for."""
    held = Held(cleanup=3)
    graph = chain(held)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        await run.cancel()
        assert [] == held.ends[1:]
        assert CANCELLED is (await run.result()).status
        assert ["cancelled", "cleaned up"] == held.ends
        assert 3 == trio.current_time()


@both
async def test_a_node_that_swallows_the_cancel_commits_nothing(autojump_clock, dispatch):
    """3 D6: a cancel was acknowledged => no commit and no intent of that run succeeds afterwards."""
    store, begun = FaultyStore(), trio.Event()

    async def stubborn(ctx):
        ctx.record(Add(100))
        begun.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            ctx.record(Add(1000))

    graph = chain(stubborn, once(says("never")))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await begun.wait()
        assert "requested" == (await run.cancel()).outcome
        acknowledged = len(await records(store, "r"))
        result = await run.result()
        assert (CANCELLED, 0) == (result.status, result.state.count)
        after = (await records(store, "r"))[acknowledged - 1 :]
    assert {Kind.CANCEL, Kind.END} >= {record.kind for record in after}


@both
async def test_a_node_that_fails_while_being_cancelled_is_cancelled(autojump_clock, dispatch):
    """9.4: Cancelled never counts as a failure, and neither does what a cancelled node raises instead."""
    begun = trio.Event()

    async def breaks(ctx):
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cleanup failed")

    graph = chain(breaks, says("never"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await begun.wait()
        await run.cancel()
        assert CANCELLED is (await run.result()).status


@stores
async def test_before_the_first_claim_no_node_ever_runs(autojump_clock, store):
    """9.1: before the first claim: no node ever runs; the place in the queue is free again."""
    shelf, held, ran = store(), Held(), []

    async def note(ctx):
        ran.append(ctx.run_id)

    busy, graph = chain(held, name="busy"), chain(note)
    async with opened(shelf, busy, graph, pool_size=1, queue_size=1) as runtime:
        await runtime.submit(busy, Tally())
        await held.begun.wait()
        for number in range(3):
            run = await runtime.submit(graph, Tally(), run_id=f"r{number}")
            assert QUEUED is await run.status()
            assert CancelReceipt(f"r{number}", "stopped", CANCELLED, shelf.durable) == await run.cancel()
            assert CANCELLED is (await run.result()).status
        last = await runtime.submit(graph, Tally(), run_id="last")
        held.go.set()
        await last.result()
    assert ["last"] == ran
    assert ["submit -> QUEUED", "cancel -> CANCELLED"] == await trail(shelf, "r0")


@stores
async def test_a_parked_run_is_cancelled(autojump_clock, store):
    """2: AWAITING_INPUT -> CANCELLED; its barrier is dropped, and who decides it then is told."""
    shelf, graph = store(), chain("sign-off", says("never"))
    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        assert "stopped" == (await run.cancel("no")).outcome
        assert CANCELLED is (await run.result()).status
        (row,) = await shelf.barriers("r", only_open=False)
        assert BarrierStatus.DROPPED is row.status
        late = await run.decide("sign-off", Approve())
        assert ("none", "it was dropped") == (late.decision, late.source)
        assert 0 == runtime.statistics().supervisor.live


@stores
async def test_a_paused_run_is_cancelled(autojump_clock, store):
    async def stop(ctx):
        ctx.pause()

    shelf, graph = store(), chain(stop, says("never"))
    async with opened(shelf, graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await told(run, until=RunPaused)
        assert "stopped" == (await run.cancel()).outcome
        with pytest.raises(terzetto.Refused):
            await run.resume()
        assert CANCELLED is (await run.result()).status


@stores
async def test_an_interrupted_and_a_dead_run_are_cancelled(autojump_clock, store):
    """2: INTERRUPTED -> CANCELLED; a RUNNING one without an owner too, while it waits for a slot."""
    shelf, held, hold = store(), Held(), Held("hold")
    graph, busy = chain(held), chain(hold, name="busy")
    async with opened(shelf, busy) as runtime:
        await runtime.submit(busy, Tally(), run_id="busy")
        await hold.begun.wait()
    async with opened(shelf, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="interrupted")
        await runtime.submit(graph, Tally(), run_id="dead")
        await held.begun.wait()
    await claim_elsewhere(shelf, graph, "dead")
    assert [RUNNING, RunStatus.INTERRUPTED] == [(await shelf.run(r)).status for r in ("dead", "interrupted")]
    hold.begun = trio.Event()
    async with opened(shelf, busy, graph, pool_size=1, shutdown_deadline=0) as runtime:
        await hold.begun.wait()
        for run_id in ("interrupted", "dead"):
            assert "stopped" == (await runtime.get(run_id).cancel()).outcome
            assert CANCELLED is (await runtime.get(run_id).result()).status


@both
async def test_a_cancel_survives_its_process(autojump_clock, dispatch):
    """2: CANCELLING -> CANCELLED only, also after a crash: recovery finishes the cancel and starts no node."""
    store, held = FaultyStore(), Held(cleanup=1000)
    graph = chain(held, says("never"))
    async with opened(store, graph, dispatch=dispatch, limit=5000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await run.cancel()
        store.verdict = stale
    assert RunStatus.CANCELLING is (await store.run("r")).status
    store.verdict = lambda write: None
    held.begun = trio.Event()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert CANCELLED is (await runtime.get("r").result()).status
        assert not held.begun.is_set()


def stale(write: Write) -> Stale:
    """What a process is told that froze and wakes up too late."""

    return Stale(write.expect + 1)


@both
async def test_a_once_body_that_is_cancelled_is_unknown(autojump_clock, dispatch):
    """7: a `once` visit ended by a cancel while its body ran is UNKNOWN, and listed in the run's result."""
    held = Held("pay")
    graph = chain(says("before"), once(held), says("never"))
    async with opened(store := MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await run.cancel()
        result = await run.result()
        assert (CANCELLED, ("pay@2",)) == (result.status, result.unknown)
        assert "pay@2" in result.message
        assert "pay@2" in (await store.run("r")).message
    async with opened(store, graph) as runtime:
        again = await runtime.get("r").result()
        assert (result.unknown, result.message) == (again.unknown, again.message)


@both
async def test_a_node_cancels_its_own_run(autojump_clock, dispatch):
    ran = []

    async def suicide(ctx):
        ran.append("begun")
        await runtime.get(ctx.run_id).cancel()
        ran.append("never")

    graph = chain(suicide, says("never"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        assert CANCELLED is (await run.result()).status
    assert ["begun"] == ran


@both
async def test_a_callers_own_cancel_leaves_the_run(autojump_clock, dispatch):
    """9.3: the caller's own cancellation raises; it is not the run's."""
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        for wait in (run.result, lambda: told(run), lambda: runtime.run(graph, Tally(), run_id=run.run_id)):
            with trio.move_on_after(1) as scope:
                await wait()
            assert scope.cancelled_caught
        assert RUNNING is await run.status()
        held.go.set()
        assert RunStatus.SUCCEEDED is (await run.result()).status


@stores
@pytest.mark.parametrize("order", ["cancel first", "decision first", "together"])
async def test_a_cancel_while_a_decision_arrives(autojump_clock, store, order):
    """6.4: ready together: cancel > decision; whoever is first is acknowledged and the other is told."""
    shelf, graph = store(), chain("sign-off", Held())
    answers = {}

    async def ask(name, call, *args) -> None:
        try:
            answers[name] = await call(*args)
        except terzetto.Refused as error:
            answers[name] = error

    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        async with trio.open_nursery() as nursery:
            if order == "decision first":
                await ask("decision", run.decide, "sign-off", Approve())
            nursery.start_soon(ask, "cancel", run.cancel)
            if order == "cancel first":
                await trio.testing.wait_all_tasks_blocked()
            if order != "decision first":
                nursery.start_soon(ask, "decision", run.decide, "sign-off", Approve())
        assert CANCELLED is (await run.result()).status
    won = isinstance(answers["decision"], DecisionTaken)
    assert won == (order == "decision first")
    assert ("requested" if won else "stopped") == answers["cancel"].outcome


@stores
async def test_many_cancels_of_one_run_are_one(autojump_clock, store):
    shelf, held, receipts = store(), Held(cleanup=2), []
    graph = chain(held)

    async def cancel() -> None:
        receipts.append((await runtime.get("r").cancel()).outcome)

    async with opened(shelf, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(cancel)
        await run.result()
        await cancel()
    assert [*["requested"] * 20, "already_terminal"] == receipts
    assert 1 == sum(line.startswith("cancel") for line in await trail(shelf, "r"))


@both
async def test_a_thousand_runs_are_cancelled(autojump_clock, dispatch):
    graph = Graph("many", state=Tally, mutations=MUTATIONS)
    running = []

    @graph.node
    async def wait(ctx):
        running.append(ctx.run_id)
        await trio.sleep_forever()

    graph.start(wait)
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with opened(MemoryStore(), graph, pool_size=600, dispatch=dispatch) as runtime:
        runs = [await runtime.submit(graph, Tally()) for _ in range(1000)]
        await trio.testing.wait_all_tasks_blocked()
        assert 600 == len(running)
        async with trio.open_nursery() as nursery:
            for run in reversed(runs):
                nursery.start_soon(run.cancel)
        for run in runs:
            assert CANCELLED is (await run.result()).status
        assert len(running) < 1000
        assert {CANCELLED} <= {row.status for row in await runtime.runs(limit=None)} <= TERMINAL
    assert tasks == trio.lowlevel.current_statistics().tasks_living
