"""A connection to a Redis server in a thread and a loop of its own, for callers that block."""

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha1
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple, final
from urllib.parse import unquote, urlsplit

import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis.connection import TCPConnection, TCPLocation
from coredis.exceptions import ConnectionError as LineLost, NoScriptError, RedisError, ResponseError

from terzetto_protocol.errors import InvalidRequest, StoreError, StoreRejected, StoreUnavailable

from ._hops import check_process

PATIENCE: Final = 10.0
"""How long the server may take to answer, connecting included, seconds."""
TRIES: Final = 2
"""How often a command is sent whose connection is lost. What is asked of it is the same when it is done twice."""


class Script(NamedTuple):
    """A script in Lua, and what the server knows it by."""

    text: bytes
    sha: bytes


def script(text: str) -> Script:
    """A script, with the name that servers give it."""
    encoded = text.encode()
    return Script(encoded, sha1(encoded, usedforsecurity=False).hexdigest().encode())


@final
class RedisThread:
    """Asks a Redis server, for any thread. The connection is made with the first question, and anew when it is lost.

    Args:
        url: `redis://` or `rediss://`, user, password, host, port and database.
    """

    def __init__(self, url: str) -> None:
        self._make = _connections(url)
        self._opened_in = os.getpid()
        self._thread = Thread(target=self._live, name="redis of terzetto", daemon=True)
        self._started = SimpleQueue[trio.lowlevel.TrioToken]()
        self._connection: TCPConnection | None = None
        self._thread.start()
        self._token = self._started.get()

    def stop(self) -> None:
        """End it, and wait for the end; nothing the second time, or in a forked process."""
        if os.getpid() != self._opened_in:
            return
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._over.set)
        self._thread.join(PATIENCE)

    def ask(self, command: bytes, *args: bytes) -> Any:
        """The server's answer; blocks.

        Raises:
            StoreUnavailable: nobody knows whether it happened.
            StoreRejected: the server refuses it.
            StoreError: it has been stopped.
        """
        return self._hop(self._ask, command, args)

    def run(self, script: Script, keys: tuple[bytes, ...], *args: bytes) -> Any:
        """What a script answers; as `ask`."""
        return self._hop(self._run, script, (b"%d" % len(keys), *keys, *args))

    def check_policy(self) -> None:
        """Refuse a server that throws keys away when its memory is full; one that does not tell is believed. Blocks.

        Raises:
            StoreUnavailable: the server does not answer.
            StoreError: it does not keep what it is given.
        """
        policy = self._policy()
        if policy not in (b"", b"noeviction"):
            text = f"the Redis server may throw checkpoints away (maxmemory-policy {policy.decode()})"
            raise StoreError(f"{text}: set it to noeviction")

    def _policy(self) -> bytes:
        try:
            lines = self.ask(b"INFO", b"memory").splitlines()
        except StoreRejected:  # not everybody may ask
            return b""
        said = [line.partition(b":") for line in lines]
        return next((value for name, _, value in said if name == b"maxmemory_policy"), b"")

    def _hop(self, fn: Any, *args: Any) -> Any:
        check_process(self._opened_in)
        try:
            return trio.from_thread.run(fn, *args, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled) as error:  # noqa: ASYNC103 - not this task's, but the thread's
            raise StoreError("the store in Redis is closed") from error  # noqa: ASYNC104 - as above

    async def _run(self, script: Script, args: tuple[bytes, ...]) -> Any:
        try:
            return await self._ask(b"EVALSHA", (script.sha, *args))
        except StoreRejected as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return await self._ask(b"EVAL", (script.text, *args))

    async def _ask(self, command: bytes, args: tuple[bytes, ...]) -> Any:
        with trio.move_on_after(PATIENCE):
            try:
                return await self._try(command, args)
            except ResponseError as error:
                raise StoreRejected(f"the store in Redis: {error}") from error
            except (RedisError, OSError) as error:
                raise StoreUnavailable(f"the store in Redis: {error}") from error
        self._drop()
        raise StoreUnavailable(f"the store in Redis did not answer within {PATIENCE:g} s")

    async def _try(self, command: bytes, args: tuple[bytes, ...]) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await (await self._connected()).create_request(command, *args, decode=False)
            except LineLost:
                self._drop()
        return await (await self._connected()).create_request(command, *args, decode=False)

    async def _connected(self) -> TCPConnection:
        if self._over.is_set():  # a call that lost its connection to `stop` makes none anew
            raise StoreError("the store in Redis is closed")
        connection = self._connection
        if connection is None or not connection.usable:
            async with self._connecting:
                connection = self._connection
                if connection is None or not connection.usable:
                    connection = await self._connect()
                    self._connection = connection
        return connection

    async def _connect(self) -> TCPConnection:
        connection = self._make()
        try:
            error = await self._nursery.start(_carry, connection)
            if error is not None:
                raise error
        except BaseException:
            connection.invalidate()
            raise
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def _live(self) -> None:
        trio.run(self._serve)

    async def _serve(self) -> None:
        self._over, self._connecting = trio.Event(), trio.Lock()
        async with trio.open_nursery() as self._nursery:
            self._started.put(trio.lowlevel.current_trio_token())
            await self._over.wait()
            self._nursery.cancel_scope.cancel()


class _Started:
    """Tells once that a connection was made, or why not."""

    def __init__(self, status: trio.TaskStatus[RedisError | None]) -> None:
        self._status, self._told = status, False

    def started(self, value: RedisError | None = None) -> None:
        if not self._told:
            self._told = True
            self._status.started(value)


async def _carry(  # noqa: ASYNC114, ASYNC128 - the connection's own body says that it has started
    connection: TCPConnection, *, task_status: trio.TaskStatus[RedisError | None]
) -> None:
    started = _Started(task_status)
    try:
        await connection.run(task_status=started)
    except RedisError as error:
        started.started(error)
    finally:
        # A connection that was never made leaves them open, and Python would warn of each.
        for each in vars(connection).values():
            if isinstance(each, MemoryObjectSendStream | MemoryObjectReceiveStream):
                each.close()


def _connections(url: str) -> Callable[[], TCPConnection]:
    text = "this does not say where a Redis server is, as redis://USER:PASSWORD@HOST:PORT/0 does"
    wrong = InvalidRequest(f"{text} (signs in a password are escaped: / is %2F, # is %23, ? is %3F)")
    if "#" in url:
        raise wrong
    try:
        parts = urlsplit(url)
        host, port, db = parts.hostname or "localhost", parts.port or 6379, int(parts.path.strip("/") or 0)
    except ValueError:  # its words may have the password in them
        raise wrong from None
    if parts.query:
        raise InvalidRequest("the URL of a Redis server has no such option, and checkpoints know one: prefix")

    def make() -> TCPConnection:
        return TCPConnection(
            TCPLocation(host, port),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            db=db,
            ssl_context=ssl.create_default_context() if parts.scheme == "rediss" else None,
            socket_keepalive=True,
        )

    return make
