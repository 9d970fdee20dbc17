"""The frames of the console: JSON texts that a client and a server send each other over a websocket.

A client greets, and then asks: each `Request` has an id, and gets one `Reply` or one `Failed` with the same id, in any
order. A server greets first, and tells by itself what a subscription asked for. Client and server of the same major
version understand each other; a newer minor version only adds requests, and what is told to those who greeted with it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from .codec import UNDECODABLE, Codec, repacked
from .errors import Malformed
from .events import BarrierOpened, BarrierResolved, CustomChunk, OutputSent, StreamItem
from .ids import LAST_EVENT_ID
from .limits import (
    MESSAGE_BYTES,
    WIRE_ANSWER,
    WIRE_BURST,
    WIRE_LIST,
    WIRE_PIECE,
    WIRE_RATE,
    WIRE_REQUESTS,
    WIRE_SUBSCRIPTIONS,
)
from .views import RunLine, event_view
from .wire_answers import Answer
from .wire_asks import Ask, Scope

MAJOR: Final = 1
MINOR: Final = 0
SUBPROTOCOL: Final = f"terzetto.{MAJOR}"
"""What both sides call it in the handshake of the websocket."""

RequestId: TypeAlias = Annotated[int, Meta(ge=0, le=LAST_EVENT_ID)]
"""Chosen by the client: no two requests that wait for their answers, and no live subscription, have the same."""
Reason: TypeAlias = Literal["ended", "gap", "deleted", "closing", "failed"]
"""Why a subscription is over: its run has ended; it was strict and something is gone; its run was deleted; the server
leaves, and it is to be asked for again from the next one; the server failed, and it is to be asked for again."""


class _Frame(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Greet(_Frame, frozen=True, tag="greet"):
    """First frame of a client."""

    major: int
    minor: int = 0
    client: str = ""
    """What it is, for the log."""


class Request(_Frame, frozen=True, tag="request"):
    """A command or a query."""

    id: RequestId
    ask: Ask


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one connection may do."""

    frame: int = MESSAGE_BYTES
    """Largest frame that the server takes, bytes."""
    answer: int = WIRE_ANSWER
    """Largest frame that it sends, bytes."""
    piece: int = WIRE_PIECE
    """Bytes after which a long answer goes on in another piece."""
    listed: int = WIRE_LIST
    rate: float = WIRE_RATE
    """Frames a second, once the burst is used up."""
    burst: int = WIRE_BURST
    """Frames at once."""
    requests: int = WIRE_REQUESTS
    """Requests that wait for their answers."""
    subscriptions: int = WIRE_SUBSCRIPTIONS


class Hello(_Frame, frozen=True, tag="hello"):
    """First frame of a server, before it has heard anything."""

    major: int
    minor: int
    server: str
    """Its version."""
    scopes: tuple[Scope, ...]
    """What this connection may do."""
    limits: Limits


class Reply(_Frame, frozen=True, tag="reply"):
    """The answer to a request; what it is depends on the request."""

    id: RequestId
    answer: Answer


class Failed(_Frame, frozen=True, tag="failed"):
    """A request, or a frame that was none, was not done; the connection stays."""

    id: RequestId | None
    """None when it could not be read, or belongs to another request that is waiting."""
    code: str
    """What is wrong, by a name that stays what it is."""
    message: str
    path: str = ""
    """Where in the frame the mistake is, such as `$.ask.limit`; empty where it is nowhere in particular."""
    data: dict[str, Any] = {}
    """More about it, by the code, such as `run_id`, or `retry_after` in seconds."""


class Told(_Frame, frozen=True, tag="told"):
    """The next events of a subscription, in order; how many come in one frame means nothing."""

    subscription: RequestId
    events: tuple[StreamItem, ...]


class Changed(_Frame, frozen=True, tag="changed"):
    """Runs that have changed since they were told last."""

    subscription: RequestId
    runs: tuple[RunLine, ...] = ()
    deleted: tuple[str, ...] = ()


class Over(_Frame, frozen=True, tag="over"):
    """Nothing more comes for a subscription."""

    subscription: RequestId
    reason: Reason


ClientFrame: TypeAlias = Greet | Request
ServerFrame: TypeAlias = Hello | Reply | Failed | Told | Changed | Over

CLIENT_FRAMES: Final[Codec[ClientFrame]] = Codec(ClientFrame, "a frame")
"""Decodes what clients send (limits first), and encodes it: what would not come back the same is refused."""
_CARRYING: Final = (BarrierOpened, BarrierResolved, CustomChunk, OutputSent)
"""Events that have msgpack in them."""
_decoder: Final[msgspec.json.Decoder[ServerFrame]] = msgspec.json.Decoder(ServerFrame)
_encode: Final = msgspec.json.Encoder().encode


def write_frame(frame: ServerFrame) -> bytes:
    """A frame of a server as it is sent; whoever makes it puts only plain data where anything may stand."""
    if isinstance(frame, Told):
        return told_frame(frame.subscription, map(write_event, frame.events))
    return _encode(frame)


def read_frame(data: bytes) -> ServerFrame:
    """A frame that a server has sent, however deep what its runs hold is nested; raises `Malformed`."""
    if len(data) > WIRE_ANSWER:
        raise Malformed("a frame", f"it has {len(data)} bytes, and the limit is {WIRE_ANSWER}")
    try:
        frame = _decoder.decode(data)
        if not isinstance(frame, Told):
            return frame  # nothing else has msgpack in it
        events = (repacked(event) if isinstance(event, _CARRYING) else event for event in frame.events)
        return Told(frame.subscription, tuple(events))
    except UNDECODABLE as error:
        raise Malformed("a frame", str(error)) from error


def write_event(event: StreamItem) -> bytes:
    """An event as it stands in a frame: the same bytes for every reader, so that it need be encoded once.

    What a barrier, a chunk or an output carries becomes plain JSON; bytes in it become base64.
    """
    return _encode(event_view(event) if isinstance(event, _CARRYING) else event)


def told_frame(subscription: int, events: Iterable[bytes]) -> bytes:
    """A `Told` frame of events that `write_event` has written."""
    return b'{"type":"told","subscription":%d,"events":[%b]}' % (subscription, b",".join(events))


def told_frames(subscription: int, events: Sequence[bytes], size: int = WIRE_PIECE) -> Iterator[bytes]:
    """As few frames as these events need, where each ends after about so many bytes."""
    first, weight = 0, 0
    for number, event in enumerate(events):
        if number > first and weight + len(event) > size:
            yield told_frame(subscription, events[first:number])
            first, weight = number, 0
        weight += len(event) + 1
    if first < len(events):
        yield told_frame(subscription, events[first:])


class _Head(Struct):
    """What is looked at in a frame that cannot be read: everything else is passed over."""

    type: str = ""
    id: RequestId | None = None
    major: int | None = None


_head: Final = msgspec.json.Decoder(_Head)


def head_of(frame: bytes) -> tuple[str, int | None, int | None]:
    """Type, id and major version of a frame, as far as they can be read; never raises."""
    try:
        head = _head.decode(frame)
    except UNDECODABLE:
        return "", None, None
    return head.type, head.id, head.major
