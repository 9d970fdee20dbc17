"""The client's side of the console, over any number of connections, without one: frames in, what was heard out.

Whoever holds the connection sends what `outgoing` gives, feeds what comes, and says when a connection is there and
when it is lost. What was asked and not answered is then asked again: queries change nothing, and of commands the server
knows the `command_id`. Subscriptions go on after the last event that was given.
"""

from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from .errors import InvalidRequest, Malformed, TerzettoError
from .events import StreamItem
from .stream_place import StreamPlace
from .wire import (
    CLIENT_FRAMES,
    MAJOR,
    MINOR,
    Changed,
    Failed,
    Greet,
    Hello,
    Over,
    Reply,
    Request,
    Told,
    read_frame,
)
from .wire_answers import Answer, Following
from .wire_asks import Ask, FollowRuns, Subscribe, Unsubscribe
from .wire_errors import WireError, error_of

RETRY_SOON: Final = 0.1
"""How long a request waits that was refused because too many others are waiting, seconds."""
RETRY_LATER: Final = 1.0
"""How long a subscription waits that a server failed to carry on, seconds."""

_FINAL: Final = frozenset({"not_allowed", "malformed", "invalid_request", "too_many_subscriptions"})
"""Why a subscription that was there before is given up; anything else may pass."""

Ending: TypeAlias = Literal["ended", "gap", "deleted", "refused"]
"""Its run has ended; it was strict and something is gone; its run was deleted; the server does not allow it now."""


class Greeted(Struct, frozen=True):
    """The server's greeting, once for each connection."""

    hello: Hello


class Answered(Struct, frozen=True):
    """A request was answered; of a subscription, the first time."""

    id: int
    answer: Answer


class Refused(Struct, frozen=True):
    """A request was not done; id None: the server could not read something that was sent."""

    id: int | None
    error: TerzettoError


class Later(Struct, frozen=True):
    """Call `again` with this id in so many seconds; until then it waits, and nobody need be told."""

    id: int
    seconds: float


class Given(Struct, frozen=True):
    """The next events of a subscription: over all connections each once, in order, and a Gap where some are missing."""

    subscription: int
    items: tuple[StreamItem, ...]


class Listed(Struct, frozen=True):
    """How runs are listed now."""

    subscription: int
    changed: Changed


class Resumed(Struct, frozen=True):
    """A subscription goes on after a cut. Who follows runs lists them again: what changed meanwhile was not told."""

    subscription: int


class Ended(Struct, frozen=True):
    """Nothing more comes for a subscription."""

    subscription: int
    reason: Ending


Heard: TypeAlias = Greeted | Answered | Refused | Later | Given | Listed | Resumed | Ended


class _Watch:
    """A subscription, from when it was asked for."""

    __slots__ = ("ask", "place")

    def __init__(self, ask: Subscribe | FollowRuns) -> None:
        self.ask = ask
        self.place = StreamPlace(ask.last_event_id if isinstance(ask, Subscribe) else None)

    def anew(self) -> Subscribe | FollowRuns:
        """What to ask so that it goes on where it was."""
        if isinstance(self.ask, FollowRuns):
            return self.ask
        return replace(self.ask, last_event_id=self.place.last_event_id)


