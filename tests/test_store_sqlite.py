"""The SQLite store: what is on the disk, who may write to it, and what happens when the disk fails."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest
import trio
from apsw.ext import query_info
from hypothesis import HealthCheck, given, settings, strategies as st

from terzetto.stores import MemoryStore, SqliteStore, _sqlite_file
from terzetto.stores._schema import APPLICATION_ID, VERSION
from terzetto.stores._sqlite_file import OwnerLock
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted, started
from terzetto_protocol.errors import (
    StoreError,
    StoreInUse,
    StoreRejected,
    StoreTooNew,
    StoreUnavailable,
)
from terzetto_protocol.records import Applied, Rejected
from terzetto_protocol.statuses import RunStatus

from .faulty_vfs import FaultyDisk

LIMIT = 30.0
"""Seconds, hard, for every test."""


def in_time(test):
    @functools.wraps(test)
    async def limited(*args, **kwargs):
        with trio.fail_after(LIMIT):
            await test(*args, **kwargs)

    return limited


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def bodies(*writes):
    return [write.body for write in writes]


async def on_thread(store, fn, *args):
    return await store._thread.call("test", fn, *args)


# What is on the disk.


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


@contextmanager
def traced(store):
    statements: list[str] = []

    def trace(cursor, statement, values) -> bool:
        statements.append(statement.split()[0] if "new (id" not in statement else f"append {statement.count('(?')}")
        return True

    store._connection.exec_trace = trace
    yield statements
    store._connection.exec_trace = None


@in_time
async def test_an_everyday_commit_is_one_statement(path) -> None:
    """It checks the epoch and the order in the write itself, and writes of one group share rows and statements."""
    async with SqliteStore(path) as store:
        names = [f"run-{n:02}" for n in range(22)]
        await applied(store, *map(first, names), *map(claim, names))
        with traced(store) as statements:
            await applied(store, follow(names[0], 3))
            assert statements == ["begin", "append 1", "commit"]
            statements.clear()
            await applied(store, *(follow(names[0], seq) for seq in range(4, 100)))
            assert statements == ["begin", "append 1", "commit"]
            statements.clear()
            await applied(store, *(follow(name, seq) for seq in (3, 4, 5) for name in names[1:]))
            assert statements == ["begin", "append 16", "append 4", "append 1", "commit"]
            statements.clear()
            await applied(store, follow("run-05", 6), follow("run-05", 7), follow("run-05", 8, moved=True))
            assert statements == ["begin", "append 1", "append 1", "update", "commit"]


@in_time
async def test_no_statement_walks_through_a_table(path) -> None:
    """What a commit costs, or a look, does not depend on how much there is already."""
    async with SqliteStore(path) as store:
        await started(store)
        statements: list[str] = []
        store._connection.exec_trace = lambda cursor, statement, values: statements.append(statement) or True
        await applied(store, follow(seq=3), follow(seq=4, moved=True, snapshot=b"s", barriers=(barrier(),)))
        await applied(store, follow(seq=4, moved=True, snapshot=b"s", barriers=(barrier(),)))  # judged one by one
        for call in (
            store.records("r", after=2), store.records_by_event("r", after_event=20), store.snapshot("r"),
            store.run("r"), store.run_by_key("k"), store.runs(), store.runs(before="r"), store.posted(),
            store.runs(statuses=[RunStatus.QUEUED]), store.barriers("r"), store.barriers(), store.receipt("c"),
        ):  # fmt: skip
            await call
        store._connection.exec_trace = None
        plans = [
            str(query_info(store._connection, statement, explain_query_plan=True).query_plan)
            for statement in statements
            if statement.split()[0] in ("with", "insert", "update", "select")
        ]
    assert len(plans) > 18
    tables = "commits|runs|snapshots|barriers|inbox|r|c"
    walks = [plan for plan in plans if re.search(rf"SCAN ({tables})\b(?! USING INDEX)", plan)]
    assert walks == []
    assert any("SEARCH r USING INDEX runs_status" in plan for plan in plans)


@in_time
async def test_segments_are_cut_at_a_size(path) -> None:
    """A group of large commits does not become one row that every read of one commit would have to load."""
    async with SqliteStore(path) as store:
        await started(store)
        group = [follow(seq=seq, body=b"x" * 100_000) for seq in range(3, 13)]
        await applied(store, *group)
        sizes = store._connection.execute("select length(body) from commits where first <> last").fetchall()
        assert len(sizes) == 5
        assert await store.records("r", after=2) == bodies(*group)
        await applied(store, *group)


# Who may write.


@in_time
async def test_a_second_owner_is_refused(path) -> None:
    """SEMANTICS 11: one owner per file, by whatever name, and a sentence that says what to do."""
    (path.parent / "alias.db").symlink_to(path)
    async with SqliteStore(path) as store:
        for name in ("runs.db", "alias.db"):
            with pytest.raises(StoreInUse, match="owned by this process already: stop that owner first, or let it"):
                await SqliteStore(path.parent / name).__aenter__()
        await started(store)
    assert sorted(file.name for file in path.parent.iterdir()) == ["alias.db", "runs.db"]
    async with SqliteStore(path.parent / "alias.db") as store:
        assert len(await store.records("r")) == 2


def test_a_lock_on_a_removed_file_is_no_lock(path, monkeypatch) -> None:
    """Whoever opened the owner's file just before its holder removed it does not end up with a lock of its own."""
    locks = [OwnerLock(str(path)) for _ in range(3)]
    take, tries = _sqlite_file._lock, []

    def late(fd: int) -> bool:
        tries.append(fd)
        if len(tries) == 1:  # the holder leaves, and another comes and goes, between our opening and our locking
            locks[1].acquire()
            locks[1].release()
        return take(fd)

    monkeypatch.setattr(_sqlite_file, "_lock", late)
    locks[0].acquire()
    with pytest.raises(StoreInUse):
        locks[2].acquire()
    locks[0].release()
    locks[2].acquire()
    locks[2].release()
    assert list(path.parent.iterdir()) == []


