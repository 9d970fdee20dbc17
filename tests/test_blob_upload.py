"""`terzetto._blobs` and `_blob_upload`: what a blob may be made of, and what is left of one that was given up."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.blobs import Blob, Hasher
from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.limits import BLOB_CHUNK, BLOB_READ

DATA = bytes(range(256)) * (BLOB_CHUNK // 100)
"""Two chunks and a half."""
PIECES = [DATA[start : start + 999] for start in range(0, len(DATA), 999)]


class Pieces:
    """An asynchronous iterable that is no generator."""

    def __init__(self) -> None:
        self.rest = list(PIECES)

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.rest:
            raise StopAsyncIteration
        return self.rest.pop(0)


async def generated(ends: list[str], fail: Exception | None = None):
    try:
        for number, piece in enumerate(PIECES):
            if fail is not None and number == len(PIECES) // 2:
                raise fail
            yield piece
    finally:
        ends.append("closed")


MADE = {
    "bytes": lambda: DATA,
    "a bytearray": lambda: bytearray(DATA),
    "a memoryview": lambda: memoryview(DATA),
    "a list": lambda: PIECES,
    "one large piece": lambda: [b"", DATA, b""],
    "views": lambda: [memoryview(piece) for piece in PIECES],
    "an asynchronous iterable": Pieces,
    "an asynchronous generator": lambda: generated([]),
}


def digest_of(data: bytes) -> str:
    hasher = Hasher()
    hasher.add(data)
    return hasher.digest


@pytest.mark.parametrize("what", MADE)
async def test_a_blob_may_be_made_of(what):
    """4.7: stored once by digest, in chunks, read as a stream."""
    blobs = terzetto.Blobs()
    blob = await blobs.put(MADE[what](), media_type="image/png", name="scan.png")

    assert Blob(digest_of(DATA), len(DATA), "image/png", "scan.png") == blob
    assert DATA == await blobs.read(blob)
    assert [BLOB_CHUNK, BLOB_CHUNK, len(DATA) - 2 * BLOB_CHUNK] == [len(chunk) async for chunk in blobs.open(blob)]
    assert blob == await blobs.put(blobs.open(blob), media_type="image/png", name="scan.png")


@pytest.mark.parametrize("data", [b"", [], [b"", b""]], ids=repr)
async def test_an_empty_one(data):
    blobs = terzetto.Blobs()
    blob = await blobs.put(data)

    assert (0, b"") == (blob.size, await blobs.read(blob))


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.chunks = 0

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        self.chunks += 1
        await super().put_chunk(upload, number, data)


async def test_bytes_that_are_there_are_not_stored_again():
    """4.7: stored once by digest."""
    store = Counting()
    blobs = terzetto.Blobs(store)
    for _ in range(3):
        await blobs.put(DATA)

    assert 3 == store.chunks


@pytest.mark.parametrize("data", ["text", ["text"], [1], 7, None], ids=repr)
async def test_what_is_not_bytes_is_refused(data):
    with pytest.raises(InvalidRequest, match="a blob is made of bytes, and not of"):
        await terzetto.Blobs().put(data)


async def test_texts_that_cannot_be_stored_are_refused():
    with pytest.raises(NotStorable, match="the name of a blob"):
        await terzetto.Blobs().put(b"", name="\ud800")


@pytest.mark.parametrize("what", ["bytes", "a list", "an asynchronous generator"])
async def test_too_many_bytes_are_refused(what):
    """12: the largest blob, and nothing is left of one that is larger."""
    store = MemoryStore()
    blobs = terzetto.Blobs(store, max_bytes=len(DATA) - 1)
    with pytest.raises(NotStorable, match=f"more than {len(DATA) - 1} bytes"):
        await blobs.put(MADE[what]())

    assert set() == blobs.on_their_way
    assert None is await store.blob_chunk(digest_of(DATA), 0)


async def test_a_generator_is_closed_whatever_happens():
    ends: list[str] = []
    blobs = terzetto.Blobs()
    with pytest.raises(OSError, match="gone"):
        await blobs.put(generated(ends, OSError("gone")))
    with trio.CancelScope() as scope:
        scope.cancel()
        await blobs.put(generated(ends))

    assert ["closed", "closed"] == ends
    assert set() == blobs.on_their_way


@pytest.mark.parametrize("moment", range(0, 20, 3))
async def test_a_cancelled_put_leaves_nothing_that_can_be_seen(moment):
    """4.7: half a blob is invisible."""
    store, begun = MemoryStore(), trio.Event()
    blobs = terzetto.Blobs(store)

    async def slowly():
        for number, piece in enumerate(PIECES):
            if number == moment * len(PIECES) // 20:
                begun.set()
                await trio.sleep_forever()
            yield piece

    async with trio.open_nursery() as nursery:
        nursery.start_soon(blobs.put, slowly())
        await begun.wait()
        nursery.cancel_scope.cancel()

    assert None is await store.blob_chunk(digest_of(DATA), 0)
    assert set() == blobs.on_their_way
    await store.sweep_blobs(before=0, live=blobs.on_their_way)
    assert {} == store._uploads


async def test_a_large_one_is_not_read_into_memory_by_accident():
    blob = Blob(digest_of(b""), BLOB_READ + 1)
    with pytest.raises(InvalidRequest, match=f"the limit is {BLOB_READ}: open it instead"):
        await terzetto.Blobs().read(blob)
    with pytest.raises(InvalidRequest, match="the limit is 3"):
        await terzetto.Blobs().read(Blob(blob.digest, 4), limit=3)
