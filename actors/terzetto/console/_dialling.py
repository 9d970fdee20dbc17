"""Opening a websocket as a client: every way in which that fails is an error, at once, and leaves nothing open."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import urlsplit

import trio
from attrs import frozen
from trio_websocket import HandshakeError, WebSocketConnection, wrap_client_stream

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import CONSOLE_HANDSHAKE, WIRE_ANSWER
from terzetto_protocol.wire import SUBPROTOCOL

from ._origins import is_loopback
from ._outlasting import outlasting
from ._stream import EndingStream

_LEAVE: Final = 2.0
"""How long a server has to answer a close, seconds."""
_QUEUED: Final = 16
"""Messages that are read before somebody takes them."""


@frozen
class Address:
    """Where a console is."""

    host: str
    port: int
    path: str
    secure: bool

    @property
    def name(self) -> str:
        """The host as a request names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def address_of(url: str, token: str) -> Address:
    """Where the console of a URL is.

    Raises `InvalidRequest` for what is no such URL, or when everybody on the way could read the token.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise InvalidRequest("that is not the URL of a console: say it as in ws://127.0.0.1:7333/ws")
    secure = parts.scheme == "wss"
    if token and not secure and not is_loopback(parts.hostname):
        raise InvalidRequest(f"a token would go to {parts.hostname!r} for everybody on the way to read: say wss://")
    return Address(parts.hostname, port or (443 if secure else 80), parts.path or "/ws", secure)


@asynccontextmanager
async def dialled(
    address: Address, tls: ssl.SSLContext | None, headers: Sequence[tuple[bytes, bytes]]
) -> AsyncGenerator[WebSocketConnection]:
    """A websocket as long as the block lasts. A checkpoint.

    Raises one of `GONE`, alone or in a group.
    """
    with trio.fail_after(CONSOLE_HANDSHAKE):
        stream = await _connected(address, tls)
    try:
        async with outlasting() as nursery:
            socket: WebSocketConnection | None = None
            with trio.move_on_after(CONSOLE_HANDSHAKE) as shaking:
                watched = EndingStream(stream, lambda: shaking.cancel(reason="the server is gone"))
                socket = await wrap_client_stream(
                    nursery,
                    cast("trio.SocketStream", watched),
                    address.name,
                    address.path,
                    subprotocols=[SUBPROTOCOL],
                    extra_headers=list(headers),
                    message_queue_size=_QUEUED,
                    max_message_size=WIRE_ANSWER,
                )
            if socket is None:
                raise HandshakeError("the server did not answer the handshake")
            try:
                yield socket
            finally:
                with trio.move_on_after(_LEAVE, shield=True):
                    await socket.aclose()
    finally:
        await trio.aclose_forcefully(stream)


async def _connected(address: Address, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream(address.host, address.port)
    if not address.secure:
        return stream
    context = ssl.create_default_context() if tls is None else tls
    secure = trio.SSLStream(stream, context, server_hostname=address.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure
