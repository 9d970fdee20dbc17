"""`terzetto._supervisor` and its parts: slots and their order, recovery, and writes that can never be stored."""

import pytest
import trio
import trio.testing

from terzetto._recovery import RECOVERY_INTERVAL
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import QueueFull, Refused, StoreRejected
from terzetto_protocol.events import RunEnded
from terzetto_protocol.records import Kind, Rejected
from terzetto_protocol.statuses import RunStatus

from .runtimes import (
    FAILED,
    INTERRUPTED,
    RUNNING,
    SUCCEEDED,
    Held,
    Tally,
    both,
    chain,
    counts,
    crowd,
    opened,
    parked,
    says,
    settled,
    stores,
    told,
)
from .stores import FaultyStore, claim_elsewhere, trail

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
        assert ["r0", "r1"] == sorted(order)
        go["r1"].set()
        await settled()
        assert ["r2"] == order[2:]
        runtime.pool_size = 4
        await settled()
        assert ["r3", "r4"] == sorted(order[3:])
        runtime.pool_size = 1
        for run_id in ("r0", "r2", "r3"):
            go[run_id].set()
            await settled()
        assert [] == order[5:], "nobody takes a slot while there are too many"
        go["r4"].set()
        await settled()
        assert ["r5"] == order[5:]
        runtime.pool_size = 10
        await settled()
        assert ["r6", "r7"] == sorted(order[6:])
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


async def test_a_run_that_cannot_be_claimed_holds_nobody_up(autojump_clock):
    """2: it stays as it is with a reason, and its slot is free again at once."""
    store, held = MemoryStore(), Held()
    graph, strange = chain(held), chain(held, name="strange")
    async with opened(store, strange, graph, shutdown_deadline=0) as runtime:
        for number in range(3):
            await runtime.submit(strange, Tally(), run_id=f"a-{number}")
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    held.go.set()
    async with opened(store, graph, pool_size=1) as runtime:
        assert SUCCEEDED is (await runtime.get("r").result()).status
        assert 3 == len(runtime.statistics().supervisor.unclaimed)


async def test_a_run_that_was_only_asked_about_is_found_by_the_next_look(autojump_clock):
    """7: recovery is a loop: what was read into memory by a refused command is not mistaken for a live run."""
    store, held = FaultyStore(), Held()
    graph = chain(held)
    async with opened(store, graph, shutdown_deadline=0) as runtime:
        for run_id in ("interrupted", "dead"):
            await runtime.submit(graph, Tally(), run_id=run_id)
        await settled()
    await claim_elsewhere(store, graph, "dead")
    held.go.set()
    store.down = True
    async with opened(store, graph, limit=100) as runtime:
        store.down = False
        for run_id in ("interrupted", "dead"):
            with pytest.raises(Refused):
                await runtime.get(run_id).resume()
        for run_id in ("interrupted", "dead"):
            assert SUCCEEDED is (await runtime.get(run_id).result()).status


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


async def test_whoever_waits_for_a_run_that_nobody_can_carry_hears_why(autojump_clock):
    """Law 5: who waited before it was found out, and who asks afterwards."""
    store, held = MemoryStore(), Held()
    graph, strange = chain(held), chain(held, name="strange")
    async with opened(store, strange, shutdown_deadline=0) as runtime:
        await runtime.submit(strange, Tally(), run_id="r")
        await settled()
    async with opened(store, graph) as runtime:
        for _ in range(2):
            with pytest.raises(Refused, match=r"run 'r'.*strange.*not known here"):
                await runtime.get("r").result()
            await settled()


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
