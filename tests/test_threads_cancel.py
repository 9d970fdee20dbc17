"""`terzetto._threads`: a cancel or a timeout waits for a plain function, or abandons it (SEMANTICS 5.8, 7, 9)."""

from functools import partial

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import TextChunk
from terzetto_protocol.retry import RetryPolicy

from .blocking import HARD, TIMEOUT, Blocking, jumping, limited, outcome_of, single, until_cancelled
from .runtimes import AWAITING, CANCELLED, FAILED, INTERRUPTED, SUCCEEDED, Add, Say, Tally, both, stores, told

clock = pytest.fixture(jumping)


# -- a cancel waits ------------------------------------------------------------------------------------------


@both
@stores
async def test_a_cancel_waits_for_the_function_and_nothing_of_it_counts(dispatch, store):
    """5.8, D6: the abandon policy is declared; no commit succeeds after an acknowledged cancel."""
    blocking = Blocking(until_cancelled)
    graph = single(blocking)
    async with limited(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()
        assert "requested" == (await run.cancel()).outcome
        assert "CANCELLING" == await run.status()
        blocking.go.set()
        result = await run.result()
        assert blocking.ended.is_set()
    assert (CANCELLED, []) == (result.status, result.state.trail)


@both
async def test_a_shutdown_waits_for_the_function_and_the_next_owner_runs_it_again(dispatch):
    """9.6: then INTERRUPTED (resumable): what a function left half done is not taken for its result."""
    store, blocking = MemoryStore(), Blocking(until_cancelled)
    graph = single(blocking)
    async with limited(store, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await blocking.begun.wait()
        blocking.go.set()
    assert INTERRUPTED is (await store.run("r")).status
    blocking.last = lambda ctx: ctx.record(Say("whole"))
    async with limited(store, graph, dispatch=dispatch) as runtime:
        assert ["blocking", "whole", "after"] == (await runtime.get("r").result()).state.trail
    assert 2 == blocking.calls


async def test_a_function_may_raise_to_get_away_from_a_cancel():
    """9.6: nor is what it raises then taken for its failure."""

    def leave(ctx):
        until_cancelled(ctx)
        raise RuntimeError("leaving")

    store, blocking = MemoryStore(), Blocking(leave)
    graph = single(blocking)
    async with limited(store, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await blocking.begun.wait()
        blocking.go.set()
    assert INTERRUPTED is (await store.run("r")).status


async def test_a_caller_that_is_cancelled_waits_too():
    blocking = Blocking(until_cancelled)
    with trio.fail_after(HARD):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terzetto.run, single(blocking), Tally())
            await blocking.begun.wait()
            nursery.cancel_scope.cancel()
            blocking.go.set()
    assert (True, []) == (blocking.gone.is_set(), blocking.errors)


@both
@pytest.mark.parametrize("last", [until_cancelled, lambda ctx: until_cancelled(ctx) or 1 / 0])
async def test_a_timeout_fails_the_attempt_when_the_function_ends(clock, dispatch, last):
    """9.7: node `run_timeout`; with "wait" it cannot cut the function off."""
    blocking = Blocking(last)
    graph = single(blocking, run_timeout=TIMEOUT)
    async with limited(MemoryStore(), graph, dispatch=dispatch, limit=TIMEOUT + HARD) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()
        clock.jump(TIMEOUT)
        await trio.testing.wait_all_tasks_blocked()
        assert "RUNNING" == await run.status()
        blocking.go.set()
        result = await run.result()
    assert (FAILED, ("NodeTimeout: its run_timeout of 100 s has passed",)) == (result.status, result.failure.errors)


@pytest.mark.parametrize("on_cancel", ["wait", "abandon"])
async def test_signs_of_life_from_the_thread_put_off_the_idle_timeout(clock, on_cancel):
    """9.7: idle_timeout (refreshed by record, emit, heartbeat)."""
    alive = []

    def lively(ctx):
        for sign in (ctx.heartbeat, partial(ctx.emit_text, "x"), partial(ctx.record, Add()), ctx.heartbeat):
            trio.from_thread.run_sync(clock.jump, 0.6 * TIMEOUT)
            sign()
            alive.append(sign)
        trio.from_thread.run_sync(clock.jump, TIMEOUT)
        until_cancelled(ctx)

    graph = single(lively, idle_timeout=TIMEOUT, on_cancel=on_cancel)
    with trio.fail_after(4 * TIMEOUT + HARD):
        result = await outcome_of(graph)
    assert (4, "NodeTimeout: its idle_timeout of 100 s has passed") == (len(alive), result.failure.errors[0])


# -- a cancel abandons ---------------------------------------------------------------------------------------


def speak_late(ctx):
    assert ctx.is_cancelled()
    ctx.record(Say("ignored"))
    ctx.state.trail.append("scribbled")
    ctx.emit_text("too late")


@both
@stores
async def test_a_cancel_goes_on_without_an_abandoned_function(dispatch, store):
    """5.8: the abandon policy is declared; it reads a copy of the state, and what it still says is refused."""
    blocking = Blocking(speak_late)
    graph = single(blocking, on_cancel="abandon")
    async with limited(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await blocking.begun.wait()
        await run.cancel()
        result = await run.result()
        assert (CANCELLED, False) == (result.status, blocking.ended.is_set())
        before = await told(run)
        blocking.go.set()
        await blocking.ended.wait()
        assert before == await told(run)
        assert [] == (await run.state()).trail
    (error,) = blocking.errors
    assert "run 'r': visit 1 of node 'work' is over: nobody listens any more" == str(error)


@both
async def test_an_attempt_that_was_abandoned_does_not_speak_for_the_next(clock, dispatch):
    """9.7, 9.8: the visit and its number are the same; the attempt is another, and so is its state."""
    first, second = Blocking(speak_late), Blocking(lambda ctx: ctx.record(Say("second")))
    graph = single(
        lambda ctx: (first if ctx.visit.attempt == 1 else second)(ctx),
        on_cancel="abandon",
        run_timeout=TIMEOUT,
        retry=RetryPolicy(initial=0, max_attempts=2),
    )
    async with limited(MemoryStore(), graph, dispatch=dispatch, limit=TIMEOUT + HARD) as runtime:
        run = await runtime.submit(graph, Tally())
        await first.begun.wait()
        clock.jump(TIMEOUT)
        await second.begun.wait()
        first.go.set()
        await first.ended.wait()
        second.go.set()
        result = await run.result()
        events = await told(run)
    assert (SUCCEEDED, ["blocking", "second", "after"]) == (result.status, result.state.trail)
    assert ([], [Refused]) == ([e for e in events if isinstance(e, TextChunk)], [type(e) for e in first.errors])


@both
async def test_a_once_visit_that_was_abandoned_is_unknown(dispatch):
    """7.5: a `once` visit ended by a cancel while its body ran is UNKNOWN, and listed in the run's result."""
    blocking = Blocking()
    graph = single(blocking, on_cancel="abandon", effects="once")
    async with limited(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()
        await run.cancel()
        assert (CANCELLED, ("work@1",)) == ((result := await run.result()).status, result.unknown)
        blocking.go.set()
        await blocking.ended.wait()


@both
async def test_a_once_visit_that_was_abandoned_by_its_timeout_is_asked_about(clock, dispatch):
    """7.4, 9.7: a `once` body that was cut off is unknown."""
    blocking = Blocking()
    graph = single(blocking, on_cancel="abandon", effects="once", run_timeout=TIMEOUT)
    async with limited(MemoryStore(), graph, dispatch=dispatch, limit=TIMEOUT + HARD) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()
        clock.jump(TIMEOUT)
        (*_, opened_event) = await told(run, until=terzetto.BarrierOpened)
        assert (AWAITING, True) == (await run.status(), opened_event.reconcile)
        blocking.go.set()
        await blocking.ended.wait()
        await run.decide("", terzetto.Confirm())
        assert ["after"] == (await run.result()).state.trail


async def test_a_function_that_may_be_abandoned_cannot_ask():
    """6.2: nobody would be there to hear the answer."""

    def ask(ctx):
        trio.from_thread.run(ctx.decision, "go")

    graph = single(ask, on_cancel="abandon")
    async with limited(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, True) == (result.status, 'say on_cancel="wait"' in result.message)


@both
async def test_a_function_that_is_waited_for_can_ask(dispatch):
    """6.2: `await ctx.decision(name, ...)` waits inside a node, also one that has the loop wait for it."""
    graph = single(lambda ctx: ctx.record(Say(repr(trio.from_thread.run(ctx.decision, "go")))))
    async with limited(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await told(run, until=terzetto.BarrierOpened)
        await run.decide("go", terzetto.Approve())
        assert ["Approve()", "after"] == (await run.result()).state.trail


def test_an_abandoned_function_may_outlive_the_loop():
    """Nobody waits for it: what it says then has nowhere to go."""
    blocking = []

    async def main():
        blocking.append(Blocking(speak_late))
        with trio.fail_after(HARD):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(terzetto.run, single(blocking[0], on_cancel="abandon"), Tally())
                await blocking[0].begun.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)
    blocking[0].go.set()
    assert blocking[0].gone.wait(HARD)
    assert [trio.RunFinishedError] == [type(error) for error in blocking[0].errors]
