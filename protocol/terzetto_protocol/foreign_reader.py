"""Where one reader is in the stream of a foreign producer: what it was given, and what comes next.

It is given every event after its cursor once, in order, except those that its first word and its gaps count. After
the terminal event nothing follows; whoever has seen that one, or reads what was cleaned up, is told by a sentinel.
"""

from .bridge import CANCELLED_SENTINEL, END_SENTINEL, StreamEvent, gap
from .foreign_stream import ForeignStream


class ForeignReader:
    """One reader's place in one stream; it never waits."""

    def __init__(self, stream: ForeignStream, last_event_id: str | None) -> None:
        self._stream = stream
        self.resume = stream.resolve(last_event_id)
        self.done = False
        """Whether nothing comes any more."""
        self._next = self.resume.next_offset
        self._seen = last_event_id or ""

    def take(self, limit: int) -> list[StreamEvent]:
        """What comes next, with the count of what is missing before it; nothing where there is nothing yet."""
        stream, items = self._stream, list[StreamEvent]()
        if self.done:
            return items
        if self._next < stream.floor:
            items.append(gap(self._seen, stream.floor - self._next))
            self._next = stream.floor
        given = stream.after(self._next, limit)
        if given:
            self._next += len(given)
            self._seen = given[-1].id
            self.done = given[-1] is stream.terminal
        elif stream.terminal is not None or stream.cleaned:
            items.append(END_SENTINEL if stream.terminal is not None else CANCELLED_SENTINEL)
            self.done = True
        return items + given
