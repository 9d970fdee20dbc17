"""Blobs in memory."""

from abc import abstractmethod
from collections.abc import Collection, Iterable

import trio
from attrs import define, field

from ._blob_contract import BlobStore


@define(eq=False)
class _Blob:
    chunks: tuple[bytes, ...]
    held: float = field(default=0.0)
    """When it was kept without a run for the last time, as UNIX time."""


class MemoryBlobs(BlobStore):
    """The part of a `MemoryStore` that keeps blobs."""

    def __init__(self) -> None:
        self._blobs: dict[str, _Blob] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}

        self._keeping: dict[str, set[str]] = {}
        """The blobs that each run keeps, of those that keep any."""

    @abstractmethod
    def _has_run(self, run_id: str) -> bool:
        """Whether there is such a run."""

    def _keep(self, run_id: str, digests: Iterable[str]) -> None:
        """Have a run keep these, too."""
        self._keeping.setdefault(run_id, set()).update(digests)

    def _let_go(self, run_id: str) -> None:
        """A run keeps nothing any more."""
        self._keeping.pop(run_id, None)

    def _missing_blob(self, digests: Iterable[str]) -> str | None:
        """The first that is not there."""
        return next((digest for digest in digests if digest not in self._blobs), None)

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        self._uploads.setdefault(upload, {})[number] = data

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        chunks = self._uploads.pop(upload, None)
        blob = self._blobs.get(digest)
        if blob is None:
            if chunks is None:
                return False
            blob = self._blobs[digest] = _Blob(tuple(chunks[number] for number in sorted(chunks)))
        if self._has_run(run_id):
            self._keep(run_id, [digest])
        else:
            blob.held = max(blob.held, at)
        return True

    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the contract says; a checkpoint."""
        await trio.lowlevel.checkpoint()
        blob = self._blobs.get(digest)
        return None if blob is None or number >= len(blob.chunks) else blob.chunks[number]

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the contract says, all of it at once; a checkpoint."""
        await trio.lowlevel.checkpoint()
        for upload in self._uploads.keys() - set(live):
            del self._uploads[upload]
        kept = set[str]().union(*self._keeping.values())
        for digest in [each for each, blob in self._blobs.items() if each not in kept and blob.held < before]:
            del self._blobs[digest]
        return False
