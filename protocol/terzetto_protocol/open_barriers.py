"""The open barriers of one run, found by their ids, and the next moment at which one of them decides by itself."""

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from .records import Opening

if TYPE_CHECKING:
    from .pending import Pending


class OpenBarriers:
    """An index over a frontier: asking it costs the same however many visits there are."""

    __slots__ = ("_moments", "by_id")

    def __init__(self) -> None:
        self.by_id: dict[str, tuple[Pending, str, Opening]] = {}
        """The visit that each belongs to, its name, and how it opened; in the order in which they did."""
        self._moments: list[tuple[float, str]] = []
        """A heap of deadlines; those of barriers that are closed leave it when they come to its top."""

    def add(self, entry: "Pending", barrier: str, name: str, opening: Opening) -> None:
        """A barrier has opened."""
        self.by_id[barrier] = entry, name, opening
        if opening.deadline is not None:
            heappush(self._moments, (opening.deadline, barrier))

    def add_all(self, entry: "Pending") -> None:
        """All barriers of a visit are open."""
        for barrier, name, opening in entry.open_barriers:
            self.add(entry, barrier, name, opening)

    def drop_all(self, entry: "Pending") -> None:
        """All barriers of a visit have closed."""
        if entry.opening is not None or entry.asks:
            for barrier, _, _ in entry.open_barriers:
                del self.by_id[barrier]

    def drop(self, barrier: str) -> None:
        """A barrier has closed."""
        del self.by_id[barrier]

    @property
    def next_moment(self) -> float | None:
        """The first deadline of those that are open, as UNIX time."""
        while self._moments:
            moment, barrier = self._moments[0]
            found = self.by_id.get(barrier)
            if found is not None and found[2].deadline == moment:
                return moment
            heappop(self._moments)
        return None

    def due(self, now: float) -> list[str]:
        """Those whose deadline has passed, in the order in which they opened."""
        first = self.next_moment
        if first is None or first > now:
            return []
        found = self.by_id.items()
        return [each for each, (_, _, opening) in found if opening.deadline is not None and opening.deadline <= now]
