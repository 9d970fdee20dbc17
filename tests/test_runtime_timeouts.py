"""Barriers that decide by themselves (SEMANTICS 6.4): on virtual time, over restarts, and never against a person."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Choose, Fail, Reject
from terzetto_protocol.events import BarrierResolved
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken
from terzetto_protocol.statuses import RunStatus

from .runtimes import MUTATIONS, Held, Tally, both, chain, opened, parked, says, told
from .stores import FaultyStore

AWAITING, SUCCEEDED, FAILED = RunStatus.AWAITING_INPUT, RunStatus.SUCCEEDED, RunStatus.FAILED
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


def timed(timeout: float = 60, on_timeout=None) -> Graph[Tally]:
    """ask -> approved or rejected, which say so."""
    graph = Graph("timed", state=Tally, mutations=MUTATIONS)
    ask = graph.barrier("ask", timeout=timeout, on_timeout=on_timeout)
    graph.start(ask)
    for name in ("approved", "rejected"):
        graph.edge(ask.exit(name), graph.node(name=name)(says(name)))
    return graph


@both
@stores
@pytest.mark.parametrize(
    "on_timeout, trail",
    [(None, "rejected"), (Reject("slow"), "rejected"), (Approve(), "approved"), (Choose("approved"), "approved")],
    ids=repr,
)
async def test_a_timeout_decides(autojump_clock, dispatch, store, on_timeout, trail):
    """6.4: `on_timeout=` a decision (Reject unless said otherwise); `source=timeout`."""
    graph = timed(on_timeout=on_timeout)
    async with opened(store(), graph, dispatch=dispatch, limit=100) as runtime:
        run = await parked(runtime, graph, "r")
        assert 1 == runtime.statistics().supervisor.timers
        (row,) = await run.barriers()
        assert 60 == pytest.approx(row.deadline - row.opened)
        result = await run.result()
        assert 60 == pytest.approx(trio.current_time(), abs=1e-3)
        assert [trail] == result.state.trail
        (resolved,) = [event for event in await told(run) if isinstance(event, BarrierResolved)]
        assert ("timeout", on_timeout or Reject()) == (resolved.source, resolved.decision)
        late = await run.decide("ask", Approve(), source="late")
        assert isinstance(late, AlreadyResolved)
        assert "timeout" == late.source
        await trio.testing.wait_all_tasks_blocked()
        said = runtime.statistics().supervisor
        assert (0, 0, 0) == (said.timers, said.live, said.carried)


@stores
async def test_a_timeout_may_fail_the_run(autojump_clock, store):
    """6.4: or `Fail()`; 2: FAILED(barrier_timeout)."""
    graph = timed(on_timeout=Fail("too slow"))
    async with opened(store(), graph, limit=100) as runtime:
        run = await parked(runtime, graph, "r")
        result = await run.result()
        assert (FAILED, "barrier_timeout") == (result.status, result.code)
        assert "ask@1" in result.message
        assert "too slow" in result.message
        assert [] == await run.barriers()


@stores
async def test_a_decision_in_time_beats_the_timeout(autojump_clock, store):
    graph = timed()
    async with opened(store(), graph, limit=200) as runtime:
        run = await parked(runtime, graph, "r")
        await trio.sleep(59)
        assert isinstance(await run.decide("ask", Approve()), DecisionTaken)
        assert ["approved"] == (await run.result()).state.trail
        await trio.sleep(100)
        assert ["approved"] == (await run.result()).state.trail


@stores
@pytest.mark.parametrize("attempt", range(20))
async def test_ready_together_a_decision_beats_the_timeout(autojump_clock, store, attempt):
    """6.4: ready together: cancel > decision > timeout. Trio wakes tasks of one moment in any order."""
    graph = timed()
    async with opened(store(), graph, limit=200) as runtime:
        run = await parked(runtime, graph, "r")
        (row,) = await run.barriers()
        await trio.sleep(row.deadline - runtime.supervisor.clock())
        assert isinstance(await run.decide("ask", Approve()), DecisionTaken)


@stores
@pytest.mark.parametrize("attempt", range(10))
async def test_ready_together_a_cancel_beats_both(autojump_clock, store, attempt):
    """6.4: ready together: cancel > decision > timeout."""
    graph, receipts = timed(), {}
    async with opened(store(), graph, limit=200) as runtime:
        run = await parked(runtime, graph, "r")
        (row,) = await run.barriers()

        async def at_the_deadline(name, call, *args) -> None:
            await trio.sleep(row.deadline - runtime.supervisor.clock())
            try:
                receipts[name] = await call(*args)
            except terzetto.Refused as error:
                receipts[name] = error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(at_the_deadline, "decision", run.decide, "ask", Approve())
            nursery.start_soon(at_the_deadline, "cancel", run.cancel)
        assert "stopped" == receipts["cancel"].outcome
        assert not isinstance(receipts["decision"], DecisionTaken)
        assert RunStatus.CANCELLED is (await run.result()).status


@stores
async def test_a_deadline_holds_over_restarts(autojump_clock, store):
    """6.4: the absolute deadline is stored with the barrier."""
    shelf, graph = store(), timed()
    async with opened(shelf, graph) as runtime:
        await parked(runtime, graph, "before")
        await parked(runtime, graph, "while")
    await trio.sleep(40)
    async with opened(shelf, graph, limit=100) as runtime:
        assert 2 == runtime.statistics().supervisor.timers
        assert ["rejected"] == (await runtime.get("before").result()).state.trail
        assert 60 == pytest.approx(trio.current_time(), abs=1e-3)


async def test_a_deadline_that_passed_while_nobody_was_there(autojump_clock):
    store, graph = MemoryStore(), timed()
    async with opened(store, graph) as runtime:
        for run_id in "abc":
            await parked(runtime, graph, run_id)
    await trio.sleep(1000)
    async with opened(store, graph) as runtime:
        for run_id in "abc":
            assert ["rejected"] == (await runtime.get(run_id).result()).state.trail
        assert 1000 == pytest.approx(trio.current_time(), abs=1e-3)


@both
async def test_a_timed_out_run_waits_for_its_slot(autojump_clock, dispatch):
    """6.6 and 2: what a timeout decided needs a slot like what a person decided."""
    hold = Held()
    graph, busy = timed(), chain(hold, name="busy")
    async with opened(MemoryStore(), graph, busy, pool_size=1, limit=200, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        await runtime.submit(busy, Tally())
        await trio.sleep(100)
        assert RunStatus.QUEUED is await run.status()
        hold.go.set()
        assert ["rejected"] == (await run.result()).state.trail


@stores
async def test_the_second_barriers_deadline_is_its_own(autojump_clock, store):
    graph = Graph("two", state=Tally, mutations=MUTATIONS)
    first, second = graph.barrier("first", timeout=60), graph.barrier("second", timeout=60, on_timeout=Fail())
    third = graph.barrier("third")
    graph.start(first)
    graph.edge(first.rejected, second)
    graph.edge(first.approved, second)
    graph.edge(second.approved, third)
    async with opened(store(), graph, limit=300) as runtime:
        one, two = await parked(runtime, graph, "one"), await parked(runtime, graph, "two")
        await trio.sleep(30)
        await one.decide("first", Approve())
        await two.decide("first", Approve())
        await trio.sleep(50)
        await two.decide("second", Approve())
        assert FAILED is (await one.result()).status
        assert 90 == pytest.approx(trio.current_time(), abs=1e-3)
        await trio.sleep(100)
        assert AWAITING is await two.status()
        assert 0 == runtime.statistics().supervisor.timers


async def test_a_timeout_while_the_store_is_gone_waits_for_it(autojump_clock):
    """9.6: store gone: what it would have said is said when it is back; nothing else stops because of it."""
    store, graph, hold = FaultyStore(), timed(), Held()
    busy = chain(hold, name="busy")
    async with opened(store, graph, busy, limit=300) as runtime:
        run = await parked(runtime, graph, "r")
        await runtime.submit(busy, Tally(), run_id="busy")
        await hold.begun.wait()
        store.down = True
        await trio.sleep(100)
        assert 0 == runtime.statistics().restarts
        assert [] == hold.ends
        store.down = False
        assert ["rejected"] == (await run.result()).state.trail
        assert 100 == pytest.approx(trio.current_time(), abs=3)
        hold.go.set()
        assert SUCCEEDED is (await runtime.get("busy").result()).status
