"""Generators as nodes of dataflows, with scopes and nurseries inside (SEMANTICS 5.7)."""

import trio
import trio.testing

from terzetto_protocol.events import OutputSent

from .running_flows import Ctx, outcome, single
from .runtimes import CANCELLED, both, opened, stores, told
from .stores import FaultyStore

# -- generators and scopes -----------------------------------------------------------------------------------------


@both
async def test_a_generator_that_raises_has_sent_what_it_yielded_before(dispatch):
    async def work(ctx: Ctx):
        yield "out", 1
        yield "out", 2
        raise OSError("no more")

    assert await outcome(single(work), dispatch) == {"out": [1, 2], "error": ["OSError: no more"]}


@both
async def test_a_cancel_scope_inside_of_a_generator_is_the_generators(autojump_clock, dispatch):
    """It may be entered before a yield and left after it, as in any function."""

    async def work(ctx: Ctx):
        with trio.move_on_after(1) as scope:
            for number in range(5):
                yield "out", number
                await trio.sleep(0.4)
        yield "out", f"cut {scope.cancelled_caught}"

    assert await outcome(single(work), dispatch) == {"out": [0, 1, 2, "cut True"]}


@both
async def test_a_timeout_of_a_generators_own_may_pass_while_it_waits_for_the_store(autojump_clock, dispatch):
    """The wait at a yield is within the scope around it; what was yielded has been sent all the same."""
    store, seen = FaultyStore(), []

    async def work(ctx: Ctx):
        store.latency = 5
        with trio.move_on_after(1) as scope:
            yield "out", 1
            seen.append("after")
        store.latency = 0
        yield "out", f"cut {scope.cancelled_caught}"

    made = single(work)
    async with opened(store, made, dispatch=dispatch, limit=50) as runtime:
        result = await runtime.run(made, made.begin())
    assert (result.outputs, seen) == ({"out": [1, "cut True"]}, [])


@both
async def test_a_nursery_inside_of_a_generator_lives_as_long_as_it(autojump_clock, dispatch):
    async def work(ctx: Ctx):
        sending, receiving = trio.open_memory_channel[int](0)

        async def produce(number: int) -> None:
            await trio.sleep(number)
            await sending.send(number)

        async with trio.open_nursery() as nursery:
            for number in (3, 1, 2):
                nursery.start_soon(produce, number)
            for _ in range(3):
                yield "out", await receiving.receive()

    assert await outcome(single(work), dispatch) == {"out": [1, 2, 3]}


@both
async def test_a_task_of_a_generators_nursery_that_fails_ends_it(autojump_clock, dispatch):
    closed = []

    async def work(ctx: Ctx):
        async def fail() -> None:
            await trio.sleep(1.5)
            raise OSError("in the nursery")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                for number in range(10):
                    yield "out", number
                    await trio.sleep(1)
        finally:
            closed.append(True)

    assert await outcome(single(work), dispatch) == {"out": [0, 1], "error": ["OSError: in the nursery"]}
    assert closed == [True]


@both
@stores
async def test_a_generator_that_is_cancelled_is_closed(autojump_clock, dispatch, store):
    closed = []

    async def work(ctx: Ctx):
        try:
            yield "out", 1
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            closed.append(True)

    made = single(work)
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        await told(run, until=OutputSent)
        await run.cancel()
        assert (await run.result()).status is CANCELLED
    assert closed == [True]


@both
async def test_a_generator_that_takes_too_long_is_closed_and_its_error_is_sent(autojump_clock, dispatch):
    """9.7."""
    closed = []

    async def work(ctx: Ctx):
        try:
            for number in range(10):
                yield "out", number
                await trio.sleep(1)
        finally:
            closed.append(True)

    said = await outcome(single(work, run_timeout=2.5), dispatch)
    assert said == {"out": [0, 1, 2], "error": ["NodeTimeout: its run_timeout of 2.5 s has passed"]}
    assert closed == [True]
