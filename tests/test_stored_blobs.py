"""`terzetto._stored_blobs`: blobs between commits, a store that is gone, and the sweeper (SEMANTICS 4.7, 9.6)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import pytest
import trio
import trio.testing

from terzetto._persistence import Persistence
from terzetto._stored_blobs import StoredBlobs
from terzetto.stores import SqliteStore, Store
from terzetto_protocol.errors import ActorStopped, StoreUnavailable
from terzetto_protocol.limits import BLOB_BYTES, BLOB_CHUNK, BLOB_GRACE, BLOB_SWEEP
from terzetto_protocol.records import RunHeader, Write
from terzetto_protocol.statuses import RunStatus

from .stores import FaultyStore

DATA = b"x" * (3 * BLOB_CHUNK)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@asynccontextmanager
async def opened_blobs(store: Store) -> AsyncIterator[tuple[StoredBlobs, Persistence, trio.Nursery]]:
    persistence = Persistence(store)
    blobs = StoredBlobs(persistence, max_bytes=BLOB_BYTES)
    async with trio.open_nursery() as nursery:
        await nursery.start(persistence.run)
        await nursery.start(blobs.run)
        try:
            yield blobs, persistence, nursery
        finally:
            nursery.cancel_scope.cancel()
            persistence.close(trio.current_time() + 1)


def noted(store: FaultyStore) -> list[str]:
    """What the store is asked to do, in order."""
    record: list[str] = []
    chunk = store.put_chunk

    async def put_chunk(upload: str, number: int, data: bytes) -> None:
        record.append(f"chunk {number}")
        await chunk(upload, number, data)

    store.put_chunk = put_chunk  # type: ignore[method-assign]  # to look on
    store.meanwhile = lambda writes: record.append("commit")
    return record


def write(number: int) -> Write:
    header = RunHeader(f"r{number}", "g", "1", "", "", 0.0)
    return Write(f"r{number}", 0, 0, 1, 0.0, RunStatus.QUEUED, 1, b"body", header=header)


class Sender:
    def written(self, write, outcome) -> None: ...


class Busy:
    """Has another commit to be stored as soon as one is."""

    def __init__(self, persistence: Persistence) -> None:
        self.persistence, self.count = persistence, 0

    def written(self, *_) -> None:
        self.count += 1
        if self.count < 8:
            self.persistence.send(write(self.count), self)


async def test_commits_go_between_the_chunks(autojump_clock, store):
    """4.7: a large blob keeps no commit waiting for more than a chunk, and commits keep no blob waiting for ever."""
    async with opened_blobs(store) as (blobs, persistence, _):
        record = noted(store)
        store.latency = 1.0
        Busy(persistence).written()
        await blobs.put(DATA)

        assert ["chunk 0", "commit", "chunk 1", "commit", "chunk 2"] == record[record.index("chunk 0") :][:5]


async def test_a_put_waits_for_a_store_that_is_gone(autojump_clock, store):
    """9.6: running work waits for it and goes on by itself."""
    async with opened_blobs(store) as (blobs, persistence, nursery):
        found = []

        async def put() -> None:
            found.append(await blobs.read(await blobs.put(DATA)))

        store.down = True
        nursery.start_soon(put)
        await trio.sleep(20)
        assert not persistence.available
        store.down = False
        await trio.sleep(20)

        assert [DATA] == found
        assert persistence.available


async def test_a_put_is_told_that_the_store_has_closed(autojump_clock, store):
    async with opened_blobs(store) as (blobs, persistence, _):
        persistence.close(trio.current_time() + 1)
        await trio.sleep(2)

        with pytest.raises(ActorStopped):
            await blobs.put(DATA)


async def test_work_that_waits_is_told_when_the_actor_stops(autojump_clock, store):
    """9.5: a dying actor answers everyone who waits for it."""
    persistence = Persistence(store)
    store.down = True
    with pytest.RaisesGroup(ActorStopped):
        async with trio.open_nursery() as nursery:
            await nursery.start(persistence.run)
            persistence.send(write(1), Sender())
            nursery.start_soon(StoredBlobs(persistence, max_bytes=BLOB_BYTES).keep, "blob", "r")
            await trio.sleep(1)
            persistence.close(trio.current_time() + 1)


async def test_an_upload_that_was_given_up_is_swept(autojump_clock, store):
    """4.7: cancelled, what was stored is swept; what goes on is not."""
    async with opened_blobs(store) as (blobs, _, nursery):

        async def endless():
            while True:
                yield b"x" * BLOB_CHUNK
                await trio.sleep(10)

        async with trio.open_nursery() as inner:
            inner.start_soon(blobs.put, endless())
            nursery.start_soon(blobs.put, endless())
            await trio.sleep(15)
            inner.cancel_scope.cancel()
        assert 2 == len(store.inner._uploads)
        await trio.sleep(BLOB_SWEEP)

        assert blobs.on_their_way == set(store.inner._uploads)
        assert 1 == len(blobs.on_their_way)


async def test_a_slow_upload_outlives_every_sweep(autojump_clock, store):
    """4.7: stored once by digest, in chunks: all of them are there, however long the last one has taken."""

    async def slow():
        for number in range(10):
            yield bytes([number]) * BLOB_CHUNK
            await trio.sleep(BLOB_SWEEP / 3)

    async with opened_blobs(store) as (blobs, _, _):
        blob = await blobs.put(slow())
        assert b"".join(bytes([number]) * BLOB_CHUNK for number in range(10)) == await blobs.read(blob)


async def test_a_blob_that_nobody_names_is_kept_for_a_while(autojump_clock, store):
    """4.7: long enough to submit a run that names it."""
    async with opened_blobs(store) as (blobs, _, _):
        blob = await blobs.put(b"early")
        await trio.sleep(BLOB_GRACE - BLOB_SWEEP)
        assert b"early" == await blobs.read(blob)
        await blobs.put(b"early")
        await trio.sleep(BLOB_GRACE - BLOB_SWEEP)
        assert b"early" == await blobs.read(blob)
        await trio.sleep(3 * BLOB_SWEEP)

        assert {} == store.inner._blobs


async def test_the_sweeper_outlives_a_store_that_is_gone(autojump_clock, store):
    async with opened_blobs(store) as (blobs, _, _):
        await blobs.put(b"x")
        await trio.sleep(BLOB_GRACE - BLOB_SWEEP)
        store.down = True
        await trio.sleep(4 * BLOB_SWEEP)
        assert 1 == len(store.inner._blobs)
        store.down = False
        await trio.sleep(3 * BLOB_SWEEP)

        assert {} == store.inner._blobs


async def test_a_store_that_fails_in_the_middle_is_asked_again(autojump_clock, store):
    """Calls may be repeated: what was stored already is not stored twice."""
    async with opened_blobs(store) as (blobs, _, _):
        chunk, faults = store.put_chunk, [None, StoreUnavailable("gone"), None, StoreUnavailable("gone"), "lost"]

        async def put_chunk(upload: str, number: int, data: bytes) -> None:
            fault = faults.pop(0) if faults else None
            if isinstance(fault, Exception):
                raise fault
            await chunk(upload, number, data)
            if fault == "lost":
                raise StoreUnavailable("the answer was lost")

        store.put_chunk = put_chunk  # type: ignore[method-assign]  # to break it
        data = bytes(range(256)) * (BLOB_CHUNK // 64)

        assert data == await blobs.read(await blobs.put(data))


async def test_sweeping_a_large_blob_lets_others_write(tmp_path):
    """One short transaction for a piece of it, in a file too."""
    with trio.fail_after(30):
        async with SqliteStore(tmp_path / "runs.db") as store, opened_blobs(store) as (blobs, persistence, _):
            blob, pieces = await blobs.put(b"x" * (40 * BLOB_CHUNK)), 0
            while await store.sweep_blobs(before=inf, live=()):
                pieces += 1
                persistence.send(write(pieces), Sender())
                await persistence.settled()
            assert 3 <= pieces
            assert None is await store.blob_chunk(blob.digest, 0)
            assert [] == await _rows(store, "blobs") + await _rows(store, "blob_chunks")


async def _rows(store: SqliteStore, table: str) -> list:
    return await store._thread.call("test", lambda: store._connection.execute(f"select * from {table}").fetchall())
