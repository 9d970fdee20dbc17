"""Deadlines of parked runs: one task sleeps until the next one."""

import heapq
from collections.abc import Awaitable, Callable
from typing import Final

import trio

LONGEST_SLEEP: Final = 3600.0
"""Seconds; the wall clock may be set, so nobody trusts one long sleep."""


class Timers:
    """At most one deadline per run, in UNIX time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, run_id: str, deadline: float | None) -> None:
        """Wake this run at its deadline; None forgets it. Not a checkpoint."""
        if deadline is None:
            self.drop(run_id)
        elif self._deadlines.get(run_id) != deadline:
            self._deadlines[run_id] = deadline
            heapq.heappush(self._heap, (deadline, run_id))
            self._changed.set()

    def drop(self, run_id: str) -> None:
        """Forget a run's deadline."""
        self._deadlines.pop(run_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._deadlines.clear()
        self._heap.clear()

    async def run(self, fire: Callable[[str], Awaitable[None]]) -> None:
        """Call `fire(run_id)` at each deadline, one after the other. A checkpoint, until cancelled."""
        while True:
            self._changed = trio.Event()
            for run_id in self._due():
                await fire(run_id)
            with trio.move_on_after(self._pause()):
                await self._changed.wait()

    def _due(self) -> list[str]:
        now, due = self._clock(), list[str]()
        while self._heap and self._heap[0][0] <= now:
            deadline, run_id = heapq.heappop(self._heap)
            if self._deadlines.get(run_id) == deadline:  # else it was moved or dropped meanwhile
                del self._deadlines[run_id]
                due.append(run_id)
        return due

    def _pause(self) -> float:
        if not self._heap:
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, max(0.0, self._heap[0][0] - self._clock()))
