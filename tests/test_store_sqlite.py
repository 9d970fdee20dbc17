"""The SQLite store on its disk: what is synced, and what happens when the disk fails."""

import os
import shutil
from pathlib import Path
from random import Random

import apsw
import pytest
import trio

from terzetto.stores import SqliteStore
from terzetto.stores._schema import APPLICATION_ID, VERSION
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, started
from terzetto_protocol.errors import (
    StoreDamaged,
    StoreUnavailable,
)

from .sqlite_stores import FaultyDisk, bodies, in_time, on_thread


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.mark.parametrize("level, number", [("full", 2), ("normal", 1)])
@in_time
async def test_pragmas(path, level, number) -> None:
    """SEMANTICS 3: WAL with synchronous=FULL, unless the user asks for less."""
    async with SqliteStore(path, synchronous=level) as store:
        for name, wanted in {
            "journal_mode": "wal",
            "synchronous": number,
            "application_id": APPLICATION_ID,
            "user_version": VERSION,
            "busy_timeout": 5000,
        }.items():
            assert store._connection.execute(f"pragma {name}").fetchall() == [(wanted,)], name
        health = await store.health()
        assert health.durable
        assert ("synchronous", level.upper()) in health.details


@pytest.fixture
def disk():
    disk = FaultyDisk("faulty")
    yield disk
    disk.unregister()


@pytest.mark.parametrize("level, syncs", [("full", 1), ("normal", 0)])
@in_time
async def test_one_sync_per_group(path, disk, level, syncs) -> None:
    """SEMANTICS 3, D1: an answered group was synced, once, whatever its size."""
    async with SqliteStore(path, synchronous=level, vfs="faulty") as store:
        await applied(store, *(write for name in "abcde" for write in (first(name), claim(name))))
        for group in ([follow("a", 3)], [follow(name, seq) for name in "bcde" for seq in range(3, 20)]):
            disk.syncs.clear()
            await applied(store, *group)
            assert disk.syncs == [".db-wal"] * syncs


@in_time
async def test_a_failed_sync(path, disk) -> None:
    """Issue 2: never going on after a failed fsync on the same handle; writing again gives exactly one commit."""
    async with SqliteStore(path, vfs="faulty") as store:
        writes = [*await started(store), follow(seq=3), follow(seq=4, moved=True, barriers=(barrier(),))]
        disk.fail_after = 0
        with pytest.raises(StoreUnavailable, match=r"commit failed: .*nothing is trusted to this connection until"):
            await store.commit(writes[2:])
        for call in (store.commit(writes[2:]), store.run("r"), store.records("r"), store.posted()):
            with pytest.raises(StoreUnavailable, match="nothing is trusted to this connection until `reopen`"):
                await call
        assert "commit failed" in (await store.health()).problems[0]
        before = store._connection
        await store.reopen()  # while nothing can be synced, what is in the log must not become the truth
        assert store._connection is not before
        assert (await store.health(deep=True)).problems == ()
        assert await store.records("r") == bodies(*writes[:2]), "what failed is not there"
        disk.fail_after = None
        await applied(store, *writes[2:])
        assert await store.records("r") == bodies(*writes)
    async with SqliteStore(path) as store:
        assert await store.records("r") == bodies(*writes)


@pytest.mark.parametrize("works", range(9))
@in_time
async def test_any_sync_may_fail(path, disk, works) -> None:
    """Also those of checkpoints and of closing: what was acknowledged is there, and the rest after another try."""
    writes = [first(), claim(), *(follow(seq=seq, body=b"x" * 3000) for seq in range(3, 9))]
    async with SqliteStore(path, vfs="faulty") as store:
        await on_thread(store, store._connection.execute, "pragma wal_autocheckpoint=1")
        disk.fail_after = works
        failures = 0
        for n, write in enumerate(writes):
            while True:
                try:
                    await applied(store, write)
                    break
                except StoreUnavailable:
                    failures += 1
                    disk.fail_after = None
                    await store.reopen()
                    there = await store.records("r")
                    assert there in (bodies(*writes[:n]), bodies(*writes[: n + 1]))
        assert failures <= 1
        assert (await store.health(deep=True)).problems == ()
        assert await store.records("r") == bodies(*writes)
        disk.fail_after = works
    disk.fail_after = None
    async with SqliteStore(path) as store:
        await applied(store, *writes)
        assert await store.records("r") == bodies(*writes)


