"""The 1st, 2nd, 3rd ... system call of SQLite fails, once or for good, until a job ends without a fault."""

import shutil
from itertools import count

import pytest

from terzetto.stores import SqliteStore
from terzetto.testing import run_virtually
from terzetto.testing._store_laws import applied, barrier, claim, first, follow
from terzetto_protocol.errors import StoreError, StoreUnavailable

from .jobs import Job
from .nth_disk import ERRORS, NthDisk
from .sqlite_stores import bodies, in_time, on_thread

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""What fails while SQLite tidies up behind a failure is told to nobody else."""

MANY = 600
"""System calls that a job never needs."""

lasting = pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
kinds = pytest.mark.parametrize(
    "kinds", [("write",), ("sync",), ("truncate", "delete"), ("open", "lock"), ("read",)], ids="-".join
)


def disks(kinds, lasting):
    """Disks whose first, second, third ... call fails, until one has had nothing to fail."""
    for number in count(1):
        assert number < MANY
        disk = NthDisk(kinds, number, lasting=lasting)
        try:
            yield number, disk
        finally:
            disk.unregister()
        if not disk.failed:
            return


class Writer:
    """Writes a log, however often it is refused; what was acknowledged is in it for ever."""

    writes = (
        first(snapshot=b"1"), claim(), follow(seq=3, body=b"x" * 5000),
        follow(seq=4, moved=True, barriers=(barrier(),)), follow(seq=5, snapshot=b"s" * 5000), follow(seq=6),
    )  # fmt: skip

    def __init__(self, path):
        self.path, self.acknowledged, self.errors = path, 0, []

    async def write(self, disk, tries):
        """Open, write, close, and all of it again after an error."""
        for _ in range(tries):
            try:
                async with SqliteStore(self.path, vfs=disk.name) as store:
                    await on_thread(store, store._connection.execute, "pragma wal_autocheckpoint=9")
                    await self._write(store)
            except StoreError as error:
                self.errors.append(error)
            else:
                return

    async def _write(self, store):
        there = await store.records("r")
        assert len(there) >= self.acknowledged
        for write in self.writes:
            try:
                await applied(store, write)
            except StoreUnavailable as error:  # as the persistence actor does: once more, on a new handle
                self.errors.append(error)
                await store.reopen()
                await applied(store, write)
            self.acknowledged = max(self.acknowledged, write.seq)

    async def check(self):
        """Whoever opens the file next finds it whole, with everything that was acknowledged and nothing half done."""
        async with SqliteStore(self.path) as store:
            assert () == (await store.health(deep=True)).problems
            there = await store.records("r")
            assert len(there) >= self.acknowledged
            assert bodies(*self.writes[: len(there)]) == there
            assert [barrier()][: len(there) // 4] == await store.barriers("r")
            await applied(store, *self.writes)
            assert bodies(*self.writes) == await store.records("r")
            assert (5, b"s" * 5000) == await store.snapshot("r")


@lasting
@kinds
@in_time
async def test_the_nth_call_fails(tmp_path, kinds, lasting):
    """Issue 4: integrity, promises and resumability after each; every refusal is typed."""
    async with SqliteStore(tmp_path / "empty.db"):
        pass
    for number, disk in disks(kinds, lasting):
        writer = Writer(shutil.copy(tmp_path / "empty.db", tmp_path / f"{number}.db"))
        await writer.write(disk, tries=3)
        assert lasting or 6 == writer.acknowledged, f"{disk.failed} #{number} is no obstacle: {writer.errors}"
        disk.mended = True
        await writer.check()
    assert 6 == writer.acknowledged


@pytest.mark.slow
@lasting
def test_a_job_survives_every_call(tmp_path, lasting):
    """The same under a whole runtime: effects of `once` nodes happen once, receipts are kept, and the job is done."""

    async def loop() -> None:
        for number, disk in disks(tuple(ERRORS), lasting):
            job, path = Job(), tmp_path / f"{number}.db"
            await job.live(SqliteStore(path, vfs=disk.name))
            disk.mended = True
            await job.check(SqliteStore(path))
            await job.finish(SqliteStore(path))

    run_virtually(loop, limit=1e7)
