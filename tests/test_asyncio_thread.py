"""Asyncio for guests: values, errors, cancels and context variables cross; nothing is left behind."""

import asyncio
import contextvars
import threading
import time

import pytest
import trio

from terzetto._asyncio_thread import open_loop
from terzetto_protocol.errors import ActorStopped

COLOR = contextvars.ContextVar("COLOR", default="none")


def names():
    return [thread.name for thread in threading.enumerate()]


async def test_values_come_back_from_a_loop_in_another_thread():
    async def where():
        await asyncio.sleep(0)
        return threading.get_ident(), threading.current_thread().name

    with trio.fail_after(10):
        async with open_loop("guests") as loop:
            found = [await loop.run(where) for _ in range(2)]

    assert found[0] == found[1]
    assert threading.get_ident() != found[0][0]
    assert "guests" == found[0][1]
    assert "guests" not in names()


async def test_errors_come_back_as_they_are():
    class Odd(BaseException):
        pass

    async def fails(error):
        raise error

    with trio.fail_after(10):
        async with open_loop() as loop:
            for error in (KeyError("x"), SystemExit(3), Odd()):
                with pytest.raises(type(error)) as caught:
                    await loop.run(lambda error=error: fails(error))
                assert error is caught.value


async def test_context_variables_reach_it():
    async def look():
        return COLOR.get()

    COLOR.set("red")
    async with open_loop() as loop:
        COLOR.set("green")
        assert "green" == await loop.run(look)


async def test_a_cancel_reaches_it_and_is_waited_for():
    told = []

    async def long():
        told.append("begun")
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.05)
            told.append("left")

    with trio.fail_after(10):
        async with open_loop() as loop:
            with trio.move_on_after(0.1) as scope:
                await loop.run(long)
            told.append("over")

    assert scope.cancelled_caught
    assert ["begun", "left", "over"] == told


async def test_what_swallows_its_cancel_is_waited_for_and_still_counts_for_nothing():
    async def stubborn():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
        return "done"

    with trio.fail_after(10):
        async with open_loop() as loop:
            with trio.move_on_after(0.1) as scope:
                await loop.run(stubborn)

    assert scope.cancelled_caught


async def test_many_are_in_one_loop_at_once():
    async def nap(number):
        await asyncio.sleep(0.1)
        return number

    found = []
    with trio.fail_after(10):
        async with open_loop() as loop, trio.open_nursery() as nursery:
            for number in range(50):

                async def one(number=number):
                    found.append(await loop.run(lambda: nap(number)))

                nursery.start_soon(one)

    assert list(range(50)) == sorted(found)


async def test_leaving_waits_for_the_threads_that_it_has_started():
    told = []

    def work():
        time.sleep(0.3)
        told.append("worked")

    async def starts():
        asyncio.get_running_loop().run_in_executor(None, work)

    with trio.fail_after(10):
        async with open_loop() as loop:
            await loop.run(starts)
        told.append("left")

    assert ["worked", "left"] == told


async def test_a_loop_that_somebody_ends_lets_nobody_wait_for_ever():
    async def ends():
        asyncio.get_running_loop().stop()
        await asyncio.sleep(100)

    with trio.fail_after(10):
        async with open_loop() as loop:
            with pytest.raises((ActorStopped, RuntimeError)):
                await loop.run(ends)
            await loop.ended.wait()
            with pytest.raises(ActorStopped):
                await loop.run(ends)


async def test_asyncio_is_itself_outside():
    async with open_loop():
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()


async def test_a_call_that_is_cancelled_before_its_first_step_comes_back():
    """SEMANTICS 14.3."""

    async def guest():
        await asyncio.Event().wait()

    with trio.fail_after(5):
        async with open_loop() as loop:
            for _ in range(20):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await loop.run(guest)
                assert scope.cancelled_caught