@pytest.mark.parametrize("works", range(3))
@in_time
async def test_dying_after_a_failed_sync(path, disk, tmp_path, works) -> None:
    """The failed commit may be there or not; written again it is there once, and nothing else is lost."""
    async with SqliteStore(path, vfs="faulty") as store:
        writes = [*await started(store), follow(seq=3), follow(seq=4), follow(seq=5, moved=True)]
        await applied(store, *writes[2 : 2 + works])
        disk.fail_after = 0
        with pytest.raises(StoreUnavailable):
            await store.commit(writes[2 + works :])
        copy = tmp_path / "copy"
        copy.mkdir()
        for suffix in ("", "-wal"):  # what another process would find
            shutil.copy(f"{path}{suffix}", copy / f"runs.db{suffix}")
    async with SqliteStore(copy / "runs.db") as store:
        assert len(await store.records("r")) >= 2 + works
        await applied(store, *writes)
        assert await store.records("r") == bodies(*writes)
        assert (await store.health(deep=True)).problems == ()


@in_time
async def test_a_full_disk(path, disk) -> None:
    """Nothing is half written; it goes on when there is room again."""
    async with SqliteStore(path, vfs="faulty") as store:
        writes = [*await started(store), follow(seq=3), follow(seq=4)]
        disk.full = True
        with pytest.raises(StoreUnavailable, match=r"\(the disk is full: free some space\)"):
            await store.commit(writes[2:])
        disk.full = False
        with pytest.raises(StoreUnavailable, match="nothing is trusted to this connection until `reopen`"):
            await store.commit(writes[2:])
        await store.reopen()
        await applied(store, *writes[2:])
        assert await store.records("r") == bodies(*writes)


@in_time
async def test_a_full_database(path) -> None:
    async with SqliteStore(path) as store:
        large = Random(1).randbytes(500_000)  # cannot be pressed
        writes = [*await started(store), follow(seq=3), follow(seq=4, snapshot=large)]
        await on_thread(store, store._connection.execute, "pragma max_page_count=40")
        with pytest.raises(StoreUnavailable, match=r"\(the disk is full: free some space\)"):
            await store.commit(writes[2:])
        assert await store.records("r") == bodies(*writes[:2]), "the whole group was rolled back"
        await applied(store, writes[2])
        await on_thread(store, store._connection.execute, "pragma max_page_count=4000")
        await applied(store, *writes[2:])
        assert await store.snapshot("r") == (4, large)


@in_time
async def test_a_locked_file(path) -> None:
    """A guest that never ends its transaction keeps the owner from writing, not from going on afterwards."""
    async with SqliteStore(path) as store:
        writes = [*await started(store), follow(seq=3)]
        await on_thread(store, store._connection.set_busy_timeout, 1)
        other = apsw.Connection(str(path))
        other.execute("begin immediate")
        with pytest.raises(StoreUnavailable, match=r"\(another process holds the file locked\)"):
            await store.commit(writes[2:])
        other.execute("rollback")
        other.close()
        await applied(store, *writes[2:])


@in_time
async def test_a_damaged_file(path) -> None:
    """Damage is told and never worked around; a deep check finds it without being asked for the place."""
    async with SqliteStore(path) as store:
        await started(store)
        await applied(store, *(follow(seq=seq, moved=True, body=os.urandom(3000)) for seq in range(3, 200)))
    with path.open("r+b") as file:
        for page in range(12, 60, 3):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    async with SqliteStore(path) as store:
        assert (await store.health()).problems == ()
        assert (await store.health(deep=True)).problems != ()
        with pytest.raises(StoreDamaged, match=r"run 'r': what is stored of it .* is damaged: .* malformed"):
            await store.records("r")


