"""`terzetto._stuck` and `_bodies`: nodes that ignore their cancel do not keep runs from ending (SEMANTICS 9.1)."""

import logging

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import Refused, StuckNode
from terzetto_protocol.events import NodeFinished, TextChunk
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.records import Stale
from terzetto_protocol.retry import RetryPolicy

from .blocking import HARD, Blocking, jumping, limited, single
from .fans import bare, fails, fan, place
from .runtimes import (
    CANCELLED,
    FAILED,
    INTERRUPTED,
    MUTATIONS,
    SUCCEEDED,
    Held,
    Say,
    Step,
    Tally,
    both,
    chain,
    function,
    once,
    opened,
    says,
    settled,
    stores,
    told,
)
from .stores import FaultyStore, trail

clock = pytest.fixture(jumping)

LONG = 60.0
"""Seconds that a body stays after it was told to leave."""


class Stubborn(Held):
    """A body that stays for a while after its cancel, and then speaks up."""

    def __init__(self, name: str = "stubborn", seconds: float = LONG) -> None:
        super().__init__(name)
        self.seconds = seconds
        self.returned = trio.Event()
        self.said: list[object] = []

    async def __call__(self, ctx):
        ctx.record(Say("early"))
        self.begun.set()
        with trio.CancelScope(shield=True):
            await trio.sleep(self.seconds)
        self.said.append(ctx.is_cancelled())
        ctx.record(Say("late"))
        ctx.emit_text("late")
        if ctx.is_cancelled():
            ctx.state.trail.append("scribbled")
        self.returned.set()


class Ears:
    """What `on_stuck` was told, and when."""

    def __init__(self) -> None:
        self.heard: list[StuckNode] = []
        self.at: list[float] = []

    def __call__(self, error: StuckNode) -> None:
        self.heard.append(error)
        self.at.append(trio.current_time())


