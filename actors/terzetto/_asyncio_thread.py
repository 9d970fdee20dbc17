"""Asyncio for guests: a loop in a thread of its own, beside Trio's; nothing of either is patched.

What runs there is a coroutine that somebody on Trio waits for. It sees his context variables, it is cancelled with
him, and he leaves when it has left.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar, cast

import trio
import trio.lowlevel
from attrs import define, field

from terzetto_protocol.errors import ActorStopped

T = TypeVar("T")


@asynccontextmanager
async def open_loop(name: str = "asyncio for guests") -> AsyncGenerator["AsyncioThread", None]:
    """An asyncio loop in a thread, as long as the `async with` block lasts. A checkpoint.

    Leaving the block cancels what is left in the loop, and waits for that and for the threads that it has started.

    Args:
        name: of the thread.
    """
    thread = AsyncioThread()
    trio.lowlevel.start_thread_soon(thread.live, thread.lived, name)
    try:
        with trio.CancelScope(shield=True):  # it is on its way, and says so at once
            await thread.begun.wait()
        yield thread
    finally:
        thread.end()
        with trio.CancelScope(shield=True):
            await thread.ended.wait()  # noqa: ASYNC102 - a thread cannot be left: who stays too long is stuck, and named


class AsyncioThread:
    """What `open_loop` gives: an asyncio loop that takes coroutines from Trio."""

    def __init__(self) -> None:
        self._token: Final = trio.lowlevel.current_trio_token()
        self.begun: Final = trio.Event()
        self.ended: Final = trio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._calls: Final[set[_Call[Any]]] = set()

    async def run(self, fn: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the loop and return what it returns, or raise what it raises. A checkpoint.

        It sees the caller's context variables. Cancelled, it is cancelled, and this waits for its end: what it
        returns or raises then counts for nothing.

        Args:
            fn: makes the coroutine; called in the loop.

        Raises:
            ActorStopped: the loop has ended.
        """
        loop = self._loop
        if loop is None or self.ended.is_set():
            raise ActorStopped("the asyncio loop")
        call = _Call(fn, self._token)
        self._calls.add(call)
        try:
            loop.call_soon_threadsafe(call.begin, loop)
            await _until(call, loop)
        finally:
            self._calls.discard(call)
        if call.error is not None:
            raise call.error
        return cast("T", call.value)

    def live(self) -> None:
        """Have the loop; the thread's own work."""
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self._token.run_sync_soon(self.begun.set)
        await self._over.wait()

    def end(self) -> None:
        """Have the loop end. Not a checkpoint."""
        if self._loop is not None and self._over is not None and not self.ended.is_set():
            self._loop.call_soon_threadsafe(self._over.set)

    def lived(self, ending: Any) -> None:
        """The thread has ended; called in it."""
        self._token.run_sync_soon(self._end_all, getattr(ending, "error", None))

    def _end_all(self, reason: BaseException | None) -> None:
        """Nobody waits for a loop that is no more, and whoever did hears why."""
        self.begun.set()
        self.ended.set()
        for call in self._calls:
            if call.error is None:
                call.error = ActorStopped("the asyncio loop")
                call.error.__cause__ = reason
            call.done.set()


async def _until(call: "_Call[Any]", loop: asyncio.AbstractEventLoop) -> None:
    try:
        await call.done.wait()
    except trio.Cancelled:
        loop.call_soon_threadsafe(call.cancel)
        with trio.CancelScope(shield=True):
            await call.done.wait()  # noqa: ASYNC102 - as for the thread
        raise


@define(eq=False)
class _Call(Generic[T]):
    """A coroutine in the loop, and who waits for it."""

    fn: Callable[[], Coroutine[Any, Any, T]]
    token: trio.lowlevel.TrioToken
    done: trio.Event = field(factory=trio.Event)
    value: T | None = None
    error: BaseException | None = None
    task: "asyncio.Task[None] | None" = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.task = loop.create_task(self.live())  # the loop calls this with the context variables of who asked
        self.task.add_done_callback(self.end)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def live(self) -> None:
        try:
            self.value = await self.fn()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            self.error = error

    def end(self, task: "asyncio.Task[None]") -> None:
        # Not in `live`: of that nothing runs when the cancel comes before its first step.
        if task.cancelled():
            self.error = RuntimeError("it was cancelled by something in its own loop")
        self.token.run_sync_soon(self.done.set)
