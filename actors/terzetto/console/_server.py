"""`serve`: one port for the page, its websocket and the numbers of a runtime."""

import base64
import logging
import ssl
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final

import trio
from attrs import frozen
from trio_websocket import ConnectionClosed, wrap_server_stream

from terzetto_protocol.errors import InvalidRequest, StoreError
from terzetto_protocol.limits import CONSOLE_ADDRESS, CONSOLE_CONNECTIONS, CONSOLE_HANDSHAKE
from terzetto_protocol.session import Session
from terzetto_protocol.wire import SUBPROTOCOL, Limits

from .. import __version__
from .._runtime import Runtime
from ._access import Access, Grant, Token
from ._connection import Connection
from ._following import Following
from ._frame_heads import FrameHeads
from ._http import Answer, Asked, Unreadable, read_request, text
from ._metrics import MEDIA_TYPE, metrics
from ._numbers import numbers_of
from ._origins import Origins, is_loopback
from ._outbox import Outbox
from ._page import load_page
from ._queries import Queries
from ._stream import GuardedStream

PORT: Final = 7333
SOCKET: Final = "/ws"
"""The path of the websocket."""

_log: Final = logging.getLogger("terzetto")
_KEY: Final = 16
"""Bytes of a `Sec-WebSocket-Key`."""


@frozen
class Serving:
    """A server that listens."""

    host: str
    port: int
    url: str
    """The page's address, without a token."""
    socket_url: str
    """What `connect` takes."""


