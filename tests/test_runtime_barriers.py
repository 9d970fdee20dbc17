"""Barriers through a runtime: deciding, being second, timeouts, parking and pausing (SEMANTICS 6)."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto._handles import DecisionChannel
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Choose, Fail, Reject
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import BarrierOpened, BarrierResolved, NodeFinished, RunEnded, RunPaused, RunQueued
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken, Resumed
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .runtimes import MUTATIONS, Held, Say, Tally, both, chain, opened, parked, says, told
from .stores import FaultyStore, trail

AWAITING, SUCCEEDED, FAILED = RunStatus.AWAITING_INPUT, RunStatus.SUCCEEDED, RunStatus.FAILED
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


def reviewed(**barrier) -> Graph[Tally]:
    """write -> sign-off -> publish, or back to write."""
    graph = Graph("reviewed", state=Tally, mutations=MUTATIONS)
    write, publish = graph.node(name="write")(says("write")), graph.node(name="publish")(says("publish"))
    sign_off = graph.barrier("sign-off", **barrier)
    graph.start(write)
    graph.edge(write, sign_off)
    graph.edge(sign_off.approved, publish)
    graph.edge(sign_off.rejected, write)
    return graph


@both
@stores
@pytest.mark.parametrize("asked", ["sign-off@2", "sign-off", ""])
async def test_deciding_by_id_by_name_or_for_the_only_one(autojump_clock, dispatch, store, asked):
    """6.1: node commits and the barrier opens in one transaction -> `BarrierOpened` -> wait -> decision durable and
    barrier closed in one transaction -> `BarrierResolved{decision, source}` -> next node."""
    shelf, graph = store(), reviewed(payload=lambda tally: {"trail": tally.trail})
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        (row,) = await run.barriers()
        assert ("sign-off@2", "sign-off", 2, None) == (row.barrier, row.name, row.visit, row.deadline)

        receipt = await run.decide(asked, Approve(), source="ann")
        assert DecisionTaken("r", "sign-off@2", shelf.durable) == receipt
        assert ["write", "publish"] == (await run.result()).state.trail
        events = await told(run)
        (closed,) = await shelf.barriers("r", only_open=False)

    assert [
        "submit -> QUEUED",
        "claim -> RUNNING",
        "visit write@1 SUCCEEDED -> AWAITING_INPUT",
        "decide sign-off@2 SUCCEEDED -> RUNNING",
        "visit publish@3 SUCCEEDED -> SUCCEEDED",
    ] == await trail(shelf, "r")
    durable = [event for event in events if event.durable][2:]
    assert [NodeFinished, BarrierOpened, BarrierResolved, NodeFinished, RunEnded] == [type(event) for event in durable]
    assert {"trail": ["write"]} == terzetto.payload_of(durable[1])
    assert (Approve(), "ann") == (durable[2].decision, durable[2].source)
    assert (BarrierStatus.RESOLVED, "approve", "ann") == (closed.status, closed.decision, closed.source)


async def test_the_barrier_object_names_itself(autojump_clock):
    graph = reviewed()
    barrier = next(place for place in graph.places if place.name == "sign-off")
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        assert isinstance(await run.decide(barrier, Approve()), DecisionTaken)


async def test_nothing_before_the_barrier_runs_again(autojump_clock):
    """6.1: nothing before the barrier runs again because of it, also when another process decides."""
    store, visits = MemoryStore(), []

    async def write(ctx):
        visits.append("write")

    graph = chain(write, "sign-off", says("done"))
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "r")
    async with opened(store, graph) as runtime:
        await runtime.get("r").decide("sign-off", Approve())
        await runtime.get("r").result()
    assert ["write"] == visits


# -- exactly one wins ----------------------------------------------------------------------------------------


@stores
async def test_fifty_deciders_and_one_winner(autojump_clock, store):
    """3 D5, 6.4: exactly one wins; the others get `already_resolved` with the winner."""
    shelf, graph, receipts = store(), reviewed(), {}

    async def decide(number: int) -> None:
        asked = "sign-off" if number % 2 else "sign-off@2"
        receipts[number] = await runtime.get("r").decide(asked, Approve(), source=f"person {number}")

    async with opened(shelf, graph) as runtime:
        await parked(runtime, graph, "r")
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(decide, number)
        (winner,) = (number for number, receipt in receipts.items() if isinstance(receipt, DecisionTaken))
        late = AlreadyResolved("r", "sign-off@2", "approve", f"person {winner}")
        assert [late] * 49 == [receipt for number, receipt in receipts.items() if number != winner]

        await runtime.get("r").result()
        assert late == await runtime.get("r").decide("sign-off", Reject("too late"))
    async with opened(shelf, graph) as runtime:
        for asked in ("sign-off", "sign-off@2"):
            assert late == await runtime.get("r").decide(asked, Approve(), source="much later")
    assert 1 == sum(line.startswith("decide") for line in await trail(shelf, "r"))


@stores
@pytest.mark.parametrize("source", ["ann", ""], ids=["ann", "nobody"])
async def test_the_second_is_told_the_winner_wherever_the_run_is_by_then(autojump_clock, store, source):
    """6.4: while it goes on, parked at the next barrier, thawed for that one, and in another process."""
    shelf, held = store(), Held()
    graph = chain("first", "second", held)
    late = AlreadyResolved("r", "first@1", "approve", source)
    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("first", Approve(), source=source)
        assert late == await run.decide("first@1", Approve(), source="bob")
        await trio.testing.wait_all_tasks_blocked()
        assert late == await run.decide("first", Approve(), source="bob")
        await run.decide("second", Approve())
        await held.begun.wait()
        assert RunStatus.RUNNING is await run.status()
        assert late == await run.decide("first", Approve(), source="bob")
        assert late == await run.decide("first@1", Approve(), source="bob")
    async with opened(shelf, graph, shutdown_deadline=0) as runtime:
        held.go.set()
        assert late == await runtime.get("r").decide("first@1", Approve(), source="bob")


@pytest.mark.parametrize("decision", [Choose("sideways"), Choose("Approved"), Fail(), terzetto.Retry()], ids=repr)
@stores
async def test_a_wrong_exit_is_refused_and_the_barrier_waits(autojump_clock, store, decision):
    """6.3, 1: refused names the run, the place and the value, and nothing changed."""
    shelf, graph = store(), reviewed()
    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        before = await shelf.run("r")
        with pytest.raises(Refused, match=r"'r'.*sign-off@2.*approved, rejected"):
            await run.decide("sign-off", decision)
        await trio.testing.wait_all_tasks_blocked()
        assert before == await shelf.run("r")
        assert 0 == runtime.statistics().supervisor.live
        await run.decide("sign-off", Approve())
        assert SUCCEEDED is (await run.result()).status


async def test_a_decision_for_another_barrier_disturbs_nothing(autojump_clock):
    """6.5: a decision for another id never disturbs a wait."""
    graph = reviewed()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        for other in ("sign-off@1", "sign-off@9", "else", "write", "write@1"):
            with pytest.raises(Refused, match="not open"):
                await run.decide(other, Approve())
        assert [AWAITING] == [row.status for row in await runtime.runs()]


@pytest.mark.parametrize("field", ["source", "reason", "note", "barrier"])
@stores
async def test_a_text_that_cannot_be_stored_is_refused(autojump_clock, store, field):
    """1, 12: refused, nothing changed: neither the barrier nor anybody else's commit."""
    shelf, odd = store(), "\ud800"
    graph = chain("sign-off", says("done"))
    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        decision = {"reason": Reject(odd), "note": Choose("approved", odd)}.get(field, Approve())
        with pytest.raises(terzetto.TerzettoError):
            await run.decide(odd if field == "barrier" else "", decision, source=odd if field == "source" else "")
        assert AWAITING is await run.status()
        assert isinstance(await run.decide("", Approve()), DecisionTaken)
        assert SUCCEEDED is (await run.result()).status


