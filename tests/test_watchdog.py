"""`terzetto._watchdog`: a blocked loop is noticed while it is blocked, whoever blocks it (SEMANTICS 5.8).

These tests run on real time. What they block is blocked for longer than the limit however slow the machine is,
and a test that must not see a block has a limit that no machine is slow enough for.
"""

import ctypes
import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import trio

from terzetto._watchdog import LIMIT, Watchdog, WatchdogStatistics
from terzetto_protocol.errors import InvalidRequest

SHORT = 0.2
"""A limit, seconds."""
BLOCK = 2 * SHORT
"""Longer than that, and the stacks can be written before it ends."""
AGES = 30
"""A limit that nothing here comes near, seconds."""
HARD = 20
"""Seconds that a test may take."""


class Stacks:
    """A file, and what was written to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("w")

    def text(self) -> str:
        return self.path.read_text()

    def count(self, name: str) -> int:
        return self.text().count(f" in {name}\n")


@pytest.fixture
def stacks(tmp_path):
    stacks = Stacks(tmp_path / "stacks")
    with stacks.file:
        yield stacks


@pytest.fixture
def more_stacks(tmp_path):
    stacks = Stacks(tmp_path / "more")
    with stacks.file:
        yield stacks


def busy_in_python(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(number * number for number in range(100))


def waiting_in_a_call(seconds):
    time.sleep(seconds)


def keeping_the_lock(seconds):
    """A C function that is called through `PyDLL` does not let go of the interpreter lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def first_one_then_the_other(seconds):
    keeping_the_lock(seconds)
    waiting_in_a_call(seconds)


async def until(true):
    while not true():  # noqa: ASYNC110 - statistics tell nobody, they are to be looked at
        await trio.sleep(SHORT / 10)


async def blocks(watchdog, count):
    await until(lambda: watchdog.statistics().blocks == count)


@pytest.mark.parametrize(
    "limit, block",
    [
        (SHORT, waiting_in_a_call),
        (SHORT, keeping_the_lock),
        (SHORT, first_one_then_the_other),
        (0.5, busy_in_python),
    ],
)
async def test_the_stack_is_written_once_while_the_loop_is_blocked(nursery, stacks, limit, block):
    """5.8: a blocked event loop is noticed and the stack written, also of code that holds the interpreter lock."""
    watchdog = Watchdog(limit=limit, file=stacks.file)
    with trio.fail_after(HARD):
        await nursery.start(watchdog.run)
        block(2 * limit)
        seen = stacks.text()  # nothing was awaited since: it was written during the block
        await blocks(watchdog, 1)
        nursery.cancel_scope.cancel()

    assert f" in {block.__name__}\n" in seen
    assert " in test_the_stack_is_written_once_while_the_loop_is_blocked\n" in seen
    assert 1 == stacks.count(block.__name__)


def test_the_lock_is_really_kept():
    """Or the test above would prove less than it says."""
    beats, stopped = [], threading.Event()

    def beat():
        while not stopped.wait(0.001):
            beats.append(time.perf_counter())

    thread = threading.Thread(target=beat)
    thread.start()
    start = time.perf_counter()
    keeping_the_lock(0.2)
    end = time.perf_counter()
    stopped.set()
    thread.join()

    assert [] == [at for at in beats if start + 0.05 < at < end - 0.05]


async def test_afterwards_it_tells_how_long_that_was(nursery, stacks):
    told = []
    watchdog = Watchdog(limit=SHORT, file=stacks.file, on_blocked=told.append)
    with trio.fail_after(HARD):
        await nursery.start(watchdog.run)
        for block, seconds in ((waiting_in_a_call, 0.5), (keeping_the_lock, 0.3)):
            start = time.perf_counter()
            block(seconds)
            await blocks(watchdog, len(told) + 1)
            assert seconds - SHORT <= told[-1] <= time.perf_counter() - start
        statistics = watchdog.statistics()
        nursery.cancel_scope.cancel()

    assert WatchdogStatistics(armed=True, blocks=2, longest=max(told), total=sum(told)) == statistics


async def test_a_loop_that_comes_round_is_left_alone(nursery, stacks):
    told = []
    watchdog = Watchdog(limit=AGES, file=stacks.file, on_blocked=told.append)
    with trio.fail_after(HARD):
        await nursery.start(watchdog.run)
        for _ in range(10):
            busy_in_python(0.01)
            await trio.lowlevel.checkpoint()
        assert WatchdogStatistics(armed=True, blocks=0, longest=0.0, total=0.0) == watchdog.statistics()
        nursery.cancel_scope.cancel()

    assert ("", []) == (stacks.text(), told)


def fail(seconds):
    raise ZeroDivisionError


async def test_cancelled_it_leaves_nothing_behind(stacks):
    with trio.fail_after(HARD):
        async with trio.open_nursery() as nursery:
            watchdog = Watchdog(limit=SHORT, file=stacks.file)
            await nursery.start(watchdog.run)
            assert watchdog.statistics().armed
            nursery.cancel_scope.cancel()

    assert not watchdog.statistics().armed
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}
    keeping_the_lock(BLOCK)
    assert "" == stacks.text()


