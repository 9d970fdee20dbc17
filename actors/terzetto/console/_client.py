"""`connect`: a client of a console that comes back by itself, and goes on where it was.

It owns one connection at a time and the tasks around it. What was asked and not answered is asked again at the next
one; commands have ids, so that none is carried out twice, and events that were given are not given again.
"""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar, cast, overload

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from terzetto_protocol.backoff import backoff
from terzetto_protocol.client_session import (
    Answered,
    ClientSession,
    Ended,
    Given,
    Greeted,
    Heard,
    Later,
    Listed,
    Refused,
    Resumed,
)
from terzetto_protocol.commands import Cancel, Command, Decide, Pause, Resume, Submit
from terzetto_protocol.decisions import Decision
from terzetto_protocol.errors import ActorStopped, InvalidRequest, Malformed, TerzettoError
from terzetto_protocol.limits import CONSOLE_PING, CONSOLE_PONG
from terzetto_protocol.pieces import Assembly, Paged
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.session import CLOSE_VERSION
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.threads import Busy
from terzetto_protocol.wire import Hello
from terzetto_protocol.wire_answers import Answer
from terzetto_protocol.wire_asks import Ask, Asking, FollowRuns, Subscribe, Unsubscribe
from terzetto_protocol.wire_errors import WireError

from .. import __version__
from .._chance import chance, new_id
from .._mailbox import Slot
from ._dialling import address_of, dialled
from ._gone import GONE, leaves_of, sentence_of
from ._watch import Follow, Watch

A = TypeVar("A", bound=Answer)

CONNECT_TIMEOUT: Final = 30.0
"""How long `connect` tries until it gives up, seconds."""
_REFUSED: Final = frozenset({400, 401, 403, 404, 421, 426})
"""Answers to a handshake that will be the same the next time."""