OWNER = """
import sys, trio
from terzetto.stores import SqliteStore
from terzetto.testing._store_laws import claim, first, follow

async def main():
    async with SqliteStore(sys.argv[1]) as store:
        await store.commit([first(), claim()])
        print("2", flush=True)
        seq = 3
        while True:
            size = seq % 5 + 1
            group = [follow(seq=seq + n, body=b"%d" % (seq + n) * 50) for n in range(size)]
            await store.commit(group)
            seq += size
            print(seq - 1, flush=True)

trio.run(main)
"""


@contextmanager
def owner(path: Path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OWNER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


@in_time
async def test_the_owner_may_be_another_process(path) -> None:
    with owner(path) as process:
        await trio.to_thread.run_sync(process.stdout.readline)
        with pytest.raises(StoreInUse, match=f"owned by process {process.pid}: "):
            await SqliteStore(path).__aenter__()
        async with SqliteStore(path, guest=True) as guest:
            assert (await guest.records("r"))[0] == first().body
    async with SqliteStore(path) as store:  # its death released the lock
        assert (await store.records("r"))[0] == first().body


@pytest.mark.parametrize("lines", [1, 7, 60])
@in_time
async def test_kill_9_keeps_what_was_acknowledged(path, lines) -> None:
    """Law 2: every commit that was answered is there, and at most the group on its way besides."""
    acknowledged = 0
    with owner(path) as process:
        for _ in range(lines):
            acknowledged = int(await trio.to_thread.run_sync(process.stdout.readline))
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout:  # what it said before it died
            acknowledged = int(line)
        assert process.wait() == -signal.SIGKILL
    async with SqliteStore(path) as store:
        stored = await store.records("r", after=2)
        assert acknowledged <= len(stored) + 2 <= acknowledged + 5
        assert stored == [b"%d" % seq * 50 for seq in range(3, len(stored) + 3)]
        assert (await store.health(deep=True)).problems == ()


@in_time
async def test_a_guest_reads_and_posts(path) -> None:
    """SEMANTICS 11: beside the owner, and without one; the owner notices, and a guest sees the receipt."""
    async with SqliteStore(path) as store, SqliteStore(path, guest=True) as guest:
        writes = await started(store)
        assert await guest.records("r") == bodies(*writes)
        assert await store.posted() == []
        await guest.post(posted("a"))
        assert await store.posted() == [posted("a")]
        await store.answer("a", b"done")
        assert await guest.receipt("a") == b"done"
        for refused in (guest.commit([follow(seq=3)]), guest.answer("a", b"mine")):
            with pytest.raises(StoreInUse, match="opened as a guest, which reads and posts commands"):
                await refused
        await applied(store, follow(seq=3))
        assert len(await guest.records("r")) == 3
    async with SqliteStore(path, guest=True) as guest:
        await guest.post(posted("b"))
    async with SqliteStore(path) as store:
        assert await store.posted() == [posted("b")]


@in_time
async def test_looking_for_commands_costs_no_query(path) -> None:
    """While nothing was posted, a look asks SQLite for one number and reads no table."""
    async with SqliteStore(path) as store, SqliteStore(path, guest=True) as guest:
        assert await store.posted() == []
        with traced(store) as statements:
            for _ in range(3):
                assert await store.posted() == []
            await started(store)
            statements.clear()
            assert await store.posted() == []
            assert statements == ["pragma"]
            await guest.post(posted())
            assert await store.posted() == [posted()]
            assert await store.posted() == [posted()], "as long as it waits"
            await store.answer("c-1", b"done")
            assert await store.posted() == []
            statements.clear()
            assert await store.posted() == []
            assert statements == ["pragma"]


@in_time
async def test_a_guest_makes_no_store(path) -> None:
    with pytest.raises(StoreError, match=r"there is no store .*: check the name, or start its owner first"):
        await SqliteStore(path, guest=True).__aenter__()
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreUnavailable, match="is empty: its owner has not made it yet"):
        await SqliteStore(path, guest=True).__aenter__()
    assert path.read_bytes() == b""