class ClientSession:
    """What a client has asked, and where it is in everything that it reads.

    Args:
        client: what it says that it is.
    """

    def __init__(self, client: str = "") -> None:
        self._greeting: Final = CLIENT_FRAMES.to_json(Greet(MAJOR, MINOR, client))
        self._id = 0
        self._connected = False
        self._out: list[bytes] = []
        self._pending: dict[int, bytes] = {}
        """Frames of requests that nobody has answered, by their ids."""
        self._watches: dict[int, _Watch] = {}
        self._resuming: set[int] = set()
        """Subscriptions that were asked for again, and are not carried on yet."""
        self._leaving: set[int] = set()
        """Requests whose answers nobody waits for any more."""

    @property
    def pending(self) -> frozenset[int]:
        """Ids of the requests that were not answered."""
        return frozenset(self._pending.keys() - self._leaving)

    @property
    def subscriptions(self) -> frozenset[int]:
        """Ids of the subscriptions that have not ended."""
        return frozenset(self._watches)

    @property
    def speaks(self) -> bool:
        """Whether something is outgoing."""
        return bool(self._out)

    def outgoing(self) -> list[bytes]:
        """Frames to be sent now, in order; each is given once."""
        out, self._out = self._out, []
        return out

    def ask(self, ask: Ask) -> int:
        """Ask, now or as soon as there is a connection, and return the request's id: that of the subscription, too.

        Raises `NotStorable` for what would not come back the same.
        """
        if isinstance(ask, Unsubscribe):
            raise InvalidRequest("a subscription is left by `unsubscribe`")
        number = self._new(ask)
        if isinstance(ask, Subscribe | FollowRuns):
            self._watches[number] = _Watch(ask)
        return number

    def unsubscribe(self, subscription: int) -> None:
        """Leave a subscription: nothing is heard of it from here on. Twice is once."""
        if self._watches.pop(subscription, None) is None:
            return
        if not self._connected:
            self._pending.pop(subscription, None)
        elif subscription in self._pending or subscription in self._resuming:
            self._leaving.add(subscription)  # and is left when it is there
        else:
            self._leaving.add(self._new(Unsubscribe(subscription)))

    def _new(self, ask: Ask) -> int:
        frame = CLIENT_FRAMES.to_json(Request(self._id + 1, ask))
        self._id += 1
        self._pending[self._id] = frame
        self._send(frame)
        return self._id

    def _send(self, frame: bytes) -> None:
        if self._connected:
            self._out.append(frame)

    def connected(self) -> None:
        """Hear that there is a connection: what has to be asked is outgoing, in the order in which it was first."""
        self._connected, self._out = True, [self._greeting]
        self._resuming = self._watches.keys() - self._pending.keys()
        for number in sorted({*self._pending, *self._resuming}):
            self.again(number)

    def lost(self) -> None:
        """Hear that the connection is gone. What nobody waits for is forgotten, all else waits for the next one."""
        self._connected, self._out = False, []
        for number in self._leaving:
            self._pending.pop(number, None)
        self._leaving.clear()
        self._resuming.clear()

    def again(self, number: int) -> None:
        """Ask once more what `Later` was about; nothing if that is settled, or there is no connection."""
        if number in self._pending:
            self._send(self._pending[number])
        elif number in self._watches and self._connected:
            self._resuming.add(number)
            self._send(CLIENT_FRAMES.to_json(Request(number, self._watches[number].anew())))

    def feed(self, frame: bytes) -> list[Heard]:
        """Take a frame of the server.

        Raises:
            Malformed: it is none, or nobody has asked for it; leave this connection.
            WireError: the server speaks another major version; stay away.
        """
        message = read_frame(frame)
        match message:
            case Hello():
                return [Greeted(_known(message))]
            case Reply():
                return self._replied(message)
            case Failed():
                return self._failed(message)
            case Told():
                return self._told(message)
            case Changed():
                return [Listed(message.subscription, message)] if message.subscription in self._watches else []
            case Over():
                return self._over(message)

    def _replied(self, reply: Reply) -> list[Heard]:
        number = reply.id
        resumed = number in self._resuming
        if not resumed and number not in self._pending:
            raise Malformed("a frame", f"it answers request {number}, which does not wait for an answer")
        self._resuming.discard(number)
        self._pending.pop(number, None)
        if number not in self._leaving:
            return [Resumed(number)] if resumed else [Answered(number, reply.answer)]
        self._leaving.discard(number)
        if isinstance(reply.answer, Following):  # it was left before it was there
            self._leaving.add(self._new(Unsubscribe(number)))
        return []

    def _failed(self, frame: Failed) -> list[Heard]:
        number, error = frame.id, error_of(frame)
        if number is None:
            return [Refused(None, error)]
        if number not in self._pending and number not in self._resuming:
            raise Malformed("a frame", f"it answers request {number}, which does not wait for an answer")
        if frame.code in ("rate_limited", "too_many_requests"):
            return [Later(number, _seconds(frame))]
        if number in self._resuming:
            return self._not_resumed(number, frame.code)
        del self._pending[number]
        self._watches.pop(number, None)
        if number in self._leaving:
            self._leaving.discard(number)
            return []
        return [Refused(number, error)]

    def _not_resumed(self, number: int, code: str) -> list[Heard]:
        self._resuming.discard(number)
        if number in self._leaving:
            self._leaving.discard(number)
            return []
        if code == "unknown_run":
            return self._end(number, "deleted")
        return self._end(number, "refused") if code in _FINAL else [Later(number, RETRY_LATER)]

    def _told(self, told: Told) -> list[Heard]:
        watch = self._watches.get(told.subscription)
        if watch is None:
            return []
        items = watch.place.take(told.events)
        heard: list[Heard] = [Given(told.subscription, tuple(items))] if items else []
        return heard + self._end(told.subscription, "ended") if watch.place.ended else heard

    def _over(self, over: Over) -> list[Heard]:
        if over.subscription not in self._watches:
            return []
        if over.reason == "closing":
            return []  # the next connection carries it on
        if over.reason == "failed":
            return [Later(over.subscription, RETRY_LATER)]
        return self._end(over.subscription, cast("Ending", over.reason))

    def _end(self, subscription: int, reason: Ending) -> list[Heard]:
        del self._watches[subscription]
        return [Ended(subscription, reason)]


def _known(hello: Hello) -> Hello:
    if hello.major != MAJOR:
        text = f"the server speaks version {hello.major} of the protocol, and this client version {MAJOR}"
        raise WireError("other_version", text, data={"major": hello.major, "minor": hello.minor})
    return hello


def _seconds(frame: Failed) -> float:
    seconds = frame.data.get("retry_after")
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else RETRY_SOON
