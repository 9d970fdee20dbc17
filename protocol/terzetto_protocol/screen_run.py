"""The run that a screen shows: its places, its open barriers, and the last of what it told."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from .events import (
    BarrierOpened,
    BarrierResolved,
    Cursor,
    Event,
    Gap,
    Heartbeat,
    NodeFailed,
    NodeStarted,
    RetryScheduled,
    RunEnded,
    StreamItem,
    TextChunk,
    ThinkingChunk,
)
from .sayings import event_line
from .shown import Shown
from .views import BarrierView, event_view

TOLD: Final = 500
"""Events that are kept for a screen."""
_PASSING: Final = "... what was not stored may be missing here"
_CHUNKS: Final = 500
"""Characters of a streamed text that are kept: the last ones."""


@frozen
class Said:
    """An event, as a line says it."""

    at: float
    text: str
    role: str = ""


class ShownRun:
    """What is known of one run, besides how it is listed."""

    def __init__(self, run_id: str) -> None:
        self.run_id: Final = run_id
        self.places: Mapping[str, Shown] = {}
        self.barriers: tuple[BarrierView, ...] = ()
        self.events: Final = deque[Said](maxlen=TOLD)
        self.count = 0
        """Events that were told, also those that are not kept."""
        self.looked = False
        """Whether places and barriers were told."""
        self.trouble = ""
        """Why they were not."""
        self._streaming: tuple[type[object], str, int] | None = None

    def look(self, places: Mapping[str, Shown], barriers: Iterable[BarrierView]) -> None:
        """Take how it stands."""
        self.places, self.barriers = places, tuple(barriers)
        self.looked, self.trouble = True, ""

    def hear(self, items: Iterable[StreamItem]) -> bool:
        """Take what it told; True when it stands otherwise than before."""
        moved = False
        for item in items:
            if isinstance(item, Cursor | Heartbeat):
                continue
            if isinstance(item, TextChunk | ThinkingChunk):
                self._stream(item)
                continue
            self._streaming, moved = None, True
            self._say(_said(item))
        return moved

    def _stream(self, chunk: TextChunk | ThinkingChunk) -> None:
        """A text that goes on stays one line."""
        key = (type(chunk), chunk.node, chunk.visit)
        if self._streaming == key and self.events:
            last = self.events.pop()
            self.events.append(Said(last.at, _end_of(last.text + chunk.text), last.role))
            return
        self._streaming = key
        self._say(Said(chunk.at, event_line(event_view(chunk)), "dim" if isinstance(chunk, ThinkingChunk) else ""))

    def _say(self, said: Said) -> None:
        self.events.append(said)
        self.count += 1


def _end_of(text: str) -> str:
    head, _, rest = text.partition(": ")
    return text if len(rest) <= _CHUNKS else f"{head}: {rest[-_CHUNKS:]}"


def _said(item: Event | Gap) -> Said:
    if isinstance(item, Gap):
        text = _PASSING if item.missed is None else event_line(event_view(item))
        return Said(0.0, text, "dim")
    return Said(item.at, event_line(event_view(item)), _role(item))


def _role(item: Event) -> str:
    match item:
        case NodeFailed() | RetryScheduled():
            return "error"
        case BarrierOpened():
            return "waiting"
        case BarrierResolved():
            return "good"
        case NodeStarted():
            return "dim"
        case RunEnded(status=status):
            return str(status)
        case _:
            return ""
