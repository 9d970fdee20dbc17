"""Notices a blocked event loop, and has the stacks written while it is still blocked.

A task says at every beat that the loop is alive. A thread beside it listens, and writes the stacks of all
threads when nothing is heard in time. Code that never lets go of the interpreter lock keeps this thread from
running, too; so at every beat of its own it puts off a timer of the interpreter's (`faulthandler`), whose C
thread needs no lock and writes them instead.

The C thread reads frames that others own. That is safe only while no Python code runs, or the process may
die of it; it is why the timer belongs to the listening thread, which is late only when somebody keeps the
lock, and not to the loop, which is late whenever Python code is slow. (A process that was stopped for longer
than the limit, by a signal say, is the one case left where the timer may find Python code running.)

There is one such timer in a process. A second watchdog does without, and takes it over when the first one has
ended; a program that calls `faulthandler.dump_traceback_later` itself should not start one.
"""

import contextlib
import faulthandler
import math
import os
import sys
from collections.abc import Callable, Generator
from threading import Event, Lock, Thread
from time import perf_counter
from typing import IO, Any, Final

import trio
from attrs import frozen

from terzetto_protocol.errors import InvalidRequest

LIMIT: Final = 1.0
"""Seconds within which a blocked loop is noticed."""
BEATS: Final = 4
"""How often the loop, and whoever listens, shows up in that time."""

_timer: Final = Lock()
"""Held by whoever has the timer of this process; loops in other threads may have a watchdog too."""


@frozen
class WatchdogStatistics:
    """What a watchdog has seen so far."""

    armed: bool
    """True while the timer is its own: code that keeps the interpreter lock is caught as well."""
    blocks: int
    """How often the loop was blocked."""
    longest: float
    """Seconds of the worst one, at least."""
    total: float
    """Seconds of all of them, at least."""


def _nobody(seconds: float) -> None:
    """Nobody wants to know."""


class Watchdog:
    """Has the stacks written within `limit` seconds of a block of the loop, and counts what it cost.

    A process that gets no processor time looks the same as a blocked loop. On a virtual clock the beats are
    virtual too: time then advances in steps of a beat, and a clock that stands still looks like a block.

    Args:
        limit: seconds of real time.
        file: what the stacks are written to, a file with a descriptor that stays open; without one, standard
            error, and if that has no descriptor the one that the process began with. With none at all the
            watchdog only measures.
        on_blocked: told after a block for how many seconds it lasted, at least; what it raises ends the watchdog.

    Raises:
        InvalidRequest: the limit is not a number of seconds above 0, or the file has no descriptor.
    """

    def __init__(
        self, *, limit: float = LIMIT, file: IO[Any] | None = None, on_blocked: Callable[[float], None] = _nobody
    ) -> None:
        if not 0 < limit < math.inf:
            raise InvalidRequest(f"a watchdog needs a number of seconds above 0 as its limit, not {limit}")
        if file is not None and not _has_descriptor(file):
            raise InvalidRequest(f"a watchdog cannot write to {file!r}: it has no descriptor")
        self._limit: Final = limit
        self._file: Final = file
        self._on_blocked: Final = on_blocked
        self._listener: _Listener | None = None
        self._blocks, self._longest, self._total = 0, 0.0, 0.0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; whatever ends it, thread and timer are gone afterwards. A checkpoint."""
        self._listener = listener = _Listener(self._limit, _stderr() if self._file is None else self._file)
        try:
            listener.start()
            task_status.started()
            await self._beat(listener)
        finally:
            listener.stop()

    async def _beat(self, listener: "_Listener") -> None:
        beat = self._limit / BEATS
        while True:
            last = listener.heard
            await trio.sleep(beat)
            listener.heard = perf_counter()
            passed = listener.heard - last
            if passed >= self._limit:
                self._note(passed - beat)  # it may have been alive until just before the beat was due

    def _note(self, seconds: float) -> None:
        self._blocks += 1
        self._longest = max(self._longest, seconds)
        self._total += seconds
        self._on_blocked(seconds)

    def statistics(self) -> WatchdogStatistics:
        """Numbers since the start."""
        armed = self._listener is not None and self._listener.armed
        return WatchdogStatistics(armed, self._blocks, self._longest, self._total)


class _Listener:
    """The thread; it owns the timer while `armed`, and both end with `stop`."""

    def __init__(self, limit: float, file: IO[Any] | None) -> None:
        self.heard = perf_counter()
        """When the loop last showed up."""
        self.armed = False
        self._limit = limit
        self._file = file
        self._written_for: float | None = None
        self._stopped = Event()
        self._thread = Thread(target=self._listen, name="watchdog", daemon=True)

    def start(self) -> None:
        """Listen from now on. Not a checkpoint."""
        self._put_off()
        self._thread.start()

    def stop(self) -> None:
        """End the thread, which does nothing that takes long, and then the timer. Not a checkpoint."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._disarm()

    def _listen(self) -> None:
        while not self._stopped.wait(self._pause()):
            kept = perf_counter() - self._awake  # from here on we have the interpreter lock, so nobody keeps it
            self._put_off()
            if self.armed and kept >= self._limit:
                self._written_for = self.heard  # by the timer
            elif perf_counter() - self.heard >= self._limit and self._written_for != self.heard:
                self._written_for = self.heard
                self._write()

    def _pause(self) -> float:
        beat, left = self._limit / BEATS, self.heard + self._limit - perf_counter()
        return left if 0 < left < beat else beat

    def _put_off(self) -> None:
        file = self._file
        if file is not None:
            self.armed = self.armed or _timer.acquire(blocking=False)
            if self.armed:
                with self._giving_up():
                    faulthandler.dump_traceback_later(self._limit, file=file)
        self._awake = perf_counter()

    def _write(self) -> None:
        file = self._file
        if file is not None:
            with self._giving_up():
                os.write(file.fileno(), f"The event loop has not come round for {self._limit:g} s!\n".encode())
                faulthandler.dump_traceback(file)

    @contextlib.contextmanager
    def _giving_up(self) -> Generator[None]:
        try:
            yield
        except (OSError, RuntimeError, ValueError):  # the file was closed, or no thread can be started
            self._file = None
            self._disarm()

    def _disarm(self) -> None:
        if self.armed:
            faulthandler.cancel_dump_traceback_later()
            self.armed = False
            _timer.release()


def _stderr() -> IO[Any] | None:
    candidates = (sys.stderr, sys.__stderr__)
    return next((file for file in candidates if file is not None and _has_descriptor(file)), None)


def _has_descriptor(file: IO[Any]) -> bool:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return file.fileno() >= 0
    return False
