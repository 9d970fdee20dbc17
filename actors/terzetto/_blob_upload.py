"""A blob on its way into a store: pieces of any size become chunks under a name that nobody can read."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, Final, cast

import trio

from terzetto_protocol.blobs import BlobData, Chunker, Hasher, check_size
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import BLOB_CHUNK


class Upload:
    """Takes pieces, and puts a chunk as soon as it is full.

    Args:
        put: stores a chunk under its number.
        max_bytes: all of them together.
    """

    def __init__(self, put: Callable[[int, bytes], Awaitable[None]], max_bytes: int) -> None:
        self._put: Final = put
        self._max_bytes: Final = max_bytes
        self._chunks: Final = Chunker()
        self._number = 0
        """Of the next chunk."""
        self.hasher: Final = Hasher()

    async def write(self, part: object) -> None:
        """Take a piece. A checkpoint; raises `NotStorable` when there are too many bytes."""
        if not isinstance(part, bytes | bytearray | memoryview):
            raise InvalidRequest(f"a blob is made of bytes, and not of {type(part).__name__}")
        data = bytes(cast("bytes", part))
        await trio.lowlevel.checkpoint()
        for start in range(0, len(data), BLOB_CHUNK):  # a large one would keep the loop busy
            await self._take(data[start : start + BLOB_CHUNK])

    async def _take(self, data: bytes) -> None:
        self.hasher.add(data)
        check_size(self.hasher.size, self._max_bytes)
        for chunk in self._chunks.add(data):
            await self._send(chunk)
        await trio.lowlevel.checkpoint()

    async def finish(self) -> None:
        """Store what is left. A checkpoint. Every blob has a chunk, also the empty one."""
        await trio.lowlevel.checkpoint()
        if (rest := self._chunks.rest()) or not self._number:
            await self._send(rest)

    async def _send(self, chunk: bytes) -> None:
        await self._put(self._number, chunk)
        self._number += 1


async def write_all(upload: Upload, data: BlobData) -> None:
    """Give an upload everything that there is. A checkpoint; a generator is closed, whatever happens."""
    if isinstance(data, bytes | bytearray | memoryview):
        await upload.write(data)
    elif isinstance(data, AsyncIterable):
        async with _closing(data):
            async for part in data:
                await upload.write(part)
    elif isinstance(data, Iterable):
        for part in data:
            await upload.write(part)
    else:
        raise InvalidRequest(f"a blob is made of bytes, and not of {type(data).__name__}")
    await upload.finish()


def _closing(data: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Any]:
    return aclosing(cast("AsyncGenerator[bytes]", data)) if isinstance(data, AsyncGenerator) else nullcontext()


async def digest_of(data: bytes) -> str:
    """The digest of bytes that are all there. A checkpoint."""
    hasher = Hasher()
    await trio.lowlevel.checkpoint()
    for start in range(0, len(data), BLOB_CHUNK):
        hasher.add(data[start : start + BLOB_CHUNK])
        await trio.lowlevel.checkpoint()
    return hasher.digest
