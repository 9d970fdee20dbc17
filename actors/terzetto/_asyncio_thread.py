"""Asyncio for guests: a loop in a thread of its own, beside Trio's; nothing of either is patched.

What runs there is a coroutine that somebody on Trio waits for. It sees his context variables, it is cancelled with
him, and he leaves when it has left.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any, Final, Generic, TypeVar, cast

import trio
import trio.lowlevel
from attrs import define, field

T = TypeVar("T")


@asynccontextmanager
async def open_loop(name: str = "asyncio for guests") -> AsyncGenerator["AsyncioThread", None]:
    """An asyncio loop as long as the `async with` block lasts. A checkpoint.

    Leaving the block cancels what is left in the loop, and waits for it and for the threads that it has started.
    """
    thread = AsyncioThread()
    trio.lowlevel.start_thread_soon(thread.live, thread.lived, name)
    try:
        with trio.CancelScope(shield=True):  # the thread is on its way: it says so at once
            await thread.begun.wait()
        yield thread
    finally:
        with trio.CancelScope(shield=True):
            thread.end()
            await thread.ended.wait()  # noqa: ASYNC102 - a thread cannot be left: who waits too long is stuck, and named


class AsyncioThread:
    """What `open_loop` gives: a loop that takes coroutines."""

    def __init__(self) -> None:
        self._token: Final = trio.lowlevel.current_trio_token()
        self.begun: Final = trio.Event()
        self.ended: Final = trio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None

    async def run(self, fn: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the loop and return what it returns. A checkpoint.

        Cancelled, it is cancelled, and this waits for its end: what it returns or raises then counts for nothing.
        """
        assert self._loop is not None, "the block has been entered"
        call = _Call(fn, self._token, self._loop)
        self._loop.call_soon_threadsafe(call.begin)
        try:
            await call.done.wait()
        except trio.Cancelled:
            call.over = True
            self._loop.call_soon_threadsafe(call.cancel)
            with trio.CancelScope(shield=True):
                await call.done.wait()  # noqa: ASYNC102 - as above
            raise
        if call.error is not None:
            raise call.error
        return cast("T", call.value)

    def live(self) -> None:
        """The thread's own work."""
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self._token.run_sync_soon(self.begun.set)
        await self._over.wait()

    def end(self) -> None:
        """Have the loop end. Not a checkpoint."""
        assert self._loop is not None and self._over is not None, "it has begun"
        self._loop.call_soon_threadsafe(self._over.set)

    def lived(self, ending: Any) -> None:
        """The thread has ended."""
        self._token.run_sync_soon(self.ended.set)
        ending.unwrap()  # a loop that broke is a bug: Trio shows what a thread raises


@define(eq=False)
class _Call(Generic[T]):
    """A coroutine in the loop, and who waits for it."""

    fn: Callable[[], Coroutine[Any, Any, T]]
    token: trio.lowlevel.TrioToken
    loop: asyncio.AbstractEventLoop
    done: trio.Event = field(factory=trio.Event)
    value: T | None = None
    error: BaseException | None = None
    task: "asyncio.Task[T] | None" = None
    over: bool = False
    context: Any = field(factory=copy_context)

    def begin(self) -> None:
        self.task = self.loop.create_task(self.fn(), context=self.context)
        self.task.add_done_callback(self.ended)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def ended(self, task: "asyncio.Task[T]") -> None:
        if task.cancelled():
            self.error = RuntimeError("it was cancelled by something in its own loop")
        elif (error := task.exception()) is not None:
            self.error = error
        else:
            self.value = task.result()
        self.token.run_sync_soon(self.done.set)
