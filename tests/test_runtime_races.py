"""Commands that come at the wrong moment, and runs that somebody else has claimed (SEMANTICS 3 D8, 6.4, 9)."""

from contextlib import suppress

import pytest
import trio
import trio.testing

import terzetto
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.receipts import DecisionTaken, Resumed

from .runtimes import (
    CANCELLED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Held,
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
from .stores import FaultyStore, claim_elsewhere, decide_elsewhere, records, trail

# -- fenced --------------------------------------------------------------------------------------------------


@both
@stores
async def test_a_run_that_was_claimed_elsewhere_publishes_nothing_more(autojump_clock, dispatch, store):
    """3 D8: a stale writer gets `StaleEpoch`, cancels its run scope and publishes nothing."""
    shelf, held, ran = store(), Held(), []

    async def after(ctx):
        ran.append("after")

    graph = chain(says("one"), held, after)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        async with run.events(last_event_id=None) as events:
            seen = await events.take()
            seen += await events.take()
            await claim_elsewhere(shelf, graph, "r")
            before = await shelf.run("r")
            held.go.set()
            await settled()
            with trio.move_on_after(1) as nothing:
                seen.append(await events.take())
            assert nothing.cancelled_caught
        assert before == await shelf.run("r")
        assert ([], 0, 0) == (ran, runtime.statistics().supervisor.carried, runtime.statistics().restarts)
        assert RUNNING is await run.status()


@both
@stores
async def test_fencing_cancels_the_nodes(autojump_clock, dispatch, store):
    """3 D8: the scope of a run that is not ours any more is cancelled, at the first write that tells."""
    shelf, held = store(), Held()
    graph = chain(held)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await claim_elsewhere(shelf, graph, "r")
        with pytest.raises(Refused, match="claimed again"):
            await run.cancel()
        await settled()
        assert ["cancelled"] == held.ends
        assert 0 == runtime.statistics().supervisor.live
        assert not any(line.startswith("cancel") for line in await trail(shelf, "r"))


@stores
async def test_every_asker_of_a_fenced_run_is_answered(autojump_clock, store):
    """Law 5: nobody waits forever on the dead: neither a decider nor a canceller."""
    shelf, graph, heard = store(), chain("sign-off", says("done")), []

    async def ask(call, *args) -> None:
        with suppress(Refused):  # or, for who comes later, what the other process made of it
            await call(*args)
        heard.append("answered")

    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        actor = await runtime.supervisor._roster.find("r")  # it is in memory when the other process claims it
        await decide_elsewhere(shelf, graph, "r", "sign-off@1")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask, run.decide, "sign-off", Approve())
                nursery.start_soon(ask, run.cancel)
        assert ["answered"] * 6 == heard
        assert actor.machine.fenced


# -- the wrong moment ----------------------------------------------------------------------------------------


@both
async def test_deciding_before_the_barrier_is_durable(autojump_clock, dispatch):
    """A run that is about to rest is set going again before that is durable: it goes on, in the same epoch."""
    store, held = FaultyStore(), Held()
    graph = chain(held, "sign-off", says("done"))
    async with opened(store, graph, dispatch=dispatch, pool_size=1) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        store.hold()
        held.go.set()
        await settled()
        receipts = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def decide() -> None:
                receipts.append(await run.decide("sign-off", Approve()))

            await settled()
            assert [] == receipts
            store.release()
        assert isinstance(receipts[0], DecisionTaken)
        assert ["held", "done"] == (await run.result()).state.trail
        kinds = [type(event) for event in await told(run)]
        assert kinds.index(BarrierOpened) < kinds.index(terzetto.BarrierResolved)
        await settled()
        assert (0, 0) == (runtime.statistics().supervisor.live, len(runtime.supervisor.admission.holders))
    assert {0, 1} == {record.epoch for record in await records(store, "r")}


@both
async def test_resuming_before_the_pause_is_durable(autojump_clock, dispatch):
    store, begun, go = FaultyStore(), trio.Event(), trio.Event()

    async def stop(ctx):
        begun.set()
        await go.wait()
        ctx.pause()

    graph = chain(stop, says("done"))
    async with opened(store, graph, dispatch=dispatch, pool_size=1) as runtime:
        run = await runtime.submit(graph, Tally())
        await begun.wait()
        store.hold()
        go.set()
        await settled()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def resume() -> None:
                assert isinstance(await run.resume(), Resumed)

            await settled()
            store.release()
        assert ["done"] == (await run.result()).state.trail


