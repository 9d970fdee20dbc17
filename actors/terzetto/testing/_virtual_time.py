"""Time in tests: it passes when everybody waits for it, and takes none."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, TypeVarTuple

import trio
import trio.testing

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

LIMIT: Final = 86_400.0
"""Seconds of virtual time that a program may take."""
THREADS_THRESHOLD: Final = 0.02
"""Seconds of real time in which nothing moves, before virtual time does, where threads work."""


def run_virtually(fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, limit: float = LIMIT, threads: bool = False) -> R:
    """Run a program as `trio.run` does, on a clock that jumps to the next deadline when nothing else can go on.

    An hour of waiting takes no time, and every timeout passes at exactly its second. The runtime's own clock follows.

    Args:
        fn: called with `args`, and awaited.
        args: for `fn`.
        limit: seconds of virtual time after which `trio.TooSlowError` is raised.
        threads: whether threads work for it, as in a SQLite store or in nodes that are plain functions. Trio does not
            see them work, so that time would pass too early: then it waits, 20 ms of real time before each jump.
    """

    async def main() -> R:
        with trio.fail_after(limit):
            return await fn(*args)

    clock = trio.testing.MockClock(autojump_threshold=THREADS_THRESHOLD if threads else 0)
    return trio.run(main, clock=clock)


async def settled() -> None:
    """Wait until nothing moves any more: all others wait for time, for threads, or for the test. A checkpoint."""
    await trio.testing.wait_all_tasks_blocked()


async def advance(seconds: float, /) -> None:
    """Let so much virtual time pass, step by step as things happen in it, and what happens then end. A checkpoint.

    On a clock that jumps by itself (`run_virtually`, the fixture `autojump_clock`) as on a `MockClock` that does not.
    """
    clock, until = trio.lowlevel.current_clock(), trio.current_time() + seconds
    if isinstance(clock, trio.testing.MockClock) and clock.autojump_threshold == float("inf"):
        await settled()
        while trio.current_time() < until:
            next_deadline = trio.lowlevel.current_statistics().seconds_to_next_deadline
            clock.jump(min(max(next_deadline, 0.0), until - trio.current_time()))
            await settled()
    else:
        await trio.sleep_until(until)
        await settled()