async def test_what_the_callback_raises_is_let_out_and_nothing_is_left_behind(stacks):
    watchdog = Watchdog(limit=SHORT, file=stacks.file, on_blocked=fail)
    with trio.fail_after(HARD), pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            await nursery.start(watchdog.run)
            waiting_in_a_call(BLOCK)

    assert (False, 1) == (watchdog.statistics().armed, watchdog.statistics().blocks)
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}
    keeping_the_lock(BLOCK)
    assert 0 == stacks.count("keeping_the_lock")


async def test_it_may_be_started_again(stacks):
    """As a service is, when one before it had to be."""
    watchdog = Watchdog(limit=SHORT, file=stacks.file)
    with trio.fail_after(HARD):
        for count in (1, 2):
            async with trio.open_nursery() as nursery:
                await nursery.start(watchdog.run)
                keeping_the_lock(BLOCK)
                await blocks(watchdog, count)
                nursery.cancel_scope.cancel()

    assert 2 == stacks.count("keeping_the_lock")


async def test_a_second_one_leaves_the_first_its_timer(nursery, stacks, more_stacks):
    """There is one such timer in a process."""
    first, second = Watchdog(limit=SHORT, file=stacks.file), Watchdog(limit=SHORT, file=more_stacks.file)
    with trio.fail_after(HARD):
        await nursery.start(first.run)
        async with trio.open_nursery() as inner:
            await inner.start(second.run)
            assert (True, False) == (first.statistics().armed, second.statistics().armed)
            keeping_the_lock(BLOCK)
            assert 1 == stacks.count("keeping_the_lock")
            await blocks(first, 1)
            await blocks(second, 1)
            inner.cancel_scope.cancel()
        assert first.statistics().armed
        keeping_the_lock(BLOCK)
        await blocks(first, 2)
        nursery.cancel_scope.cancel()

    assert 2 == stacks.count("keeping_the_lock")


async def test_a_second_one_takes_the_timer_over(nursery, stacks):
    first, second = Watchdog(limit=AGES, file=stacks.file), Watchdog(limit=SHORT, file=stacks.file)
    with trio.fail_after(HARD):
        async with trio.open_nursery() as inner:
            await inner.start(first.run)
            await nursery.start(second.run)
            assert (True, False) == (first.statistics().armed, second.statistics().armed)
            inner.cancel_scope.cancel()
        await until(lambda: second.statistics().armed)
        keeping_the_lock(BLOCK)
        assert 1 == stacks.count("keeping_the_lock")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "stderr, fallback, armed", [(io.StringIO, True, True), (io.StringIO, False, False), (lambda: None, False, False)]
)
async def test_standard_error_may_be_captured_or_missing(nursery, stacks, monkeypatch, stderr, fallback, armed):
    """Without any descriptor it only measures."""
    monkeypatch.setattr(sys, "stderr", stderr())
    monkeypatch.setattr(sys, "__stderr__", stacks.file if fallback else None)
    watchdog = Watchdog(limit=SHORT)
    with trio.fail_after(HARD):
        await nursery.start(watchdog.run)
        assert armed is watchdog.statistics().armed
        waiting_in_a_call(BLOCK)
        await blocks(watchdog, 1)
        nursery.cancel_scope.cancel()

    assert fallback == stacks.count("waiting_in_a_call")


async def test_a_file_that_is_closed_meanwhile_ends_only_the_writing(nursery, stacks):
    watchdog = Watchdog(limit=SHORT, file=stacks.file)
    with trio.fail_after(HARD):
        await nursery.start(watchdog.run)
        stacks.file.close()
        await until(lambda: not watchdog.statistics().armed)
        waiting_in_a_call(BLOCK)
        await blocks(watchdog, 1)
        nursery.cancel_scope.cancel()

    assert "" == stacks.text()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(InvalidRequest, match=f"not {limit}"):
        Watchdog(limit=limit)


def test_a_file_without_a_descriptor_is_refused():
    with pytest.raises(InvalidRequest, match="it has no descriptor"):
        Watchdog(file=io.StringIO())


async def test_virtual_time_is_no_block(nursery, stacks, autojump_clock):
    told = []
    await nursery.start(Watchdog(limit=AGES, file=stacks.file, on_blocked=told.append).run)
    await trio.sleep(3600)
    assert 3600 == trio.current_time()
    nursery.cancel_scope.cancel()

    assert ("", []) == (stacks.text(), told)


PROGRAM = f"""
import re, time, trio
from terzetto._watchdog import Watchdog

def hopeless(letters):
    start = time.perf_counter()
    re.match("(a+)+b", "a" * letters)
    return time.perf_counter() - start

letters = 16
while hopeless(letters) < {BLOCK}:  # with each letter it takes twice as long
    letters += 1

async def main():
    watchdog = Watchdog(limit={SHORT}, on_blocked=lambda seconds: print("blocked"))
    async with trio.open_nursery() as nursery:
        await nursery.start(watchdog.run)
        hopeless(letters)
        while not watchdog.statistics().blocks:
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

trio.run(main)
"""


def test_a_hopeless_regular_expression_is_named_on_standard_error():
    """5.8: the stack written (a C timer): `re` never lets go of the interpreter lock."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    assert "blocked\n" == done.stdout
    assert done.stderr.startswith("Timeout (0:00:00.200000)!\n")
    assert " in hopeless\n" in done.stderr
    assert " in main\n" in done.stderr


def test_a_block_is_noticed_within_a_second():
    """5.8: noticed within 1 s."""
    assert 1.0 == LIMIT
