"""`serve`: one port for the page, its websocket and the numbers of a runtime."""

import logging
import ssl
from collections import Counter
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from typing import Final

import trio
from attrs import frozen
from trio_websocket import wrap_server_stream

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import CONSOLE_HANDSHAKE, SERVER_ADDRESS, SERVER_CONNECTIONS
from terzetto_protocol.session import Session
from terzetto_protocol.tokens import Token
from terzetto_protocol.wire import SUBPROTOCOL, Limits

from .. import __version__
from .._runtime import Runtime
from ._access import Access, Grant
from ._connection import Connection
from ._following import Following
from ._frame_heads import FrameHeads
from ._gone import is_gone
from ._http import Asked, Unreadable, read_request
from ._origins import Origins, is_loopback
from ._outbox import Outbox
from ._outlasting import outlasting
from ._queries import Queries
from ._site import SOCKET, Site
from ._stream import GuardedStream

PORT: Final = 7333

_log: Final = logging.getLogger("terzetto")
_REFUSING: Final = 400
"""From which status on an answer is a refusal."""


@frozen
class Serving:
    """A server that listens."""

    host: str
    port: int
    url: str
    """The page's address, without a token."""
    socket_url: str
    """What `connect` takes."""


async def serve(  # noqa: ASYNC128 - who listens says that it has started
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    tokens: Sequence[Token] = (),
    tls: ssl.SSLContext | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    limits: Limits | None = None,
    max_connections: int = SERVER_CONNECTIONS,
    max_per_address: int = SERVER_ADDRESS,
    task_status: trio.TaskStatus[Serving] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the console of a runtime until cancelled: `serving = await nursery.start(serve, runtime)`. A checkpoint.

    Nothing that a client does ends it, or reaches further than its own connection. Cancelled, clients are told that
    the server leaves, and nothing of it is left; what they had commanded goes on.

    Args:
        runtime: whose runs are shown and steered.
        host: address to listen at; one that others can reach takes `tls` and `tokens`.
        port: 0 for any that is free.
        tokens: who may do what; without any, everybody who reaches the port may do everything.
        tls: with the certificate of the server loaded.
        hosts: names by which clients call it besides its address, such as that of a proxy in front.
        origins: pages of other origins that may open the websocket, as `"https://example.com"`.
        limits: what one connection may do.
        max_connections: how many there are at once; more are turned away.
        max_per_address: the same from one address.
        task_status: hears the address once it listens.

    Raises:
        InvalidRequest: others could reach it without TLS or without a token.
        OSError: it cannot listen there.
    """
    _check_safe(host, tls, tokens)
    listeners = await _listeners(host, port)
    try:
        bound = [listener.socket.getsockname() for listener in listeners]
        if is_loopback(host) and not all(ip_address(each[0]).is_loopback for each in bound):
            raise InvalidRequest(f"{host!r} is no address of this machine alone here: say 127.0.0.1")
        server = _Server(
            runtime,
            Access(tokens),
            Origins(host, bound[0][1], tls=tls is not None, hosts=hosts, origins=origins),
            tls=tls,
            limits=limits or Limits(),
            most=(max_connections, max_per_address),
        )
        await server.run(listeners, _serving(host, bound[0][1], tls), task_status)
    finally:
        for listener in listeners:
            listener.socket.close()


async def _listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Sockets that listen at one port: where any is free, a name with several addresses gets one of them."""
    listeners = await trio.open_tcp_listeners(port, host=host)
    if port:
        return listeners
    for other in listeners[1:]:
        other.socket.close()
    return listeners[:1]


def _check_safe(host: str, tls: ssl.SSLContext | None, tokens: Sequence[Token]) -> None:
    if is_loopback(host) or (tls is not None and tokens):
        return
    missing = [*(["tls="] if tls is None else []), *([] if tokens else ["tokens="])]
    text = f"others can reach {host!r}, so the console needs {' and '.join(missing)} there"
    raise InvalidRequest(f"{text}; or say 127.0.0.1, and lead to it by a proxy or `ssh -L` that does that")


def _serving(host: str, port: int, tls: ssl.SSLContext | None) -> Serving:
    name, secure = f"[{host}]" if ":" in host else host, "" if tls is None else "s"
    return Serving(host, port, f"http{secure}://{name}:{port}/", f"ws{secure}://{name}:{port}{SOCKET}")


class _Server:
    """The connections of one server."""

    def __init__(
        self,
        runtime: Runtime,
        access: Access,
        origins: Origins,
        *,
        tls: ssl.SSLContext | None,
        limits: Limits,
        most: tuple[int, int],
    ) -> None:
        self._runtime, self._tls, self._limits, self._most = runtime, tls, limits, most
        self._site: Final = Site(runtime, access, origins, tls=tls is not None, counts=self._numbers)
        self._queries: Final = Queries(runtime)
        self._following: Final = Following(runtime)
        self._addresses: Final[Counter[str]] = Counter()
        self._counts: Final = {"accepted": 0, "refused": 0, "clients": 0}

    def _numbers(self) -> dict[str, int]:
        return {**self._counts, "connections": self._addresses.total()}

    async def run(
        self, listeners: list[trio.SocketListener], serving: Serving, task_status: trio.TaskStatus[Serving]
    ) -> None:
        """Take connections until cancelled. A checkpoint."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._following.run)
            await nursery.start(partial(trio.serve_listeners, self._accepted, listeners, handler_nursery=nursery))
            task_status.started(serving)

    async def _accepted(self, stream: trio.SocketStream) -> None:
        """See to one connection, whatever it does. A checkpoint."""
        self._counts["accepted"] += 1
        address = _address_of(stream)
        most, most_per_address = self._most
        if self._addresses.total() >= most or self._addresses[address] >= most_per_address:
            self._counts["refused"] += 1
            await trio.aclose_forcefully(stream)
            return
        self._addresses[address] += 1
        try:
            await self._speak(stream)
        except Exception as error:  # noqa: BLE001 - one connection is not the end of the others
            if not is_gone(error):
                _log.error("a connection of the console broke off", exc_info=error)
        finally:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            await trio.aclose_forcefully(stream)

    async def _speak(self, socket: trio.SocketStream) -> None:
        stream: trio.abc.Stream = socket
        admitted: tuple[Asked, Grant] | None = None
        with trio.move_on_after(CONSOLE_HANDSHAKE):
            if self._tls is not None:
                stream = secure = trio.SSLStream(socket, self._tls, server_side=True, https_compatible=True)
                await secure.do_handshake()
            admitted = await self._admitted(stream)
        if admitted is not None:
            await self._websocket(stream, *admitted)

    async def _admitted(self, stream: trio.abc.Stream) -> tuple[Asked, Grant] | None:
        """The handshake of a websocket that is to be accepted; anything else is answered here. A checkpoint."""
        bodiless = False
        try:
            asked = await read_request(stream)
            if asked is None:
                return None
            bodiless = asked.method == "HEAD"
            found = await self._site.answer(asked)
            if isinstance(found, Grant):
                return asked, found
            answer = found
        except Unreadable as error:
            answer = error.answer
        self._counts["refused"] += answer.status >= _REFUSING
        await stream.send_all(answer.encoded(bodiless=bodiless))
        await stream.aclose()
        return None

    async def _websocket(self, stream: trio.abc.Stream, asked: Asked, grant: Grant) -> None:
        session = Session(scopes=grant.scopes, who=grant.who, server=__version__, limits=self._limits)
        outbox = Outbox()
        guarded = GuardedStream(
            stream,
            asked.raw,
            FrameHeads(self._limits.frame),
            lambda broken: outbox.close(broken.code, broken.reason, at_once=True),
        )
        connection = Connection(self._runtime, session, self._queries.answer, self._following, outbox)
        async with outlasting() as nursery:
            with trio.fail_after(CONSOLE_HANDSHAKE):
                request = await wrap_server_stream(nursery, guarded, max_message_size=self._limits.frame)
                socket = await request.accept(subprotocol=SUBPROTOCOL)
            self._counts["clients"] += 1
            try:
                await connection.run(socket)
            finally:
                self._counts["clients"] -= 1


def _address_of(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""  # it is gone already