class Console:
    """A connection to a console, or the next one; made by `connect`."""

    def __init__(self, url: str, token: str, tls: ssl.SSLContext | None, name: str) -> None:
        self._url, self._address, self._tls = url, address_of(url, token), tls
        self._headers = [(b"authorization", f"Bearer {token}".encode("ascii"))] if token else []
        self._session: Final = ClientSession(name)
        self._slots: Final[dict[int, Slot[Answer]]] = {}
        self._readers: Final[dict[int, Watch | Follow]] = {}
        self._stirred = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._lasting = False
        """Whether the connection that there was had greeted."""
        self._over: TerzettoError | None = None
        """Why there will be no connection any more."""
        self.trouble = ""
        """What was wrong with the last connection that could not be made."""
        self._greeted: Final[Slot[Hello]] = Slot()
        self.hello: Hello | None = None
        """What the server said of itself: scopes, limits, version. None before the first connection."""
        self.connections = 0
        """How many there were by now."""
        self.connected = False
        """Whether there is one now, and both sides have greeted."""
        self._turned = trio.Event()

    # -- asking ----------------------------------------------------------------------------------------------

    @overload
    async def ask(self, ask: Asking[A], /) -> A: ...
    @overload
    async def ask(self, ask: Command, /) -> Receipt: ...
    async def ask(self, ask: Any, /) -> Any:
        """Ask, and wait for the answer over however many connections that takes. A checkpoint.

        Cancelled, a command may be carried out.

        Raises:
            WireError: the server refused it by a code of its own, such as `not_allowed`.
            TerzettoError: what the runtime raised, as the class that it raised.
            ActorStopped: this client was closed.
        """
        if isinstance(ask, Subscribe | FollowRuns | Unsubscribe):
            raise InvalidRequest("subscriptions are made by `watch` and `follow`")
        self._check()
        number = self._session.ask(cast("Ask", ask))
        slot = self._slots[number] = Slot()
        self._stir()
        try:
            return await slot.wait()
        finally:
            self._slots.pop(number, None)

    async def whole(self, ask: Paged, /, *, type: Any = Any) -> Any:
        """A state, difference or commit as plain data, from all its pieces. A checkpoint; raises as `ask`.

        Args:
            ask: for its first piece.
            type: what it is decoded as.
        """
        assembly = Assembly(ask)
        wanted: Paged | None = ask
        while wanted is not None:
            piece = await self.ask(wanted)
            try:
                wanted = assembly.take(piece)
            except Malformed:  # it has changed meanwhile
                assembly, wanted = Assembly(ask), ask
        return assembly.value(type)

    async def submit(
        self,
        graph: str,
        state: bytes = b"",
        /,
        *,
        run_id: str = "",
        version: str = "",
        key: str = "",
        auto_approve: bool = False,
        thread: str = "",
        busy: Busy = "reject",
    ) -> Receipt:
        """Start a run of a graph that the server knows, with a state as JSON. A checkpoint; raises as `ask`."""
        name = run_id or new_id()
        return await self.ask(Submit(new_id(), name, graph, state, version, key, auto_approve, thread, busy))

    async def decide(
        self,
        run_id: str,
        barrier: str,
        decision: Decision,
        /,
        *,
        source: str = "",
        keep: Literal["", "once", "always"] = "",
    ) -> Receipt:
        """Resolve a barrier; as `Run.decide`. A checkpoint; raises as `ask`."""
        return await self.ask(Decide(new_id(), run_id, barrier, decision, source, keep))

    async def cancel(self, run_id: str, reason: str = "") -> Receipt:
        """End a run; as `Run.cancel`. A checkpoint; raises as `ask`."""
        return await self.ask(Cancel(new_id(), run_id, reason))

    async def pause(self, run_id: str) -> Receipt:
        """Stop a run at its next commit; as `Run.pause`. A checkpoint; raises as `ask`."""
        return await self.ask(Pause(new_id(), run_id))

    async def resume(self, run_id: str) -> Receipt:
        """Let a paused run go on; as `Run.resume`. A checkpoint; raises as `ask`."""
        return await self.ask(Resume(new_id(), run_id))

    # -- subscribing -----------------------------------------------------------------------------------------

    def watch(self, run_id: str, *, last_event_id: int | None = None, strict: bool = False) -> Watch:
        """Everything that a run tells, each event once and in order over all connections. Not a checkpoint.

        `async with console.watch(run_id) as events: async for event in events: ...`; the iteration ends with the run.

        Args:
            run_id: the run.
            last_event_id: the last event that was seen; None for everything.
            strict: end when something after it is gone.
        """
        return Watch(self, Subscribe(run_id, last_event_id, strict))

    def follow(self, *, statuses: tuple[RunStatus, ...] = (), graph: str = "", thread: str = "") -> Follow:
        """Whatever changes about runs as they are listed, until it is left. Not a checkpoint.

        It gives `Changed`, and None after each reconnect: list the runs again, for what changed meanwhile was not told.
        """
        return Follow(self, FollowRuns(statuses, graph, thread))

    def subscribe(self, ask: Subscribe | FollowRuns, reader: Watch | Follow) -> int:
        """For readers: subscribe now, or as soon as there is a connection. Not a checkpoint."""
        self._check()
        number = self._session.ask(ask)
        self._readers[number] = reader
        self._stir()
        return number

    def unsubscribe(self, number: int) -> None:
        """For readers: nothing more of this. Not a checkpoint; twice is once."""
        if self._readers.pop(number, None) is not None and self._over is None:
            self._session.unsubscribe(number)
            self._stir()

    # -- connections -----------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have a connection, until cancelled or refused for good. A checkpoint."""
        failures = 0
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                while self._over is None:
                    self._lasting = False
                    await self._connect()
                    self._turn(connected=False)
                    self._session.lost()
                    failures = 1 if self._lasting else failures + 1
                    if self._over is None:
                        await trio.sleep(backoff(failures) * (0.5 + chance() / 2))  # not all clients at once
                nursery.cancel_scope.cancel(reason="the server refuses this client")
        finally:
            self._end(ActorStopped("this client of the console") if self._over is None else self._over)

    async def greeted(self) -> None:
        """Wait for the first connection. A checkpoint; raises why there will be none."""
        await self._greeted.wait()

    async def turned(self) -> None:
        """Wait until `connected` is another than now. A checkpoint; raises why there will be no connection any more."""
        before = self.connected
        await trio.lowlevel.checkpoint()
        while self.connected is before:
            self._check()
            await self._turned.wait()

    def _turn(self, *, connected: bool) -> None:
        self.connected = connected
        self._turned.set()
        self._turned = trio.Event()

    def _check(self) -> None:
        if self._over is not None:
            raise self._over

    async def _connect(self) -> None:
        """One connection, from its beginning to its end, whatever ends it. A checkpoint."""
        try:
            async with dialled(self._address, self._tls, self._headers) as socket:
                self.connections += 1
                await self._converse(socket)
        except* ConnectionRejected as group:
            self._rejected(cast("ConnectionRejected", next(leaves_of(group))))
        except* GONE as group:
            self._gone(next(leaves_of(group)))

    def _rejected(self, error: ConnectionRejected) -> None:
        """The server does not want this client, now or ever."""
        sentence = (error.body or b"").decode("utf-8", "replace").strip()
        self.trouble = f"{error.status_code} {sentence}".strip()
        if error.status_code in _REFUSED:
            text = f"the server at {self._url} refuses this client: {self.trouble}"
            self._over = WireError("not_allowed", text, data={"status": error.status_code})

    def _gone(self, error: BaseException) -> None:
        """There is no connection, or none any more; a certificate that is not trusted now will not be the next time."""
        self.trouble = sentence_of(error)
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            self._over = WireError("not_trusted", f"the server at {self._url} is not trusted: {self.trouble}")

    async def _converse(self, socket: WebSocketConnection) -> None:
        self._session.connected()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, socket)
            nursery.start_soon(self._ask_for_life, socket, nursery.cancel_scope)
            await self._read(socket)
            nursery.cancel_scope.cancel(reason="the connection is gone")

    async def _read(self, socket: WebSocketConnection) -> None:
        try:
            while True:
                message = await socket.get_message()
                for heard in self._session.feed(message.encode() if isinstance(message, str) else message):
                    self._hear(heard)
                if self._session.speaks:
                    self._stir()
        except ConnectionClosed as error:
            if error.reason is not None and error.reason.code == CLOSE_VERSION:
                self._over = WireError("other_version", error.reason.reason or "the server is of another version")
        except Malformed:
            pass  # this connection is worth nothing any more
        except WireError as error:
            self._over = error

    async def _write(self, socket: WebSocketConnection) -> None:
        try:
            while True:
                self._stirred = stirred = trio.Event()  # before it looks: more may come while it sends
                for frame in self._session.outgoing():
                    await socket.send_message(frame.decode())
                await stirred.wait()
        except GONE:
            pass  # who reads knows, too

    async def _ask_for_life(self, socket: WebSocketConnection, scope: trio.CancelScope) -> None:
        try:
            while True:
                await trio.sleep(CONSOLE_PING)
                with trio.move_on_after(CONSOLE_PONG) as asking:
                    await socket.ping()
                if asking.cancelled_caught:
                    scope.cancel(reason="the server does not answer")
        except GONE:
            pass

    def _stir(self) -> None:
        self._stirred.set()

    # -- what is heard ---------------------------------------------------------------------------------------

    def _hear(self, heard: Heard) -> None:
        match heard:
            case Greeted(hello):
                self.hello, self._lasting = hello, True
                self._turn(connected=True)
                self._greeted.answer(hello)
            case Answered(id=number, answer=answer):
                if number in self._slots:
                    self._slots[number].answer(answer)
                elif isinstance(reader := self._readers.get(number), Follow):
                    reader.begin()
            case Refused(id=number, error=error):
                self._refused(number, error)
            case Later(id=number, seconds=seconds):
                assert self._nursery is not None
                self._nursery.start_soon(self._again, number, seconds)
            case _:
                self._pass_on(heard)

    def _pass_on(self, heard: Given | Listed | Resumed | Ended) -> None:
        """What the reader of a subscription hears, unless it has left."""
        reader = self._readers.get(heard.subscription)
        match heard:
            case Given(items=items) if isinstance(reader, Watch):
                reader.give(items)
            case Listed(changed=changed) if isinstance(reader, Follow):
                reader.give(changed)
            case Resumed() if isinstance(reader, Follow):
                reader.again()
            case Ended(subscription=number, reason=reason) if reader is not None:
                del self._readers[number]
                reader.end(reason)
            case _:
                pass

    def _refused(self, number: int | None, error: TerzettoError) -> None:
        if number is None:
            return
        if number in self._slots:
            self._slots[number].fail(error)
        elif (reader := self._readers.pop(number, None)) is not None:
            reader.fail(error)

    async def _again(self, number: int, seconds: float) -> None:
        await trio.sleep(seconds)
        self._session.again(number)
        self._stir()

    def _end(self, error: TerzettoError) -> None:
        """Nothing comes any more: tell everybody who waits."""
        self._over = error
        self._turn(connected=False)
        self._greeted.fail(error)
        for slot in self._slots.values():
            slot.fail(error)
        readers = list(self._readers.values())
        self._readers.clear()
        for reader in readers:
            reader.fail(error)


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str = "",
    tls: ssl.SSLContext | None = None,
    name: str = f"terzetto {__version__}",
    timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109 - of the first connection; all else is the caller's to limit
) -> AsyncGenerator[Console, None]:
    """Be a client of a console as long as the block lasts.

    A connection that is lost is made again, after growing rests, for as long as it takes. When the block is left
    nothing of it goes on but commands that the server has heard.

    Args:
        url: `ws://` or, from another machine, `wss://`.
        token: what the server knows this client by; it is shown in a header.
        tls: for `wss://`; by default the usual certificates are trusted.
        name: what this client says that it is, for the server's log.
        timeout: seconds for the first connection.

    Raises:
        InvalidRequest: that is no such URL, or the token would be shown to everybody on the way.
        WireError: the server refuses this client (`not_allowed`, `other_version`), its certificate is not trusted
            (`not_trusted`), or there is none (`unreachable`).
    """
    console, refused = Console(url, token, tls, name), None
    async with trio.open_nursery() as nursery:
        await nursery.start(console.run)
        try:
            with trio.fail_after(timeout):
                await console.greeted()
        except trio.TooSlowError:
            why = f": {console.trouble}" if console.trouble else ""
            refused = WireError("unreachable", f"no console answers at {url} within {timeout:g} s{why}")
        except WireError as error:
            refused = error
        else:
            yield console
        nursery.cancel_scope.cancel(reason="the client is closed")
    if refused is not None:
        raise refused
