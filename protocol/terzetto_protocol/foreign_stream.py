"""The stream of a run that somebody else carries: what is kept of it, and what becomes of it as time passes.

Such a producer may die without a word, and nobody stores what it says. So there is a time after which silence is an
error, and one after which the end is forgotten. The stream has no clock: whoever asks says what time it is.
"""

import re
from typing import Final

from attrs import field, frozen

from .bridge import TERMINAL_EVENTS, TERMINAL_STATES, JSONValue, ResumeResult, StreamEvent, check_terminal
from .errors import IllegalTransition, InvalidRequest
from .ids import is_time
from .limits import (
    BRIDGE_STREAMS,
    DEAD_LETTER,
    DEAD_LETTER_AWAITING,
    EVENT_WINDOW,
    EVENT_WINDOW_BYTES,
    STREAM_RETENTION,
    STREAM_UNREAD,
)
from .statuses import STREAM_MOVES, StreamStatus

AWAITING_EVENT: Final = "awaiting_input"
"""What a stream shows when it is marked as awaiting input."""
NO_PUBLISH: Final[JSONValue] = {"error": "dead_letter", "reason": "no_publish_timeout"}
"""What the last event of a stream carries whose producer fell silent."""
_ID: Final = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)


@frozen(kw_only=True)
class BridgeTerms:
    """What a bridge keeps of foreign producers, and for how long."""

    window: int = field(default=EVENT_WINDOW)
    """Events of one run."""
    window_bytes: int = field(default=EVENT_WINDOW_BYTES)
    """Bytes of one run's events."""
    streams: int = field(default=BRIDGE_STREAMS)
    """Runs."""
    dead_letter: float = field(default=DEAD_LETTER)
    """Seconds without a publish after which a stream ends with an error."""
    dead_letter_awaiting: float = field(default=DEAD_LETTER_AWAITING)
    """The same while it is awaiting input."""
    retention: float = field(default=STREAM_RETENTION)
    """Seconds for which a stream is kept after its end; longer where it is read."""
    unread: float = field(default=STREAM_UNREAD)
    """Seconds for which it is kept then without a reader."""

    def __attrs_post_init__(self) -> None:
        """Raise `InvalidRequest` for what is no limit."""
        for name in ("window", "window_bytes", "streams"):
            if (value := getattr(self, name)) < 1:
                raise InvalidRequest(f"{name}={value!r}: keep 1 or more")
        for name in ("dead_letter", "dead_letter_awaiting", "retention", "unread"):
            if not is_time(value := getattr(self, name)):
                raise InvalidRequest(f"{name}={value!r} is not a number of seconds above 0")


