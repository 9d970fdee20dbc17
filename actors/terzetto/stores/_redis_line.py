"""A line to a Redis server: one connection at a time, made anew when it was lost, on which calls are answered in order.

So a call that was cancelled after it was sent happens, if it happens, before every later one: whoever asks afterwards
sees what became of it.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, final

import anyio
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis.connection import TCPConnection, TCPLocation
from coredis.exceptions import NoScriptError, RedisError

from terzetto_protocol.errors import StoreUnavailable

from ._redis_errors import sentence
from ._redis_place import RedisPlace
from ._redis_scripts import Argument, Script

Send: TypeAlias = Callable[..., Awaitable[Any]]
"""Sends one command, and returns what the server answers; raises `RedisError`."""


@final
class Line:
    """Sends commands over a connection whose tasks live in a nursery of the store's.

    Args:
        place: where the server is.
        limit: time that a call may take, connecting included, seconds.
        nursery: where the connection lives.
        greet: looks, on every new connection, whether this is the store that was opened.
    """

    def __init__(
        self, place: RedisPlace, limit: float, nursery: trio.Nursery, greet: Callable[[Send], Awaitable[None]]
    ) -> None:
        self._place, self._limit, self._nursery, self._greet = place, limit, nursery, greet
        self._connection: TCPConnection | None = None
        self._attempts: Final[set[_Attempt]] = set()
        self._connecting: Final = trio.Lock()

    async def call(self, command: bytes, *args: Argument) -> Any:
        """Send a command and return the answer.

        A checkpoint, before anything is sent. Cancelled later, the command may have happened; it never happens after
        one that is sent later on this line.

        Raises:
            StoreUnavailable: nobody knows whether it happened.
            UnicodeEncodeError: it cannot be said to a server.
            Damaged: a script has found that something of a run is lost.
        """
        words = _words(args)
        return await self._bounded(lambda send: send(command, *words))

    async def run(self, script: Script, *args: Argument) -> Any:
        """Run a script whose key is the first argument; as `call`."""
        words = _words(args)

        async def evaluate(send: Send) -> Any:
            try:
                return await send(b"EVALSHA", script.sha, 1, *words)
            except NoScriptError:
                return await send(b"EVAL", script.text, 1, *words)

        return await self._bounded(evaluate)

    async def _bounded(self, fn: Callable[[Send], Awaitable[Any]]) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            with trio.move_on_after(self._limit):
                connection = await self.connected()
                return await fn(_sender(connection))
        except RedisError as error:
            raise sentence(self._place, error) from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            self.drop()  # it was lost, and the driver does not know that yet
            raise StoreUnavailable(f"store {self._place.url}: the connection was lost") from error
        self.drop()
        raise StoreUnavailable(f"store {self._place.url}: the server has not answered within {self._limit:g} s")

    async def connected(self) -> TCPConnection:
        """The connection, made anew if it was lost. A checkpoint if it was.

        Raises:
            RedisError: it cannot be made.
            StoreError: what is there is not what was opened.
        """
        if self._connection is None or not self._connection.usable:
            async with self._connecting:
                if self._connection is None or not self._connection.usable:
                    self._connection = None
                    self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> TCPConnection:
        place = self._place
        connection = TCPConnection(
            TCPLocation(place.host, place.port),
            username=place.user,
            password=place.password,
            db=place.db,
            ssl_context=ssl.create_default_context() if place.tls else None,
            socket_keepalive=True,
        )
        attempt = _Attempt(connection, self._attempts)
        self._nursery.start_soon(attempt.run)
        try:
            await attempt.settled.wait()
            if attempt.error is not None:
                raise attempt.error
            await self._greet(_sender(connection))
        except BaseException:
            attempt.give_up()
            raise
        return connection

    def drop(self) -> None:
        """Give the connection up, if there is one; what was asked on it is answered with an error."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def close(self) -> None:
        """End every connection, whoever waits on it. Not a checkpoint."""
        self.drop()
        for attempt in self._attempts:
            attempt.give_up()


class _Attempt:
    """A connection that lives as a task, and tells once that it was made, or why not.

    Whoever has the store open may be cancelled, and still has to say that its runs are free. So its task is shielded,
    until `close` ends it, which every store that is left calls.
    """

    def __init__(self, connection: TCPConnection, others: set["_Attempt"]) -> None:
        self.connection = connection
        self._others = others
        self.error: RedisError | None = None
        self.settled = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    def started(self, value: None = None) -> None:
        """Told by the driver when the connection can be used."""
        self.settled.set()

    async def run(self) -> None:
        """Carry the connection, until it is lost or given up."""
        self._others.add(self)
        with self._scope:
            try:
                await self.connection.run(task_status=self)
            except RedisError as error:
                self.error = error
            finally:
                self.settled.set()
                self._others.discard(self)
                _close_channels(self.connection)

    def give_up(self) -> None:
        """End it, also while it is being made."""
        self.connection.invalidate()
        self._scope.cancel()


def _close_channels(connection: TCPConnection) -> None:
    # A connection that was never made leaves them open, and Python would warn of each.
    for each in vars(connection).values():
        if isinstance(each, MemoryObjectSendStream | MemoryObjectReceiveStream):
            each.close()


def _sender(connection: TCPConnection) -> Send:
    async def send(command: bytes, *args: Argument) -> Any:
        return await connection.create_request(command, *args, decode=False)

    return send


def _words(args: tuple[Argument, ...]) -> list[bytes | int]:
    # Encoded here, because what cannot be encoded would end the connection where it is sent, for everybody.
    return [arg.encode() if isinstance(arg, str) else arg for arg in args]