@both
@stores
async def test_a_cancel_ends_the_run_when_the_grace_is_over(autojump_clock, dispatch, store):
    """9.1: past its grace (5 s) it is stuck: the run's end is written without it (CANCELLED with a note)."""
    body, ears = Stubborn(), Ears()
    graph = chain(says("before"), body, says("never"))
    async with opened(shelf := store(), graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await body.begun.wait()
        await trio.sleep(1)
        await run.cancel()
        result = await run.result()
        assert 1 + CANCEL_GRACE == trio.current_time()
        assert (CANCELLED, ["before"]) == (result.status, result.state.trail)
        assert "stubborn@2 ignored 5 s of cancellation, and may still run" == result.message
        assert ["cancel -> CANCELLING", "end -> CANCELLED"] == (await trail(shelf, "r"))[-2:]
        (stuck,) = runtime.statistics().supervisor.stuck
        assert ("r", "stubborn", 2, CANCEL_GRACE) == (stuck.run_id, stuck.node, stuck.visit, stuck.seconds)
        assert any("test_stuck.py" in frame and "__call__" in frame for frame in stuck.stack)
        assert [str(stuck)] == [str(error) for error in ears.heard]
        events = await told(run)

        await body.returned.wait()
        await settled()
        assert () == runtime.statistics().supervisor.stuck
        assert events == await told(run)
        assert ["before"] == (await run.state()).trail == result.state.trail
        assert 0 == runtime.statistics().restarts
    assert [True] == body.said


@both
async def test_its_slot_goes_to_another_run(autojump_clock, dispatch):
    """9.1, 10: what stays in the tree holds no place in the pool."""
    body = Stubborn()
    graph, other = chain(body), chain(says("other"), name="other")
    async with opened(MemoryStore(), graph, other, dispatch=dispatch, limit=200, pool_size=1) as runtime:
        run = await runtime.submit(graph, Tally())
        await body.begun.wait()
        waiting = await runtime.submit(other, Tally())
        await run.cancel()
        assert SUCCEEDED is (await waiting.result()).status
        await settled()
        assert (CANCEL_GRACE, 0) == (trio.current_time(), runtime.statistics().supervisor.carried)


@both
async def test_cleanup_within_the_grace_is_waited_for(autojump_clock, dispatch):
    held, ears = Held(cleanup=CANCEL_GRACE), Ears()
    graph = chain(held)
    async with opened(MemoryStore(), graph, dispatch=dispatch, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        await run.cancel()
        assert ("", ["cancelled", "cleaned up"]) == ((await run.result()).message, held.ends)
    assert [] == ears.heard


@both
@stores
async def test_a_once_visit_is_unknown(autojump_clock, dispatch, store):
    """7: a `once` visit ended by a cancel while its body ran is UNKNOWN, and listed in the run's result."""
    body = Stubborn()
    graph = chain(once(body))
    async with opened(store(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        await body.begun.wait()
        await run.cancel()
        assert (CANCELLED, ("stubborn@1",)) == ((result := await run.result()).status, result.unknown)


# -- timeouts ------------------------------------------------------------------------------------------------


@both
@stores
@pytest.mark.parametrize("effects", ["repeatable", "once"])
@pytest.mark.parametrize("option", ["run_timeout", "idle_timeout"])
async def test_a_timeout_that_is_ignored_fails_the_run(autojump_clock, dispatch, store, option, effects):
    """9.1: FAILED(stuck_node) where a timeout ended it; it is not tried again beside the body that stays."""
    body = Stubborn()
    retry = {} if effects == "once" else {"retry": RetryPolicy(max_attempts=3)}
    graph = chain(Step(function(body), {"name": "slow", "effects": effects, option: 3, **retry}), says("never"))
    async with opened(store(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        assert 3 + CANCEL_GRACE == trio.current_time()
        assert (FAILED, "stuck_node") == (result.status, result.code)
        assert f"slow@1: its {option} of 3 s has passed; " in result.message
        assert any("test_stuck.py" in frame for frame in result.failure.trace)
        assert (("slow@1",) if effects == "once" else ()) == result.unknown
        before = await told(run)
        await body.returned.wait()
        await settled()
        assert before == await told(run)
        assert [] == (await run.state()).trail


@both
async def test_signs_of_life_of_a_body_that_was_cut_off_change_nothing(autojump_clock, dispatch):
    """9.7: an `idle_timeout` that has passed has passed."""

    async def chatty(ctx):
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
            for _ in range(30):
                await trio.sleep(1)
                ctx.heartbeat()

    graph = chain(Step(chatty, {"idle_timeout": 2}))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
        assert ("stuck_node", 2 + CANCEL_GRACE) == (result.code, trio.current_time())


@both
async def test_a_body_that_shows_signs_of_life_is_not_looked_for(autojump_clock, dispatch):
    ears = Ears()

    async def lively(ctx):
        for _ in range(30):
            await trio.sleep(1)
            ctx.heartbeat()

    graph = chain(Step(lively, {"idle_timeout": 2}), says("after"))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
    assert [] == ears.heard


@both
async def test_a_retry_after_a_timeout_has_a_grace_of_its_own(autojump_clock, dispatch):
    """9.7: per attempt."""
    calls, ears = [], Ears()

    async def slow(ctx):
        calls.append(trio.current_time())
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(4)

    graph = chain(Step(slow, {"run_timeout": 3, "retry": RetryPolicy(max_attempts=2, initial=0)}))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert ("node_error", [0, 7], []) == (result.code, calls, ears.heard)


@both
@stores
async def test_a_deadline_that_is_ignored_fails_the_run(autojump_clock, dispatch, store):
    """9.1, 9.7: the run's own deadline is a timeout too."""
    body = Stubborn()
    graph = chain(says("before"), body)
    async with opened(store(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally(), deadline=3)
        result = await run.result()
        assert 3 + CANCEL_GRACE == pytest.approx(trio.current_time(), abs=1e-3)
        assert (FAILED, "stuck_node", ["before"]) == (result.status, result.code, result.state.trail)
        assert "the 3 s that it had are over; stubborn@2 ignored 5 s of cancellation" in result.message
        await body.returned.wait()
        await settled()
        assert 0 == runtime.statistics().restarts


@both
async def test_a_deadline_that_a_run_was_parked_before_is_ignored(autojump_clock, dispatch):
    """9.7: parked time does not count."""
    body = Stubborn()
    graph = chain("ask", body)
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally(), deadline=3)
        await trio.sleep(7)
        await run.decide("ask", terzetto.Approve())
        assert "stuck_node" == (await run.result()).code
        assert 10 + CANCEL_GRACE == pytest.approx(trio.current_time(), abs=1e-3)


# -- branches ------------------------------------------------------------------------------------------------


@both
@stores
async def test_a_failure_does_not_wait_for_a_sibling_that_stays(autojump_clock, dispatch, store):
    """5.5, 9.1: the run goes on where an error edge leads, and ends, with the sibling still in the tree."""
    body = Stubborn()
    graph = fan(fails("a", 1), body, rescue=says("rescued"))
    async with opened(store(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        assert (SUCCEEDED, 1 + CANCEL_GRACE) == (result.status, trio.current_time())
        assert ["fan/stubborn/stubborn"] == [stuck.node for stuck in runtime.statistics().supervisor.stuck]
        await body.returned.wait()
        await settled()
        assert ["rescued"] == (await run.state()).trail == result.state.trail
        assert not [e for e in await told(run) if isinstance(e, NodeFinished) and "stubborn" in e.node]
        assert 0 == runtime.statistics().restarts


@both
@stores
async def test_a_run_goes_on_for_long_beside_a_sibling_that_stays(autojump_clock, dispatch, store):
    """9.1: what comes after the join has tasks, commits and waits of its own."""

    async def later(ctx):
        await trio.sleep(2)
        if ctx.visit.attempt == 1 and ctx.visit.node == "last":
            raise OSError("once more")
        ctx.record(Say("later"))

    body = Stubborn()
    graph = fan(fails("a", 1), body, rescue=later)
    last = graph.node(name="last", retry=RetryPolicy(initial=3, jitter=0))(later)
    graph.edge("later", last)
    graph.edge(last, graph.barrier("ask"))
    async with opened(store(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        await told(run, until=terzetto.BarrierOpened)
        assert 10 + CANCEL_GRACE == trio.current_time()
        await run.decide("ask", terzetto.Approve())
        assert ["later", "later"] == (await run.result()).state.trail
        assert not body.returned.is_set()


@both
async def test_a_cancel_while_a_sibling_stays(autojump_clock, dispatch):
    """9.1: the grace of each begins when it was told to leave."""
    body = Stubborn()
    graph = fan(fails("a", 1), body, rescue=says("never"))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        await trio.sleep(3)
        await run.cancel()
        assert (CANCELLED, 1 + CANCEL_GRACE) == ((await run.result()).status, trio.current_time())


@both
@stores
@pytest.mark.parametrize("end", ["cancel", "deadline"])
async def test_only_what_stays_is_named(autojump_clock, dispatch, store, end):
    """9.1: a body that has left is not stuck, though the task around both has to wait."""
    body, held, ears = Stubborn(), Held(), Ears()
    graph = bare()
    third = place(graph, Held("third"), effects="once")
    graph.start(graph.parallel("fan", [place(graph, body), place(graph, held), third]))
    async with opened(store(), graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally(), deadline=2 if end == "deadline" else None)
        if end == "cancel":
            await trio.sleep(2)
            await run.cancel()
        result = await run.result()
        assert 2 + CANCEL_GRACE == pytest.approx(trio.current_time(), abs=1e-3)
        assert ("CANCELLED" if end == "cancel" else "FAILED", ["cancelled"]) == (result.status, held.ends)
        assert "fan/stubborn/stubborn@2 ignored 5 s of cancellation, and may still run" in result.message
        assert ("fan/third/third@4",) == result.unknown
        assert ["fan/stubborn/stubborn"] == [error.node for error in ears.heard]
        await body.returned.wait()
        await settled()
        assert 0 == runtime.statistics().restarts


@both
async def test_what_leaves_later_ends_the_run(autojump_clock, dispatch):
    """9.1: a sibling of a body that ignored its timeout has a grace of its own, and need not use it."""
    body, held = Stubborn(), Held(cleanup=1)
    graph = bare()
    slow = place(graph, body, run_timeout=2)
    graph.start(graph.parallel("fan", [slow, place(graph, held)]))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        assert "stuck_node" == (await run.result()).code
        assert 3 + CANCEL_GRACE == trio.current_time()


# -- graphs inside a node ------------------------------------------------------------------------------------


@both
@stores
async def test_a_graph_that_a_node_gave_up_is_left_behind(autojump_clock, dispatch, store):
    """9.1, 5.6: the node goes on when the grace is over, and so does its run."""
    body, ears = Stubborn(), Ears()
    inner = Graph("inner", state=Tally, mutations=MUTATIONS)
    inner.start(inner.node(name="stubborn")(function(body)))

    async def gives_up(ctx):
        with trio.move_on_after(1):
            await ctx.run(inner, Tally())
        ctx.record(Say("gave up"))

    graph = Graph("outer", state=Tally, mutations=MUTATIONS)
    first = graph.node(runs=[inner])(gives_up)
    graph.start(first)
    graph.edge(first, place(graph, later := Held("later")))
    async with opened(store(), graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally())
        await later.begun.wait()
        assert 1 + CANCEL_GRACE == trio.current_time()
        later.go.set()
        result = await run.result()
        assert (SUCCEEDED, ["gave up", "later"]) == (result.status, result.state.trail)
        await trio.sleep(1)
        assert ["gives_up.inner/stubborn"] == [error.node for error in ears.heard]
        await body.returned.wait()
        await settled()
        assert 0 == runtime.statistics().restarts
        assert () == runtime.statistics().supervisor.stuck


@both
async def test_a_cancel_reaches_a_graph_inside_that_stays(autojump_clock, dispatch):
    body, ears = Stubborn(), Ears()
    inner = Graph("inner", state=Tally, mutations=MUTATIONS)
    inner.start(inner.node(name="stubborn")(function(body)))

    async def waits(ctx):
        await ctx.run(inner, Tally())

    graph = Graph("outer", state=Tally, mutations=MUTATIONS)
    graph.start(graph.node(runs=[inner])(waits))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally())
        await body.begun.wait()
        await run.cancel()
        assert (CANCELLED, CANCEL_GRACE) == ((await run.result()).status, trio.current_time())
        assert ["waits.inner/stubborn"] == [error.node for error in ears.heard]
        await body.returned.wait()
        await settled()
        assert 0 == runtime.statistics().restarts


# -- functions in threads ------------------------------------------------------------------------------------


async def jump(clock: trio.testing.MockClock, seconds: float) -> None:
    """Let time pass, and let everybody hear of it."""
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked(0.01)


@both
@stores
async def test_a_function_in_its_thread_is_left_behind_too(clock, dispatch, store):
    """5.8, 9.1: `on_cancel="wait"` waits for the grace, and no longer."""
    blocking, ears = Blocking(lambda ctx: ctx.emit_text("late")), Ears()
    graph = single(blocking)
    async with limited(store(), graph, dispatch=dispatch, limit=CANCEL_GRACE + HARD, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()
        await run.cancel()
        assert "CANCELLING" == await run.status()
        await jump(clock, CANCEL_GRACE)
        result = await run.result()
        assert (CANCELLED, []) == (result.status, result.state.trail)
        (error,) = ears.heard
        assert any("blocking.py" in frame and "in __call__" in frame for frame in error.stack)
        blocking.go.set()
        await blocking.ended.wait()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not [event for event in await told(run) if isinstance(event, TextChunk)]
    assert [] == blocking.errors


@both
async def test_a_function_that_ignores_its_timeout_fails_the_run(clock, dispatch):
    blocking = Blocking()
    graph = single(blocking, run_timeout=3, effects="once")
    async with limited(MemoryStore(), graph, dispatch=dispatch, limit=CANCEL_GRACE + 3 + HARD) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()
        await jump(clock, 3)
        await jump(clock, CANCEL_GRACE)
        result = await run.result()
        assert (FAILED, "stuck_node", ("work@1",)) == (result.status, result.code, result.unknown)
        blocking.go.set()


# -- shutdown ------------------------------------------------------------------------------------------------


@both
@stores
async def test_a_shutdown_leaves_the_run_to_the_next_owner(autojump_clock, dispatch, store):
    """9.6: then INTERRUPTED (resumable): durable while the body still runs, and the block is left when it returns."""
    body, shelf, ears = Stubborn(), store(), Ears()
    graph = chain(says("before"), body)
    async with opened(shelf, graph, dispatch=dispatch, limit=200, shutdown_deadline=3, on_stuck=ears) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await body.begun.wait()
    assert (LONG, [3 + CANCEL_GRACE]) == (trio.current_time(), ears.at)
    row = await shelf.run("r")
    assert (INTERRUPTED, "shutting down" in row.message) == (row.status, True)
    assert row.updated - row.header.at == pytest.approx(3 + CANCEL_GRACE, abs=1e-3)
    async with opened(shelf, graph, dispatch=dispatch, limit=200) as runtime:
        assert ["before", "early", "late"] == (await runtime.get("r").result()).state.trail


@both
async def test_a_run_that_has_ended_does_not_keep_a_shutdown_waiting(autojump_clock, dispatch):
    """9.6: running work may reach its commits; what was left behind has none."""
    body, at = Stubborn(seconds=20), []
    graph = chain(body)

    class Noting(FaultyStore):
        async def __aexit__(self, *error: object) -> None:
            at.append(trio.current_time())
            await super().__aexit__(*error)

    async with opened(Noting(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally())
        await body.begun.wait()
        await run.cancel()
        await run.result()
    assert [20] == at


@both
@pytest.mark.parametrize("stops_at", [2, 10])
async def test_a_run_that_was_lost_does_not_keep_a_shutdown_waiting(autojump_clock, dispatch, stops_at):
    """9.6, 3 (D8): a body of a run that is another owner's now has no commit to reach; its cleanup is waited for."""
    store, body, ears = FaultyStore(), Stubborn(), Ears()
    graph = chain(body)
    async with opened(store, graph, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await body.begun.wait()
        store.verdict = lambda write: Stale(write.expect + 1)
        with pytest.raises(Refused):
            await run.pause()
        await trio.sleep(stops_at)
        await runtime.supervisor.drain(100)
        assert (max(stops_at, CANCEL_GRACE), [CANCEL_GRACE]) == (trio.current_time(), ears.at)


@both
async def test_a_shutdown_does_not_wait_for_what_a_node_gave_up(autojump_clock, dispatch):
    """9.6, 5.6: its run has ended at the very moment at which its grace was over."""
    body = Stubborn()
    inner = Graph("inner", state=Tally, mutations=MUTATIONS)
    inner.start(inner.node(name="stubborn")(function(body)))

    async def gives_up(ctx):
        with trio.move_on_after(1):
            await ctx.run(inner, Tally())

    graph = Graph("outer", state=Tally, mutations=MUTATIONS)
    graph.start(graph.node(runs=[inner])(gives_up))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
        await runtime.supervisor.drain(100)
        assert (1 + CANCEL_GRACE, 1) == (trio.current_time(), len(runtime.statistics().supervisor.stuck))


@both
async def test_what_stays_of_a_lost_run_does_not_speak_for_its_next_owner(autojump_clock, dispatch):
    """9.6: the run is carried here again, and a shutdown lets it reach its commit, whatever the first body does."""
    store, begun = FaultyStore(), [trio.Event(), trio.Event()]

    async def stays(ctx):
        first = not begun[0].is_set()
        begun[0 if first else 1].set()
        with trio.CancelScope(shield=first):
            await trio.sleep(LONG if first else 8)
        ctx.record(Say("said"))

    graph = chain(stays, "ask")
    async with opened(store, graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await begun[0].wait()
        store.verdict = lambda write: Stale(write.expect + 1)
        with pytest.raises(Refused):
            await run.pause()
        store.verdict = lambda write: None
        runtime.supervisor.store_changed()
        await begun[1].wait()
        await trio.sleep(1)
        await runtime.supervisor.drain(100)
        assert (8, ["said"]) == (trio.current_time(), (await run.state()).trail)


@both
async def test_a_restart_of_the_actors_does_not_wait_for_it(autojump_clock, dispatch):
    """9.5: rest-for-one: what an earlier incarnation still holds on to does no harm to the next."""
    store, body = FaultyStore(), Stubborn()
    graph, other = chain(body), chain(says("other"), name="other")
    async with opened(store, graph, other, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await body.begun.wait()
        await run.cancel()
        await run.result()
        store.faults = [ZeroDivisionError("a bug in the store")]
        with pytest.raises(terzetto.TerzettoError):
            await runtime.submit(other, Tally(), run_id="lost")
        await trio.sleep(20)
        assert 0 < runtime.statistics().restarts
        assert SUCCEEDED is (await (await runtime.submit(other, Tally())).result()).status
        await body.returned.wait()
        await settled()
        assert SUCCEEDED is (await (await runtime.submit(other, Tally())).result()).status
        assert () == runtime.statistics().supervisor.stuck


@both
async def test_a_restart_runs_again_what_stays_from_before(autojump_clock, dispatch):
    """9.5, 7: as after the death of a process; what the first body still says is refused, and 9.1: it is named."""
    store, body, ears = FaultyStore(), Stubborn(), Ears()
    graph, other = chain(body, says("after")), chain(says("other"), name="other")
    async with opened(store, graph, other, dispatch=dispatch, limit=200, on_stuck=ears) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await body.begun.wait()
        store.faults = [ZeroDivisionError("a bug in the store")]
        with pytest.raises(terzetto.TerzettoError):
            await runtime.submit(other, Tally(), run_id="lost")
        body.begun, body.seconds = trio.Event(), 100.0
        await body.begun.wait()
        assert LONG > trio.current_time()
        result = await run.result()
        assert [("r", "stubborn", 1)] == [(error.run_id, error.node, error.visit) for error in ears.heard]
        assert () == runtime.statistics().supervisor.stuck
        assert (SUCCEEDED, ["early", "late", "after"]) == (result.status, result.state.trail)
        assert 2 == len(body.said)
        assert SUCCEEDED is (await (await runtime.submit(other, Tally())).result()).status


@both
async def test_what_stays_from_before_a_restart_answers_nobody(autojump_clock, dispatch):
    """9.5, D8: its last write is refused, and whoever asks the run of today is not told so."""
    store, body = FaultyStore(), Stubborn()
    graph, other = chain(body), chain(says("other"), name="other")
    async with opened(store, graph, other, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await body.begun.wait()
        store.faults = [ZeroDivisionError("a bug in the store")]
        with pytest.raises(terzetto.TerzettoError):
            await runtime.submit(other, Tally(), run_id="lost")
        body.begun = trio.Event()
        await body.begun.wait()
        store.hold()
        await trio.sleep(CANCEL_GRACE + 1)  # the first body is left behind, and its run's last write is on its way
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.pause)
            await settled()
            store.release()
        await run.cancel()


# -- who is told ---------------------------------------------------------------------------------------------


async def test_by_default_it_is_logged_when_it_stays_and_when_it_returns(autojump_clock, caplog):
    """9.1: named with its stack until it returns."""
    body = Stubborn()
    graph = chain(body)
    with caplog.at_level(logging.INFO, "terzetto"):
        async with opened(MemoryStore(), graph, limit=200) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            await body.begun.wait()
            await run.cancel()
    first, last = caplog.messages
    assert first.startswith("run 'r': node 'stubborn' (visit 1) was told to leave 5 s ago and still runs")
    assert "\n  " in first
    assert "test_stuck.py" in first
    assert "run 'r': node 'stubborn' (visit 1) has left after 60 s" == last


async def test_whoever_is_told_may_raise(autojump_clock, caplog):
    """Law 5: the run ends all the same."""
    body = Stubborn()
    graph = chain(body)

    def explode(error):
        raise RuntimeError("not now")

    async with opened(MemoryStore(), graph, limit=200, on_stuck=explode) as runtime:
        run = await runtime.submit(graph, Tally())
        await body.begun.wait()
        await run.cancel()
        assert CANCELLED is (await run.result()).status
        assert 0 == runtime.statistics().restarts
    assert "who was told of a stuck node raised" in caplog.text


async def test_a_run_that_ends_is_not_looked_after(autojump_clock):
    """Law 3: nothing remembers it."""
    graph = chain(Step(says("a"), {"run_timeout": 1000}), Step(says("b"), {"idle_timeout": 50}))
    async with opened(MemoryStore(), graph) as runtime:
        for _ in range(3):
            result = await (await runtime.submit(graph, Tally(), deadline=5000)).result()
            assert isinstance(result, terzetto.Result)
        assert {} == runtime.supervisor._stuck._runs
        assert 0 == len(runtime.supervisor._stuck._timers)


async def test_a_run_without_a_runtime_waits_for_its_bodies(autojump_clock):
    """9.1: it lives in its caller's own scope, which nothing leaves before they do."""
    body = Stubborn(seconds=30)
    graph = chain(Step(function(body), {"run_timeout": 2}))
    assert ["early", "late"] == (await terzetto.run(graph, Tally())).trail
    assert 30 == trio.current_time()