# -- parked --------------------------------------------------------------------------------------------------


@both
async def test_a_parked_run_holds_no_slot_and_no_task(autojump_clock, dispatch):
    """6.6: a parked run holds no slot and no task; its memory is its row."""
    graph = reviewed()
    async with opened(MemoryStore(), graph, pool_size=1, dispatch=dispatch) as runtime:
        tasks = trio.lowlevel.current_statistics().tasks_living
        for number in range(50):
            await parked(runtime, graph, f"r{number}")
        said = runtime.statistics().supervisor
        assert (0, 0, 0) == (said.live, said.carried, said.waiting)
        assert tasks == trio.lowlevel.current_statistics().tasks_living
        for number in range(50):
            await runtime.get(f"r{number}").decide("", Approve())
        for number in range(50):
            assert SUCCEEDED is (await runtime.get(f"r{number}").result()).status


@both
async def test_decided_runs_go_before_new_ones(autojump_clock, dispatch):
    """2: AWAITING_INPUT -> QUEUED: decided, waits for a slot, goes before new work."""
    order, hold = [], Held("hold")

    async def note(ctx):
        order.append(ctx.run_id)

    noted, busy = chain("sign-off", note, name="noted"), chain(hold, name="busy")
    plain = chain(note, name="plain")
    async with opened(MemoryStore(), noted, busy, plain, pool_size=1, dispatch=dispatch) as runtime:
        await parked(runtime, noted, "old-1")
        await parked(runtime, noted, "old-2")
        await runtime.submit(busy, Tally(), run_id="busy")
        await hold.begun.wait()
        await runtime.submit(plain, Tally(), run_id="new")
        await runtime.get("old-2").decide("", Approve())
        await runtime.get("old-1").decide("", Approve())
        assert RunStatus.QUEUED is await runtime.get("old-2").status()
        assert 3 == runtime.statistics().supervisor.waiting
        hold.go.set()
        for run_id in ("old-1", "old-2", "new"):
            await runtime.get(run_id).result()
        queued = [event for event in await told(runtime.get("old-1")) if isinstance(event, RunQueued | BarrierResolved)]

    assert ["old-2", "old-1", "new"] == order
    assert [RunQueued, BarrierResolved] == [type(event) for event in queued]


