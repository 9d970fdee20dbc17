"""Time in tests: it passes when everybody waits for it, and takes none."""

from collections.abc import Awaitable, Callable, Iterator
from math import inf
from types import CodeType
from typing import Final, TypeVar, TypeVarTuple

import trio
import trio.testing

from ..stores import _worker

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

LIMIT: Final = 86_400.0
"""Seconds of virtual time that a program may take."""
GLANCE: Final = 0.002
"""Seconds of real time after which we look whether threads still work."""
LAST: Final = 1e-9
"""Seconds of real time that the clock lets everybody else go first who waits until nothing moves."""

_driven: Final = trio.lowlevel.RunVar[bool]("the clock of this run jumps by itself", False)


def run_virtually(fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, limit: float = LIMIT) -> R:
    """Run a program as `trio.run` does, on a clock that jumps to the next deadline when nothing else can go on.

    An hour of waiting takes no time, and every timeout passes at exactly its second; the time of day that runs are
    stored with follows. While a task waits for a thread (`trio.to_thread`, a SQLite store, a node that is a plain
    function) the clock stands still, so that no time passes because a thread is slow.

    Args:
        fn: called with `args`, and awaited.
        args: for `fn`.
        limit: seconds of virtual time after which `trio.TooSlowError` is raised.
    """
    clock = trio.testing.MockClock()

    async def main() -> R:
        trio.lowlevel.spawn_system_task(_drive, clock)
        _driven.set(True)
        with trio.fail_after(limit):
            return await fn(*args)

    return trio.run(main, clock=clock)


async def _drive(clock: trio.testing.MockClock) -> None:
    """Jump whenever nobody can go on, and nobody waits for a thread."""
    cushion = LAST
    while True:
        await trio.testing.wait_all_tasks_blocked(cushion)
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        jumps = 0 < seconds < inf and not _threads_work()
        cushion = LAST if jumps else GLANCE
        if jumps:
            clock.jump(seconds)


def _threads_work() -> bool:
    """Whether more tasks wait for threads than threads wait for tasks."""
    stacks = [[frame.f_code for frame, _ in task.iter_await_frames()] for task in _tasks()]
    waiting = sum(_waits_for_a_thread(stack) for stack in stacks)
    return waiting > sum("run_system" in {code.co_name for code in stack} for stack in stacks)


def _waits_for_a_thread(stack: list[CodeType]) -> bool:
    """Whether what a task awaits in the end is Trio's call of a thread, or a store's."""
    if any(code.co_filename == _worker.__file__ for code in stack[-4:]):
        return True
    return len(stack) > 1 and stack[-2].co_name == "to_thread_run_sync"


def _tasks() -> Iterator[trio.lowlevel.Task]:
    """Every task of this run."""
    root = trio.lowlevel.current_root_task()
    found = [] if root is None else [root]
    while found:
        yield (task := found.pop())
        found += [child for nursery in task.child_nurseries for child in nursery.child_tasks]


async def settled() -> None:
    """Wait until nothing moves any more: all others wait for time, for threads, or for the test. A checkpoint."""
    await trio.testing.wait_all_tasks_blocked()


async def advance(seconds: float, /) -> None:
    """Let so much virtual time pass, step by step as things happen in it, and what happens then end. A checkpoint.

    On a clock that jumps by itself (`run_virtually`, the fixture `autojump_clock`) as on a `MockClock` that does not.
    """
    clock, until = trio.lowlevel.current_clock(), trio.current_time() + seconds
    if isinstance(clock, trio.testing.MockClock) and clock.autojump_threshold == inf and not _driven.get():
        await settled()
        while trio.current_time() < until:
            step = trio.lowlevel.current_statistics().seconds_to_next_deadline
            clock.jump(min(max(step, 0.0), until - trio.current_time()))
            await settled()
    else:
        await trio.sleep_until(until)
        await settled()
