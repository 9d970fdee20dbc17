"""One reader of one run's events: waits for them, and gives them out in order."""

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from operator import length_hint
from types import TracebackType
from typing import Final, Protocol, final

import trio

from terzetto_protocol.errors import ActorStopped, UnknownRun
from terzetto_protocol.event_log import EventLog, event_number
from terzetto_protocol.event_reader import Reader
from terzetto_protocol.events import Event, Heartbeat, StreamItem
from terzetto_protocol.limits import EVENT_WINDOW

HUB: Final = "the event hub"
"""What `ActorStopped` calls it."""
ITEMS: Final = EVENT_WINDOW
"""Events that are fetched at once: after so many other tasks get to run. Fewer would let a reader who does nothing fall
behind a run that tells more in a turn."""
RESTS: Final = 2
"""Turns of the loop that a reader stays in line before it waits: a run that yields may have its turn after it."""


class Stream:
    """One run in the hub: its log, how many read it, and who of them waits."""

    __slots__ = ("forgotten", "idle", "log", "readers", "run_id", "sinks", "waiting")

    def __init__(self, run_id: str, log: EventLog) -> None:
        self.run_id, self.log = run_id, log
        self.readers = 0
        self.sinks = 0
        """How many of the readers feed a sink, which nobody need stay for."""
        self.idle = True
        """Whether the run is parked or ended, or has told nothing here yet."""
        self.forgotten = False
        """Whether the run was deleted."""
        self.waiting: dict[trio.lowlevel.Task, None] = {}

    def wake(self) -> None:
        """Let everyone who waits go on; each finds out for itself why."""
        waiting, self.waiting = self.waiting, {}
        for task in waiting:
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        """Wait for `wake`; a checkpoint, and a cancelled wait leaves nothing behind."""
        task = trio.lowlevel.current_task()
        self.waiting[task] = None

        def leave(_: object) -> trio.lowlevel.Abort:
            del self.waiting[task]  # a task that was woken is not aborted any more, so it is there
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)


class Source(Protocol):
    """What a subscription needs of the hub."""

    closed: bool
    gaps: int

    async def attach(self, run_id: str, seen: int) -> Stream:
        """Count a reader in that has seen this event, or raise `UnknownRun`.

        Always a checkpoint, and a cancelled one leaves no reader.
        """
        ...

    def detach(self, stream: Stream) -> None:
        """Count a reader out."""
        ...

    async def recollect(self, stream: Stream, after: int, through: int) -> tuple[Sequence[Event], int]:
        """Durable events after `after`, and the id up to which they are complete: `through`, or less."""
        ...


