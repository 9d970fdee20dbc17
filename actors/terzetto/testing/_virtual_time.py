"""Time in tests: it passes when everybody waits for it, and takes none."""

from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import trio

from ..stores import _worker

if TYPE_CHECKING:
    from trio.testing import MockClock  # where it is needed it is loaded late: it loads pytest, if that is there

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

LIMIT: Final = 86_400.0
"""Seconds of virtual time that a program may take."""
_TRAPS: Final = 4
"""Innermost frames in which a wait is recognised: it and the traps of Trio below it, but nothing that it called."""

_LINE: Final = str(Path(_worker.__file__).with_name("_redis_line.py"))
"""Where a Redis store waits for its server; named, because it would load the driver."""

_jumps: Final = trio.lowlevel.RunVar("whether the clock of this run jumps by itself", default=False)


def run_virtually(fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, limit: float = LIMIT) -> R:
    """Run a program as `trio.run` does, on a clock that jumps to the next deadline when nothing else can go on.

    An hour of waiting takes no time, and every timeout passes at exactly its second; the time of day that runs are
    stored with follows. While a task waits for a thread (`trio.to_thread`, a SQLite store, a node that is a plain
    function), or a store for its Redis server, the clock stands still, so that no time passes because those are slow.

    Args:
        fn: called with `args`, and awaited.
        args: for `fn`.
        limit: seconds of virtual time after which `trio.TooSlowError` is raised.
    """
    from trio.testing import MockClock

    clock = MockClock(autojump_threshold=0)

    async def main() -> R:
        _jumps.set(True)
        with trio.fail_after(limit):
            return await fn(*args)

    return trio.run(main, clock=clock, instruments=[_Threads(clock)])


class _Threads(trio.abc.Instrument):
    """Holds a clock while more tasks wait for threads than threads wait for tasks."""

    def __init__(self, clock: "MockClock") -> None:
        self._clock: Final = clock
        self._waiting: Final[set[trio.lowlevel.Task]] = set()
        self._serving: Final[set[trio.lowlevel.Task]] = set()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Look what a task awaits now; it is asked before the clock may jump."""
        stack = [frame.f_code for frame, _ in task.iter_await_frames()]
        self._note(self._waiting, task, there=_waits_for_a_thread(stack))
        self._note(self._serving, task, there=any(code.co_name == "run_system" for code in stack))

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """It awaits nothing any more."""
        self._note(self._waiting, task, there=False)
        self._note(self._serving, task, there=False)

    def _note(self, tasks: set[trio.lowlevel.Task], task: trio.lowlevel.Task, *, there: bool) -> None:
        if there is not (task in tasks):
            tasks.symmetric_difference_update({task})
            self._clock.autojump_threshold = inf if len(self._waiting) > len(self._serving) else 0


def _waits_for_a_thread(stack: list[CodeType]) -> bool:
    """Whether what a task awaits in the end is Trio's call of a thread, or a store's; below them are Trio's traps."""
    innermost = stack[-_TRAPS:]
    if any(code.co_name == "to_thread_run_sync" or code.co_filename == _worker.__file__ for code in innermost):
        return True
    return any(code.co_name == "_bounded" and code.co_filename == _LINE for code in stack)


async def settled() -> None:
    """Wait until nothing moves any more: all others wait for time, for threads, or for the test. A checkpoint."""
    from trio.testing import wait_all_tasks_blocked

    await wait_all_tasks_blocked()


async def advance(seconds: float, /) -> None:
    """Let so much virtual time pass, step by step as things happen in it, and what happens then end. A checkpoint.

    On a clock that jumps by itself (`run_virtually`, the fixture `autojump_clock`) as on a `MockClock` that does not.
    """
    from trio.testing import MockClock

    clock, until = trio.lowlevel.current_clock(), trio.current_time() + seconds
    if isinstance(clock, MockClock) and clock.autojump_threshold == inf and not _jumps.get():
        await settled()
        while trio.current_time() < until:
            step = trio.lowlevel.current_statistics().seconds_to_next_deadline
            clock.jump(min(max(step, 0.0), until - trio.current_time()))
            await settled()
    else:
        await trio.sleep_until(until)
        await settled()
