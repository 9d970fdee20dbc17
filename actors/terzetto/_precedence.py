"""Who goes first when several are about to speak to the same run (SEMANTICS 6.4)."""

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final, TypeVar

import trio
from attrs import define, field

T = TypeVar("T")


class Rank(IntEnum):
    """A cancel goes before a decision, and that before a timeout."""

    TIMEOUT = 0
    DECISION = 1
    CANCEL = 2


@define(eq=False)
class _Line:
    ranks: list[Rank] = field(factory=list[Rank])
    moved: trio.Event = field(factory=trio.Event)


class Lines:
    """A line per run that somebody is about to speak to."""

    def __init__(self) -> None:
        self._lines: Final[dict[str, _Line]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    async def first(self, run_id: str, rank: Rank, find: Callable[[str], Awaitable[T]]) -> T:
        """What `find` finds, once nobody who goes before is waiting; speak to it before the next checkpoint.

        A checkpoint where `find` is one or somebody goes before. A cancelled wait leaves the line.
        """
        line = self._lines.setdefault(run_id, _Line())
        line.ranks.append(rank)
        try:
            found = await find(run_id)
            while max(line.ranks) > rank:
                await line.moved.wait()
                found = await find(run_id)
            return found
        finally:
            line.ranks.remove(rank)
            line.moved.set()
            line.moved = trio.Event()
            if not line.ranks:
                self._lines.pop(run_id)
