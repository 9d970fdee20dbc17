"""Where one reader is in a run's events: what it was given, and what it is still owed.

A reader is inside the log's window or behind it. Behind, it first gets what can be read back, and a Gap
that counts the rest; inside, the window is all it needs. So it is given every event after its cursor
once, in order, except those that its Cursor and its Gaps count.
"""

from collections.abc import Sequence

from .event_log import EventLog, distance
from .events import Cursor, Event, Gap, RunEnded, StreamItem


class Reader:
    """One reader's place in one log; it never waits, and holds no event.

    Args:
        log: the run's log; the reader never changes it.
        last_event_id: what the reader says that it saw last.
        strict: end after the Cursor when something after `last_event_id` is gone.
    """

    __slots__ = ("_last", "_log", "_seen", "_strict", "_told", "ended", "gaps", "resume")

    def __init__(self, log: EventLog, last_event_id: int | str | None = None, *, strict: bool = False) -> None:
        self._log, self._strict = log, strict
        self.resume = resume = log.resolve(last_event_id)
        self._last = resume.position if resume.replay_after is None else resume.replay_after
        """Everything up to here was given or counted."""
        self._told = resume.position
        """What is missing up to here is the Cursor's to count."""
        self._seen = self._last
        self.ended = log.terminal is not None and log.terminal == self._last
        """Whether nothing comes any more."""
        self.gaps = 0
        """Gaps that were given; whoever counts them may reset it."""

    @property
    def last(self) -> int:
        """Id up to which every event was given or counted."""
        return self._last

    @property
    def goal(self) -> int:
        """Id up to which durable events have to be read back first; at most `last` when there is no need."""
        return self._told if self._last < self._told else self._log.floor

    @property
    def is_behind(self) -> bool:
        """Whether durable events have to be read back first."""
        return self._last < self.goal

    @property
    def counts(self) -> bool:
        """Whether `cursor` needs to know how many durable events there are from `last` to `goal`."""
        return bool(self.resume.missed) and self.resume.replay_after is not None

    def cursor(self, returning: int = 0) -> Cursor:
        """The first item: how the cursor was resolved, when so many of what the window lacks will be read back."""
        how, missed = self.resume.how, self.resume.missed
        if missed is not None:
            missed = max(0, missed - returning)
        if how == "evicted" and missed == 0:
            how = "resumed"
        self.ended = self.ended or (self._strict and how == "evicted")
        return Cursor(how, missed)

    def recall(self, found: Sequence[Event], through: int) -> list[StreamItem]:
        """Take what was read back: all durable events after `last`, at least up to `through`, itself at most `goal`."""
        low = self._last
        given = [event for event in found if low < event.id <= through]
        items: list[StreamItem] = []
        if low >= self._told:
            missed = distance(low, through)
            if missed is None or missed > len(given):
                items.append(Gap(self._seen, None if missed is None else missed - len(given)))
                self.gaps += 1
        self._last = through
        if given:
            self._seen, self.ended = given[-1].id, type(given[-1]) is RunEnded
        return [*items, *given]

    def take(self, limit: int) -> list[StreamItem]:
        """What comes next in the window, up to `limit` events, with a Gap wherever ids are missing between them.

        Nothing where there is nothing, or while durable events have to be read back first.
        """
        low = self._last
        events = self._log.after(low, limit)
        if not events or (events[0].id != low + 1 and self.is_behind):
            return []
        items: list[StreamItem] = events  # type: ignore[assignment]  # `after` made this list for us
        if events[-1].id - low != len(events):
            items = _with_gaps(low, self._seen, events)
            self.gaps += len(items) - len(events)
        self._last = self._seen = events[-1].id
        self.ended = type(events[-1]) is RunEnded
        return items


def _with_gaps(low: int, seen: int, events: Sequence[Event]) -> list[StreamItem]:
    items: list[StreamItem] = []
    for event in events:
        if missed := distance(low, event.id - 1):
            items.append(Gap(seen, missed))
        items.append(event)
        low = seen = event.id
    return items
