"""One dedicated thread that runs blocking calls, one at a time, for the tasks of a Trio loop.

Only the loop's side decides: a call waits its turn in a line that the loop keeps, and is handed to
the thread when the thread is free. So "has it begun?" has one answer, which needs no lock: a caller
that is cancelled in the line leaves it, and one whose call has begun waits for the end.

The thread is a daemon. A thread that is not would keep the interpreter from exiting for as long as
its call hangs, or for ever when the loop died without closing it. A daemon is stopped in the middle
of a call when the interpreter exits, which is no worse than `kill -9` at that moment: stores that
survive the one survive the other. An orderly exit never gets there, because `close` ends the thread.
"""

from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Generic, TypeVar, TypeVarTuple, final

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task

from terzetto_protocol.errors import StoreError, StoreUnavailable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CALL_LIMIT: Final = 30.0
"""How long a blocking call may take before its caller gives up on it, seconds of the loop's clock."""


class _Job(Generic[T]):
    """A call on its way to the thread and back; `task` is None when nobody waits for its answer."""

    __slots__ = ("args", "error", "fn", "task", "value", "what")

    value: T

    def __init__(self, what: str, task: Task | None, fn: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.what, self.task, self.fn, self.args = what, task, fn, args
        self.error: BaseException | None = None

    def perform(self) -> None:
        try:
            self.value = self.fn(*self.args)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - it belongs to the caller, whatever it is
            self.error = error

    def give_up(self, _: RaiseCancelT) -> Abort:
        self.task = None
        return Abort.SUCCEEDED

    def result(self) -> T:
        if self.error is None:
            return self.value
        try:
            raise self.error
        finally:
            self.error = None  # the traceback holds this frame, and this frame would hold the error


@final
class WorkerThread:
    """Runs blocking calls one after the other, off the loop, and never leaves a caller waiting for ever.

    A call that has begun is awaited to its end, also by a cancelled caller, but not longer than
    `limit`: then `StoreUnavailable` names it, its late answer is dropped, and other calls are refused
    until the thread is back. Clocks that jump when all tasks are blocked (`MockClock` with an
    autojump threshold) do not see the thread at work, and end that limit at once.
    """

    def __init__(self, name: str, limit: float = CALL_LIMIT) -> None:
        self.name, self.limit = name, limit
        self._inbox: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._line: dict[Task, None] = {}
        self._running: _Job[Any] | None = None
        self._stuck = False
        self._closed = False

    @property
    def stuck(self) -> bool:
        """Whether a call goes on that its caller has given up on."""
        return self._stuck

    def start(self) -> None:
        """Start the thread; its answers come back to the loop that calls this."""
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._thread.start()

    @trio.lowlevel.enable_ki_protection
    async def call(self, what: str, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `fn(*args)` in the thread and return or raise what it does.

        A checkpoint. Cancelled before the call begins, it never begins; cancelled later, its result is
        returned all the same, so that what has happened is known. Only a `KeyboardInterrupt`, which
        Trio delivers to the main task alone, leaves a call behind that goes on; `close` waits for it.

        Raises:
            StoreUnavailable: the call did not end in time, or an earlier one still has not.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._running is not None or self._closed:
            await self._wait_turn(what)
        job = _Job(what, trio.lowlevel.current_task(), fn, args)
        self._running = job
        self._inbox.put(job)
        with trio.CancelScope(deadline=trio.current_time() + self.limit, shield=True) as scope:
            await trio.lowlevel.wait_task_rescheduled(job.give_up)
        if scope.cancelled_caught:
            raise self._give_up()
        return job.result()

    async def _wait_turn(self, what: str) -> None:
        self._check()
        task = trio.lowlevel.current_task()
        self._line[task] = None

        def leave(_: RaiseCancelT) -> Abort:
            del self._line[task]
            return Abort.SUCCEEDED

        with trio.move_on_after(self.limit) as scope:
            await trio.lowlevel.wait_task_rescheduled(leave)
        if scope.cancelled_caught:
            raise StoreUnavailable(f"{self.name}: {what!r} did not begin within {self.limit:g} s")
        self._check()

    def _check(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name} is closed")
        if self._stuck:
            raise self._late()

    def _late(self) -> StoreUnavailable:
        what = "a call" if self._running is None else repr(self._running.what)
        return StoreUnavailable(f"{self.name}: {what} has not ended within {self.limit:g} s; the disk or server hangs")

    def _give_up(self) -> StoreUnavailable:
        self._stuck = True
        self._release_line()
        return self._late()

    def _release_line(self) -> None:
        # Whoever is woken looks at `_closed` and `_stuck` first.
        line, self._line = self._line, {}
        for task in line:
            trio.lowlevel.reschedule(task)

    def _answered(self, job: _Job[Any]) -> None:
        # Called by the loop itself, where an exception would end it: nothing here can raise. A task that has given
        # up is not in `job`, so that only tasks that wait are rescheduled.
        if job is self._running:
            self._running, self._stuck = None, False
        if job.task is not None:
            trio.lowlevel.reschedule(job.task)
        if self._line and self._running is None:
            self._running = job  # keeps the thread for the next in line until its task runs
            task = next(iter(self._line))
            del self._line[task]
            trio.lowlevel.reschedule(task)

    def _work(self) -> None:
        while (job := self._inbox.get()) is not None:
            job.perform()
            self._tell(self._answered, job)
            del job
        self._tell(self._ended.set)

    def _tell(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        with suppress(trio.RunFinishedError):  # the loop may be gone, and with it everybody who waited
            self._token.run_sync_soon(fn, *args)

    @trio.lowlevel.enable_ki_protection
    async def close(self, last: Callable[[], object]) -> None:
        """Refuse new calls, let the running one end, run `last`, and end the thread; the second time nothing.

        A checkpoint. Shielded, and bounded by `limit`: a thread that hangs is left behind, and ends
        itself, `last` included, when its call does.

        Raises:
            StoreUnavailable: the thread is still busy.
        """
        if not self._closed:
            self._closed = True
            self._release_line()
            job = _Job("close", None, last, ())
            self._inbox.put(job)
            self._inbox.put(None)
            with trio.CancelScope(deadline=trio.current_time() + self.limit * (not self._stuck), shield=True) as scope:
                await self._wait_end()
            if scope.cancelled_caught:
                raise self._late()
            job.result()

    async def _wait_end(self) -> None:
        await self._ended.wait()
        # It has only to return from its function now; asking is as quick as joining, and never blocks the loop.
        while self._thread.is_alive():  # noqa: ASYNC110 - a thread that has ended cannot tell
            await trio.lowlevel.checkpoint()
