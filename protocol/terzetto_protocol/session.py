"""The server's side of one connection to the console, without the connection: frames in, effects out.

It decides what is a frame, who may ask what and how often, and which ids are taken. Whoever holds the connection
carries out the effects in their order, and says what became of each `Perform`. Nothing here waits, and nothing that
comes from outside makes it raise.

    NEW --open--> OPEN --greet--> GREETED --Close, or close--> CLOSED
"""

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import Final, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from .audits import AuditLine
from .codec import pack
from .commands import Command, Decide
from .errors import InvalidRequest, Malformed, NotStorable, one_line
from .limits import ID_LENGTH
from .rate import TokenBucket
from .receipts import Receipt
from .views import RunLine
from .wire import (
    CLIENT_FRAMES,
    MAJOR,
    MINOR,
    Changed,
    Greet,
    Hello,
    Limits,
    Over,
    Reason,
    Reply,
    Request,
    ServerFrame,
    head_of,
    told_frames,
    write_frame,
)
from .wire_answers import Answer, Following, Unsubscribed
from .wire_asks import ANSWERS, SCOPES, Ask, FollowRuns, Query, Scope, Subscribe, Unsubscribe, name_of
from .wire_errors import WireError, explained, failed

CLOSE_VERSION: Final = 4400
"""The websocket close code for a client of another major version."""

_COMMANDS: Final = get_args(Command)
_RECEIPTS: Final = get_args(Receipt)
_Watch: TypeAlias = Subscribe | FollowRuns


class Perform(Struct, frozen=True):
    """Do what is asked, and call `reply` or `fail` with its id, once."""

    request: Request


class Send(Struct, frozen=True):
    """Send this frame as a text message."""

    data: bytes


class Close(Struct, frozen=True):
    """Send what was to be sent before, and close the websocket."""

    code: int
    reason: str


class Audit(Struct, frozen=True):
    """Write this line, which says who commanded what and what became of it, to the audit log."""

    line: str


Effect: TypeAlias = Perform | Send | Close | Audit


class SessionState(Enum):
    """Where a connection is."""

    NEW = "new"
    #: The server has greeted, the client has not.
    OPEN = "open"
    GREETED = "greeted"
    CLOSED = "closed"


