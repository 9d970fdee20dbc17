"""Promises about results, recovery, keys and limits, each named by its number; see `test_promise_index.py`."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto._loading import load_fold
from terzetto.stores import MemoryStore
from terzetto_protocol import limits
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import ActorStopped, RunConflict, StoreUnavailable
from terzetto_protocol.events import BarrierOpened, NodeFinished
from terzetto_protocol.statuses import RunStatus

from .runtimes import Add, Held, Tally, both, chain, opened, parked, says, told
from .stores import LOST, FaultyStore, claim_elsewhere, records, trail

SUCCEEDED = RunStatus.SUCCEEDED
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


@both
@stores
async def test_a_key_is_the_same_for_every_attempt(autojump_clock, dispatch, store):
    """7: key = hash(run, path, visit): the same for every attempt, epoch and process; the fence rises."""
    shelf, keys, fences = store(), set(), []

    async def pay(ctx):
        keys.add(ctx.key)
        fences.append(ctx.fence)
        if len(fences) < 4:
            await trio.sleep_forever()

    graph = chain(says("before"), pay)
    for _ in range(3):
        async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await trio.testing.wait_all_tasks_blocked()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        assert SUCCEEDED is (await runtime.get("r").result()).status
    assert 1 == len(keys)
    assert sorted(set(fences)) == fences


@stores
@pytest.mark.parametrize("delay", range(12))
async def test_a_result_is_had_whenever_it_is_asked_for(autojump_clock, store, delay):
    """9.3: `run.result()` never raises for an outcome, and never misses it: also between the look and the wait."""
    graph, got = chain("ask", says("b")), []
    async with opened(store(), graph) as runtime:
        run = await parked(runtime, graph, "r")

        async def wait(steps: int) -> None:
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            got.append((await run.result()).status)

        async with trio.open_nursery() as nursery:
            for steps in range(12):
                nursery.start_soon(wait, steps)
            for _ in range(delay):
                await trio.lowlevel.checkpoint()
            await run.decide("ask", Approve())
    assert [SUCCEEDED] * 12 == got


@both
@stores
async def test_keyboard_interrupt_interrupts_and_is_raised_again(autojump_clock, dispatch, store):
    """9.4: KeyboardInterrupt is re-raised and the run INTERRUPTED; 4.3: a node that raises leaves no trace."""
    shelf, pressed = store(), []

    async def press(ctx):
        ctx.record(Add(100))
        ctx.state.trail.append("dirt")
        if not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    graph = chain(says("a"), press)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with opened(shelf, graph, dispatch=dispatch) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await trio.sleep_forever()
    assert caught.value.split(KeyboardInterrupt)[1] is None
    assert ["visit a@1 SUCCEEDED -> RUNNING", "interrupt -> INTERRUPTED"] == (await trail(shelf, "r"))[2:]
    row = await shelf.run("r")
    assert Tally(trail=["a"]) == (await load_fold(shelf, row, graph.build())).state


@stores
async def test_a_key_belongs_to_one_input(autojump_clock, store):
    """10: idempotency keys (`reused=True`), under whatever id they come; same id + other input = conflict."""
    graph = chain(says("a"))
    async with opened(store(), graph) as runtime:
        await runtime.submit(graph, Tally(), run_id="one", key="k")
        again = await runtime.submit(graph, Tally(), run_id="two", key="k")
        assert ("one", True) == (again.run_id, again.reused)
        with pytest.raises(RunConflict, match="key 'k'"):
            await runtime.submit(graph, Tally(count=1), run_id="two", key="k")
        assert [] == [row for row in await runtime.runs() if row.run_id == "two"]
        assert not (await runtime.submit(graph, Tally(count=1), run_id="two", key="other")).reused


@stores
async def test_what_waited_in_the_queue_outlives_the_runtime(autojump_clock, store):
    """10: nothing accepted is ever lost, also when the runtime is left at once while the queue is full."""
    shelf, held = store(), Held()
    graph = chain(held)
    async with opened(shelf, graph, pool_size=1, queue_size=9, shutdown_deadline=0) as runtime:
        for number in range(10):
            await runtime.submit(graph, Tally(), run_id=f"r{number}")
        with pytest.raises(terzetto.QueueFull):
            await runtime.submit(graph, Tally(), run_id="eleventh")
    held.go.set()
    async with opened(shelf, graph, pool_size=2) as runtime:
        assert {SUCCEEDED} == {(await runtime.get(f"r{number}").result()).status for number in range(10)}


def test_limits_are_those_that_are_promised():
    """12: limits (defaults, all named constants with units)."""
    promised = {
        "MESSAGE_BYTES": 2**20, "DEPTH": 64, "MAILBOX": 256, "MAX_STEPS": 10_000, "STATE_BYTES": 16 * 2**20,
        "ID_LENGTH": 128, "EVENT_WINDOW": 256, "EVENT_WINDOW_BYTES": 10 * 2**20, "HEARTBEAT": 15, "CLAIMS": 3,
        "CANCEL_GRACE": 5,
    }  # fmt: skip
    assert promised == {name: getattr(limits, name) for name in promised}
    assert limits.INBOX_POLL <= 0.25


@both
@pytest.mark.parametrize("under_way", ["claim", "visit", "decision"])
async def test_what_was_on_its_way_when_the_supervisor_died(autojump_clock, dispatch, under_way):
    """9.5: system actors: rest-for-one: its runs are claimed again when what they had sent has landed, not before."""
    store, held = FaultyStore(), Held()
    graph = chain(says("a"), held, "ask", says("c"))

    async def die() -> None:
        raise LookupError("a bug")

    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        if under_way == "claim":
            store.hold()
        else:
            await held.begun.wait()
        if under_way == "decision":
            held.go.set()
            await told(run, until=BarrierOpened)
            await trio.testing.wait_all_tasks_blocked()
        store.hold()
        held.go.set()
        async with trio.open_nursery() as nursery:
            if under_way == "decision":
                nursery.start_soon(unanswered, run)
            await trio.testing.wait_all_tasks_blocked()
            runtime.supervisor._nursery.start_soon(die)
        await trio.sleep(1)
        store.release()
        await trio.testing.wait_all_tasks_blocked()
        if under_way != "decision":
            await told(run, until=BarrierOpened)
            await trio.testing.wait_all_tasks_blocked()
            await run.decide("ask", Approve())
        result = await run.result()
        assert (SUCCEEDED, ["a", "held", "c"]) == (result.status, result.state.trail)
        assert runtime.statistics().restarts >= 1


async def unanswered(run) -> None:
    with pytest.raises(ActorStopped):
        await run.decide("ask", Approve())


@stores
async def test_a_refused_question_keeps_nobody_from_recovering_the_run(autojump_clock, store):
    """7: recovery is a loop: it finds what has no owner, also when somebody has had it read from the store."""
    shelf, held = store(), Held()
    graph = chain(held, says("b"))
    async with opened(shelf, graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await claim_elsewhere(shelf, graph, "r")
        held.go.set()
        await trio.testing.wait_all_tasks_blocked()
        for ask in (run.resume, lambda: run.decide("", Approve())):
            with pytest.raises(terzetto.Refused):
                await ask()
        assert SUCCEEDED is (await run.result()).status


@pytest.mark.parametrize("landed", [False, True], ids=["lost", "landed"])
async def test_a_submit_that_nobody_heard_the_end_of(autojump_clock, landed):
    """7: submit called, not durable: caller has no id; same idempotency key later = one run."""
    store, graph = FaultyStore(), chain(says("a"))
    async with opened(store, graph, limit=100) as runtime:
        store.faults = [LOST if landed else StoreUnavailable("gone")]
        store.meanwhile = lambda writes: setattr(store, "down", bool(store.faults) is False)
        with trio.move_on_after(1):
            await runtime.submit(graph, Tally(), key="k")
    assert landed == bool(await store.inner.runs())
    store.down, store.meanwhile = False, lambda writes: None
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), key="k")
        assert landed == run.reused
        assert SUCCEEDED is (await run.result()).status
        assert 1 == len(await runtime.runs())


@both
async def test_a_commit_that_nobody_heard_of_is_told_later(autojump_clock, dispatch):
    """7: commit durable, event not published: not re-run; the event appears after a restart. 1: a visit's number is
    never reused in a run."""
    store, ran, seen = FaultyStore(), [], []

    async def note(ctx):
        ran.append(ctx.visit.visit)
        ctx.record(Add())

    graph = chain(says("a"), note, says("c"))
    async with opened(store, graph, dispatch=dispatch, limit=100) as runtime:
        store.meanwhile = lambda writes: store.faults.append(LOST) if ran and not store.faults else None
        run = await runtime.submit(graph, Tally(), run_id="r")
        with trio.move_on_after(1):
            async with run.events() as events:
                async for event in events:
                    seen.append(event)  # noqa: PERF401 - it is left by a cancel
        store.down = True
    assert not [event for event in seen if getattr(event, "node", "") == "note" and isinstance(event, NodeFinished)]
    store.down, store.meanwhile, store.faults = False, lambda writes: None, []
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert 1 == (await runtime.get("r").result()).state.count
        events = await told(runtime.get("r"))
    assert ["a", "note", "c"] == [event.node for event in events if isinstance(event, NodeFinished)]
    assert [2] == ran
    visits = [step.visit for record in await records(store, "r") for step in record.steps]
    assert [1, 2, 3] == visits
