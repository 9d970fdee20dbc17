"""`terzetto._blob_stream`: bytes chunk by chunk, held to the digest (SEMANTICS 4.7)."""

import pytest
import trio
from hypothesis import given, strategies as st

from terzetto._blob_stream import BlobStream
from terzetto_protocol.blobs import Blob, Hasher
from terzetto_protocol.errors import BlobDamaged, UnknownBlob


def name_of(chunks, size=None) -> Blob:
    hasher = Hasher()
    for chunk in chunks:
        hasher.add(chunk)
    return Blob(hasher.digest, hasher.size if size is None else size)


def stream_of(chunks, blob=None) -> BlobStream:
    async def read(digest: str, number: int) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return chunks[number] if number < len(chunks) else None

    return BlobStream(read, blob or name_of(chunks))


@pytest.mark.parametrize("chunks", [[b""], [b"a"], [b"ab", b"c"], [b"x" * 1000] * 3], ids=repr)
async def test_a_blob_is_read_chunk_by_chunk(chunks):
    async with stream_of(chunks) as stream:
        assert [chunk for chunk in chunks if chunk] == [chunk async for chunk in stream]
        assert b"" == await stream.receive_some()


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.lists(st.integers(1, 30), min_size=1))
def test_it_may_be_read_in_pieces_of_any_size(chunks, sizes):
    async def read() -> bytes:
        stream, found, turn = stream_of(chunks), b"", 0
        while piece := await stream.receive_some(sizes[turn % len(sizes)]):
            assert len(piece) <= sizes[turn % len(sizes)]
            found, turn = found + piece, turn + 1
        return found

    assert b"".join(chunks) == trio.run(read)


WRONG = {
    "other bytes": ([b"ab", b"X"], None),
    "fewer": ([b"ab"], None),
    "more": ([b"ab", b"cd"], None),
    "an empty chunk": ([b"ab", b"", b"c"], None),
    "the name says less": ([b"ab", b"c"], 2),
    "the name says more": ([b"ab", b"c"], 5),
}


@pytest.mark.parametrize("what", WRONG)
async def test_the_last_bytes_are_given_only_if_all_are_right(what):
    """4.7: verified against the digest: who has read to the end has read what was put."""
    chunks, size = WRONG[what]
    stream, found = stream_of(chunks, name_of([b"ab", b"c"], size)), b""
    with pytest.raises(BlobDamaged, match=r"blob:.* is damaged: "):
        while chunk := await stream.receive_some():
            found += chunk
    assert found in ([b"ab", b"abc"] if size == 5 else [b"", b"ab"])


async def test_what_is_not_there_is_unknown():
    with pytest.raises(UnknownBlob, match="no blob:"):
        await stream_of([], name_of([b"ab"])).receive_some()


async def test_a_cancelled_read_loses_nothing():
    stream = stream_of([b"ab", b"cd"])
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.receive_some()
        assert scope.cancelled_caught

    assert [b"ab", b"cd"] == [chunk async for chunk in stream]


async def test_a_closed_one_gives_nothing_more():
    async with stream_of([b"ab"]) as stream:
        pass
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
