"""The blob contract over a synchronous driver."""

from abc import abstractmethod
from collections.abc import Collection

from ._blob_contract import BlobStore
from ._worker import WorkerThread


class ThreadedBlobs(BlobStore):
    """The part of a `ThreadedStore` that keeps blobs."""

    @property
    @abstractmethod
    def _thread(self) -> WorkerThread: ...

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """As the contract says; a checkpoint."""
        await self._thread.call("put_chunk", self.do_put_chunk, upload, number, data)

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the contract says; a checkpoint."""
        return await self._thread.call("keep_blob", self.do_keep_blob, digest, upload, run_id, at)

    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the contract says; a checkpoint."""
        return await self._thread.call("blob_chunk", self.do_blob_chunk, digest, number)

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the contract says; a checkpoint."""
        return await self._thread.call("sweep_blobs", self.do_sweep_blobs, before, live)

    @abstractmethod
    def do_put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """See `BlobStore.put_chunk`."""

    @abstractmethod
    def do_keep_blob(self, digest: str, upload: str, run_id: str, at: float) -> bool:
        """See `BlobStore.keep_blob`."""

    @abstractmethod
    def do_blob_chunk(self, digest: str, number: int) -> bytes | None:
        """See `BlobStore.blob_chunk`."""

    @abstractmethod
    def do_sweep_blobs(self, before: float, live: Collection[str]) -> bool:
        """See `BlobStore.sweep_blobs`."""
