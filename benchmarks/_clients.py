"""A child process: have a thousand clients at a console (or at a bare server), and print what that takes of memory.

`python -m benchmarks._clients console|bare COUNT` prints how many bytes the resident memory of the server's process has
grown. The clients are in a process of their own, `python -m benchmarks._clients clients COUNT URL`.
"""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import trio
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Request as Handshake

import terzetto
from terzetto_protocol.wire import CLIENT_FRAMES, MAJOR, SUBPROTOCOL, Greet, Request
from terzetto_protocol.wire_asks import Subscribe

from ._consoles import console_of
from ._pages import resident
from ._process import ROOT
from ._waiting import Calls, live_graph, submit_many
from .limits._sockets import served

CONSOLE, BARE, CLIENTS = "console", "bare", "clients"
_RUN: Final = "run-0"
_FILES: Final = 100
"""Files that a process has open beside its clients."""


def main(kind: str, count: str, url: str = "") -> None:
    """Serve, or be the clients."""
    _allow_files(int(count) + _FILES)
    if kind == CLIENTS:
        _be_clients(int(count), url)
    else:
        print(trio.run(_serve, kind, int(count)))


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


async def _serve(kind: str, count: int) -> int:
    async with (_console if kind == CONSOLE else _bare)(count) as url:
        await _with_clients(url, 10)  # what is loaded and made with the first ones is not what one weighs
        before = resident()
        return await _with_clients(url, count) - before


@asynccontextmanager
async def _console(count: int) -> AsyncGenerator[str, None]:
    """A console, and a run for all of them."""
    graph = live_graph()
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, Calls())]) as runtime:
        await submit_many(runtime, graph, 1)
        async with console_of(runtime, count) as url:
            yield url
        await runtime.get(_RUN).cancel()


@asynccontextmanager
async def _bare(count: int) -> AsyncGenerator[str, None]:
    """A server that waits for what each of them says."""

    async def wait(connection: WebSocketConnection) -> None:
        for _ in range(count):
            await connection.get_message()

    async with served(wait) as port:
        yield f"ws://127.0.0.1:{port}/"


async def _with_clients(url: str, count: int) -> int:
    """What this process has in memory while so many watch."""
    command = [sys.executable, "-m", "benchmarks._clients", CLIENTS, str(count), url]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said = await process.stdout.receive_some()
    assert said == b"ready\n", (said, await process.wait())
    now = resident()
    await process.stdin.aclose()
    assert await process.wait() == 0
    return now


def _be_clients(count: int, url: str) -> None:
    sockets = [_client(url) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    assert len(sockets) == count


def _client(url: str) -> socket.socket:
    """One who has greeted and watches, if a console is there."""
    place = urlsplit(url)
    connection, stream = WSConnection(ConnectionType.CLIENT), socket.create_connection((place.hostname, place.port))
    stream.settimeout(30)
    stream.sendall(connection.send(Handshake(host=place.netloc, target=place.path, subprotocols=[SUBPROTOCOL])))
    _until(stream, connection, AcceptConnection, "")
    for frame in (Greet(MAJOR), Request(1, Subscribe(_RUN))):
        stream.sendall(connection.send(Message(CLIENT_FRAMES.to_json(frame).decode())))
    if place.path != "/":
        _until(stream, connection, Message, "NodeStarted")
    return stream


def _until(stream: socket.socket, connection: WSConnection, kind: type, text: str) -> None:
    while True:
        for event in connection.events():
            if isinstance(event, kind) and text in str(event):
                return
        connection.receive_data(stream.recv(4096))


if __name__ == "__main__":
    main(*sys.argv[1:])
