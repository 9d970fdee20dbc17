"""Blobs in a SQLite file: old files, deleted runs, damage, guests (the store kit holds the rest)."""

import pytest

import terzetto
from terzetto.stores import SqliteStore
from terzetto.testing._store_laws import started
from terzetto_protocol.errors import BlobDamaged, StoreInUse
from terzetto_protocol.limits import BLOB_CHUNK

from .sqlite_stores import in_time, on_thread, without_sums

DATA = bytes(range(256)) * (BLOB_CHUNK // 100)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


async def execute(store: SqliteStore, statement: str) -> list:
    return await on_thread(store, lambda: store._connection.execute(statement).fetchall())


@in_time
async def test_an_older_file_gets_its_tables(path) -> None:
    """From its owner; a guest that looks before finds no blobs in it."""
    async with SqliteStore(path) as store:
        await started(store)
        await execute(store, "drop trigger run_deleted; drop index inbox_run; drop index threads_run")
        for table in ("blobs", "blob_chunks", "blob_runs", "alone"):
            await execute(store, f"drop table {table}")
        await on_thread(store, without_sums, store._connection)
        await execute(store, "pragma user_version=2")
    async with SqliteStore(path, guest=True) as guest:
        assert None is await guest.blob_chunk("blob:" + "0" * 64, 0)
        assert () == (await guest.health(deep=True)).problems
    async with SqliteStore(path) as store:
        blobs = terzetto.Blobs(store)
        blob = await blobs.put(DATA, run_id="r")
        assert DATA == await blobs.read(blob)
        assert 2 == (await store.run("r")).seq
        assert () == (await store.health(deep=True)).problems


@in_time
async def test_whoever_deletes_a_run_lets_its_blobs_go(path) -> None:
    """4.7: freed when nobody names them; what another run keeps stays."""
    async with SqliteStore(path) as store:
        await started(store, "a")
        await started(store, "b")
        blobs = terzetto.Blobs(store)
        mine, ours = await blobs.put(b"mine", run_id="a"), await blobs.put(b"ours", run_id="a")
        await blobs.put(b"ours", run_id="b")
        for table in ("commits", "snapshots", "barriers"):
            await execute(store, f"delete from {table} where run = (select n from runs where id = 'a')")
        await execute(store, "delete from runs where id = 'a'")
        while await store.sweep_blobs(before=1.0, live=()):
            pass

        assert (None, b"ours") == (await store.blob_chunk(mine.digest, 0), await store.blob_chunk(ours.digest, 0))
        assert () == (await store.health(deep=True)).problems


@in_time
async def test_damage_is_found(path) -> None:
    """By whoever reads it, and by the deep check."""
    async with SqliteStore(path) as store:
        blobs = terzetto.Blobs(store)
        blob = await blobs.put(DATA)
        await execute(store, "update blob_chunks set body = zeroblob(length(body)) where number = 1")

        with pytest.raises(BlobDamaged):
            await blobs.read(blob)
        assert (f"{blob.digest}: its {len(DATA)} bytes have another digest",) == (
            await store.health(deep=True)
        ).problems


@in_time
async def test_a_guest_reads_and_does_not_put(path) -> None:
    async with SqliteStore(path) as owner, SqliteStore(path, guest=True) as guest:
        blob = await terzetto.Blobs(owner).put(DATA)
        assert DATA == await terzetto.Blobs(guest).read(blob)
        with pytest.raises(StoreInUse):
            await terzetto.Blobs(guest).put(b"x")
