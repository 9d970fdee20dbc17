"""Bodies that do not end, do not listen, speak too late, or begin again for ever (SEMANTICS 5.3, 5.8, 9.1, 9.8)."""

import re
import threading
import time
from contextlib import suppress

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.retry import RetryPolicy

from .blocking import jumping
from .cages import PLACES, SHELVES, caged, kept, shelves
from .fans import bare
from .runtimes import CANCELLED, FAILED, SUCCEEDED, Say, Tally, both, chain, says, settled
from .zoo import Own

clock = pytest.fixture(jumping)
LONG = 60.0
"""Seconds that a body stays."""


class Begun:
    """A body, and when it has begun."""

    def __init__(self, body):
        self.__name__, self.body, self.event = body.__name__, body, trio.Event()

    async def __call__(self, ctx):
        self.event.set()
        await self.body(ctx)


async def swallows(ctx):
    with suppress(trio.Cancelled):
        await trio.sleep_forever()


async def swallows_and_fails(ctx):
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        raise Own("instead") from None


async def swallows_and_goes_on(ctx):
    for _ in range(100):
        with suppress(trio.Cancelled):
            await trio.sleep(LONG)


async def swallows_and_says(ctx):
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        ctx.emit_text("late")


async def shields(ctx):
    with trio.CancelScope(shield=True):
        await trio.sleep(LONG)


SWALLOWERS = [swallows, swallows_and_fails, swallows_and_goes_on, swallows_and_says]


@both
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("body", SWALLOWERS)
async def test_a_cancel_that_a_body_swallows_ends_the_run(body, place, dispatch, autojump_clock):
    """9.1: a *run's* cancel is not the body's to refuse: CANCELLED, and what it did instead counts for nothing."""
    graph, state = caged(place, begun := Begun(body))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state)
        await begun.event.wait()
        await settled()
        assert "requested" == (await run.cancel()).outcome
        assert CANCELLED is (await run.result()).status
        assert (await run.replay()).holds
    assert trio.current_time() < CANCEL_GRACE


@both
@pytest.mark.parametrize("place", PLACES)
async def test_an_eternal_shield_is_left_behind(place, dispatch, autojump_clock):
    """9.1: past its grace (5 s) it is stuck, and named, in every place of a graph."""
    graph, state = caged(place, begun := Begun(shields))
    async with kept(MemoryStore(), graph, dispatch=dispatch, limit=10 * LONG, on_stuck=lambda error: None) as runtime:
        run = await runtime.submit(graph, state)
        await begun.event.wait()
        await settled()
        await run.cancel()
        assert CANCELLED is (await run.result()).status
        assert trio.current_time() <= 2 * CANCEL_GRACE
        assert any("animal" in error.node for error in runtime.statistics().supervisor.stuck)
        assert (await run.replay()).holds
        await trio.sleep(2 * LONG)
        assert () == runtime.statistics().supervisor.stuck


# -- the loop ------------------------------------------------------------------------------------------------------


def sleeps():
    time.sleep(0.6)


def loops():
    end = time.perf_counter() + 0.6
    while time.perf_counter() < end:
        pass


def hopeless():
    """In C, with the interpreter lock held."""
    end = time.perf_counter() + 0.6
    length = 14
    while time.perf_counter() < end:
        length += 1
        re.fullmatch(r"(a+)+b", "a" * length)


@pytest.mark.parametrize("block", [sleeps, loops, hopeless])
async def test_a_body_that_blocks_the_loop_is_waited_for(block, tmp_path):
    """5.8: it is counted, and everything goes on when it is over."""

    async def blocks(ctx):
        block()

    graph, state = caged("chain", blocks)
    async with kept(MemoryStore(), graph, watchdog=True) as runtime:
        run = await runtime.submit(graph, state)
        assert SUCCEEDED is (await run.result()).status
        assert (await run.replay()).holds


# -- too late ------------------------------------------------------------------------------------------------------


@both
async def test_who_speaks_when_the_visit_is_over_is_not_heard(dispatch, autojump_clock):
    """9.1: late results are refused, of tasks and of calls that were kept."""
    contexts, errors = [], []

    async def keeps(ctx):
        contexts.append(ctx)
        ctx.record(Say("in time"))

    graph, state = caged("chain", keeps)
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state)
        result = await run.result()
        before = [await run.state(), await run.history()]
        for say in (
            lambda ctx: ctx.record(Say("late")),
            lambda ctx: ctx.emit_text("late"),
            lambda ctx: ctx.report("late"),
            lambda ctx: ctx.goto(graph.places[0]),
            lambda ctx: ctx.heartbeat(),
        ):
            try:
                say(contexts[0])
            except terzetto.Refused as error:
                errors.append(error)
        assert before == [await run.state(), await run.history()]
        assert ["before", "in time", "after"] == result.state.trail
        assert (await run.replay()).holds


