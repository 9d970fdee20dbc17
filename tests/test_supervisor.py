"""`terzetto._supervisor`: slots and their order, recovery, fencing, and commands that come at the wrong moment."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto._supervisor import RECOVERY_INTERVAL
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import QueueFull, Refused, StoreRejected
from terzetto_protocol.events import BarrierOpened, RunEnded
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import DecisionTaken, Resumed
from terzetto_protocol.records import Kind, Rejected
from terzetto_protocol.statuses import RunStatus

from .runtimes import Held, Tally, both, chain, counts, opened, parked, says, told
from .stores import FaultyStore, claim_elsewhere, records, trail

CANCELLED, INTERRUPTED, QUEUED = RunStatus.CANCELLED, RunStatus.INTERRUPTED, RunStatus.QUEUED
AWAITING, FAILED, RUNNING, SUCCEEDED = (
    RunStatus.AWAITING_INPUT,
    RunStatus.FAILED,
    RunStatus.RUNNING,
    RunStatus.SUCCEEDED,
)
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


def crowd() -> tuple[Graph[Tally], list[str], dict[str, trio.Event]]:
    """A graph whose runs tell that they have begun, and wait to be let go by their id."""
    order: list[str] = []
    go: dict[str, trio.Event] = {}

    async def wait(ctx):
        order.append(ctx.run_id)
        await go.setdefault(ctx.run_id, trio.Event()).wait()

    return chain(wait, name="crowd"), order, go


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


# -- slots ---------------------------------------------------------------------------------------------------


@both
@stores
async def test_the_pool_is_filled_in_order(autojump_clock, dispatch, store):
    """10: pool size (changeable live)."""
    graph, order, go = crowd()
    async with opened(store(), graph, pool_size=2, dispatch=dispatch) as runtime:
        for number in range(8):
            await runtime.submit(graph, Tally(), run_id=f"r{number}")
        await settled()
        assert ["r0", "r1"] == order
        go["r1"].set()
        await settled()
        assert ["r2"] == order[2:]
        runtime.pool_size = 4
        await settled()
        assert ["r3", "r4"] == order[3:]
        runtime.pool_size = 1
        for run_id in ("r0", "r2", "r3"):
            go[run_id].set()
            await settled()
        assert ["r4"] == order[4:], "nobody takes a slot while there are too many"
        go["r4"].set()
        await settled()
        assert ["r5"] == order[5:]
        runtime.pool_size = 10
        await settled()
        assert ["r6", "r7"] == order[6:]
        for event in go.values():
            event.set()
        for number in range(8):
            assert SUCCEEDED is (await runtime.get(f"r{number}").result()).status


@stores
async def test_a_full_queue_refuses_and_loses_nothing(autojump_clock, store):
    """10: overload = typed `QueueFull` with retry-after; nothing accepted is ever lost."""
    shelf = store()
    graph, order, go = crowd()
    accepted, refused = [], []

    async def submit(number: int) -> None:
        try:
            accepted.append((await runtime.submit(graph, Tally(), run_id=f"r{number}")).run_id)
        except QueueFull as error:
            refused.append((error.waiting, error.retry_after))

    async with opened(shelf, graph, pool_size=2, queue_size=3) as runtime:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(submit, number)
        assert (5, 15) == (len(accepted), len(refused))
        assert all(retry_after > 0 for _, retry_after in refused)
        assert 5 == len(await shelf.runs(limit=None))
        while len(order) < 5 or not all(event.is_set() for event in go.values()):
            for event in list(go.values()):
                event.set()
            await settled()
        for run_id in accepted:
            assert SUCCEEDED is (await runtime.get(run_id).result()).status
        assert sorted(accepted) == sorted(order)
        for number in range(20, 25):
            await submit(number)
        assert 10 == len(accepted)


# -- recovery ------------------------------------------------------------------------------------------------


async def test_recovery_is_a_loop(autojump_clock):
    """7: recovery is a loop, not a one-shot at start: what somebody left behind later is found too."""
    store, other, held = FaultyStore(), None, Held()
    graph = chain(held)
    async with opened(store, graph, limit=100) as runtime:
        await trio.sleep(1)
        async with opened(FaultyStore(store.inner), graph, shutdown_deadline=0) as other:
            await other.submit(graph, Tally(), run_id="r")
            await held.begun.wait()
        held.go.set()
        assert SUCCEEDED is (await runtime.get("r").result()).status
        assert RECOVERY_INTERVAL >= trio.current_time() - 1


async def test_recovered_runs_wait_for_their_slots_in_order(autojump_clock):
    """10: the pool holds for recovered runs as well; they go before new ones, the oldest first."""
    store, order = MemoryStore(), []

    async def note(ctx):
        order.append(ctx.run_id)
        await trio.sleep(1)

    graph = chain(note)
    async with opened(store, graph, shutdown_deadline=0) as runtime:
        for number in range(5):
            await runtime.submit(graph, Tally(), run_id=f"r{number}")
            await trio.sleep(0.01)
    order.clear()
    async with opened(store, graph, pool_size=1) as runtime:
        await runtime.submit(graph, Tally(), run_id="new")
        await trio.testing.wait_all_tasks_blocked()
        assert 1 == runtime.statistics().supervisor.carried
        await runtime.get("new").result()
    assert ["r0", "r1", "r2", "r3", "r4", "new"] == order


async def test_a_refused_command_takes_no_run_out_of_the_queue(autojump_clock):
    """10: nothing accepted is ever lost: no interrupted, dead or queued run, whoever asks about it."""
    store, held, hold = MemoryStore(), Held(), Held("hold")
    graph, busy = chain(held), chain(hold, name="busy")
    async with opened(store, graph, busy, pool_size=3, shutdown_deadline=0) as runtime:
        await runtime.submit(busy, Tally(), run_id="busy")
        for run_id in ("interrupted", "dead", "queued"):
            await runtime.submit(graph, Tally(), run_id=run_id)
        await trio.testing.wait_all_tasks_blocked()
    await claim_elsewhere(store, graph, "dead")
    held.go.set()
    hold.begun = trio.Event()
    async with opened(store, graph, busy, pool_size=1) as runtime:
        await hold.begun.wait()
        for run_id, status in (("interrupted", INTERRUPTED), ("dead", RUNNING), ("queued", RunStatus.QUEUED)):
            for ask in (runtime.get(run_id).resume, lambda run=run_id: runtime.decide(run, "x", Approve())):
                with pytest.raises(Refused):
                    await ask()
            assert status is await runtime.get(run_id).status()
        assert (1, 3) == (runtime.statistics().supervisor.carried, runtime.statistics().supervisor.waiting)
        began = trio.current_time()
        hold.go.set()
        for run_id in ("interrupted", "dead", "queued"):
            assert SUCCEEDED is (await runtime.get(run_id).result()).status
        assert began == trio.current_time()


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
        with pytest.raises(Refused):
            await call(*args)
        heard.append("answered")

    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        actor = await runtime.supervisor._actor("r")  # it is in memory when the other process claims it
        (await shelf.run("r"), await _elsewhere(shelf, graph))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask, run.decide, "sign-off", Approve())
                nursery.start_soon(ask, run.cancel)
        assert ["answered"] * 6 == heard
        assert actor.machine.fenced


async def _elsewhere(shelf, graph) -> None:
    """Another process decides the barrier."""
    from terzetto._loading import load_fold
    from terzetto_protocol.inputs import Decided
    from terzetto_protocol.machine import RunMachine

    machine = RunMachine(await load_fold(shelf, await shelf.run("r"), graph.build()), settled=True)
    turn = machine.feed(Decided("sign-off@1", Approve(), "somebody", 0.0))
    await shelf.commit([turn.commit])


# -- writes that can never be stored -------------------------------------------------------------------------


@both
async def test_a_write_that_is_never_taken_fails_its_run(autojump_clock, dispatch):
    """2: FAILED(store_rejected), at the previous commit; nobody else notices."""
    store, graph, held = FaultyStore(), chain(counts(1), says("two"), says("three")), Held()
    other = chain(held, name="other")
    store.verdict = lambda write: Rejected("too odd") if write.run_id == "r" and write.seq == 4 else None
    async with opened(store, graph, other, dispatch=dispatch) as runtime:
        bystander = await runtime.submit(other, Tally())
        store.meanwhile = lambda writes: reset(store) if writes[0].kind is Kind.END else None
        result = await (await runtime.submit(graph, Tally(), run_id="r")).result()
        assert (FAILED, "store_rejected", 1, []) == (
            result.status, result.code, result.state.count, result.state.trail,
        )  # fmt: skip
        assert "too odd" in result.message
        events = await told(runtime.get("r"))
        assert RunEnded is type(events[-1])
        held.go.set()
        assert SUCCEEDED is (await bystander.result()).status
    assert (await trail(store, "r"))[2:] == ["visit count@1 SUCCEEDED -> RUNNING", "end -> FAILED"]


def reset(store: FaultyStore) -> None:
    store.verdict = lambda write: None


async def test_a_submit_that_is_never_taken_is_refused(autojump_clock):
    store, graph = FaultyStore(), chain(says("one"))
    store.verdict = lambda write: Rejected("no room")
    async with opened(store, graph, pool_size=1, queue_size=1) as runtime:
        for _ in range(4):
            with pytest.raises(StoreRejected, match="no room"):
                await runtime.submit(graph, Tally(), run_id="r")
        assert 0 == runtime.statistics().supervisor.live
        reset(store)
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally(), run_id="r")).result()).status


async def test_a_run_whose_end_is_never_taken_is_left_alone(autojump_clock):
    """Law 5: it is listed with the reason, and nobody spins."""
    store, held = FaultyStore(), Held()
    graph = chain(held)
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        store.verdict = lambda write: Rejected("never")
        held.go.set()
        await settled()
        assert len(store.groups) < 10
        ((run_id, reason),) = runtime.statistics().supervisor.unclaimed
        assert ("r", True) == (run_id, "never" in reason)
        assert RUNNING is await run.status()


async def test_a_decision_that_is_never_taken_is_refused(autojump_clock):
    store, graph = FaultyStore(), chain("sign-off", says("done"))
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r")
        store.verdict = lambda write: Rejected("odd") if write.kind is Kind.DECIDE else None
        with pytest.raises(StoreRejected, match="odd"):
            await run.decide("", Approve())
        assert (FAILED, "store_rejected") == ((result := await run.result()).status, result.code)


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
