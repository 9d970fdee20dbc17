"""What our own backends have in common: plain methods, which block, and those of the contract, which do not."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar, TypeVarTuple

from terzetto_protocol.errors import InvalidRequest

from .._shelves._hops import Threads, off_the_loop
from ._records import (
    CheckpointRecord,
    Dump,
    Load,
    Written,
    dump_nothing,
    from_json,
    load_nothing,
    to_json,
    value_from_json,
    value_to_json,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS: Final = 4
"""How many tasks of asyncio may wait for a backend at the same time."""
_IN_NAMESPACE: Final = "\x1f"


class OwnBackend(ABC):
    """Keeps records as JSON. The plain methods may be called by any thread, and those with an `a` under any loop."""

    blocks: bool
    """Whether a plain method waits for a disk or a server."""

    def __init__(self) -> None:
        self._threads = Threads(THREADS, "terzetto records")

    @abstractmethod
    def put(self, record: CheckpointRecord) -> None:
        """Keep a record, without its pending writes."""

    @abstractmethod
    def get(
        self, thread_id: str, checkpoint_id: str | None, *, checkpoint_ns: str | None = None
    ) -> CheckpointRecord | None:
        """The record of this id, or the newest one, of this namespace or of any."""

    @abstractmethod
    def list(
        self, thread_id: str, *, limit: int | None = None, checkpoint_ns: str | None = None
    ) -> "list[CheckpointRecord]":
        """Records, newest first, of this namespace or of all."""

    @abstractmethod
    def delete(self, thread_id: str) -> int:
        """Delete all records of a thread, and what was written for them; how many records there were."""

    @abstractmethod
    def put_writes(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, written: Sequence[Written]) -> None:
        """Keep what a task wrote for a record; of what is there already only errors, interrupts and the like go."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file or the connection. The second time it does nothing."""

    async def aput(self, record: CheckpointRecord) -> None:
        """Keep a record. A checkpoint, except in memory; cancelled, it is kept all the same."""
        await self.hop(self.put, record)

    async def aget(self, thread_id: str, checkpoint_id: str | None) -> CheckpointRecord | None:
        """The record of this id, or the newest one of the thread. A checkpoint, except in memory."""
        return await self.hop(self.get, thread_id, checkpoint_id)

    async def alist(self, thread_id: str, *, limit: int | None = None) -> Sequence[CheckpointRecord]:
        """The records of a thread, newest first. A checkpoint, except in memory."""
        return await self.hop(lambda: self.list(thread_id, limit=limit))

    async def adelete(self, thread_id: str) -> int:
        """Delete the records of a thread; how many there were. A checkpoint, except in memory."""
        return await self.hop(self.delete, thread_id)

    async def hop(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a plain method without blocking the loop."""
        return await off_the_loop(self._threads, fn, *args) if self.blocks else fn(*args)


def member_of(namespace: str, id: str) -> str:
    """What a record is called in its thread: its id, with its namespace in front where it has one."""
    if _IN_NAMESPACE in id or _IN_NAMESPACE in namespace:
        raise InvalidRequest(f"a checkpoint's id and namespace have no {_IN_NAMESPACE!r}: {namespace!r}, {id!r}")
    return f"{namespace}{_IN_NAMESPACE}{id}" if namespace else id


def encoded(record: CheckpointRecord) -> bytes:
    """A record as it is kept."""
    return to_json(record, _codec()[0])


def encoded_writes(written: Iterable[Written]) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """What a task wrote, as it is kept, each with a name: what replaces, and what does not."""
    special, ordinary = dict[str, bytes](), dict[str, bytes]()
    for write in written:
        _, task, index, _, _ = write
        text = value_to_json(list(write), _codec()[0])
        (special if index < 0 else ordinary)[f"{task}{_IN_NAMESPACE}{index}"] = text
    return list(special.items()), list(ordinary.items())


def decoded(text: bytes, writes: Iterable[bytes] = ()) -> CheckpointRecord:
    """A record from what is kept of it."""
    load = _codec()[1]
    record = from_json(text, load)
    record.written = [tuple(value_from_json(write, load)) for write in writes]
    return record


def _codec() -> tuple[Dump, Load]:
    # It is looked for each time: a program may load LangGraph after this.
    if "langgraph.checkpoint.base" not in sys.modules:
        return dump_nothing, load_nothing
    from ..langgraph._serializer import serializer

    serde = serializer()
    return serde.dumps_typed, serde.loads_typed