# Files that are not ours.


@in_time
async def test_a_store_is_made_whole_or_not_at_all(path, monkeypatch) -> None:
    """Whoever dies while making the tables leaves an empty store, which the next owner makes."""
    with monkeypatch.context() as patch:
        patch.setattr(_sqlite_file, "TABLES", _sqlite_file.TABLES + "create table oops")
        with pytest.raises(StoreUnavailable, match="opening failed"):
            await SqliteStore(path).__aenter__()
    async with SqliteStore(path) as store:
        await started(store)


@in_time
async def test_a_newer_schema_is_refused(path) -> None:
    async with SqliteStore(path) as store:
        await started(store)
    connection = apsw.Connection(str(path))
    connection.execute(f"pragma user_version={VERSION + 1}")
    connection.close()
    for guest in (False, True):
        with pytest.raises(StoreTooNew, match=r"newer Terzetto \(schema 2, this one knows 1\): update Terzetto"):
            await SqliteStore(path, guest=guest).__aenter__()


@pytest.mark.parametrize("content", [b"hello", b"\0" * 700, b"not a database, " * 500], ids=["short", "zeros", "text"])
@in_time
async def test_garbage_is_refused_and_left_alone(path, content) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"this is not a SQLite database, and nothing was changed"):
        await SqliteStore(path).__aenter__()
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["runs.db"]


@pytest.mark.parametrize("setup", ["create table t (x)", "pragma application_id=7; pragma user_version=3"])
@in_time
async def test_another_programs_database_is_refused_and_left_alone(path, setup) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(setup)
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StoreError, match="is another program's SQLite database; nothing was changed"):
        await SqliteStore(path).__aenter__()
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["runs.db"]


@contextmanager
def ordinary_user():
    # Nothing is read-only for root.
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_folder():
    # Pytest's own folders can be seen by their owner only, which is not what is tested here.
    folder = Path(tempfile.mkdtemp())
    apsw.Connection(str(folder / "there.db")).close()
    folder.chmod(0o555)
    yield folder
    assert [file.name for file in folder.iterdir()] == ["there.db"]
    folder.chmod(0o755)
    shutil.rmtree(folder)


@in_time
async def test_a_folder_that_cannot_be_written(closed_folder) -> None:
    with ordinary_user():
        for name in ("new.db", "there.db"):
            with pytest.raises(StoreUnavailable, match="must be there, and writable for this user"):
                await SqliteStore(closed_folder / name).__aenter__()


@in_time
async def test_a_folder_is_no_store(tmp_path) -> None:
    with pytest.raises(StoreUnavailable, match="opening failed"):
        await SqliteStore(tmp_path).__aenter__()


# When the disk fails.


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
        writes = [*await started(store), follow(seq=3), follow(seq=4, snapshot=b"x" * 500_000)]
        await on_thread(store, store._connection.execute, "pragma max_page_count=40")
        with pytest.raises(StoreUnavailable, match=r"\(the disk is full: free some space\)"):
            await store.commit(writes[2:])
        assert await store.records("r") == bodies(*writes[:2]), "the whole group was rolled back"
        await applied(store, writes[2])
        await on_thread(store, store._connection.execute, "pragma max_page_count=4000")
        await applied(store, *writes[2:])
        assert await store.snapshot("r") == (4, b"x" * 500_000)


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
        with pytest.raises(StoreUnavailable, match="the file is damaged"):
            await store.records("r")


STRUCTURE = {
    "delete from commits where last = 3": "run 'r': commit 4 follows 2",
    "delete from commits where run = 2": "run 'b' has no commit",
    "delete from runs where n = 2": "commits belong to run number 2, which is not there",
    "update snapshots set seq = 9 where run = 1": "run 'r': its snapshot is of commit 9, which is not there",
    "update commits set body = x'00' where last = 5": "run 'r': the segment of commits 4 to 5 cannot be read",
    "update barriers set run = 7": "barrier 'gate@2' belongs to run number 7, which is not there",
}


@pytest.mark.parametrize("damage", STRUCTURE)
@in_time
async def test_a_deep_check_knows_our_tables(path, damage) -> None:
    async with SqliteStore(path) as store:
        await started(store)
        await applied(store, follow(seq=3, barriers=(barrier(),)), first("b"))
        await applied(store, follow(seq=4), follow(seq=5))
        await on_thread(store, store._connection.execute, damage)
        assert (await store.health()).problems == ()
        assert STRUCTURE[damage] in (await store.health(deep=True)).problems


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


