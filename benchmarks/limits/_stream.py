"""The limits of telling: events that are made and kept once, and read by everybody at a place of their own.

- An event has an id that rises, the time, its node and visit, and a type (8.1, 8.5).
- The last 256 are in memory (8.1), so one list serves everybody; whoever falls behind hears how many it missed (8.2),
  and whoever has read everything is woken by the next.
- A reader takes what is there in one go, 64 events or a batch of 256, and is a checkpoint in between (8.2).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from time import perf_counter, time
from typing import Final, Literal

import trio
import trio.testing
from msgspec import Struct

from ._visit import WINDOW

_AT_ONCE: Final[dict[str, int]] = {"each": 64, "batches": WINDOW}
"""Events that a reader takes before it yields (8.2)."""
_SHARED: Final = (
    f"one list of the last {WINDOW} events with ids and times, and a task that makes and yields as the node"
)
EACH: Final = f"{_SHARED}; a reader is a place in it and an async generator, and lets others go on every 64 events"
BATCHES: Final = f"{_SHARED}; a reader is a place in it, and lets others go on after each slice"
HOW: Final = {"each": EACH, "batches": BATCHES}


class Chunk(Struct, frozen=True, gc=False):
    """A piece of text that a node emits."""

    id: int
    run_id: str
    at: float
    node: str
    visit: int
    text: str


class _Window:
    """The last events of a run, and who waits for the next."""

    def __init__(self) -> None:
        self._events: list[Chunk] = []
        self._gone = 0
        self._waiting: list[trio.lowlevel.Task] = []
        self.is_over = False

    def publish(self, text: str) -> None:
        events = self._events
        events.append(Chunk(self._gone + len(events) + 1, "run", time(), "talk", 1, text))
        if len(events) > WINDOW + WINDOW // 4:
            self._gone += len(events) - WINDOW
            del events[:-WINDOW]
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        for task in self._waiting:
            trio.lowlevel.reschedule(task)
        self._waiting = []

    def after(self, place: int, limit: int) -> list[Chunk]:
        if place < self._gone:
            raise RuntimeError(f"{self._gone - place} events were missed")
        first = place - self._gone
        return self._events[first : first + limit]

    async def wait(self) -> None:
        self._waiting.append(trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(_stay)


def _stay(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED  # nobody cancels this reader


async def _slices(window: _Window, limit: int) -> AsyncGenerator[list[Chunk], None]:
    place, rested = 0, False
    while True:
        if found := window.after(place, limit):
            place += len(found)
            if not rested:
                await trio.lowlevel.checkpoint()
            yield found
            rested = False
        elif window.is_over:
            return
        else:
            await window.wait()
            rested = True


async def _each(window: _Window) -> AsyncGenerator[Chunk, None]:
    async for found in _slices(window, _AT_ONCE["each"]):
        for event in found:
            yield event


async def _read_each(window: _Window, seen: list[int], index: int) -> None:
    count = 0
    async for _ in _each(window):
        count += 1
    seen[index] = count


async def _read_batches(window: _Window, seen: list[int], index: int) -> None:
    count = 0
    async for batch in _slices(window, _AT_ONCE["batches"]):
        count += len(batch)
    seen[index] = count


_READ: Final[dict[str, Callable[[_Window, list[int], int], Awaitable[None]]]] = {
    "each": _read_each,
    "batches": _read_batches,
}


def told(events: int, readers: int, reading: Literal["each", "batches"], pace: int) -> float:
    """Events told per second, all readers together; the node yields after `pace` of them."""
    return trio.run(_tell, events, [0] * readers, _READ[reading], pace)


async def _tell(
    events: int, seen: list[int], read: Callable[[_Window, list[int], int], Awaitable[None]], pace: int
) -> float:
    window = _Window()
    async with trio.open_nursery() as nursery:
        for index in range(len(seen)):
            nursery.start_soon(read, window, seen, index)
        await trio.testing.wait_all_tasks_blocked()
        began = perf_counter()
        for number in range(events):
            window.publish("word")
            if number % pace == pace - 1:
                await trio.lowlevel.checkpoint()
        window.is_over = True
        window.wake()
    took = perf_counter() - began
    assert seen == [events] * len(seen)
    return events * len(seen) / took