async def serve(
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    tokens: Sequence[Token] = (),
    tls: ssl.SSLContext | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    limits: Limits | None = None,
    max_connections: int = CONSOLE_CONNECTIONS,
    max_per_address: int = CONSOLE_ADDRESS,
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
    listeners = await trio.open_tcp_listeners(port, host=host)
    bound = [listener.socket.getsockname() for listener in listeners]
    server = _Server(
        runtime,
        Access(tokens),
        Origins(host, bound[0][1], tls=tls is not None, hosts=hosts, origins=origins),
        tls,
        limits or Limits(),
        (max_connections, max_per_address),
    )
    try:
        if is_loopback(host) and not all(ip_address(each[0]).is_loopback for each in bound):
            raise InvalidRequest(f"{host!r} is no address of this machine alone here: say 127.0.0.1")
        await server.run(listeners, _serving(host, bound[0][1], tls), task_status)
    finally:
        for listener in listeners:
            listener.socket.close()


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
    def __init__(
        self,
        runtime: Runtime,
        access: Access,
        origins: Origins,
        tls: ssl.SSLContext | None,
        limits: Limits,
        most: tuple[int, int],
    ) -> None:
        self._runtime, self._access, self._origins, self._tls = runtime, access, origins, tls
        self._limits, self._most = limits, most
        self._page = load_page()
        self._queries = Queries(runtime)
        self._following = Following(runtime)
        self._addresses: Counter[str] = Counter()
        self._counts = {"accepted": 0, "refused": 0, "clients": 0}

    async def run(
        self, listeners: list[trio.SocketListener], serving: Serving, task_status: trio.TaskStatus[Serving]
    ) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._following.run)
            serve_all = partial(trio.serve_listeners, self._accepted, listeners, handler_nursery=nursery)
            await nursery.start(serve_all)
            task_status.started(serving)

    # -- connections -----------------------------------------------------------------------------------------

    async def _accepted(self, stream: trio.SocketStream) -> None:
        """See to one connection, whatever it does. A checkpoint."""
        self._counts["accepted"] += 1
        try:
            address = str(stream.socket.getpeername()[0])
        except OSError:  # it is gone already
            await trio.aclose_forcefully(stream)
            return
        most, most_per_address = self._most
        if self._addresses.total() >= most or self._addresses[address] >= most_per_address:
            self._counts["refused"] += 1
            await trio.aclose_forcefully(stream)
            return
        self._addresses[address] += 1
        try:
            await self._speak(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed, ssl.SSLError, OSError):
            pass  # the client is gone
        except Exception:
            _log.exception("a connection of the console broke off")
        finally:
            self._addresses[address] -= 1
            self._addresses += Counter()
            await trio.aclose_forcefully(stream)

    async def _speak(self, socket: trio.SocketStream) -> None:
        stream: trio.abc.Stream = socket
        asked: Asked | None = None
        with trio.move_on_after(CONSOLE_HANDSHAKE):
            try:
                if self._tls is not None:
                    stream = trio.SSLStream(socket, self._tls, server_side=True, https_compatible=True)
                    await stream.do_handshake()
                asked = await read_request(stream)
                if asked is None:
                    return
                if not asked.wants_websocket:
                    await self._answer(stream, await self._answer_to(asked), bodiless=asked.method == "HEAD")
                    return
                answer = self._why_not(asked)
                if answer is not None:
                    self._counts["refused"] += 1
                    await self._answer(stream, answer)
                    return
            except Unreadable as error:
                await self._answer(stream, error.answer)
                return
        if asked is not None and asked.wants_websocket:
            grant = self._grant(asked)
            assert grant is not None
            await self._websocket(stream, asked, grant)

    async def _answer(self, stream: trio.abc.Stream, answer: Answer, *, bodiless: bool = False) -> None:
        await stream.send_all(answer.encoded(bodiless=bodiless))
        with suppress(trio.BrokenResourceError):
            await stream.aclose()

    # -- plain requests --------------------------------------------------------------------------------------

    async def _answer_to(self, asked: Asked) -> Answer:
        if not self._origins.has_host(asked.all("host")):
            return text(421, "this is not the server of that name")
        if asked.method not in ("GET", "HEAD"):
            return text(405, "GET and HEAD are all that is answered here", ("allow", "GET, HEAD"))
        if asked.path == "/healthz":
            return await self._healthz()
        if asked.path == "/metrics":
            return self._metrics(asked)
        if asked.path == SOCKET:
            return text(426, "this is a websocket", ("upgrade", "websocket"))
        file = self._page.get(asked.path)
        if file is None:
            return text(404, "there is nothing of that name")
        return file.answer(asked.words("if-none-match"), self._socket_of(asked))

    def _socket_of(self, asked: Asked) -> str:
        return f"{'ws' if self._tls is None else 'wss'}://{asked.one('host')}"

    async def _healthz(self) -> Answer:
        try:
            health = await self._runtime.store.health()
        except StoreError:
            return text(503, "the store is gone for now")
        if health.problems or self._runtime.stopping.is_set():
            return text(503, "something is wrong: ask for `health`, or run `terzetto doctor`")
        return text(200, "fine")

    def _metrics(self, asked: Asked) -> Answer:
        grant = self._access.of(asked.one("authorization"))
        if grant is None or "read" not in grant.scopes:
            return _unauthorized()
        console = {**self._counts, "connections": self._addresses.total()}
        return Answer(200, metrics({**numbers_of(self._runtime.statistics()), "console": console}), MEDIA_TYPE)

    # -- websockets ------------------------------------------------------------------------------------------

    def _why_not(self, asked: Asked) -> Answer | None:
        """Why a handshake is refused, or None. Not a checkpoint."""
        offered = asked.protocols
        if not self._origins.has_host(asked.all("host")):
            return text(421, "this is not the server of that name")
        if not self._origins.has_origin(asked.all("origin")):
            return text(403, "pages of that origin may not do this")
        if asked.path != SOCKET or asked.method != "GET":
            return text(404, f"the websocket is at {SOCKET}")
        if asked.words("upgrade") != ["websocket"] or "upgrade" not in asked.words("connection") or asked.rest:
            return text(400, "that is no handshake of a websocket")
        if asked.one("sec-websocket-version") != "13":
            return text(426, "version 13 of websockets is spoken here", ("sec-websocket-version", "13"))
        if not _is_key(asked.one("sec-websocket-key")):
            return text(400, "a handshake needs a Sec-WebSocket-Key of 16 bytes")
        if SUBPROTOCOL not in offered:
            return text(400, f"offer the subprotocol {SUBPROTOCOL}")
        return _unauthorized() if self._grant(asked) is None else None

    def _grant(self, asked: Asked) -> Grant | None:
        return self._access.of(asked.one("authorization"), asked.protocols)

    async def _websocket(self, stream: trio.abc.Stream, asked: Asked, grant: Grant) -> None:
        session = Session(scopes=grant.scopes, who=grant.who, server=__version__, limits=self._limits)
        outbox = Outbox()
        heads = FrameHeads(self._limits.frame)
        guarded = GuardedStream(
            stream, asked.raw, heads, lambda broken: outbox.close(broken.code, broken.reason, at_once=True)
        )
        connection = Connection(self._runtime, session, self._queries.answer, self._following, outbox)
        async with trio.open_nursery() as nursery:
            with trio.fail_after(CONSOLE_HANDSHAKE):
                request = await wrap_server_stream(nursery, guarded, max_message_size=self._limits.frame)
                socket = await request.accept(subprotocol=SUBPROTOCOL)
            self._counts["clients"] += 1
            try:
                await connection.run(socket)
            finally:
                self._counts["clients"] -= 1
                nursery.cancel_scope.cancel(reason="the connection is closed")


def _unauthorized() -> Answer:
    return text(401, "a token is needed", ("www-authenticate", "Bearer"))


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY
    except ValueError:
        return False
