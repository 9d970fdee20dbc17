"""What a backend is: one of ours, or one that you inject."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ._records import CheckpointRecord


@runtime_checkable
class Backend(Protocol):
    """Keeps records by thread and id. Whatever has these four methods can be injected.

    A record that is put again under the same id replaces the first one.
    """

    async def aput(self, record: CheckpointRecord) -> None:
        """Keep a record."""
        ...

    async def aget(self, thread_id: str, checkpoint_id: str | None) -> CheckpointRecord | None:
        """The record of this id, or the newest one of the thread."""
        ...

    async def alist(self, thread_id: str, *, limit: int | None = None) -> Sequence[CheckpointRecord]:
        """The records of a thread, newest first."""
        ...

    async def adelete(self, thread_id: str) -> int:
        """Delete the records of a thread; how many there were."""
        ...
