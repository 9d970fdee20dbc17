"""Tasks of one run that are cancelled together: the visits of a fork's branches.

A crowd is there while one of its tasks is, and gets a nursery of its own in which it can be cancelled; one for each
branch would cost as much as the branch. Whoever carries the run says what a task does.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import trio

from terzetto_protocol.turn import Start

Visiting: TypeAlias = Callable[[Start], Awaitable[None]]
"""Carries one visit from its start to its end."""


class Crowd:
    """The tasks of one fork.

    Args:
        fork: its path.
    """

    __slots__ = ("_nursery", "_waiting", "count", "fork", "is_cancelled", "scope")

    def __init__(self, fork: str) -> None:
        self.fork: Final = fork
        self.scope: Final = trio.CancelScope()
        self.is_cancelled = False
        self.count = 0
        self._nursery: trio.Nursery | None = None
        self._waiting: list[Start] = []
        """Visits that begin as soon as there is a nursery for them."""

    def add(self, start: Start, visit: Visiting) -> None:
        """Begin a visit. Not a checkpoint."""
        self.count += 1
        if self._nursery is None:
            self._waiting.append(start)
        else:
            self._nursery.start_soon(visit, start, name=start.node)

    async def carry(self, visit: Visiting) -> None:
        """Run its tasks until the last has ended. A checkpoint; cancelled, all of them are."""
        with self.scope:
            async with trio.open_nursery() as self._nursery:
                for start in self._waiting:
                    self._nursery.start_soon(visit, start, name=start.node)
                self._waiting.clear()


class Crowds:
    """The crowds of one run."""

    __slots__ = ("_forks", "_visits")

    def __init__(self) -> None:
        self._forks: Final[dict[str, Crowd]] = {}
        """Those that take new tasks."""
        self._visits: Final[dict[int, Crowd]] = {}

    def begin(self, start: Start, fork: str, nursery: trio.Nursery, visit: Visiting) -> None:
        """Begin a visit in the crowd that it belongs to; a new one begins in the nursery. Not a checkpoint."""
        crowd = self._forks.get(fork)
        if crowd is None:
            crowd = self._forks[fork] = Crowd(fork)
            nursery.start_soon(crowd.carry, visit)
        self._visits[start.visit] = crowd
        crowd.add(start, visit)

    def leave(self, visit: int) -> bool:
        """The task of a visit ends; whether it was cancelled with its crowd, if it was in one. Not a checkpoint."""
        crowd = self._visits.pop(visit, None)
        if crowd is None:
            return False
        crowd.count -= 1
        if not crowd.count:
            self._close(crowd)  # its nursery closes with this task
        return crowd.is_cancelled

    def cancel(self, visits: Iterable[int], reason: str) -> None:
        """Cancel the crowds of these visits, all of whose others are among them. Not a checkpoint."""
        for visit in visits:
            if (crowd := self._visits.get(visit)) is not None:
                crowd.is_cancelled = True
                crowd.scope.cancel(reason=reason)
                self._close(crowd)  # what begins under this path later is not meant

    def _close(self, crowd: Crowd) -> None:
        if self._forks.get(crowd.fork) is crowd:
            del self._forks[crowd.fork]
