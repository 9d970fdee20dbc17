"""How a SQLite store forgets: one transaction, pages that are used again, and files of older programs."""

from pathlib import Path

import apsw
import pytest

from terzetto.stores import SqliteStore
from terzetto.stores._schema import PRUNES_SINCE
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, started
from terzetto_protocol.errors import StoreInUse
from terzetto_protocol.statuses import RunStatus

from .sqlite_stores import bodies, in_time, traced, without_sums

BODY = b"x" * 300
OLDER = PRUNES_SINCE - 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


async def chapter(store: SqliteStore, seq: int, commits: int = 400) -> int:
    """So many more commits, in groups, each tenth with a snapshot; returns the seq of the last one."""
    for start in range(seq + 1, seq + commits + 1, 20):
        group = range(start, start + 20)
        await applied(store, *(follow(seq=n, body=BODY, snapshot=BODY * 4 if n % 10 == 0 else None) for n in group))
    return seq + commits


@in_time
async def test_a_file_that_is_pruned_does_not_grow_for_ever(path) -> None:
    """3.2: what is forgotten leaves free pages, which later commits use."""
    sizes, last = [], 2
    async with SqliteStore(path, synchronous="normal") as store:
        await started(store)
        for _ in range(12):
            last = await chapter(store, last)
            await store.prune("r", last - 100, epoch=1)
            sizes.append(_bytes(path))
        assert (await store.health(deep=True)).problems == ()
    assert max(sizes[2:]) <= sizes[2] * 1.1
    assert sizes[0] * 2 > sizes[-1], "twelve chapters take the room of one, and a little"


@in_time
async def test_runs_that_are_deleted_leave_their_room_to_others(path) -> None:
    sizes = []
    async with SqliteStore(path, synchronous="normal") as store:
        for number in range(8):
            await applied(store, first(), claim())
            last = await chapter(store, 2)
            end = follow(seq=last + 1, moved=True, status=RunStatus.SUCCEEDED, snapshot=BODY, barriers=(barrier(),))
            await applied(store, end)
            assert await store.delete("r", epoch=1) == last + 1, number
            sizes.append(_bytes(path))
    assert max(sizes[1:]) <= sizes[1] * 1.1


def _bytes(path: Path) -> int:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.pragma("page_count") * connection.pragma("page_size")
    finally:
        connection.close()


@in_time
async def test_forgetting_is_one_transaction(path) -> None:
    async with SqliteStore(path) as store:
        await started(store)
        await applied(store, *(follow(seq=seq, snapshot=b"s" if seq in (4, 6) else None) for seq in range(3, 9)))
        for call in (store.prune("r", 6, epoch=1, keep=(4,)), store.prune("r", 6, epoch=1)):
            with traced(store) as statements:
                await call
            assert (statements[0], statements[-1]) == ("begin", "commit")
            assert statements.count("begin") == 1
        assert await store.records("r") == bodies(*(follow(seq=seq) for seq in (6, 7, 8)))


@in_time
async def test_a_refusal_ends_its_transaction(path) -> None:
    async with SqliteStore(path) as store:
        await started(store)
        for call in (store.delete("r", epoch=1), store.prune("r", 1, epoch=7), store.delete("x", epoch=0)):
            with pytest.raises(Exception, match="run"):
                await call
            await applied(store, *[follow(seq=3)])


@in_time
async def test_a_guest_forgets_nothing(path) -> None:
    """11: others may read, and put commands."""
    async with SqliteStore(path) as store, SqliteStore(path, guest=True) as guest:
        await started(store)
        assert await guest.checkpoints("r") == [1]
        for call in (guest.prune("r", 1, epoch=1), guest.delete("r", epoch=1)):
            with pytest.raises(StoreInUse, match="is its owner's"):
                await call


@in_time
async def test_a_file_of_an_older_program_is_read_and_pruned(path) -> None:
    """A guest reads it as it is; it gets what is missing when its owner opens it."""
    async with SqliteStore(path) as store:
        await started(store)
        await applied(store, follow(seq=3), follow(seq=4, snapshot=b"4"), follow(seq=5))
    connection = apsw.Connection(str(path))
    without_sums(connection)
    connection.execute(f"drop table alone; drop index inbox_run; drop index threads_run; pragma user_version={OLDER}")
    connection.close()
    async with SqliteStore(path, guest=True) as guest:
        assert (await guest.health(deep=True)).version == OLDER
        assert [row.first for row in await guest.runs()] == [1]
        assert len(await guest.records("r")) == 5
        assert await guest.checkpoints("r") == [1, 4]
    async with SqliteStore(path) as store:
        assert await store.prune("r", 4, epoch=1, keep=(1,)) == 2
        assert (await store.health(deep=True)).problems == ()
