"""What the tests of the SQLite store share: a disk that fails when told to, and looks behind the scenes."""

import functools
from contextlib import contextmanager
from pathlib import Path

import apsw
import trio

LIMIT = 30.0
"""Seconds, hard, for every test."""


def in_time(test):
    @functools.wraps(test)
    async def limited(*args, **kwargs):
        with trio.fail_after(LIMIT):
            await test(*args, **kwargs)

    return limited


def bodies(*writes):
    return [write.body for write in writes]


async def on_thread(store, fn, *args):
    return await store._thread.call("test", fn, *args)


def without_sums(connection) -> None:
    """Make the tables those of a file that has no checksums yet."""
    for (table,) in connection.execute("select name from sqlite_schema where sql like '%crc integer%'").fetchall():
        connection.execute(f"alter table {table} drop column crc")


@contextmanager
def traced(store):
    statements: list[str] = []

    def trace(cursor, statement, values) -> bool:
        statements.append(statement.split()[0] if "new (id" not in statement else f"append {statement.count('(?')}")
        return True

    store._connection.exec_trace = trace
    yield statements
    store._connection.exec_trace = None


class FaultyDisk(apsw.VFS):
    """Counts the syncs of each kind of file, and fails those it is told to fail."""

    def __init__(self, name: str) -> None:
        self.syncs: list[str] = []
        self.fail_after: int | None = None
        """How many more syncs work; None means all."""
        self.full = False
        """Whether nothing more fits."""
        super().__init__(name, "")

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def sync(self, suffix: str) -> None:
        self.syncs.append(suffix)
        if self.fail_after is not None:
            if self.fail_after == 0:
                raise apsw.IOError("the disk could not be synced")
            self.fail_after -= 1


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name, flags) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._suffix = disk, Path(path or "temp").suffix
        super().__init__("", name, flags)

    def xSync(self, flags):
        self._disk.sync(self._suffix)
        super().xSync(flags)

    def xWrite(self, data, offset):
        if self._disk.full and self._suffix == ".db-wal":
            raise apsw.FullError("no space left on device")
        super().xWrite(data, offset)
