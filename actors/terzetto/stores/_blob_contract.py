"""What every store promises about blobs; a part of the store contract."""

from abc import ABC, abstractmethod
from collections.abc import Collection


class BlobStore(ABC):
    """Keeps blobs: large values that commits only name, each stored once, in chunks, under the digest of its bytes.

    An upload is invisible until it is given its digest, which is one transaction; what it is made of is the caller's
    to know. A run keeps the blobs that were put for it, and those that its commits name (see `Store.commit`), until
    it is deleted. Calls may be repeated after `StoreUnavailable` (and `reopen()`), and change nothing more then. All
    are checkpoints, and a cancelled one has happened or not.
    """

    @abstractmethod
    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """Keep a chunk of an upload, from 0 on without a hole; the same again changes nothing."""

    @abstractmethod
    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """Have a blob under its digest, kept by a run, and return whether it is there.

        The blob that is there already stays as it is, and else the upload becomes it.

        Args:
            digest: `blob:` and 64 digits, as a commit names it.
            upload: what it is made of; empty for one that is there.
            run_id: the run that keeps it. Without one, or if there is no such run, the blob is not swept before it
                has been there, since this call, for the time that the sweeper gives.
            at: UNIX time of this call, seconds.
        """

    @abstractmethod
    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """A chunk of a blob, from 0 on; None behind the last one, and for a blob that is not there."""

    @abstractmethod
    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """Free some of what nobody can need any more, in one short transaction; return whether there may be more.

        That is a blob that no run keeps, unless it was kept without a run since `before`, and an upload that is not
        one of `live`. A blob that is swept is gone at once, however many chunks are left to free. (In a store with
        several owners, `live` are the asking owner's, and those of others count by their age.)

        Args:
            before: UNIX time, seconds.
            live: uploads that go on.
        """
