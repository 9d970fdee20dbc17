"""Deadlines of runs: one task sleeps until the next one."""

import heapq
from collections.abc import Awaitable, Callable, Hashable
from itertools import count
from math import inf
from typing import Final, Generic, TypeVar

import trio

K = TypeVar("K", bound=Hashable)

LONGEST_SLEEP: Final = 3600.0
"""Seconds; the wall clock may be set, so nobody trusts one long sleep."""
SLACK: Final = 256
"""Deadlines that were moved or dropped and may lie about before somebody tidies up."""


class Timers(Generic[K]):
    """At most one deadline per run (or whatever else has one), in the time of the clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadlines: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = count()
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: K, deadline: float | None) -> None:
        """Wake this run at its deadline; None forgets it. Not a checkpoint."""
        if deadline is None:
            self.drop(key)
        elif self._deadlines.get(key) != deadline:
            self._deadlines[key] = deadline
            heapq.heappush(self._heap, (deadline, next(self._order), key))
            self._changed.set()
            if len(self._heap) > 2 * len(self._deadlines) + SLACK:
                self._heap = [entry for entry in self._heap if self._deadlines.get(entry[2]) == entry[0]]
                heapq.heapify(self._heap)

    def hasten(self, key: K, deadline: float) -> None:
        """Wake this run at the deadline, unless it is woken before. Not a checkpoint."""
        if deadline < self._deadlines.get(key, inf):
            self.set(key, deadline)

    def drop(self, key: K) -> None:
        """Forget a run's deadline."""
        self._deadlines.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._deadlines.clear()
        self._heap.clear()

    async def run(self, fire: Callable[[K], Awaitable[None]]) -> None:
        """Call `fire(key)` at each deadline, one after the other. A checkpoint, until cancelled."""
        while True:
            self._changed = trio.Event()
            for key in self._due():
                await fire(key)
            with trio.move_on_after(self._pause()):
                await self._changed.wait()

    def _due(self) -> list[K]:
        now, due = self._clock(), list[K]()
        while self._heap and self._heap[0][0] <= now:
            deadline, _, key = heapq.heappop(self._heap)
            if self._deadlines.get(key) == deadline:  # else it was moved or dropped meanwhile
                del self._deadlines[key]
                due.append(key)
        return due

    def _pause(self) -> float:
        if not self._heap:
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, max(0.0, self._heap[0][0] - self._clock()))