class Session:
    """One connection, from its handshake on.

    Args:
        scopes: what it may do.
        who: whose it is, as decisions without a source and the audit log name it; empty for nobody in particular.
        server: the server's version.
        limits: what it may do how often.
    """

    def __init__(
        self, *, scopes: Collection[Scope], who: str = "", server: str = "", limits: Limits | None = None
    ) -> None:
        self.state = SessionState.NEW
        self.limits: Final = limits or Limits()
        self.minor = 0
        """The client's minor version."""
        self.client = ""
        """What the client says that it is."""
        self._scopes: Final[frozenset[Scope]] = frozenset(scopes)
        self._who: Final = who
        self._server: Final = server
        self._bucket: Final = TokenBucket(self.limits.rate, self.limits.burst)
        self._waiting: Final[dict[int, Ask]] = {}
        """Requests that were to be performed, and were not answered."""
        self._live: Final[dict[int, _Watch]] = {}
        """Subscriptions of which something may still come."""

    @property
    def waiting(self) -> frozenset[int]:
        """Ids of the requests that were not answered."""
        return frozenset(self._waiting)

    @property
    def subscriptions(self) -> frozenset[int]:
        """Ids of the subscriptions of which something may still come."""
        return frozenset(self._live)

    def open(self) -> list[Effect]:
        """Begin: greet the client."""
        if self.state is not SessionState.NEW:
            return []
        self.state = SessionState.OPEN
        return [_send(Hello(MAJOR, MINOR, self._server, tuple(sorted(self._scopes)), self.limits))]

    def feed(self, frame: bytes, at: float) -> list[Effect]:
        """Take what the client has sent, whatever it is; at most one frame is sent for it at once.

        Args:
            frame: a message as it came.
            at: seconds, on a clock that does not go back.
        """
        if self.state in (SessionState.NEW, SessionState.CLOSED):
            return []
        wait = self._bucket.take(at)
        try:
            return self._take(frame, wait)
        except (WireError, Malformed, NotStorable) as error:
            kind, number, major = head_of(frame)
            if kind == "greet" and major not in (None, MAJOR):
                return self._leave(major)
            return [_send(explained(self._free(number), error))]

    def _take(self, frame: bytes, wait: float) -> list[Effect]:
        if len(frame) > self.limits.frame:
            raise WireError("too_large", f"a frame has {len(frame)} bytes, and the limit is {self.limits.frame}")
        if wait:
            text = f"too many frames: try again in {wait:.3g} s"
            raise WireError("rate_limited", text, data={"retry_after": wait})
        message = CLIENT_FRAMES.from_json(frame)
        if isinstance(message, Greet):
            return self._greeted(message)
        if self.state is not SessionState.GREETED:
            raise WireError("out_of_order", f'greet first: {{"type": "greet", "major": {MAJOR}}}')
        self._check_id(message.id)
        return self._asked(message)

    def _greeted(self, greet: Greet) -> list[Effect]:
        if greet.major != MAJOR:
            return self._leave(greet.major)
        if self.state is SessionState.GREETED:
            raise WireError("out_of_order", "this connection has greeted before")
        self.state, self.minor, self.client = SessionState.GREETED, greet.minor, one_line(greet.client, ID_LENGTH)
        return []

    def _leave(self, major: int | None) -> list[Effect]:
        """Refuse a client of another major version."""
        text = f"this server speaks version {MAJOR} of the protocol, and not {major}"
        error = WireError("other_version", text, data={"major": MAJOR, "minor": MINOR})
        return [_send(failed(None, error)), *self.close(), Close(CLOSE_VERSION, text[:120])]

    def _check_id(self, number: int) -> None:
        if self._free(number) is None:
            text = f"id {number} belongs to a request that is not answered, or to a subscription"
            raise WireError("duplicate_id", text, "$.id", {"id": number})

    def _free(self, number: int | None) -> int | None:
        """The id, unless an answer to it would be taken for that to another request."""
        return None if number in self._waiting or number in self._live else number

    def _asked(self, request: Request) -> list[Effect]:
        """Let a request through, or refuse it; a refused command is in the audit log too."""
        try:
            ask = self._admitted(request.ask)
        except (WireError, NotStorable) as error:
            refusal = explained(request.id, error)
            return [_send(refusal), *self._audit(request.id, request.ask, f"refused: {refusal.code}")]
        self._waiting[request.id] = ask
        return [Perform(Request(request.id, ask))]

    def _admitted(self, ask: Ask) -> Ask:
        scope = SCOPES[type(ask)]
        if scope not in self._scopes:
            text = f"{name_of(ask)!r} takes the scope {scope!r}, which this connection does not have"
            raise WireError("not_allowed", text, data={"scope": scope})
        if len(self._waiting) >= self.limits.requests:
            text = f"{len(self._waiting)} requests wait for their answers: ask when one has come"
            raise WireError("too_many_requests", text, data={"limit": self.limits.requests})
        if isinstance(ask, Unsubscribe) and ask.subscription not in self._live:
            text = f"there is no subscription {ask.subscription}, or it is over"
            raise WireError("unknown_subscription", text, "$.ask.subscription")
        if isinstance(ask, _Watch) and self._watching() >= self.limits.subscriptions:
            text = f"this connection has {self.limits.subscriptions} subscriptions: end one"
            raise WireError("too_many_subscriptions", text, data={"limit": self.limits.subscriptions})
        if isinstance(ask, _COMMANDS):
            pack(ask, f"the command {name_of(ask)}")
        return replace(ask, source=self._who) if isinstance(ask, Decide) and not ask.source else ask

    def _watching(self) -> int:
        return len(self._live) + sum(isinstance(ask, _Watch) for ask in self._waiting.values())

    def reply(self, request_id: int, answer: Answer) -> list[Effect]:
        """Send what a request has come to; after a `Following`, `tell` may be called.

        Instead of an answer that is too large, or cannot be said in JSON, a `Failed` is sent. Raises `InvalidRequest`
        for a request that is not waiting, or an answer that is not its kind.
        """
        if self.state is SessionState.CLOSED:
            return []
        ask = self._asked_as(request_id)
        expected, kind = ANSWERS.get(type(ask)), str(answer.__struct_config__.tag)
        if expected is None and not isinstance(answer, _RECEIPTS):
            raise InvalidRequest(f"a {name_of(ask)} is answered by a receipt, not by {kind!r}")
        if expected is not None and kind != expected:
            raise InvalidRequest(f"a {name_of(ask)} is answered by {expected!r}, not by {kind!r}")
        try:
            data = write_frame(Reply(request_id, answer))
        except (TypeError, ValueError, RecursionError) as error:  # what is shown cannot be said in JSON
            return self.fail(request_id, error)
        if len(data) > self.limits.answer:
            text = f"the answer has {len(data)} bytes, and the limit is {self.limits.answer}: ask for less"
            return self.fail(request_id, WireError("too_large", text))
        del self._waiting[request_id]
        if isinstance(ask, _Watch) and isinstance(answer, Following):
            self._live[request_id] = ask
        if isinstance(ask, Unsubscribe) and isinstance(answer, Unsubscribed):
            self._live.pop(ask.subscription, None)
        return [Send(data), *self._audit(request_id, ask, kind)]

    def fail(self, request_id: int, error: BaseException) -> list[Effect]:
        """Send why a request was not done; of an error that is not Terzetto's a client hears no more than that.

        Raises `InvalidRequest` for a request that is not waiting.
        """
        if self.state is SessionState.CLOSED:
            return []
        ask = self._asked_as(request_id)
        del self._waiting[request_id]
        frame = failed(request_id, error)
        return [_send(frame), *self._audit(request_id, ask, f"failed: {frame.code}")]

    def _asked_as(self, request_id: int) -> Ask:
        if request_id not in self._waiting:
            raise InvalidRequest(f"no request {request_id} waits for an answer")
        return self._waiting[request_id]

    def tell(self, subscription: int, events: Sequence[bytes]) -> list[Effect]:
        """Send events that `write_event` has written, in few frames; nothing once the subscription is over."""
        if not isinstance(self._live.get(subscription), Subscribe):
            return []
        return [Send(data) for data in told_frames(subscription, events, self.limits.piece)]

    def change(self, subscription: int, runs: Iterable[RunLine] = (), deleted: Iterable[str] = ()) -> list[Effect]:
        """Send how runs are listed now; nothing once the subscription is over."""
        if not isinstance(self._live.get(subscription), FollowRuns):
            return []
        return [_send(Changed(subscription, tuple(runs), tuple(deleted)))]

    def over(self, subscription: int, reason: Reason) -> list[Effect]:
        """Say that nothing more comes for a subscription; nothing if it is over already."""
        if self._live.pop(subscription, None) is None:
            return []
        return [_send(Over(subscription, reason))]

    def close(self) -> list[Effect]:
        """Hear that the connection is gone; what was asked and not answered is in the audit log.

        What is being performed goes on; `reply` and all others do nothing from here on.
        """
        lines = [line for number, ask in self._waiting.items() for line in self._audit(number, ask, "unanswered")]
        self.state = SessionState.CLOSED
        self._waiting.clear()
        self._live.clear()
        return lines

    def _audit(self, request_id: int, ask: Ask, outcome: str) -> list[Effect]:
        if isinstance(ask, Query):
            return []
        line = AuditLine(self._who, self.client, request_id, name_of(ask), ask.run_id, ask.command_id, outcome)
        return [Audit(line.text())]


def _send(frame: ServerFrame) -> Send:
    return Send(write_frame(frame))
