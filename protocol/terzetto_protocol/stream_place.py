"""Where a client is in a run's events, over any number of connections: each is given once, in order, and gaps told.

A server says with each Cursor and each Gap how many events are missing up to some point ahead of the reader. When a
connection is cut before that point, the next Cursor counts some of them again: what was told and not passed yet is
*owed*, and only what is missing beyond that is told.
"""

from collections.abc import Iterable, Iterator

from .event_log import distance
from .events import Cursor, Event, Gap, Heartbeat, RunEnded, StreamItem


class StreamPlace:
    """One subscription as its reader sees it.

    Args:
        last_event_id: the last event that the reader saw before; None for none.
    """

    __slots__ = ("_begun", "_last", "_owed", "_unsure", "ended")

    def __init__(self, last_event_id: int | None = None) -> None:
        self._last = last_event_id
        self._begun = False
        """Whether the reader was given a Cursor."""
        self._owed = 0
        """Missing events that the reader was told of, and that lie ahead."""
        self._unsure = False
        """Whether the reader was told, since its last event, that nobody knows how many are missing."""
        self.ended = False
        """Whether the run's last event was given."""

    @property
    def last_event_id(self) -> int | None:
        """What to subscribe with, at the beginning and after each cut."""
        return self._last

    def take(self, events: Iterable[StreamItem]) -> list[StreamItem]:
        """What the reader is given of what the server has told."""
        given: list[StreamItem] = []
        for event in events:
            if isinstance(event, Cursor):
                given.extend(self._resume(event))
            elif isinstance(event, Gap):
                self._owe(event.missed, self._owed)
                given.append(event)
            elif isinstance(event, Heartbeat):
                given.append(event)
            elif event.id > (self._last or 0):
                self._pass(event)
                given.append(event)
        return given

    def _pass(self, event: Event) -> None:
        """Hear the next event: what was owed in front of it is settled."""
        if self._owed:
            hole = distance(self._last or 0, event.id - 1)
            self._owed = 0 if hole is None else max(0, self._owed - hole)
        self._last, self._unsure, self.ended = event.id, False, isinstance(event, RunEnded)

    def _resume(self, cursor: Cursor) -> Iterator[StreamItem]:
        """Hear how the last event was found: the reader is told what is new to it."""
        owed, unsure, begun = self._owed, self._unsure, self._begun
        self._begun = True
        self._owe(cursor.missed, 0)
        if cursor.how in ("invalid", "unknown"):
            self._last = None  # the events of somebody else, from the beginning
            yield cursor
        elif not begun:
            yield cursor
        elif cursor.missed is None and not unsure:
            yield Gap(self._last or 0, None)
        elif cursor.missed is not None and cursor.missed > owed and not unsure:
            yield Gap(self._last or 0, cursor.missed - owed)

    def _owe(self, missed: int | None, before: int) -> None:
        self._owed = before + (missed or 0)
        self._unsure = self._unsure or missed is None
