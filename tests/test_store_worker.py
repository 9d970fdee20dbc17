"""The thread behind a store: who waits for what, and what a cancel, a hang or an end leaves behind."""

import os
import signal
import threading
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from terzetto.stores._worker import WorkerThread
from terzetto_protocol.errors import StoreError, StoreUnavailable

from .gates import LIMIT, Gate, nothing, store_threads


@pytest.fixture
async def worker():
    worker = WorkerThread("worker")
    worker.start()
    yield worker
    with trio.fail_after(LIMIT):
        await worker.close(nothing)
    assert store_threads() == []


async def test_result_and_arguments(worker) -> None:
    with trio.fail_after(LIMIT):
        assert await worker.call("divmod", divmod, 17, 5) == (3, 2)


class Strange(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("no"), Strange("odd"), SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_exceptions_reach_the_caller_with_their_type(worker, error) -> None:
    def fail() -> None:
        raise error

    with trio.fail_after(LIMIT):
        with pytest.raises(type(error)) as caught:
            await worker.call("fail", fail)
        assert caught.value is error
        assert await worker.call("abs", abs, -1) == 1, "the thread lives on"


async def test_one_call_at_a_time_in_order_on_one_thread(worker) -> None:
    log: list[object] = []
    running = 0

    def note(name: str) -> None:
        nonlocal running
        running += 1
        assert running == 1
        log.append((name, threading.get_ident()))
        running -= 1

    with trio.fail_after(LIMIT):
        gate = Gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.call, "gate", gate)
            await gate.begun.wait()
            for name in "abc":
                nursery.start_soon(worker.call, name, note, name)
                await wait_all_tasks_blocked()
            gate.open()
    assert [name for name, _ in log] == ["a", "b", "c"]
    assert len({ident for _, ident in log} - {threading.get_ident()}) == 1


@pytest.mark.parametrize("time", range(10))  # Trio wakes tasks in any order
async def test_a_newcomer_does_not_overtake_the_line(worker, time) -> None:
    log: list[str] = []
    with trio.fail_after(LIMIT):
        gate = Gate()

        async def then_again() -> None:
            await worker.call("gate", gate)
            await worker.call("again", log.append, "again")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(then_again)
            await gate.begun.wait()
            nursery.start_soon(worker.call, "waiting", log.append, "waiting")
            await wait_all_tasks_blocked()
            gate.open()
    assert log == ["waiting", "again"]


async def test_cancelled_before_it_begins_it_never_begins(worker) -> None:
    with trio.fail_after(LIMIT):
        gate, never = Gate(), []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.call, "gate", gate)
            await gate.begun.wait()
            async with trio.open_nursery() as waiting:
                waiting.start_soon(worker.call, "never", never.append, 1)
                await wait_all_tasks_blocked()
                waiting.cancel_scope.cancel()
            gate.open()
        assert await worker.call("after", abs, -2) == 2
        assert never == []


async def test_cancelled_while_it_runs_it_ends_and_tells(worker) -> None:
    """The caller waits for the end, gets the result, and is cancelled at its next checkpoint."""
    log: list[object] = []
    with trio.fail_after(LIMIT):
        gate = Gate()

        async def caller(scope: trio.CancelScope) -> None:
            with scope:
                log.append(await worker.call("gate", gate, "result"))
                await trio.lowlevel.checkpoint()
                log.append("never")

        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller, scope)
            await gate.begun.wait()
            scope.cancel()
            await wait_all_tasks_blocked()
            assert log == []
            gate.open()
    assert log == ["result"]
    assert scope.cancelled_caught


async def test_cancelled_while_it_fails_the_error_is_told(worker) -> None:
    with trio.fail_after(LIMIT):
        gate = Gate()

        def fail() -> None:
            gate()
            raise StoreUnavailable("gone")

        async with trio.open_nursery() as nursery:

            async def caller() -> None:
                with trio.CancelScope() as scope:
                    nursery.start_soon(cancel, scope)
                    with pytest.raises(StoreUnavailable, match="gone"):
                        await worker.call("fail", fail)

            async def cancel(scope: trio.CancelScope) -> None:
                await gate.begun.wait()
                scope.cancel()
                await wait_all_tasks_blocked()
                gate.open()

            nursery.start_soon(caller)


@pytest.fixture
def clock() -> MockClock:
    return MockClock()  # stands still: threads take no time on it


async def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what happens in the loop's callbacks has no event
        await trio.lowlevel.checkpoint()