@final
class Subscription:
    """Gives every event of a run after its cursor once, in order; what is missing is counted, never passed over.

    The first item is a `Cursor`, the last one `RunEnded`; a run that has not ended is waited for. A cancelled
    `async for` or batch loses nothing: the next one begins with the same item. One task iterates at a time.
    At least every 256 items it is a checkpoint, and every batch is one: a cancel is noticed there.

    Iterating raises `ActorStopped` when the hub is closed, `UnknownRun` when the run is deleted meanwhile, and
    what the store raises; after `StoreUnavailable` iterating may go on where it was.
    """

    def __init__(
        self,
        source: Source,
        run_id: str,
        last_event_id: int | str | None,
        heartbeat: float,
        *,
        strict: bool,
        left: Callable[[], None] | None = None,
        is_sink: bool = False,
    ) -> None:
        self._left, self._is_sink = left, is_sink
        self._source, self._run_id = source, run_id
        self._last_event_id, self._heartbeat, self._strict = last_event_id, heartbeat, strict
        self._place: tuple[Reader, Stream] | None = None
        self._entered = self._begun = self._busy = self._stopped = False
        self._items: Iterator[StreamItem] = iter(())
        """Fetched, and to be given out."""

    async def __aenter__(self) -> "Subscription":
        """Attach: a checkpoint, and nothing is attached when it is cancelled.

        Raises `UnknownRun` when nobody knows the run, and `ActorStopped` when the hub is closed.
        """
        if self._entered:
            raise RuntimeError("a subscription is entered once; ask for another one")
        self._entered = True
        seen = None if self._last_event_id is None else event_number(self._last_event_id)
        stream = await self._source.attach(self._run_id, seen or 0)
        stream.sinks += self._is_sink
        self._place = Reader(stream.log, self._last_event_id, strict=self._strict), stream
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Detach, whatever has happened; not a checkpoint."""
        self.leave()

    def leave(self) -> None:
        """Detach, as leaving the `async with` does; twice is once. Not a checkpoint."""
        if self._place is not None:
            stream = self._place[1]
            self._place, self._items = None, iter(())
            stream.sinks -= self._is_sink
            self._source.detach(stream)
            if self._left is not None and stream.readers == stream.sinks and not self._source.closed:
                self._left()
            if self._busy:
                stream.wake()  # another task is waiting in here, and nobody would ever wake it

    def stop(self) -> None:
        """Have it give what is there, and then raise `ActorStopped`. Not a checkpoint."""
        self._stopped = True
        if self._place is not None:
            self._place[1].wake()

    @property
    def position(self) -> int:
        """Id up to which every event was given or counted; 0 before it is entered."""
        return 0 if self._place is None else self._place[0].last

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> StreamItem:
        """The next item: a checkpoint when it has to be fetched, which is every 256 items at least."""
        for item in self._items:
            return item
        items = await self._fetch()
        if not items:
            raise StopAsyncIteration
        self._items = iter(items)
        return next(self._items)

    def take(self) -> Awaitable[list[StreamItem]]:
        """The next items, 1 to 256 of those that are there, or none after the last one; always a checkpoint."""
        return self._rest() if length_hint(self._items) else self._fetch()

    async def _rest(self) -> list[StreamItem]:
        """What was fetched and not given out."""
        await trio.lowlevel.checkpoint()
        return [*self._items]

    def batches(self) -> "Batches":
        """The same items as lists of what is there, for readers who are in a hurry."""
        return Batches(self)

    async def _fetch(self) -> list[StreamItem]:
        """What comes next, in a list of its own; empty after the last item. A checkpoint that loses nothing."""
        if self._place is None:
            raise trio.ClosedResourceError("this subscription is not entered, or was left")
        if self._busy:
            raise trio.BusyResourceError("another task is iterating over this subscription")
        self._busy = True
        reader, stream = self._place
        try:
            # Nothing moves before this: what is taken after it is handed over at once.
            await trio.lowlevel.checkpoint()
            if not self._begun:
                return await self._begin(reader, stream)
            return reader.take(ITEMS) or await self._wait_for_more(reader, stream)
        finally:
            self._busy = False
            if reader.gaps:
                self._source.gaps += reader.gaps
                reader.gaps = 0

    async def _begin(self, reader: Reader, stream: Stream) -> list[StreamItem]:
        # What comes back is read twice where the Cursor counts what does not: holding it might take any memory.
        last, goal, returning = reader.last, reader.goal, 0
        while reader.counts and last < goal:
            found, through = await self._source.recollect(stream, last, goal)
            returning += sum(last < event.id <= through for event in found)
            last = through
        self._begun = True
        return [reader.cursor(returning)]

    async def _wait_for_more(self, reader: Reader, stream: Stream) -> list[StreamItem]:
        rested, silent = 1, False
        while not reader.ended:
            if items := reader.take(ITEMS):
                return items
            if reader.is_behind:
                if items := reader.recall(*await self._source.recollect(stream, reader.last, reader.goal)):
                    return items
            elif silent:
                return [Heartbeat()]
            elif rested < RESTS:
                await trio.lowlevel.checkpoint()  # a busy run goes on meanwhile, at a third of the price of a wait
                rested += 1
            else:
                self._check(stream)
                silent = await self._wait(stream)
        return []

    def _check(self, stream: Stream) -> None:
        """Raise when no event will come, so that nobody waits for it."""
        if self._source.closed or self._stopped:
            raise ActorStopped(HUB)
        if stream.forgotten or stream.log.terminal is not None:  # what was to be read back is not there any more
            raise UnknownRun(self._run_id)

    async def _wait(self, stream: Stream) -> bool:
        """Wait until something has happened, or say that nothing did for so long."""
        if self._heartbeat == math.inf:
            await stream.wait()
            silent = False
        else:
            with trio.move_on_after(self._heartbeat) as scope:
                await stream.wait()
            silent = scope.cancelled_caught
        if self._place is None:
            raise trio.ClosedResourceError("this subscription was left while a task was iterating over it")
        return silent


@final
class Batches:
    """An iterator over lists of items, never empty; see `Subscription.take`."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    def __aiter__(self) -> "Batches":
        return self

    async def __anext__(self) -> list[StreamItem]:
        """The next batch; a checkpoint."""
        items = await self._subscription.take()
        if not items:
            raise StopAsyncIteration
        return items
