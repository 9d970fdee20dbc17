"""A backend that somebody injected: it keeps records by thread and id, and knows of nothing else.

Namespaces are looked at here. What tasks wrote is kept in the record that it is for, and until there is
one in this process.
"""

from collections.abc import Sequence
from threading import Lock

from attrs import evolve

from ._contract import Backend
from ._portal import Portal
from ._records import CheckpointRecord, Written, age

_Place = tuple[str, str, str]
_Writes = dict[tuple[str, int], Written]


class Injected:
    """Speaks with a backend of somebody else's in the terms of ours."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.portal = Portal()
        self._lock = Lock()
        self._writes: dict[_Place, _Writes] = {}

    async def aput(self, record: CheckpointRecord) -> None:
        """Keep a record, with what tasks wrote for it already."""
        place = record.thread_id, record.checkpoint_ns, record.checkpoint_id
        with self._lock:
            # What was written for older ones has become this one.
            self._writes = {it: its for it, its in self._writes.items() if it[:2] != place[:2] or it == place}
            written = list(self._writes.get(place, {}).values())
        await self.backend.aput(evolve(record, written=written))

    async def aget(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str | None) -> CheckpointRecord | None:
        """The record of this id, or the newest one, in this namespace."""
        if checkpoint_id is not None:
            record = await self.backend.aget(thread_id, checkpoint_id)
            if record is None or record.checkpoint_ns == checkpoint_ns:
                return record
        every = await self.alist(thread_id, checkpoint_ns)
        return next((it for it in every if checkpoint_id in (None, it.checkpoint_id)), None)

    async def alist(self, thread_id: str, checkpoint_ns: str | None) -> list[CheckpointRecord]:
        """Records, newest first, of this namespace or of all."""
        # A backend may go by the order in which it was given them, and is given one again for what a task wrote.
        found = dict[tuple[str, str], CheckpointRecord]()
        for record in await self.backend.alist(thread_id):
            if checkpoint_ns in (None, record.checkpoint_ns):
                found.setdefault((record.checkpoint_ns, record.checkpoint_id), record)
        return sorted(found.values(), key=age, reverse=True)

    async def aput_writes(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, written: Sequence[Written]
    ) -> None:
        """Keep what a task wrote, in the record if there is one."""
        place = thread_id, checkpoint_ns, checkpoint_id
        record = await self.aget(*place)
        with self._lock:
            there = self._writes.setdefault(place, {})
            for write in (*(record.written if record else ()), *written):
                _, task, index, _, _ = write
                if index < 0 or (task, index) not in there:
                    there[task, index] = write
            every = list(there.values())
        if record is not None:
            await self.backend.aput(evolve(record, written=every))

    async def adelete(self, thread_id: str) -> int:
        """Delete a thread; how many records there were."""
        with self._lock:
            self._writes = {it: its for it, its in self._writes.items() if it[0] != thread_id}
        return await self.backend.adelete(thread_id)
