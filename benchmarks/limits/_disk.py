"""A thread that brings rows to the disk, for the limits of runs that are durable.

- A sync takes as long as it takes and would stop everybody on the loop, so a thread does it (5.8, 8.1): a hop there and
  a hop back.
- Rows are checked against the run's epoch in the same transaction (2.3, D8), and carry a checksum (2.7). The commits of
  a run that go into the same transaction are one row.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final, NoReturn
from zlib import crc32

import apsw
import trio

from ._visit import encode

HOW: Final = "apsw in a thread of its own, WAL, synchronous=FULL, rows with epoch check and CRC"
Row = tuple[str, int, int, bytes, int, int]
"""Run, first and last commit, their bodies, a checksum, and the epoch that the run must have."""
Commit = tuple[int, bytes, float]
"""Number, body, time."""


class Disk:
    """A thread that stores groups of rows, one after the other, and calls back on the loop."""

    def __init__(self, path: Path, runs: Sequence[str]) -> None:
        self._connection = _open(path, runs)
        self._inbox: SimpleQueue[tuple[Sequence[Row], Callable[[], None]] | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = Thread(target=self._work)
        self._thread.start()

    def store(self, rows: Sequence[Row], stored: Callable[[], None]) -> None:
        """Hand over a group; `stored` is called on the loop when it is durable."""
        self._inbox.put((rows, stored))

    def close(self) -> None:
        """Wait for the end of the thread."""
        self._inbox.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        try:
            while (group := self._inbox.get()) is not None:
                rows, stored = group
                self._write(rows)
                self._token.run_sync_soon(stored)
        except Exception as error:  # noqa: BLE001 - raised again, where it ends the loop that would wait for ever
            self._token.run_sync_soon(_raise, error)

    def _write(self, rows: Sequence[Row]) -> None:
        execute = self._connection.execute
        execute("begin immediate")
        execute(_insert(len(rows)), [value for row in rows for value in row])
        if self._connection.changes() != len(rows):
            raise RuntimeError("somebody else owns the run now")
        execute("commit")


def _raise(error: Exception) -> NoReturn:
    raise error


def _open(path: Path, runs: Sequence[str]) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    assert connection.execute("pragma journal_mode=wal").fetchall() == [("wal",)]
    connection.execute("pragma synchronous=full")
    connection.execute("create table runs (id text primary key, epoch integer) without rowid")
    connection.execute(
        "create table log (run text, last integer, first integer, body blob, crc integer, primary key (run, last)) "
        "without rowid"
    )
    connection.executemany("insert into runs values (?, 1)", [(run,) for run in runs])
    return connection


@cache
def _insert(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"""
        with new (run, first, last, body, crc, epoch) as (values {values})
        insert into log (run, last, first, body, crc)
        select new.run, new.last, new.first, new.body, new.crc
        from new cross join runs on runs.id = new.run where runs.epoch = new.epoch
    """


def row_of(run: str, commits: Sequence[Commit]) -> Row:
    """Commits of one run, as they are stored together."""
    body = commits[0][1] if len(commits) == 1 else encode([body for _, body, _ in commits])
    return run, commits[0][0], commits[-1][0], body, crc32(body), 1


@contextmanager
def open_disk(folder: str | None, runs: Sequence[str]) -> Generator[Disk]:
    """A disk of its own for these runs, gone afterwards."""
    with TemporaryDirectory(dir=folder) as place:
        disk = Disk(Path(place) / "raw.db", runs)
        try:
            yield disk
        finally:
            disk.close()
