"""The window of one run's events that stays in memory.

Two promises carry the rest. The window holds every event after its `floor` that was published, so a
reader is either inside it or behind. And durable events up to the floor can be read back: from the
store, or, where there is none, from what the log keeps beside its window.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sized
from operator import attrgetter
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from .errors import IllegalTransition, Refused
from .events import (
    BarrierOpened,
    CustomChunk,
    Event,
    RunEnded,
    TextChunk,
    ThinkingChunk,
    ToolChunk,
)
from .ids import LAST_EVENT_ID, split_event_id
from .limits import EVENT_WINDOW, EVENT_WINDOW_BYTES
from .records import RunRow
from .statuses import STREAM_END, TERMINAL, RunStatus, StreamStatus
from .stepped import Stepped

KEPT_EVENTS: Final = 1024
"""Durable events that a log without a store keeps beside its window."""

How: TypeAlias = Literal["fresh", "resumed", "evicted", "invalid", "unknown"]

_BULK: Final[Mapping[type, Callable[[Event], Sized]]] = {
    TextChunk: attrgetter("text"),
    ThinkingChunk: attrgetter("text"),
    ToolChunk: attrgetter("text"),
    CustomChunk: attrgetter("data"),
    BarrierOpened: attrgetter("payload"),
}
"""What may be large in an event. All others are small, and the count bounds them."""
_MAYBE_RUNNING: Final = frozenset({RunStatus.RUNNING, RunStatus.CANCELLING})
_id: Final[Callable[[Event], int]] = attrgetter("id")


class Resume(Struct, frozen=True):
    """How a cursor was resolved, and where its reader goes on."""

    how: How
    position: int
    """Id after which the reader goes on in the window."""
    missed: int | None
    """Events after the cursor that the window does not hold; None when nobody can know."""
    replay_after: int | None
    """Id after which durable events are read back, up to `position`; None: nothing is to be read back."""


class EventLog:
    """Every published event after `floor`, in order, within bounds; the terminal event is last and stays.

    It holds the last `window` events at least and a quarter more at most, or fewer when they have more than
    `window_bytes` (characters count as bytes). The oldest leave, whatever they are: with `replayable` the store
    has the durable ones; without, they move into a list of their own, so that no flood of chunks drops them.

    An id that does not follow the last one is a hole. Inside an epoch only chunks can be lost (a run bounds
    those that wait for a commit), so readers get a Gap there. An epoch that was skipped was somebody else's, unless
    it is known to be over: the window begins anew after it, and readers take the way over the store.

    Steps stay what they are until somebody looks, so that the events of most are never made. They take their places
    in the window then, and it is as if each event had been appended when its step was.
    """

    __slots__ = (
        "_bytes",
        "_dropped",
        "_events",
        "_evicted",
        "_firm",
        "_floor",
        "_kept",
        "_next",
        "_over",
        "_room",
        "_steps",
        "_unsettled",
        "_window",
        "_window_bytes",
        "status",
        "terminal",
    )

    def __init__(
        self, *, replayable: bool = True, window: int = EVENT_WINDOW, window_bytes: int = EVENT_WINDOW_BYTES
    ) -> None:
        self._window, self._window_bytes = window, window_bytes
        self._room = window + window // 4  # dropping some at once is cheaper than one by one
        self._kept: list[Event] | None = None if replayable else []
        self._events: list[Event] = []
        self._bytes = 0
        self._next: int | None = None
        self._over = 0  # the last epoch of which it is known that all it tells was told
        self._unsettled = True  # whether chunks may have been told after the floor before this log began
        self._firm = 0  # id of the last durable event
        self._steps: list[Stepped] = []  # the last ones of those whose events come after `_events`, and were not made
        self._floor = self._evicted = self._dropped = 0
        self.terminal: int | None = None
        """Id of the terminal event, once there is one."""
        self.status = StreamStatus.ACTIVE

    def begin_after(self, row: RunRow) -> None:
        """Stand in for a run that has told nothing here yet: everything up to its row is in the store."""
        self._floor, self._over = row.event_id, row.epoch
        self._unsettled = row.status in _MAYBE_RUNNING
        if row.status in TERMINAL:
            self.terminal, self.status = row.event_id, STREAM_END[row.status]

    def ended_before(self, row: RunRow) -> bool:
        """Whether the run of this log has ended, and the row is that of another one, which has its id by now."""
        return self.terminal is not None and (row.status not in TERMINAL or row.event_id != self.terminal)

    def rest(self, epoch: int) -> None:
        """Hear that the run has come to rest in an epoch: it tells nothing more in that, and may have told nothing."""
        if epoch == self._last_epoch + 1:
            self._over = epoch

    def __len__(self) -> int:
        return len(self._told())

    @property
    def floor(self) -> int:
        """Id of the last event before the window."""
        if self._steps:
            self._settle()
        return self._floor

    @property
    def evicted(self) -> int:
        """Events that left the window."""
        if self._steps:
            self._settle()
        return self._evicted

    @property
    def dropped(self) -> int:
        """Events that nobody can read back any more."""
        if self._steps:
            self._settle()
        return self._dropped

    @property
    def tail(self) -> int:
        """Id of the last event."""
        events = self._told()
        return events[-1].id if events else self._floor

    @property
    def before(self) -> int:
        """Id of the event before the last one."""
        events = self._told()
        return events[-2].id if len(events) > 1 else self._floor

    def volatile(self) -> int:
        """How many events of the window nobody could read back."""
        return sum(not event.durable for event in self._told())

    def append(self, event: Event) -> int:
        """Take the run's next event and return its id; a second terminal event returns the first one's id.

        Raises `IllegalTransition` after the terminal event and `Refused` for an id that does not rise; then
        nothing has changed.
        """
        if self._steps:
            self._settle()
        number = event.id
        if number != self._next:
            if self._events and self.terminal is not None and isinstance(event, RunEnded):
                return self.terminal
            self._admit(event)
        events = self._events
        events.append(event)
        self._next = number + 1
        if type(event) is TextChunk:  # as below, without asking: most events of a run that talks are chunks of text
            self._bytes += len(event.text)
            if self._bytes > self._window_bytes:
                self._weigh()
        else:
            self._note(event)
        if len(events) > self._room:
            self._drop(len(events) - self._window)
        return number

    def _note(self, event: Event) -> None:
        """Weigh an event, and keep in mind what it is."""
        if (bulk := _BULK.get(type(event))) is not None:
            self._bytes += len(bulk(event))
            if self._bytes > self._window_bytes:
                self._weigh()
        if event.durable:
            self._firm = event.id
            if type(event) is RunEnded:
                self._end(event)

    def append_step(self, step: Stepped) -> None:
        """Take the next two events, to be made when somebody looks; otherwise as `append`, one after the other."""
        if step.id != self._next or self._kept is not None:
            self.append(step.finished)
            self.append(step.started)
            return
        steps = self._steps
        steps.append(step)
        self._next = step.id + 2
        if len(steps) > self._room:
            del steps[: -(self._room // 2 + 1)]  # no event of these can still be in the window

    def _settle(self) -> None:
        """Give the events of steps their places, as if each had been appended when its step was."""
        steps, self._steps = self._steps, []
        old, first = len(self._events), self._events[-1].id + 1
        new = steps[-1].id + 2 - first  # with those of steps that are not kept
        over, at_once = old + new - self._room, self._room + 1 - self._window
        gone = -(-over // at_once) * at_once if over > 0 else 0
        self._firm = first + new - 2
        self._drop(min(gone, old))
        if gone > old:
            self._floor = first + gone - old - 1
            self._evicted += gone - old
            self._dropped += (gone - old) // 2  # each second one is volatile
            new -= gone - old
        made = [event for step in steps[-((new + 1) // 2) :] for event in (step.finished, step.started)]
        self._events += made[-new:]

    def _told(self) -> list[Event]:
        """The window, with all that was told."""
        if self._steps:
            self._settle()
        return self._events

    def _admit(self, event: Event) -> None:
        """Let in an event that is not simply the next one, or raise."""
        if self.terminal is not None and (self._events or event.id > self.terminal):
            hint = f"event {event.id} comes after the terminal event {self.terminal}"
            raise IllegalTransition(event.run_id, "stream", self.status, StreamStatus.ACTIVE, hint)
        if event.id < 1 or (self._events and event.id <= self.tail):
            raise Refused(event.run_id, f"event {event.id} cannot follow event {self.tail}: ids rise, from 1")
        if not self._follows(event.id):
            self._begin_anew(event.id - 1)
        # What a store's row said about the end is told anew by the events that the row was ahead of.
        self.terminal, self.status = None, StreamStatus.ACTIVE

    def _begin_anew(self, floor: int) -> None:
        self._drop(len(self._events))
        self._floor, self._bytes = floor, 0

    def _follows(self, number: int) -> bool:
        epoch = split_event_id(number)[0]
        if self._events:
            return epoch <= self._last_epoch + 1
        # The very next id needs no word here: to begin anew right after the floor changes nothing.
        return split_event_id(self.floor)[0] < epoch <= self._last_epoch + 1 and not self._unsettled

    @property
    def _last_epoch(self) -> int:
        """The last epoch of which something is known here."""
        return max(split_event_id(self.tail)[0], self._over)

    def _end(self, event: RunEnded) -> None:
        self.terminal, self.status = event.id, STREAM_END[event.status]
        self._next = None  # whatever comes now has to be admitted, and will not be

    def _weigh(self) -> None:
        """Drop the oldest events while all have too many bytes, but not the last one."""
        # `_bytes` only ever rises until here, so it is at least what the window has: dropping by count is cheap.
        sizes = [len(bulk(event)) if (bulk := _BULK.get(type(event))) else 0 for event in self._events]
        self._bytes, count = sum(sizes), 0
        while self._bytes > self._window_bytes and count < len(sizes) - 1:
            self._bytes -= sizes[count]
            count += 1
        self._drop(count)

    def _drop(self, count: int) -> None:
        """Let the oldest events go."""
        if not count:
            return
        gone, events = self._events[:count], self._events
        del events[:count]
        self._floor = gone[-1].id
        self._evicted += count
        self._dropped += count
        if gone[0].id <= self._firm:
            self._keep([event for event in gone if event.durable])

    def _keep(self, durable: list[Event]) -> None:
        """Remember what has left the window and can be read back."""
        self._dropped -= len(durable)
        if self._kept is not None:
            self._kept.extend(durable)
            self._dropped += len(self._kept[:-KEPT_EVENTS])
            del self._kept[:-KEPT_EVENTS]

    def after(self, number: int, limit: int) -> list[Event]:
        """Up to `limit` events of the window that come after this id."""
        if self._steps:
            self._settle()
        events = self._events
        if not events:
            return []
        first = len(events) + number - events[-1].id  # its place, unless ids are missing
        if first >= len(events):
            return []
        if first < 0 or events[first].id != number + 1:
            first = bisect_right(events, number, key=_id)
        return events[first : first + limit]

    def count_after(self, number: int) -> int:
        """How many events came after this id: those of the window, and as many before it as can be known."""
        events, floor = self._told(), self._floor
        gone = (distance(number, floor) or 0) if number < floor else 0
        return gone + len(events) - bisect_right(events, number, key=_id)

    def kept_after(self, number: int) -> list[Event]:
        """Durable events after this id that have left the window and are in no store."""
        return [event for event in self._kept or () if event.id > number]

    def resolve(self, last_event_id: int | str | None) -> Resume:
        """Say where a reader goes on that has seen everything up to this id; never raises."""
        cursor = 0 if last_event_id is None else event_number(last_event_id)
        if not cursor:
            return self._from_start("invalid" if cursor is None else "fresh")
        if cursor < self.floor:
            return Resume("evicted", self.floor, self._lost(cursor), cursor)
        if self._issued(cursor):
            return Resume("resumed", cursor, self._lost(self.floor), None)
        return self._from_start("unknown")

    def _from_start(self, how: How) -> Resume:
        return Resume(how, self.floor, self._lost(0), 0 if self.floor > 0 else None)

    def _issued(self, cursor: int) -> bool:
        if self._events:
            here = bisect_right(self._events, cursor, key=_id)
            return cursor == self.floor or (here > 0 and self._events[here - 1].id == cursor)
        # A run that died with its process may have shown chunks after its last durable event.
        same_epoch = split_event_id(cursor)[0] == split_event_id(self.floor)[0]
        return cursor == self.floor or (self._unsettled and same_epoch)

    def _lost(self, cursor: int) -> int | None:
        return None if self._unsettled and not self._events else distance(cursor, self.floor)


def distance(low: int, high: int) -> int | None:
    """How many ids lie above `low`, up to `high`; None across epochs, where nobody can know.

    Either may stand for "just before the next id", so it is the next ids' epochs that count.
    """
    same_epoch = split_event_id(low + 1)[0] == split_event_id(high + 1)[0]
    return high - low if low == high or same_epoch else None


def event_number(last_event_id: int | str) -> int | None:
    """The event that a cursor names, or None for one that names none."""
    if isinstance(last_event_id, str):
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 16):
            return None
        last_event_id = int(last_event_id)
    return last_event_id if 0 <= last_event_id <= LAST_EVENT_ID else None