STRUCTURE = {
    "delete from commits where last = 3": "run 'r': commit 4 follows 2",
    "delete from commits where run = 2": "run 'b' has no commit",
    "delete from runs where n = 2": "commits belong to run number 2, which is not there",
    "update snapshots set seq = 9 where run = 1": "run 'r': its snapshot is of commit 9, which is not there",
    "update commits set body = x'00' where last = 5": "run 'r': the segment of commits 4 to 5 cannot be read",
    "insert into threads values ('t', 7, 1.0, null)": "thread 't' has run number 7 as its head, which is not there",
    "update barriers set run = 7": "barrier 'gate@2' belongs to run number 7, which is not there",
    "delete from commits where run = 1 and last = 1": "run 'r': its log begins with commit 2, which has no snapshot to "
    "begin with",
    "update snapshots set run = 7 where run = 1": "snapshots belong to run number 7, which is not there",
    "delete from alone": "the snapshot of commit 1 of run number 3 is there without its commit",
    "delete from snapshots where run = 3 and seq = 1": "commit 1 of run number 3 stands alone, and has no snapshot, no "
    "run, or the log around it",
}


@pytest.mark.parametrize("damage", STRUCTURE)
@in_time
async def test_a_deep_check_knows_our_tables(path, damage) -> None:
    async with SqliteStore(path) as store:
        await started(store)
        await applied(store, follow(seq=3, barriers=(barrier(),)), first("b"))
        await applied(store, follow(seq=4), follow(seq=5))
        await applied(store, first("c"), follow("c", 2, expect=0, epoch=0, snapshot=b"2"))
        await store.prune("c", 2, epoch=0, keep=(1,))
        await on_thread(store, store._connection.execute, damage)
        assert (await store.health()).problems == ()
        assert STRUCTURE[damage] in (await store.health(deep=True)).problems


FOUND_BY = {
    "key = 'l'": "key 'l' instead of 'k'",
    "key = cast(x'ff' as text)": "key '\N{REPLACEMENT CHARACTER}' instead of 'k'",
    "thread = ''": "thread '' instead of 't'",
    "at = at + 1": "at 101.0 instead of 100.0",
    "epoch = 0, crc = null": "epoch 0 instead of 1",
    "at = 0, thread = 'u'": "at 0.0 instead of 100.0, thread 'u' instead of 't'",
}


@pytest.mark.parametrize("damage", FOUND_BY)
@in_time
async def test_a_deep_check_finds_what_is_not_where_its_header_says(path, damage) -> None:
    """1, 11: under another key or thread a run would be submitted twice, or not be found."""
    async with SqliteStore(path) as store:
        await applied(store, first(header=header(key="k", thread="t")), claim(), follow(seq=3), first("b"))
        assert (await store.health(deep=True)).problems == ()
        await on_thread(store, store._connection.execute, f"update runs set {damage} where id = 'r'")
        assert (await store.health(deep=True)).problems == (f"run 'r': its row: it has {FOUND_BY[damage]}",)


@in_time
async def test_a_deep_check_is_cancelled_and_keeps_nobody_waiting(path, monkeypatch) -> None:
    async with SqliteStore(path) as store:
        await started(store)
        entered, go = trio.Event(), trio.Event()

        def look_closer(connection, look):
            trio.from_thread.run_sync(entered.set)
            while True:
                look()

        monkeypatch.setattr("terzetto.stores._sqlite.check_file", look_closer)
        async with trio.open_nursery() as nursery:

            async def check() -> None:
                with trio.CancelScope() as scope:
                    nursery.start_soon(cancel, scope)
                    await store.health(deep=True)
                assert scope.cancelled_caught
                go.set()

            async def cancel(scope: trio.CancelScope) -> None:
                await entered.wait()
                await applied(store, follow(seq=3))
                scope.cancel()

            nursery.start_soon(check)
        assert go.is_set()