class ForeignStream:
    """One run's events within bounds, and its status; ids are `birth-number`, and never mean anything else.

    The last `window` events are kept, or fewer when they have more than `window_bytes`; the oldest leave, whatever
    they are. The terminal event is last, drives nothing out, and stays.

    Args:
        run_id: whose it is.
        birth: a number that rises with every stream of this id, in any life of the process.
        now: seconds.
        terms: the bounds.
    """

    def __init__(self, run_id: str, birth: int, now: float, terms: BridgeTerms) -> None:
        self.run_id: Final = run_id
        self.status = StreamStatus.ACTIVE
        self.awaiting_input = False
        self.cleaned = False
        """Whether the bridge has forgotten it."""
        self.readers = 0
        self.floor = 0
        """Events that have left the window."""
        self.terminal: StreamEvent | None = None
        self._birth: Final = birth
        self._terms: Final = terms
        self._events: list[StreamEvent] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._moved = now
        """When something happened last that its time is counted from: a publish, the end, a reader's leaving."""
        self._ended = now

    @property
    def tail(self) -> int:
        """Events that were ever published."""
        return self.floor + len(self._events)

    # -- what its producer says ------------------------------------------------------------------------------

    def publish(self, event: str, data: JSONValue, size: int, now: float) -> StreamEvent:
        """Take an event; it waits for no input any more. Raises `IllegalTransition` after the end."""
        self._check_active(f"event {event!r} comes after its end")
        self.awaiting_input, self._moved = False, now
        made = self._append(event, data, size)
        self._trim()
        return made

    def await_input(self, now: float) -> StreamEvent | None:
        """Hear that the run waits for people, and show it; None where it does already."""
        self._check_active("nobody can be waited for after its end")
        if self.awaiting_input:
            return None
        made = self.publish(AWAITING_EVENT, None, 1, now)
        self.awaiting_input = True
        return made

    def end(self, kind: StreamStatus, data: JSONValue, size: int, now: float) -> StreamEvent:
        """End it; its terminal event is the first one, however often it ends. Raises `InvalidRequest` for no end."""
        check_terminal(kind)
        if self.terminal is None:
            self._check_active("", kind)
            self.status, self.awaiting_input = kind, False
            self._moved = self._ended = now
            self.terminal = self._append(TERMINAL_EVENTS[kind], data, size)
        return self.terminal

    def _check_active(self, hint: str, target: StreamStatus = StreamStatus.ACTIVE) -> None:
        moves = STREAM_MOVES[self.status]
        if target not in moves and not (target is self.status is StreamStatus.ACTIVE):
            raise IllegalTransition(self.run_id, "stream", self.status, target, hint)

    def _append(self, event: str, data: JSONValue, size: int) -> StreamEvent:
        made = StreamEvent(f"{self._birth}-{self.tail + 1}", event, data)
        self._events.append(made)
        self._sizes.append(size + len(event))
        self._bytes += self._sizes[-1]
        return made

    def _trim(self) -> None:
        count, terms = max(0, len(self._events) - self._terms.window), self._terms
        self._bytes -= sum(self._sizes[:count])
        while self._bytes > terms.window_bytes and count < len(self._events) - 1:
            self._bytes -= self._sizes[count]
            count += 1
        del self._events[:count], self._sizes[:count]
        self.floor += count

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When something becomes of it by itself, if nothing else happens: its end, or that it may be forgotten."""
        terms = self._terms
        if self.status not in TERMINAL_STATES:
            return self._moved + (terms.dead_letter_awaiting if self.awaiting_input else terms.dead_letter)
        return None if self.readers else min(self._ended + terms.retention, self._moved + terms.unread)

    def pass_time(self, now: float) -> bool:
        """Let time pass: a silent producer is given up. Returns whether the stream may be forgotten."""
        if self.status not in TERMINAL_STATES and (due := self.due) is not None and due <= now:
            self.end(StreamStatus.ERRORED, NO_PUBLISH, 1, due)
        return self.status in TERMINAL_STATES and (due := self.due) is not None and due <= now

    # -- its readers -----------------------------------------------------------------------------------------

    def come(self) -> None:
        """Count a reader in."""
        self.readers += 1

    def leave(self, now: float) -> None:
        """Count a reader out."""
        self.readers -= 1
        if self.status in TERMINAL_STATES:
            self._moved = now

    def resolve(self, last_event_id: str | None) -> ResumeResult:
        """Say where a reader goes on that has seen everything up to this id; never raises."""
        if not last_event_id:
            return ResumeResult(self.floor, "fresh", self.floor)
        match = _ID.fullmatch(last_event_id) if isinstance(last_event_id, str) else None
        if match is None:
            return ResumeResult(self.floor, "invalid", self.floor)
        birth, number = int(match[1]), int(match[2])
        if birth < self._birth:
            return ResumeResult(self.floor, "evicted", None)  # of what another stream told after it nobody knows
        if birth > self._birth or not 1 <= number <= self.tail:
            return ResumeResult(self.floor, "unknown", self.floor)
        if number < self.floor:
            return ResumeResult(self.floor, "evicted", self.floor - number)
        return ResumeResult(number, "resumed")

    def after(self, offset: int, limit: int) -> list[StreamEvent]:
        """Up to `limit` events from this one on, counted from 0, that are in the window."""
        first = max(0, offset - self.floor)
        return self._events[first : first + limit]
