"""What is said over a stream bridge: events with texts as ids, and words that are no events of a run.

The names are those that users of such bridges know. A word that is not an event has an empty id, so that nobody
takes it for a place to go on from: a heartbeat, an end, a cancel, how a cursor was resolved, and what is missing.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from attrs import frozen

from .codec import check_text, pack_plain, unpack_plain
from .errors import InvalidRequest
from .event_log import How
from .ids import check_choice
from .limits import LABEL_LENGTH
from .statuses import StreamStatus

JSONValue: TypeAlias = "bool | int | float | str | list[JSONValue] | dict[str, JSONValue] | None"
"""What an event carries."""


@frozen
class StreamEvent:
    """One event of a stream, or a word between events; readers share its data, and change nothing in it."""

    id: str
    """Where a reader goes on after it; empty for what is no event of the run."""
    event: str
    """What it is about."""
    data: JSONValue = None


@frozen
class ResumeResult:
    """How a `last_event_id` was resolved, and where its reader goes on."""

    next_offset: int
    """The next event, in the bridge's own counting."""
    status: How
    """`fresh`, `resumed`, `evicted`, `invalid` or `unknown`."""
    gap_count: int | None = 0
    """Events that are gone for this reader; None when nobody can know."""


TERMINAL_STATES: Final = frozenset({StreamStatus.ENDED, StreamStatus.CANCELLED, StreamStatus.ERRORED})
"""Statuses of a stream that nothing follows; CLOSED is the bridge going away, which is no end of a run."""
TERMINAL_EVENTS: Final[Mapping[StreamStatus, str]] = {
    StreamStatus.ENDED: "end",
    StreamStatus.CANCELLED: "cancel",
    StreamStatus.ERRORED: "error",
}
"""How the last event of a stream is called."""

HEARTBEAT_SENTINEL: Final = StreamEvent("", "__heartbeat__")
"""Nothing has happened for a while, and the stream is alive."""
END_SENTINEL: Final = StreamEvent("", "__end__")
"""The reader has seen the stream's last event, and is at the end."""
CANCELLED_SENTINEL: Final = StreamEvent("", "__cancelled__")
"""The stream was cleaned up before it had an end; nothing follows."""
RESUME_EVENT: Final = "__resume__"
"""The first word of every subscription; its data is a `ResumeResult` (`resume_of` reads it)."""
GAP_EVENT: Final = "__gap__"
"""This reader fell behind; its data has `after`, the id of the last event that it saw, and `missed`."""


def resumed(result: ResumeResult) -> StreamEvent:
    """The first word of a subscription."""
    data: JSONValue = {
        "next_offset": result.next_offset,
        "status": result.status,
        "gap_count": result.gap_count,
    }
    return StreamEvent("", RESUME_EVENT, data)


def resume_of(event: StreamEvent) -> ResumeResult | None:
    """What the first word of a subscription says; None for anything else."""
    if event.id or event.event != RESUME_EVENT:
        return None
    return ResumeResult(**cast("dict[str, Any]", event.data))


def gap(after: str, missed: int | None) -> StreamEvent:
    """Say that so many events after this id are gone for a reader; None when nobody can know how many."""
    return StreamEvent("", GAP_EVENT, {"after": after, "missed": missed})


def check_event(name: str) -> str:
    """Return the name of an event, or raise `InvalidRequest` for what is none or would be taken for a sentinel."""
    if not check_text(name, "the name of an event") or len(name) > LABEL_LENGTH:
        raise InvalidRequest(f"{name!r:.80} is no name of an event: use 1 to {LABEL_LENGTH} characters")
    if name.startswith("__") and name.endswith("__"):
        raise InvalidRequest(f"event {name!r}: such names are for words between events")
    return name


def check_terminal(kind: StreamStatus) -> StreamStatus:
    """Return the status, or raise `InvalidRequest` for one that ends no stream."""
    return check_choice(kind, tuple(TERMINAL_EVENTS), "how a stream ends")


def sealed(event: str, data: JSONValue) -> tuple[JSONValue, int]:
    """A copy of what an event carries, which shares nothing with whoever made it, and its size in bytes.

    Raises `NotStorable` for what is too large, nested too deep, or not the same in JSON.
    """
    if data is None:
        return None, 1
    packed = pack_plain(data, f"the data of event {event!r}")
    return unpack_plain(packed), len(packed)