# Writes that can never be stored.


@in_time
async def test_a_write_that_is_too_big_is_rejected_alone(path) -> None:
    """The others of its group are applied, and those of its run that come after it are not."""
    async with SqliteStore(path) as store:
        await applied(store, first("a"), first("b"), first("c"))
        await on_thread(store, store._connection.limit, apsw.SQLITE_LIMIT_LENGTH, 100_000)
        big = b"x" * 200_000
        old = {"expect": 0, "epoch": 0}
        group = [
            follow("a", 2, **old), follow("b", 2, **old, body=big), follow("b", 3, **old), first("d", snapshot=big),
            follow("c", 2, **old, moved=True, barriers=(barrier("c", payload=big),)), follow("c", 2, **old), first("e"),
        ]  # fmt: skip
        outcomes = await store.commit(group)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [Applied, Rejected, Rejected, Rejected, Rejected, Applied, Applied]
        assert "commit 2 of run 'b' cannot be stored: TooBigError" in outcomes[1].reason
        assert [row.run_id for row in await store.runs()] == ["e", "c", "b", "a"]
        assert len(await store.records("b")) == 1
        assert await store.barriers() == []
        with pytest.raises(StoreRejected, match="will never take this: TooBigError"):
            await store.post(posted(body=big))


@pytest.mark.parametrize(
    "write",
    [
        first(header=header(metadata={"n": 1 << 70})),
        first(message="\ud800"),
        msgspec.structs.replace(first(), run_id="\ud800"),
        first(body=None),
        first(at=float("nan")),
        first(event_id=1 << 70),
        first(body="text"),
    ],
    ids=["metadata", "message", "id", "none", "nan", "number", "text"],
)
@in_time
async def test_an_odd_write_is_rejected_alone(path, write) -> None:
    async with SqliteStore(path) as store:
        outcomes = await store.commit([first("a"), write, first("b")])
        assert [type(outcome) for outcome in outcomes] == [Applied, Rejected, Applied]
        assert [row.run_id for row in await store.runs()] == ["b", "a"]


# Every store decides alike.


def next_write(draw, store: MemoryStore):
    name = draw(st.sampled_from("abc"))
    run = store._runs.get(name)
    last, epoch = (len(run.log), run.epoch) if run else (0, 0)
    kind = draw(st.sampled_from(["everyday"] * 6 + ["claim", "move", "create", "again", "stale", "hole", "other"]))
    seq = draw(st.integers(1, last + 1)) if kind in ("again", "other") else last + 1 + (kind == "hole")
    if run is None or kind == "create":
        key = draw(st.sampled_from(["", "k1", "k2"]))
        return first(name, header=header(name, key=key, at=draw(st.sampled_from([1.0, 2.0]))))
    if kind == "again" and seq <= last:
        return run.log[seq - 1]
    changes = {"expect": epoch, "epoch": epoch, "moved": kind in ("claim", "move"), "event_id": seq * 10}
    if kind in ("claim", "stale"):
        changes["epoch" if kind == "claim" else "expect"] = epoch + 1
    if draw(st.integers(0, 5)) == 0:
        changes["snapshot"] = b"snapshot %d" % seq
        changes["barriers"] = (barrier(name, draw(st.sampled_from(["x@1", "y@1"]))),)
    return follow(name, seq, body=draw(st.sampled_from([b"", b"one", b"two"])), **changes)


async def everything(store):
    rows = await store.runs(limit=None)
    return (
        rows,
        [await store.records(row.run_id) for row in rows],
        [await store.records_by_event(row.run_id, after_event=20) for row in rows],
        [await store.records(row.run_id, after=2, limit=3) for row in rows],
        [await store.snapshot(row.run_id) for row in rows],
        await store.barriers(only_open=False),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@in_time
async def test_memory_and_sqlite_decide_alike(data) -> None:
    """Any groups, on any history: the same outcomes, the same answers, and nothing wrong on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteStore(Path(folder) / "runs.db", synchronous="normal") as sqlite, MemoryStore() as memory:
            for _ in range(data.draw(st.integers(1, 6))):
                size = data.draw(st.integers(1, 8))
                group = []
                scratch = MemoryStore()
                scratch.commit_now([write for run in memory._runs.values() for write in run.log])
                for _ in range(size):
                    group.append(next_write(data.draw, scratch))
                    scratch.commit_now(group[-1:])
                assert await sqlite.commit(group) == await memory.commit(group)
                assert await everything(sqlite) == await everything(memory)
            assert (await sqlite.health(deep=True)).problems == ()