@both
@pytest.mark.parametrize("rest", ["parks", "ends"])
async def test_cancelling_before_the_rest_is_durable(autojump_clock, dispatch, rest):
    """6.4: first durable writer wins; the loser learns who won."""
    store, held = FaultyStore(), Held()
    graph = chain(held, "sign-off") if rest == "parks" else chain(held)
    async with opened(store, graph, dispatch=dispatch, pool_size=1) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        store.hold()
        held.go.set()
        await settled()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def cancel() -> None:
                assert ("stopped" if rest == "parks" else "already_terminal") == (await run.cancel()).outcome

            await settled()
            store.release()
        assert (CANCELLED if rest == "parks" else SUCCEEDED) is (await run.result()).status


@both
async def test_a_slot_that_frees_while_the_next_run_is_being_cancelled(autojump_clock, dispatch):
    """9.1: before the first claim: no node ever runs, also when its slot comes while the cancel is on its way."""
    store = FaultyStore()
    graph, order, go = crowd()
    async with opened(store, graph, dispatch=dispatch, pool_size=1) as runtime:
        runs = [await runtime.submit(graph, Tally(), run_id=f"r{number}") for number in range(3)]
        await settled()
        store.hold()
        go["r0"].set()
        await settled()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runs[1].cancel)
            await settled()
            store.release()
        assert CANCELLED is (await runs[1].result()).status
        go.setdefault("r2", trio.Event()).set()
        assert SUCCEEDED is (await runs[2].result()).status
        assert 0 == runtime.statistics().restarts
    assert ["r0", "r2"] == order


@both
@stores
@pytest.mark.parametrize("late", range(8))
async def test_a_cancel_between_the_claim_and_the_first_node(autojump_clock, dispatch, store, late):
    """9.1: a node that was told to start and has not begun is not begun any more; one that has is cancelled."""
    graph, _, go = crowd()
    async with opened(store(), graph, dispatch=dispatch, pool_size=1) as runtime:
        first = await runtime.submit(graph, Tally(), run_id="first")
        second = await runtime.submit(graph, Tally(), run_id="second")
        await settled()
        go["first"].set()
        for _ in range(late):
            await trio.lowlevel.checkpoint()
        assert (await second.cancel()).outcome in {"requested", "stopped"}
        assert CANCELLED is (await second.result()).status
        assert SUCCEEDED is (await first.result()).status


@both
async def test_deciding_twice_before_the_next_barrier_is_durable(autojump_clock, dispatch):
    """3 D5: exactly one winner, also while the run is on its way from one rest straight into the next."""
    store, held = FaultyStore(), Held()
    graph, receipts = chain(held, "first", "second", says("done")), []

    async def decide(barrier: str) -> None:
        receipts.append(type(await run.decide(barrier, Approve())).__name__)

    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        store.latency = 1.0
        held.go.set()
        await settled()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(decide, "first")
            for pause in (0.2, 0.9, 1.0, 1.2):
                await trio.sleep(pause)
                nursery.start_soon(decide, "first")
        await decide("second")
        assert ["held", "done"] == (await run.result()).state.trail
    assert ["AlreadyResolved"] * 4 + ["DecisionTaken"] * 2 == sorted(receipts)


@stores
async def test_commands_while_the_same_run_is_submitted_again(autojump_clock, store):
    """DESIGN: the same id and input are the same run: what is under way for it is not disturbed."""
    shelf, graph = store(), chain("sign-off", says("done"))
    async with opened(shelf, graph, pool_size=1) as runtime:
        for number in range(10):
            run = await parked(runtime, graph, f"r{number}")
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(lambda run_id=run.run_id: runtime.submit(graph, Tally(), run_id=run_id))
                nursery.start_soon(run.decide, "sign-off", Approve())
                nursery.start_soon(lambda run_id=run.run_id: runtime.submit(graph, Tally(), run_id=run_id))
            assert SUCCEEDED is (await run.result()).status
        assert set() == runtime.supervisor.admission.holders


@stores
async def test_deciding_while_the_runtime_is_left(autojump_clock, store):
    """9.6: shutdown refuses new work: a run that is decided meanwhile waits for the next owner."""
    shelf, ran, held = store(), [], Held()

    async def after(ctx):
        ran.append("after")

    graph, busy = chain("sign-off", after), chain(held, name="busy")
    async with trio.open_nursery() as nursery:
        async with opened(shelf, graph, busy) as runtime:
            run = await parked(runtime, graph, "r")
            await runtime.submit(busy, Tally())
            await held.begun.wait()

            @nursery.start_soon
            async def decide() -> None:
                await trio.sleep(1)
                assert isinstance(await run.decide("sign-off", Approve()), DecisionTaken)

        assert 10 == trio.current_time()
    assert ([], QUEUED) == (ran, (await shelf.run("r")).status)
    async with opened(shelf, graph) as runtime:
        assert SUCCEEDED is (await runtime.get("r").result()).status