async def test_a_call_that_hangs_is_given_up(clock) -> None:
    """Law 5: after the limit the caller, the line and newcomers are told, and the late answer is lost."""
    worker = WorkerThread("worker", limit=30.0)
    worker.start()
    gate, log = Gate(), []

    async def caller(what: str, fn: Callable[[object], object]) -> None:
        with pytest.raises(StoreUnavailable) as caught:
            await worker.call(what, fn, "late")
        log.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller, "commit", gate)
        await gate.begun.wait()
        clock.jump(10)
        nursery.start_soon(caller, "waiting", log.append)
        await wait_all_tasks_blocked()
        clock.jump(19.9)
        await wait_all_tasks_blocked()
        assert log == []
        clock.jump(0.2)
    said = "worker: 'commit' has not ended within 30 s; the disk or server hangs"
    assert log == [said, said]

    await caller("newcomer", log.append)
    assert log == [said] * 3
    gate.open()
    await wait_until(lambda: worker._running is None)
    assert await worker.call("after", abs, -3) == 3, "the thread is back"
    assert gate.calls == ["late"]
    await worker.close(nothing)
    assert store_threads() == []


async def test_waiting_in_the_line_has_a_limit_too(clock) -> None:
    """Calls that each end in time may still keep others waiting, but not for ever."""
    worker = WorkerThread("worker", limit=30.0)
    worker.start()
    gates, log = [Gate(), Gate()], []

    async def hurried() -> None:
        with pytest.raises(StoreUnavailable, match="'last' did not begin within 30 s"):
            await worker.call("last", log.append, "last")
        log.append("told")

    async with trio.open_nursery() as nursery:
        for gate in gates:
            nursery.start_soon(worker.call, "gate", gate)
            await wait_all_tasks_blocked()
        nursery.start_soon(hurried)
        await gates[0].begun.wait()
        await wait_all_tasks_blocked()
        clock.jump(20)
        gates[0].open()
        await gates[1].begun.wait()
        clock.jump(15)
        await wait_until(lambda: bool(log))
        gates[1].open()
    assert log == ["told"]
    await worker.close(nothing)


async def test_closing_waits_for_the_call_that_runs(worker) -> None:
    log: list[str] = []
    with trio.fail_after(LIMIT):
        gate = Gate()

        async def refused() -> None:
            with pytest.raises(StoreError, match="worker is closed"):
                await worker.call("late", log.append, "late")
            log.append("refused")

        async def close_cancelled() -> None:
            with trio.CancelScope() as scope:
                scope.cancel()
                await worker.close(lambda: log.append("last"))  # shielded

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.call, "gate", gate)
            await gate.begun.wait()
            nursery.start_soon(refused)
            await wait_all_tasks_blocked()
            nursery.start_soon(close_cancelled)
            await wait_all_tasks_blocked()
            nursery.start_soon(refused)
            await wait_all_tasks_blocked()
            assert log == ["refused", "refused"]
            gate.open()
    assert log == ["refused", "refused", "last"]
    assert store_threads() == []


async def test_an_error_while_closing_is_told_and_the_thread_ends() -> None:
    worker = WorkerThread("worker")
    worker.start()

    def fail() -> None:
        raise StoreError("no")

    with trio.fail_after(LIMIT):
        with pytest.raises(StoreError, match="no"):
            await worker.close(fail)
        await worker.close(fail)  # twice is once
    assert store_threads() == []


async def test_closing_a_thread_that_hangs_is_bounded(clock) -> None:
    """What must be left behind ends by itself when its call does, and closes what it held."""
    worker = WorkerThread("worker", limit=30.0)
    worker.start()
    gate, log = Gate(), []

    async def closing() -> None:
        with pytest.raises(StoreUnavailable, match="'hang' has not ended within 30 s"):
            await worker.close(lambda: log.append("last"))

    async def calling() -> None:
        with pytest.raises(StoreUnavailable):
            await worker.call("hang", gate)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(calling)
        await gate.begun.wait()
        nursery.start_soon(closing)
        await wait_all_tasks_blocked()
        clock.jump(31)
    gate.open()
    await wait_until(lambda: not worker._thread.is_alive())
    assert log == ["last"]


@pytest.fixture
def ctrl_c():
    # A shell that starts the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_the_loop_may_be_gone() -> None:
    """An answer to a loop that has ended is dropped, and the thread still ends."""
    go, worker = threading.Event(), WorkerThread("worker")

    async def main() -> None:
        worker.start()
        with pytest.raises(KeyboardInterrupt):  # the main task alone can leave a call behind
            await worker.call("late", interrupt)

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert go.wait(LIMIT)

    trio.run(main)
    go.set()
    worker._inbox.put(None)
    worker._thread.join(LIMIT)
    assert not worker._thread.is_alive()


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_call_is_waited_for_by_close() -> None:
    log: list[str] = []

    async def main() -> None:
        worker = WorkerThread("worker")
        worker.start()
        gate = Gate()

        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            gate()
            log.append("done")

        with trio.fail_after(LIMIT):
            with pytest.raises(KeyboardInterrupt):
                await worker.call("interrupt", interrupt)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.call, "next", log.append, "next")
                await wait_all_tasks_blocked()
                gate.open()
            await worker.close(lambda: log.append("closed"))

    trio.run(main)
    assert log == ["done", "next", "closed"]
