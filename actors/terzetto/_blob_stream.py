"""A blob as a stream: chunks from a store, held to the digest."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from terzetto_protocol.blobs import Blob, Hasher
from terzetto_protocol.errors import BlobDamaged, UnknownBlob

Read: TypeAlias = Callable[[str, int], Awaitable[bytes | None]]
"""`Store.blob_chunk`, or what asks it."""


class BlobStream(trio.abc.ReceiveStream):
    """The bytes of a blob; see `BlobReader`."""

    def __init__(self, read: Read, blob: Blob) -> None:
        self._read: Final = read
        self._blob: Final = blob
        self._hasher: Final = Hasher()
        self._number = 0
        """Of the next chunk."""
        self._rest = b""
        """What was read and not given yet."""
        self._is_closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some more bytes, none at the end. A checkpoint; a cancelled one loses nothing.

        Raises:
            UnknownBlob: the store does not have it (any more).
            BlobDamaged: what the store has are other bytes.
            StoreUnavailable: the store is gone for now.
        """
        await trio.lowlevel.checkpoint()
        if self._is_closed:
            raise trio.ClosedResourceError
        if not self._rest and (self._hasher.size < self._blob.size or not self._number):
            self._rest = await self._next()
        count = len(self._rest) if max_bytes is None else max_bytes
        given, self._rest = self._rest[:count], self._rest[count:]
        return given

    async def __anext__(self) -> bytes:
        chunk = await self.receive_some()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes:
        chunk = await self._read(self._blob.digest, self._number)
        if chunk is None and not self._number:
            raise UnknownBlob(self._blob.digest)
        if chunk is None:
            raise BlobDamaged(self._blob.digest, f"it ends after {self._hasher.size} of {self._blob.size} bytes")
        self._number += 1
        self._hasher.add(chunk)
        if self._hasher.size >= self._blob.size:
            self._check()
        elif not chunk:
            raise BlobDamaged(self._blob.digest, f"a chunk in front of byte {self._hasher.size} is empty")
        return chunk

    def _check(self) -> None:
        if self._hasher.digest != self._blob.digest:
            text = f"its first {self._hasher.size} bytes have another digest, of {self._blob.size} that it should have"
            raise BlobDamaged(self._blob.digest, text)

    async def aclose(self) -> None:
        """Refuse to read on. A checkpoint; there is nothing to let go of."""
        self._is_closed = True
        await trio.lowlevel.checkpoint()
