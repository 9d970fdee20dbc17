"""The file of a SQLite store: who may own it, who may visit, and whether it is ours at all."""

import os
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

from terzetto.stores import SqliteStore, _sqlite_file
from terzetto.stores._schema import APPLICATION_ID, VERSION
from terzetto.stores._sqlite_file import OwnerLock
from terzetto.testing._store_laws import applied, claim, first, follow, header, posted, started
from terzetto_protocol.errors import (
    StoreError,
    StoreInUse,
    StoreMissing,
    StoreTooNew,
    StoreUnavailable,
)

from .sqlite_stores import bodies, in_time, traced


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


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
    with pytest.raises(StoreMissing, match=r"there is no store .*: check the name, or start its owner first"):
        await SqliteStore(path, guest=True).__aenter__()
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreMissing, match="is empty: its owner has not made it yet"):
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
        said = rf"newer Terzetto \(schema {VERSION + 1}, this one knows {VERSION}\): update Terzetto"
        with pytest.raises(StoreTooNew, match=said):
            await SqliteStore(path, guest=guest).__aenter__()


def old_store(path) -> None:
    """A store as the first Terzetto made it, with one run in it."""
    connection = apsw.Connection(str(path))
    connection.execute(Path(__file__).with_name("schema_1.sql").read_text())
    connection.execute(f"pragma application_id={APPLICATION_ID}; pragma user_version=1; pragma journal_mode=wal")
    fields = {"run_id": "r", "graph": "graph", "version": "1", "fingerprint": "f", "input_digest": "d", "at": 100.0}
    header = msgspec.msgpack.encode(fields)
    connection.execute("insert into runs values (1, 'r', 100.0, '', ?, 'QUEUED', 0, '', '', null)", (header,))
    connection.execute("insert into commits values (1, 1, 1, 1, 1, 0, 100.0, ?)", (first().body,))
    connection.close()


def tables_of(path):
    """Columns and indexes, whatever the statements that made them."""
    connection = apsw.Connection(str(path))
    names = [name for (name,) in connection.execute("select name from sqlite_schema where type = 'table' order by 1")]
    found = {
        name: (
            connection.execute(f"pragma table_xinfo({name})").fetchall(),
            sorted(row[1:] for row in connection.execute(f"pragma index_list({name})")),
        )
        for name in names
    }
    connection.close()
    return found


@in_time
async def test_an_older_store_is_upgraded_by_its_owner(path, tmp_path) -> None:
    """What was stored stays, and the tables are those of a new store."""
    old_store(path)
    async with SqliteStore(path) as store:
        assert (await store.run("r")).header == header(fingerprint="f", input_digest="d")
        assert VERSION == (await store.health(deep=True)).version
        assert () == (await store.health(deep=True)).problems
        await applied(store, claim(), follow())
        assert bodies(first(), claim(), follow()) == await store.records("r")
    async with SqliteStore(tmp_path / "new.db"):
        pass
    assert tables_of(tmp_path / "new.db") == tables_of(path)


@in_time
async def test_an_upgrade_that_dies_half_way_is_made_by_the_next_owner(path, monkeypatch) -> None:
    old_store(path)
    with monkeypatch.context() as patch:
        patch.setattr(
            _sqlite_file, "UPGRADES", {**_sqlite_file.UPGRADES, 1: _sqlite_file.UPGRADES[1] + "create table oops"}
        )
        with pytest.raises(StoreUnavailable, match="opening failed"):
            await SqliteStore(path).__aenter__()
    async with SqliteStore(path, guest=True) as store:
        assert 1 == (await store.health()).version
    async with SqliteStore(path) as store:
        assert VERSION == (await store.health()).version


@in_time
async def test_a_guest_of_an_older_store_changes_nothing(path) -> None:
    """It reads what is there, in which there are no threads yet."""
    old_store(path)
    async with SqliteStore(path, guest=True) as store:
        assert ["r"] == [row.run_id for row in await store.runs()]
        assert [] == await store.runs(thread="t")
        assert await store.head("t") is None
        assert (1, ()) == ((await store.health()).version, (await store.health(deep=True)).problems)


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