@both
async def test_a_stray_thread_harms_nobody(dispatch):
    """9.1: an `async def` has no thread of its own: what another one says through its context is an error there."""
    threads, errors = [], []

    async def strays(ctx):
        def speak():
            for say in (lambda: ctx.emit_text("x"), lambda: ctx.report("x"), lambda: ctx.record(Say("thread"))):
                try:
                    say()
                except Exception as error:
                    errors.append(error)

        threads.append(threading.Thread(target=speak))
        threads[0].start()
        await trio.to_thread.run_sync(threads[0].join)

    graph, state = caged("chain", strays)
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state)
        assert SUCCEEDED is (await run.result()).status
        assert (await run.replay()).holds


# -- again and again -----------------------------------------------------------------------------------------------


@both
@shelves
async def test_a_graph_without_an_end_comes_to_one(dispatch, shelf, tmp_path):
    """5.3: max_steps N allows exactly N visits."""
    graph = bare("loop", max_steps=200)
    one, other = graph.node(name="one")(says("one")), graph.node(name="other")(says("other"))
    graph.start(one)
    graph.edge(one, other)
    graph.edge(other, one)
    async with kept(SHELVES[shelf](tmp_path), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        assert (FAILED, "steps_exceeded", 200) == (result.status, result.code, len(result.state.trail))
        assert (await run.replay()).holds


@both
async def test_a_retry_storm_is_over_at_its_last_attempt(dispatch, autojump_clock):
    """9.8: max_attempts is the total, also without any rest between them; others have their turns meanwhile."""
    attempts = []

    async def fails(ctx):
        attempts.append(ctx.visit.attempt)
        raise OSError("again")

    graph, state = caged("chain", fails, retry=RetryPolicy(max_attempts=300, initial=0))
    other = chain(says("quick"), name="other")
    async with kept(MemoryStore(), graph, other, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state)
        assert SUCCEEDED is (await (await runtime.submit(other, Tally())).result()).status
        assert FAILED is (await run.result()).status
        assert (await run.replay()).holds
    assert list(range(1, 301)) == attempts


@both
async def test_a_retry_storm_is_cancelled(dispatch):
    """9.8: backoff ends at once on cancel."""
    begun = trio.Event()

    async def fails(ctx):
        begun.set()
        raise OSError("again")

    graph, state = caged("chain", fails, retry=RetryPolicy(max_attempts=10**9, initial=0))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state)
        await begun.wait()
        await run.cancel()
        assert CANCELLED is (await run.result()).status


@both
@shelves
@pytest.mark.parametrize("taken", [True, False])
async def test_a_generator_without_an_end(taken, dispatch, shelf, tmp_path):
    """5.7, 5.3: what somebody takes is counted in visits; what nobody takes goes on until it is cancelled."""
    sent = trio.Event()
    made: Dataflow[None] = Dataflow("endless", on_node_error="fail")

    async def numbers(ctx: terzetto.FlowContext[None]):
        number = 0
        while True:
            yield "n", number
            number += 1
            if number == 50:
                sent.set()

    async def takes(ctx: terzetto.FlowContext[None], n: int) -> None:
        pass

    source = made.node(outputs={"n": int})(numbers)
    if taken:
        made.link(source.out("n"), made.node()(takes), "n")
    async with kept(SHELVES[shelf](tmp_path), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin(), max_steps=100)
        await sent.wait()
        if taken:
            result = await run.result()
            assert (FAILED, "steps_exceeded") == (result.status, result.code)
        else:
            await run.cancel()
            assert CANCELLED is (await run.result()).status
        assert (await run.replay()).holds


@both
@pytest.mark.parametrize("how", ["fail", "continue"])
async def test_a_generator_hears_that_there_are_too_many_visits(how, dispatch, autojump_clock):
    """5.3: also where all others have ended when it sends the next, and nobody else would say so."""
    made: Dataflow[None] = Dataflow("endless", on_node_error=how)

    async def numbers(ctx: terzetto.FlowContext[None]):
        while True:
            yield "n", 1
            await trio.sleep(1)

    async def takes(ctx: terzetto.FlowContext[None], n: int) -> None:
        pass

    made.link(made.node(outputs={"n": int})(numbers).out("n"), made.node()(takes), "n")
    async with kept(MemoryStore(), made, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(made, made.begin(), max_steps=10)
        result = await run.result()
        assert (FAILED, "steps_exceeded") == (result.status, result.code)
        assert (await run.replay()).holds
