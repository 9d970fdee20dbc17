"""`terzetto.testing.assert_no_leaks`: what a block leaves behind is named, and nothing else is."""

import os
import signal
import threading
from pathlib import Path

import pytest
import trio

import terzetto
from terzetto.testing import Leaked, assert_no_leaks

from .runtimes import Tally, chain, says

HERE = Path(__file__).name


async def test_a_task_is_named_with_where_it_was_started():
    async with trio.open_nursery() as nursery:
        with pytest.raises(Leaked) as caught, assert_no_leaks():
            nursery.start_soon(trio.sleep, 100, name="sleeper")
            nursery.start_soon(trio.lowlevel.checkpoint)
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    assert ((), (), ()) == (caught.value.threads, caught.value.descriptors, caught.value.timers)
    (line,) = caught.value.tasks
    assert line.startswith("sleeper, started at ")
    assert line.endswith("in test_a_task_is_named_with_where_it_was_started")
    assert HERE in line
    assert f"left behind: task {line}" == str(caught.value)


def test_a_thread_is_named_with_where_it_was_started():
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="worker")
    with pytest.raises(Leaked) as caught, assert_no_leaks():
        thread.start()
    go.set()
    thread.join()

    (line,) = caught.value.threads
    assert line.startswith("'worker', started at ")
    assert HERE in line


def test_a_thread_that_is_about_to_end_is_no_leak():
    with assert_no_leaks():
        threading.Timer(0.05, int).start()


async def test_threads_that_trio_keeps_are_no_leak():
    with assert_no_leaks():
        await trio.to_thread.run_sync(int)


async def test_a_thread_of_trios_that_works_is_one():
    go = threading.Event()
    with pytest.raises(Leaked) as caught, assert_no_leaks():
        with trio.move_on_after(0):
            await trio.to_thread.run_sync(go.wait, abandon_on_cancel=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_abandon, go)
            await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    go.set()

    assert 1 == len(caught.value.threads)


async def _abandon(go):
    await trio.to_thread.run_sync(go.wait, abandon_on_cancel=True)


def test_a_descriptor_is_named_with_what_it_leads_to(tmp_path):
    with pytest.raises(Leaked) as caught, assert_no_leaks():
        number = os.open(tmp_path / "file", os.O_CREAT)
    os.close(number)

    assert (f"{number}: {tmp_path / 'file'}",) == caught.value.descriptors


def test_a_timer_is_named():
    before = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        with pytest.raises(Leaked, match="timer virtual"), assert_no_leaks():
            signal.setitimer(signal.ITIMER_VIRTUAL, 100)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_what_was_there_before_is_no_leak(tmp_path):
    with (tmp_path / "file").open("w"), assert_no_leaks():
        pass


def test_an_error_is_let_through():
    start = threading.Thread.start
    with pytest.raises(KeyError), assert_no_leaks():
        raise KeyError

    assert start is threading.Thread.start


async def test_a_runtime_leaves_nothing(tmp_path):
    """Law 3, as users may check it."""
    graph = chain(says("a"), "sign-off", says("b"))
    with assert_no_leaks():
        async with terzetto.open_runtime(f"sqlite:{tmp_path / 'runs.db'}", graphs=[graph]) as runtime:
            await runtime.run(graph, Tally(), auto_approve=True)
