"""What a block leaves behind: tasks, threads, descriptors and timers that were not there before it."""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import Factory, define

PATIENCE: Final = 1.0
"""Seconds of real time that threads and descriptors have to go by themselves."""

_DESCRIPTORS: Final = Path("/proc/self/fd")
_TIMERS: Final = {"real": signal.ITIMER_REAL, "virtual": signal.ITIMER_VIRTUAL, "profiling": signal.ITIMER_PROF}
_OURS: Final = (str(Path(trio.__file__).parent), threading.__file__, __file__)
"""Files whose frames start nothing on their own account."""


class Leaked(AssertionError):
    """A block has left something behind: `tasks`, `threads`, `descriptors` and `timers`, each named in a line."""

    def __init__(
        self,
        tasks: tuple[str, ...] = (),
        threads: tuple[str, ...] = (),
        descriptors: tuple[str, ...] = (),
        timers: tuple[str, ...] = (),
    ) -> None:
        self.tasks, self.threads, self.descriptors, self.timers = tasks, threads, descriptors, timers
        found = {"task": tasks, "thread": threads, "descriptor": descriptors, "timer": timers}
        lines = [f"{kind} {line}" for kind, each in found.items() for line in each]
        super().__init__(f"left behind: {'; '.join(lines)}")


def _descriptors() -> dict[int, str]:
    found: dict[int, str] = {}
    for name in os.listdir(_DESCRIPTORS) if _DESCRIPTORS.exists() else ():  # noqa: PTH208 - names are all we need
        try:
            found[int(name)] = str((_DESCRIPTORS / name).readlink())
        except OSError:  # the one by which we look
            continue
    return found


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if not _is_spare(thread)]


def _is_spare(thread: threading.Thread) -> bool:
    """Whether it is a thread of Trio's that has nothing to do."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # what debuggers ask
    return frame is not None and frame.f_code.co_filename.endswith("_thread_cache.py")


def _timers() -> set[str]:
    return {name for name, which in _TIMERS.items() if signal.getitimer(which)[0] > 0}


@define(eq=False)
class _Before(trio.abc.Instrument):
    """What there was, and where what began since was started."""

    _tasks: dict[trio.lowlevel.Task, str] = Factory(dict[trio.lowlevel.Task, str])
    _starts: dict[threading.Thread, str] = Factory(dict[threading.Thread, str])
    _threads: set[threading.Thread] = Factory(lambda: set(_threads()))
    _descriptors: dict[int, str] = Factory(_descriptors)
    _timers: set[str] = Factory(_timers)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Note where tasks and threads are started."""
        start = threading.Thread.start

        def noted(thread: threading.Thread) -> None:
            self._starts[thread] = _caller()
            start(thread)

        inside = trio.lowlevel.in_trio_run()
        threading.Thread.start = noted  # type: ignore[assignment,method-assign]  # for the block alone
        if inside:
            trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            threading.Thread.start = start  # type: ignore[method-assign]  # as it was
            if inside:
                trio.lowlevel.remove_instrument(self)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Trio says so."""
        self._tasks[task] = _caller()

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Trio says so."""
        self._tasks.pop(task, None)

    def check(self) -> None:
        """Raise unless everything is as it was."""
        tasks = tuple(f"{task.name}, started at {where}" for task, where in self._tasks.items())
        threads, descriptors = _patiently(self._new_threads), _patiently(self._new_descriptors)
        timers = tuple(sorted(_timers() - self._timers))
        if tasks or threads or descriptors or timers:
            raise Leaked(tasks, threads, descriptors, timers)

    def _new_threads(self) -> tuple[str, ...]:
        new = [thread for thread in _threads() if thread not in self._threads]
        return tuple(f"{thread.name!r}, started at {self._starts.get(thread, 'a place unknown')}" for thread in new)

    def _new_descriptors(self) -> tuple[str, ...]:
        new = {number: target for number, target in _descriptors().items() if self._descriptors.get(number) != target}
        return tuple(f"{number}: {target}" for number, target in sorted(new.items()))


@contextmanager
def assert_no_leaks() -> Generator[None]:
    """Raise `Leaked` if something is there after the block that was not there before it. Not a checkpoint.

    Tasks and threads are named with where they were started, descriptors with what they lead to, interval timers
    (`signal.setitimer`) with their kind. Threads that Trio keeps for its next call are none of it, and what ends by
    itself within a second of real time is waited for, which blocks the loop. An error that leaves the block is let
    through, and nothing is looked at. Around `trio.run` it finds everything but tasks, of which `trio.run` leaves none.
    """
    before = _Before()
    with before.watching():
        yield
    before.check()


def _patiently(find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """What is still found when it had time to go."""
    found, until = find(), time.monotonic() + PATIENCE
    if found:
        gc.collect()
    while found and time.monotonic() < until:
        time.sleep(0.01)
        found = find()
    return found


def _caller() -> str:
    """The innermost frame that is not Trio's, nor of `threading`."""
    frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # what tracebacks ask
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
