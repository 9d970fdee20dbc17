"""A process that is killed while it puts a blob (SEMANTICS 3, 4.7, 7)."""

from pathlib import Path

import pytest
import trio

import terzetto
from terzetto.stores import SqliteStore
from terzetto_protocol.blobs import Hasher
from terzetto_protocol.limits import BLOB_CHUNK

from .lives import KILLED, Forks

CHILD = Path(__file__).with_name("blobs_child.py")
DATA = bytes(range(256)) * (5 * BLOB_CHUNK // 256)


def digest_of(data: bytes) -> str:
    hasher = Hasher()
    hasher.add(data)
    return hasher.digest


async def looked_into(path: Path) -> tuple[bytes | None, int, tuple[str, ...]]:
    """The blob's first chunk, the chunks in the file, and what is wrong with it."""
    async with SqliteStore(path) as store:
        [(chunks,)] = await store._thread.call(
            "test", lambda: store._connection.execute("select count(*) from blob_chunks").fetchall()
        )
        problems = (await store.health(deep=True)).problems
        return await store.blob_chunk(digest_of(DATA), 0), chunks, problems


@pytest.mark.parametrize("moment, chunks", [("middle", 3), ("put", 5)])
def test_a_kill_while_a_blob_is_put(forks: Forks, tmp_path: Path, moment: str, chunks: int) -> None:
    """4.7: half a blob is invisible and swept; a whole one is there, and the node that runs again finds it."""
    path = tmp_path / "runs.db"
    first = forks.live(str(CHILD), str(path), moment)
    assert first.code == KILLED, first.errors
    chunk, stored, problems = trio.run(looked_into, path)
    assert (chunk is not None, stored, problems) == (moment == "put", chunks, ())

    last = forks.live(str(CHILD), str(path))
    assert (last.code, last.out.strip()) == (0, digest_of(DATA)), last.errors
    trio.run(sweep, path)
    assert trio.run(looked_into, path) == (DATA[:BLOB_CHUNK], 5, ())


async def sweep(path: Path) -> None:
    """What the next owner does by itself, a minute later."""
    async with SqliteStore(path) as store:
        while await store.sweep_blobs(before=4e9, live=()):
            pass
        blobs = terzetto.Blobs(store)
        assert await blobs.read(terzetto.Blob(digest_of(DATA), len(DATA))) == DATA
