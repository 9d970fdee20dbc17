"""Server-sent events: what a run tells, as a browser's EventSource and others read it."""

from collections.abc import Iterable, Iterator
from typing import Final

from .discreet import discreet_event
from .events import Heartbeat, StreamItem
from .limits import WIRE_PIECE
from .wire import write_event

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_COMMENT: Final = b": heartbeat\n\n"


def sse_item(item: StreamItem) -> bytes:
    """One item of a stream; only what has an id moves the `Last-Event-ID` of whoever reads it.

    The event is called as its type is, and its data are the JSON that a frame of the console has, which is one line;
    where a node failed, it is not said where on the server that was.
    """
    if isinstance(item, Heartbeat):
        return HEARTBEAT_COMMENT
    number = getattr(item, "id", None)
    head = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (head, type(item).__name__.encode(), write_event(discreet_event(item)))


def sse_bodies(items: Iterable[StreamItem], size: int = WIRE_PIECE) -> Iterator[bytes]:
    """Items in their order, in pieces that end after about so many bytes."""
    piece = bytearray()
    for item in items:
        piece += sse_item(item)
        if len(piece) >= size:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
