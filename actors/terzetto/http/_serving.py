"""The server: listeners that are safe to open, and hypercorn for what is said on each connection."""

import logging
import ssl
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import SERVER_HEAD
from terzetto_protocol.origins import is_loopback
from terzetto_protocol.tokens import Token

from ._app import app
from ._connection import Connection, Door
from ._limits import HttpLimits

if TYPE_CHECKING:
    from .._runtime import Runtime

_LOG: Final = logging.getLogger("terzetto")


async def serve(
    runtime: "Runtime",
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    tls: ssl.SSLContext | None = None,
    tokens: Collection[Token] = (),
    hosts: Collection[str] = (),
    origins: Collection[str] = (),
    limits: HttpLimits | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer HTTP until cancelled, in the caller's Trio loop. A checkpoint.

    With `nursery.start` it gives the URLs at which it listens. Cancelled, it closes every connection at once; what a
    client has asked may or may not have been done, as its next look shows. Runs are not touched.

    Args:
        runtime: it has to be open for as long as this runs: leave this first.
        host: an address of this machine, or a name of it; another than loopback takes `tls` and `tokens`.
        port: 0 for one that is free.
        tls: with the certificate; this sets its protocol to HTTP/1.1.
        tokens: who may do what; without any, whoever is on this machine may do everything.
        hosts: names that clients call the server by, as `runs.example.com` or with a port, besides its own addresses.
        origins: pages that may ask, as `https://runs.example.com`, besides those of its own addresses.
        limits: what clients may do, how often, and how slowly.

    Raises:
        InvalidRequest: it would be reached from elsewhere without TLS and a token, or a host or an origin is none.
        OSError: it cannot listen there.
    """
    limits = limits or HttpLimits()
    made = app(runtime, tokens=tokens, hosts=hosts, origins=origins, limits=limits)
    addresses = await _addresses(host, port)
    if any(not is_loopback(address) for address in addresses) and not (tls is not None and tokens):
        raise InvalidRequest(
            f"{host!r} is reached from other machines: that takes tls= and tokens=, or else host='127.0.0.1'"
        )
    if tls is not None:
        tls.set_alpn_protocols(["http/1.1"])
    server = _Server(ASGIWrapper(cast("Any", made)), tls, limits)
    listeners = await _listen(addresses, port)
    scheme = "http" if tls is None else "https"
    async with trio.open_nursery() as nursery:
        try:
            task_status.started([f"{scheme}://{_named(each)}" for each in listeners])
            await trio.serve_listeners(server.handle, listeners, handler_nursery=nursery)
        finally:
            server.close()


async def _addresses(host: str, port: int) -> list[str]:
    found = await trio.socket.getaddrinfo(
        host or "0.0.0.0",  # noqa: S104 - which is refused without TLS and a token
        port,
        type=trio.socket.SOCK_STREAM,
        flags=trio.socket.AI_PASSIVE,
    )
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def _listen(addresses: list[str], port: int) -> list[trio.SocketListener]:
    """A listener for each address, all at one port."""
    listeners: list[trio.SocketListener] = []
    try:
        for address in addresses:
            listeners += await trio.open_tcp_listeners(port, host=address)
            port = port or listeners[0].socket.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


def _named(listener: trio.SocketListener) -> str:
    address, port, *_ = listener.socket.getsockname()
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class _Server:
    """What connections have in common."""

    def __init__(self, made: AppWrapper, tls: ssl.SSLContext | None, limits: HttpLimits) -> None:
        self._app: Final = made
        self._tls: Final = tls
        self._slow: Final = limits.slow
        self._door: Final = Door(limits.connections, limits.address)
        self._config: Final = _config(limits)

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end. A checkpoint; whatever goes wrong in it ends it and nothing else."""
        connection = Connection(stream, self._slow)
        try:
            address = stream.socket.getpeername()[0]
            if self._door.enter(connection, address):
                await self._speak(connection)
        except* OSError:
            pass  # the other side is gone
        except* Exception as errors:  # noqa: BLE001 - one client must not end the server of all others
            _LOG.error("an HTTP connection went wrong", exc_info=errors)
        finally:
            self._door.leave(connection)
            connection.abort()

    async def _speak(self, connection: Connection) -> None:
        stream: Any = connection
        if self._tls is not None:
            stream = trio.SSLStream(connection, self._tls, server_side=True, https_compatible=True)
        await TCPServer(self._app, self._config, WorkerContext(None), ConnectionState({}), stream)

    def close(self) -> None:
        """End every connection at once. Not a checkpoint."""
        self._door.close()


def _config(limits: HttpLimits) -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = SERVER_HEAD
    config.keep_alive_timeout = limits.idle
    config.ssl_handshake_timeout = limits.idle
    return config
