"""Putting blobs into a store, and reading them.

A blob goes into the store in chunks, under a name of its own that nobody can read, and gets its digest with the last
step: so nothing that is only half there can be seen. It owns the list of those that are on their way here.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from terzetto_protocol.blobs import Blob, BlobData, BlobReader, Hasher, check_size
from terzetto_protocol.codec import check_text
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import BLOB_BYTES, BLOB_READ

from ._blob_stream import BlobStream
from ._blob_upload import Upload, digest_of, write_all
from ._chance import new_id
from ._clock import wall_clock

if TYPE_CHECKING:
    from .stores._contract import Store

T = TypeVar("T")


class Blobs:
    """Blobs of a store that is open; by default of one in memory, for `terzetto.run(blobs=...)` and for tests.

    Args:
        store: where they are.
        max_bytes: largest blob, bytes.
    """

    def __init__(self, store: "Store | None" = None, /, *, max_bytes: int = BLOB_BYTES) -> None:
        self._store = store
        self._max_bytes: Final = max_bytes
        self.on_their_way: Final[set[str]] = set()
        """Uploads that have begun and not ended."""

    async def put(
        self, data: BlobData, /, *, media_type: str = "application/octet-stream", name: str = "", run_id: str = ""
    ) -> Blob:
        """Store a blob, unless it is there already; it is durable when this returns. A checkpoint.

        Cancelled, nothing of it can be read, and what was stored is swept later.

        Args:
            data: bytes, or an iterable of them.
            media_type: what the bytes are.
            name: how people know it.
            run_id: the run that keeps it; without one it is kept for `BLOB_GRACE` seconds, and then by the runs whose
                input or records name it.

        Raises:
            NotStorable: there are too many bytes, or one of the texts cannot be stored.
            StoreUnavailable: the store is gone for now.
        """
        check_text(media_type, "a media type")
        check_text(name, "the name of a blob")
        if isinstance(data, bytes | bytearray | memoryview):
            data = bytes(data)
            check_size(len(data), self._max_bytes)
            digest = await digest_of(data)
            if await self._keep(digest, "", run_id):
                return Blob(digest, len(data), media_type, name)
        hasher = await self._upload(data, run_id)
        return Blob(hasher.digest, hasher.size, media_type, name)

    def open(self, blob: Blob, /) -> BlobReader:
        """Read a blob chunk by chunk: `async for chunk in blobs.open(blob)`. Not a checkpoint, which each chunk is."""
        return BlobStream(self._chunk, blob)

    async def read(self, blob: Blob, /, *, limit: int = BLOB_READ) -> bytes:
        """All bytes of a blob at once. A checkpoint.

        Args:
            blob: its name.
            limit: bytes.

        Raises:
            InvalidRequest: it has more bytes than the limit; `open` it.
            UnknownBlob: the store does not have it.
            BlobDamaged: what the store has are other bytes.
        """
        if blob.size > limit:
            raise InvalidRequest(f"{blob.digest} has {blob.size} bytes, and the limit is {limit}: open it instead")
        return b"".join([chunk async for chunk in self.open(blob)])

    async def _upload(self, data: BlobData, run_id: str) -> Hasher:
        name = new_id()
        self.on_their_way.add(name)
        try:
            upload = Upload(partial(self._put_chunk, name), self._max_bytes)
            await write_all(upload, data)
            await self._keep(upload.hasher.digest, name, run_id)
        finally:
            self.on_their_way.discard(name)
        return upload.hasher

    async def _put_chunk(self, upload: str, number: int, data: bytes) -> None:
        await self._do(lambda: self.store.put_chunk(upload, number, data))

    async def _keep(self, digest: str, upload: str, run_id: str) -> bool:
        at = wall_clock()()
        return await self._do(lambda: self.store.keep_blob(digest, upload=upload, run_id=run_id, at=at))

    async def _chunk(self, digest: str, number: int) -> bytes | None:
        return await self._do(lambda: self.store.blob_chunk(digest, number))

    async def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        return await work()

    @property
    def store(self) -> "Store":
        """Where they are; made when it is first needed."""
        if self._store is None:
            from .stores import MemoryStore

            self._store = MemoryStore()
        return self._store
