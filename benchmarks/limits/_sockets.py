"""The limits of a console: trio-websocket at both ends of a connection of this machine, and texts that are ready.

- A request has an answer, and both are frames (13.8); here nobody reads what they say.
- Events are told in their order, many in each frame (13.9); here they were made before, and nobody looks at them.
- A reader who was away is told what it has missed (8.2); here all of that is in memory, as one text for each frame.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, open_websocket, serve_websocket

HOST: Final = "127.0.0.1"
ECHO: Final = "trio-websocket at both ends: texts of the same sizes, and nobody reads them"
EACH: Final = "trio-websocket at both ends: texts of as many bytes that were made before, each in a frame of its own"
TOGETHER: Final = "trio-websocket at both ends: the same texts made before, 64 in a frame"
IN_A_FRAME: Final = 64

_Speak: TypeAlias = Callable[[WebSocketConnection], Awaitable[None]]


def frames_of(events: int, size: int, together: int) -> list[str]:
    """Texts of so many bytes, so many in a frame."""
    whole, rest = divmod(events, together)
    return [_frame(size, together)] * whole + [_frame(size, rest)] * bool(rest)


def _frame(size: int, count: int) -> str:
    return ",".join(["x" * size] * count)


@asynccontextmanager
async def served(speak: _Speak) -> AsyncGenerator[int, None]:
    """A server that speaks so to whoever comes, and its port."""

    async def answer(request: WebSocketRequest) -> None:
        with suppress(ConnectionClosed):
            await speak(await request.accept())

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, answer, HOST, 0, ssl_context=None))
        yield server.port
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(port: int) -> AsyncGenerator[WebSocketConnection, None]:
    """A client."""
    async with open_websocket(HOST, port, "/", use_ssl=False) as socket:
        yield socket


def echoed(times: int, asked: int, answered: int) -> float:
    """Round trips each second, of frames of so many bytes."""
    return trio.run(_echo, times, "x" * asked, "x" * answered)


async def _echo(times: int, asked: str, answered: str) -> float:
    async def speak(socket: WebSocketConnection) -> None:
        while True:
            await socket.get_message()
            await socket.send_message(answered)

    async with served(speak) as port, connected(port) as socket:
        began = perf_counter()
        for _ in range(times):
            await socket.send_message(asked)
            await socket.get_message()
        return times / (perf_counter() - began)


def told(clients: int, events: int, size: int, together: int = IN_A_FRAME) -> float:
    """Events that clients get each second, all together."""
    return clients * events / trio.run(_tell, clients, frames_of(events, size, together))


async def _tell(clients: int, frames: Sequence[str]) -> float:
    may_begin, (note, notes) = trio.Event(), trio.open_memory_channel[None](clients)

    async def speak(socket: WebSocketConnection) -> None:
        note.send_nowait(None)
        await may_begin.wait()
        for frame in frames:
            await socket.send_message(frame)
        await socket.get_message()

    async with served(speak) as port:
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(_hear, port, len(frames), note)
            await _all(notes, clients)
            began = perf_counter()
            may_begin.set()
            await _all(notes, clients)
            took = perf_counter() - began
    return took


async def _hear(port: int, count: int, note: trio.MemorySendChannel[None]) -> None:
    async with connected(port) as socket:
        for _ in range(count):
            await socket.get_message()
        note.send_nowait(None)


async def _all(notes: trio.MemoryReceiveChannel[None], count: int) -> None:
    for _ in range(count):
        await notes.receive()


def resumed(times: int, events: int, size: int, together: int = IN_A_FRAME) -> list[float]:
    """Seconds from a request until all that was missed is there, each time."""
    return trio.run(_resume, times, frames_of(events, size, together))


async def _resume(times: int, frames: Sequence[str]) -> list[float]:
    async def speak(socket: WebSocketConnection) -> None:
        while True:
            await socket.get_message()
            for frame in frames:
                await socket.send_message(frame)

    seconds = list[float]()
    async with served(speak) as port, connected(port) as socket:
        for _ in range(times):
            began = perf_counter()
            await socket.send_message("the last one was 1")
            for _ in frames:
                await socket.get_message()
            seconds.append(perf_counter() - began)
    return seconds
