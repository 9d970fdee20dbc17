"""One client: its frames go to the session, and the session's effects are carried out.

It owns the tasks of one websocket: who reads, who writes, who asks whether the other side is there, and one for each
request and subscription. Nothing that a client does or is ends more than these.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Final, TypeAlias

import trio
from trio_websocket import WebSocketConnection

from terzetto_protocol.discreet import discreet_event
from terzetto_protocol.errors import ActorStopped, TerzettoError, UnknownRun
from terzetto_protocol.events import Cursor, StreamItem
from terzetto_protocol.limits import CONSOLE_HANDSHAKE, CONSOLE_PING, CONSOLE_PONG, CONSOLE_QUERIES, SERVER_SLOW
from terzetto_protocol.session import Audit, Close, Effect, Perform, Send, Session, SessionState
from terzetto_protocol.wire import Reason, Request, write_event
from terzetto_protocol.wire_answers import Answer, Following, Unsubscribed
from terzetto_protocol.wire_asks import Ask, FollowRuns, Query, Subscribe, Unsubscribe

from .._runtime import Runtime
from ._following import Following as Changes
from ._gone import GONE
from ._outbox import Outbox

_log: Final = logging.getLogger("terzetto")
_audit: Final = logging.getLogger("terzetto.audit")

_LEAVE: Final = 1.0
"""Time that a client has to answer a close, seconds."""
_UNSUPPORTED: Final = 1003
_POLICY: Final = 1008
_TRY_LATER: Final = 1013

Answering: TypeAlias = Callable[[Ask], Awaitable[Answer]]


class Connection:
    """One websocket from its handshake to its end.

    Args:
        runtime: where runs are read.
        session: what the client may do, and where it is.
        answering: answers what is no subscription.
        changes: tells which runs change.
        outbox: what is sent to it.
    """

    def __init__(
        self, runtime: Runtime, session: Session, answering: Answering, changes: Changes, outbox: Outbox
    ) -> None:
        self._runtime: Final = runtime
        self._session: Final = session
        self._answering: Final = answering
        self._changes: Final = changes
        self._outbox: Final = outbox
        self._queries: Final = trio.CapacityLimiter(CONSOLE_QUERIES)
        self._scopes: Final[dict[int, trio.CancelScope]] = {}
        """Of each subscription."""
        self._nursery: trio.Nursery | None = None
        self._sending: float | None = None
        """Since when a frame is being sent."""

    async def run(self, socket: WebSocketConnection) -> None:
        """Serve the client until it leaves, or has to. A checkpoint; cancelled, the client is told."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._do(self._session.open())
                nursery.start_soon(self._read, socket)
                nursery.start_soon(self._expect_greeting)
                nursery.start_soon(self._ask_for_life, socket)
                await self._write(socket)
                nursery.cancel_scope.cancel(reason="the connection is closed")
        finally:
            self._do(self._session.close())
            with trio.move_on_after(_LEAVE, shield=True):
                await socket.aclose(*(self._outbox.closing or (1001, "the server leaves")))

    def _do(self, effects: Iterable[Effect]) -> None:
        """Carry out what the session wants, in order. Not a checkpoint."""
        for effect in effects:
            match effect:
                case Send(data):
                    self._outbox.put(data)
                case Audit(line):
                    _audit.info("%s", line)
                case Close(code, reason):
                    self._outbox.close(code, reason)
                case Perform(request):
                    assert self._nursery is not None
                    self._nursery.start_soon(self._perform, request)

    # -- the three who are always there ----------------------------------------------------------------------

    async def _read(self, socket: WebSocketConnection) -> None:
        try:
            while True:
                message = await socket.get_message()
                if isinstance(message, bytes):
                    self._outbox.close(_UNSUPPORTED, "frames are texts")
                    return
                self._do(self._session.feed(message.encode(), trio.current_time()))
                await self._outbox.room()  # who does not read what it is sent is not heard either
        except GONE:
            self._outbox.close(1000, "", at_once=True)

    async def _expect_greeting(self) -> None:
        await trio.sleep(CONSOLE_HANDSHAKE)
        if self._session.state is SessionState.OPEN:
            self._outbox.close(_POLICY, "no greeting came")

    async def _write(self, socket: WebSocketConnection) -> None:
        """Send frames until the connection is closed. A checkpoint."""
        try:
            with trio.CancelScope() as scope:  # one for all frames: a deadline costs less
                while await self._send(socket, scope):
                    self._check_pace()
        except GONE:
            return
        if scope.cancelled_caught:
            self._check_pace()

    async def _send(self, socket: WebSocketConnection, scope: trio.CancelScope) -> bool:
        """Send the next frame, which nobody holds while the next one is waited for. A checkpoint; False: close."""
        frame = await self._outbox.take()
        if frame is None:
            return False
        self._sending = trio.current_time()
        scope.deadline = self._sending + 2 * SERVER_SLOW
        await socket.send_message(frame.decode())
        scope.deadline = math.inf
        return True

    def _check_pace(self) -> None:
        """Close the connection of a client that has taken too long for a frame."""
        begun, self._sending = self._sending, None
        if begun is not None and trio.current_time() - begun > SERVER_SLOW:
            self._outbox.close(_TRY_LATER, "too slow: come back, and go on where you were", at_once=True)

    async def _ask_for_life(self, socket: WebSocketConnection) -> None:
        """Close the connection of a client that does not answer a ping. A checkpoint."""
        while True:
            await trio.sleep(CONSOLE_PING)
            if self._sending is not None:
                continue  # whoever takes a frame is there, and has its own deadline
            try:
                with trio.move_on_after(CONSOLE_PONG) as scope:
                    await socket.ping()
            except GONE:
                return
            if scope.cancelled_caught:
                self._outbox.close(1011, "no answer to a ping", at_once=True)
                return

    # -- requests --------------------------------------------------------------------------------------------

    async def _perform(self, request: Request) -> None:
        """Answer one request, whatever comes of it. A checkpoint."""
        number, ask = request.id, request.ask
        try:
            match ask:
                case Subscribe():
                    await self._subscribe(number, ask)
                case FollowRuns():
                    await self._follow(number, ask)
                case Unsubscribe(subscription=subscription):
                    if (scope := self._scopes.pop(subscription, None)) is not None:
                        scope.cancel(reason="it was left")
                    self._do(self._session.reply(number, Unsubscribed(subscription)))
                case _:
                    await self._answer(number, ask)
        except TerzettoError as error:
            self._failed(number, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours, or of somebody's graph, is not the end of a connection
            _log.error("a request of the console was not done", exc_info=error)
            self._failed(number, error)

    async def _answer(self, number: int, ask: Ask) -> None:
        if not isinstance(ask, Query):
            self._do(self._session.reply(number, await self._answering(ask)))
            return
        try:
            self._queries.acquire_nowait()  # a turn of the loop less than `acquire`
        except trio.WouldBlock:
            await self._queries.acquire()
        try:
            answer = await self._answering(ask)
            await self._outbox.room()
            self._do(self._session.reply(number, answer))
        finally:
            self._queries.release()

    def _failed(self, number: int, error: BaseException) -> None:
        if number in self._session.waiting:
            self._do(self._session.fail(number, error))
        else:  # a subscription that had begun
            self._do(self._session.over(number, "failed"))

    # -- subscriptions ---------------------------------------------------------------------------------------

    async def _subscribe(self, number: int, ask: Subscribe) -> None:
        run = self._runtime.get(ask.run_id)
        async with run.events(last_event_id=ask.last_event_id, strict=ask.strict) as events:
            self._do(self._session.reply(number, Following(number)))
            cursor: StreamItem | None = None
            with self._left(number) as scope:
                try:
                    async for batch in events.batches():
                        cursor = cursor or batch[0]
                        await self._tell(number, batch)
                    reason: Reason = "gap" if ask.strict and _is_evicted(cursor) else "ended"
                except UnknownRun:
                    reason = "deleted"
                except ActorStopped:
                    reason = "closing"
            if not scope.cancel_called:
                self._do(self._session.over(number, reason))

    async def _tell(self, number: int, batch: Iterable[StreamItem]) -> None:
        """Tell a batch, of which nothing is held here while the next one is waited for."""
        told = [write_event(discreet_event(event)) for event in batch]
        await self._outbox.room()  # nothing comes between this and the next line
        self._do(self._session.tell(number, told))

    @contextmanager
    def _left(self, number: int) -> Generator[trio.CancelScope]:
        """A scope that is cancelled when this subscription is left."""
        self._scopes[number] = scope = trio.CancelScope()
        try:
            with scope:
                yield scope
        finally:
            if self._scopes.get(number) is scope:
                del self._scopes[number]

    async def _follow(self, number: int, ask: FollowRuns) -> None:
        with self._changes.followed(ask) as follower:
            self._do(self._session.reply(number, Following(number)))
            with self._left(number):
                while True:
                    runs, deleted = await follower.next()
                    await self._outbox.room()
                    self._do(self._session.change(number, runs, deleted))


def _is_evicted(cursor: StreamItem | None) -> bool:
    """Whether something after it is gone."""
    return isinstance(cursor, Cursor) and cursor.how == "evicted"