@stores
async def test_a_decision_may_be_the_last_step(autojump_clock, store):
    """2: AWAITING_INPUT -> SUCCEEDED: the decision was the last step; it needs no slot."""
    hold = Held()
    graph, busy = chain(says("one"), "sign-off"), chain(hold, name="busy")
    async with opened(store(), graph, busy, pool_size=1) as runtime:
        run = await parked(runtime, graph, "r")
        await runtime.submit(busy, Tally())
        await hold.begun.wait()
        await run.decide("", Approve())
        assert SUCCEEDED is (await run.result()).status
        hold.go.set()


@both
async def test_auto_approve_approves(autojump_clock, dispatch):
    """6.7: `auto_approve=True` on the run approves."""
    store, graph = MemoryStore(), chain("first", says("one"), "second")
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), auto_approve=True)
        assert ["one"] == (await run.result()).state.trail
        resolved = [event for event in await told(run) if isinstance(event, BarrierResolved)]
    assert ["auto", "auto"] == [event.source for event in resolved]


async def test_nobody_to_decide_is_listed(autojump_clock):
    """6.7: nobody to decide: the barrier waits and is listed."""
    graph = reviewed()
    async with opened(store := MemoryStore(), graph) as runtime:
        for run_id in "abc":
            await parked(runtime, graph, run_id)
        await trio.sleep(10)
        assert list("abc") == [row.run_id for row in await store.barriers()]
        assert 3 == len(await runtime.runs(statuses=[AWAITING]))


# -- channels and pauses -------------------------------------------------------------------------------------


async def test_a_decision_channel_is_held_passed_on_and_closed(autojump_clock):
    """DESIGN: a `DecisionChannel` one can hold, pass on and close."""
    graph = reviewed()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        channel: DecisionChannel = run.decisions("sign-off", source="ann")
        closed = run.decisions("sign-off")
        closed.close()
        closed.close()
        with pytest.raises(trio.ClosedResourceError):
            await closed.decide(Approve())
        assert AWAITING is await run.status()
        assert ("r", "sign-off") == (channel.run_id, channel.barrier)
        assert isinstance(await channel.decide(Reject("no")), DecisionTaken)
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(await channel.decide(Approve()), DecisionTaken)
        assert AlreadyResolved("r", "sign-off@4", "approve", "ann") == await channel.decide(Approve())


def pausing() -> Graph[Tally]:
    async def stop(ctx):
        ctx.record(Say("stop"))
        ctx.pause()

    return chain(stop, says("goes_on"))


@both
@stores
async def test_a_pause_parks_until_resumed(autojump_clock, dispatch, store):
    """6.2: `ctx.pause(...)`, taken at the commit boundary; 2: PAUSED -> QUEUED."""
    shelf, graph = store(), pausing()
    async with opened(shelf, graph, dispatch=dispatch, pool_size=1) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=RunPaused)
        await trio.testing.wait_all_tasks_blocked()
        assert RunStatus.PAUSED is await run.status()
        assert (0, 0) == (runtime.statistics().supervisor.live, runtime.statistics().supervisor.carried)
        with pytest.raises(Refused):
            await run.decide("", Approve())
    async with opened(shelf, graph, dispatch=dispatch, pool_size=1) as runtime:
        run = runtime.get("r")
        assert RunStatus.PAUSED is await run.status()
        assert Resumed("r", shelf.durable) == await run.resume()
        with pytest.raises(Refused):
            await run.resume()
        assert ["stop", "goes_on"] == (await run.result()).state.trail
        with pytest.raises(Refused):
            await run.resume()
    assert [
        "submit -> QUEUED",
        "claim -> RUNNING",
        "visit stop@1 SUCCEEDED -> PAUSED",
        "queue -> QUEUED",
        "claim -> RUNNING",
        "visit goes_on@2 SUCCEEDED -> SUCCEEDED",
    ] == await trail(shelf, "r")
