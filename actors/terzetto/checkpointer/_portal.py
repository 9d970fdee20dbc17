"""A loop of asyncio in a thread of its own, for plain callers of what is async only."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from threading import Lock, Thread
from typing import Any, TypeVar, final
from weakref import finalize

T = TypeVar("T")


@final
class Portal:
    """Runs coroutines for callers that wait for them; the thread begins with the first, and is a daemon."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def run(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """What `fn(*args)` returns or raises; blocks."""
        return asyncio.run_coroutine_threadsafe(fn(*args), self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():  # a forked process has no such thread
                self._process = os.getpid()
                self._loop = asyncio.new_event_loop()
                thread = Thread(target=_live, args=(self._loop,), name="terzetto portal", daemon=True)
                thread.start()
                self._end = finalize(self, _end, self._loop, thread)
            return self._loop

    def close(self) -> None:
        """End the loop and its thread; nothing the second time."""
        with self._lock:
            if self._loop is not None:
                self._loop = None
                self._end()


def _live(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
