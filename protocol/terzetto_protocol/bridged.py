"""What our runs tell, in the words of a stream bridge: ids as texts, data as JSON has it."""

from typing import Final

import msgspec

from .bridge import (
    HEARTBEAT_SENTINEL,
    TERMINAL_EVENTS,
    JSONValue,
    ResumeResult,
    StreamEvent,
    gap,
    resumed,
)
from .events import Cursor, Event, Gap, Heartbeat, RunEnded, StreamItem
from .limits import EVENT_WINDOW
from .statuses import STREAM_END, StreamStatus

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def kind_of(event: Event) -> StreamStatus:
    """The status that a stream has after an event."""
    return STREAM_END[event.status] if isinstance(event, RunEnded) else StreamStatus.ACTIVE


def name_of(event: Event) -> str:
    """What an event is called: as its type, or `end`, `cancel` or `error`."""
    return TERMINAL_EVENTS[kind_of(event)] if isinstance(event, RunEnded) else type(event).__name__


def data_of(event: Event) -> JSONValue:
    """What an event carries, without the ids: those of a stream's events are its own, and it has one run."""
    fields = _unpack(_pack(event))  # what was packed inside it is a part of that
    for name in ("type", "id", "run_id"):
        del fields[name]
    data: JSONValue = msgspec.to_builtins(fields, str_keys=True)
    return data


def bridged(event: Event) -> StreamEvent:
    """An event as readers of a bridge get it, under the same id."""
    return StreamEvent(str(event.id), name_of(event), data_of(event))


class Bridged:
    """The events that one run's readers were shown last, so that each is made once for all of them."""

    def __init__(self) -> None:
        self._made: Final[dict[int, tuple[Event, StreamEvent]]] = {}

    def show(self, item: StreamItem, next_offset: int) -> StreamEvent:
        """An item of a subscription as readers of a bridge get it; `next_offset` is where its reader goes on."""
        if isinstance(item, Cursor):
            return resumed(ResumeResult(next_offset, item.how, item.missed))
        if isinstance(item, Gap):
            return gap(str(item.after) if item.after else "", item.missed)
        if isinstance(item, Heartbeat):
            return HEARTBEAT_SENTINEL
        made = self._made.get(item.id)
        if made is not None and made[0] is item:  # else it is another run's, which has the id of one that is deleted
            return made[1]
        if len(self._made) > 2 * EVENT_WINDOW:
            self._made.clear()
        shown = bridged(item)
        self._made[item.id] = item, shown
        return shown
