"""Blobs in a Redis store: one script for each piece.

An upload is a hash of chunks that is renamed when it gets its digest, so it is readable whole or not at all. What is
swept is unlinked: it is gone at once, and the server frees its memory beside its other work.
"""

from collections.abc import Collection

from ._checksums import Damaged
from ._redis_scripts import Ask


class Blobs:
    """Keeps blobs by scripts."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """See `BlobStore.put_chunk`."""
        await self._ask("put_chunk", upload, number, data)

    async def keep(self, digest: str, upload: str, run_id: str, at: float) -> bool:
        """See `BlobStore.keep_blob`."""
        return bool(await self._ask("keep_blob", digest, upload, run_id, repr(float(at))))

    async def chunk(self, digest: str, number: int) -> bytes | None:
        """See `BlobStore.blob_chunk`."""
        found = await self._ask("blob_chunk", digest, number)
        if found is None:
            raise Damaged("", digest, f"its chunk {number} has vanished")
        return found[0] if found else None

    async def sweep(self, before: float, live: Collection[str]) -> bool:
        """See `BlobStore.sweep_blobs`."""
        return bool(await self._ask("sweep_blobs", repr(float(before)), len(live), *sorted(live)))
