"""Consoles for tests: a server on a port of this machine, and clients that send whatever they like."""

import base64
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from attrs import define, frozen
from trio_websocket import WebSocketConnection, open_websocket_url

import terzetto
from terzetto.console import Serving, serve
from terzetto_protocol.wire import SUBPROTOCOL

LIMIT = 30.0
"""Seconds of real time that any one test may take."""
KEY = base64.b64encode(bytes(range(16))).decode()
SECRET = "a-secret-of-the-tests"
GREET = '{"type":"greet","major":1}'


@define
class Place:
    """A runtime and its console."""

    runtime: terzetto.Runtime
    serving: Serving
    nursery: trio.Nursery

    @property
    def url(self) -> str:
        return self.serving.socket_url

    @property
    def port(self) -> int:
        return self.serving.port

    async def stream(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def get(self, path: str = "/", *lines: str, method: str = "GET", host: str | None = None) -> "Got":
        """One plain request."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}", *lines]
        return await self.raw("\r\n".join([*head, "", ""]).encode())

    async def raw(self, data: bytes) -> "Got":
        """Whatever is sent, and everything that comes of it."""
        async with await self.stream() as stream:
            await stream.send_all(data)
            return got(await rest(stream))

    async def shake(self, *lines: str, leave_out: str = "", host: str | None = None, path: str = "/ws") -> "Got":
        """The answer to a handshake that may be wrong; of one that is accepted, its head."""
        async with await self.stream() as stream:
            return await shaken(stream, self.handshake(*lines, leave_out=leave_out, host=host, path=path))

    def handshake(self, *lines: str, leave_out: str = "", host: str | None = None, path: str = "/ws") -> bytes:
        """A right handshake, with these headers more, and without those that begin so."""
        usual = [
            f"GET {path} HTTP/1.1",
            f"Host: {host or f'127.0.0.1:{self.port}'}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
            *([] if any(line.startswith("Sec-WebSocket-Protocol") for line in lines) else [PROTOCOL]),
        ]
        kept = [line for line in usual if not leave_out or not line.startswith(leave_out)]
        return "\r\n".join([*kept, *lines, "", ""]).encode()

    @asynccontextmanager
    async def opened(self, *lines: str) -> AsyncIterator[trio.SocketStream]:
        """A websocket whose frames are made by hand, after its handshake and the server's greeting."""
        async with await self.stream() as stream:
            assert 101 == (await shaken(stream, self.handshake(*lines))).status
            yield stream

    @asynccontextmanager
    async def socket(self, *headers: tuple[bytes, bytes]) -> AsyncIterator[WebSocketConnection]:
        """A websocket after both greetings."""
        async with open_websocket_url(
            self.url,
            subprotocols=[SUBPROTOCOL],
            extra_headers=list(headers),
            disconnect_timeout=1,
            max_message_size=2**24,
        ) as socket:
            await socket.send_message(GREET)
            assert "hello" == msgspec.json.decode(await socket.get_message())["type"]
            yield socket


PROTOCOL = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"


@frozen
class Got:
    """An answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes


def got(data: bytes) -> Got:
    """0 where nothing came."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Got(int(first.split()[1]) if first else 0, headers, body)


async def rest(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the other side has closed."""
    data = b""
    try:
        while more := await stream.receive_some():
            data += more
    except trio.BrokenResourceError:
        pass
    return data


async def shaken(stream: trio.abc.Stream, handshake: bytes) -> Got:
    await stream.send_all(handshake)
    data = b""
    while b"\r\n\r\n" not in data and (more := await stream.receive_some(1)):
        data += more
    answer = got(data)
    return answer if answer.status == 101 else Got(answer.status, answer.headers, await rest(stream))


def framed(payload: bytes, opcode: int = 1, *, final: bool = True, size: int | None = None) -> bytes:
    """A frame of a client, masked with zeros; `size` is what its head says."""
    size = len(payload) if size is None else size
    first = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head = first + bytes([0x80 | size])
    elif size < 1 << 16:
        head = first + b"\xfe" + struct.pack("!H", size)
    else:
        head = first + b"\xff" + struct.pack("!Q", size)
    return head + bytes(4) + payload


async def frames(stream: trio.abc.ReceiveStream) -> list[tuple[int, bytes]]:
    """Every frame of the server until the connection is closed, as opcode and payload."""
    return parsed(await rest(stream))


def parsed(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        size, begin = data[1], 2
        if size == 126:
            size, begin = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            size, begin = struct.unpack("!Q", data[2:10])[0], 10
        found.append((data[0] & 0xF, data[begin : begin + size]))
        data = data[begin + size :]
    return found


def closes(found: list[tuple[int, bytes]]) -> list[int]:
    """The codes with which the server has closed."""
    return [struct.unpack("!H", payload[:2])[0] for opcode, payload in found if opcode == 8]


async def heard(socket: WebSocketConnection) -> Any:
    """The next frame of the server."""
    return msgspec.json.decode(await socket.get_message())


async def asked(socket: WebSocketConnection, number: int, **ask: Any) -> Any:
    """What is answered to one request; frames of subscriptions are passed over."""
    await socket.send_message(msgspec.json.encode({"type": "request", "id": number, "ask": ask}).decode())
    while True:
        frame = await heard(socket)
        if frame.get("id") == number:
            return frame


@asynccontextmanager
async def place(*graphs: Any, store: Any = "memory:", **options: Any) -> AsyncIterator[Place]:
    """A runtime and a console around it, for as long as the block lasts."""
    with trio.fail_after(LIMIT):
        async with terzetto.open_runtime(store, graphs=list(graphs)) as runtime, trio.open_nursery() as nursery:

            async def start(*, task_status: trio.TaskStatus[Serving]) -> None:
                await serve(runtime, port=0, task_status=task_status, **options)

            yield Place(runtime, await nursery.start(start), nursery)
            nursery.cancel_scope.cancel()


def token_header(secret: str = SECRET) -> str:
    return f"Authorization: Bearer {secret}"


def token_protocol(secret: str = SECRET) -> str:
    encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    return f"{PROTOCOL}, terzetto.token.{encoded}"


async def until(true: Callable[[], object]) -> None:
    """Wait in real time for what nobody tells; the test has a hard limit."""
    while not true():  # noqa: ASYNC110 - see above
        await trio.sleep(0.005)
