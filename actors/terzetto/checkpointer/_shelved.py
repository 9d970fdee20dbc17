"""Backends over a shelf: in memory, in SQLite, in Postgres."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from .._shelves._contract import AFTER, Shelf, pack
from .._shelves._memory import MemoryShelf
from .._shelves._url import open_shelf
from ._own import OwnBackend, decoded, encoded, encoded_writes, member_of
from ._records import CheckpointRecord, Written, age

_RECORD: Final = "i"
_TIME: Final = "t"
_WRITE: Final = "w"
_PAGE: Final = 64


class _Kept(NamedTuple):
    """A record's row: when it goes (0: never), where it stands in time, and its JSON."""

    until: float
    order: bytes
    text: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class ShelfBackend(OwnBackend):
    """Keeps records on a shelf. One that is older than its time is not there, and goes with the next look at it."""

    def __init__(self, shelf: Shelf, ttl_seconds: int | None = None) -> None:
        super().__init__()
        self._shelf, self._ttl = shelf, ttl_seconds
        self.blocks = shelf.blocks

    def put(self, record: CheckpointRecord) -> None:
        """Keep a record."""
        thread, member = record.thread_id, member_of(record.checkpoint_ns, record.checkpoint_id)
        # Fixed width, so that texts sort as their numbers do.
        order = pack(_TIME, record.checkpoint_ns, f"{record.metadata.timestamp:024.9f}", record.checkpoint_id)
        kept = _Kept(time.time() + self._ttl if self._ttl else 0.0, order, encoded(record))
        key = pack(_RECORD, member)
        (before,) = self._shelf.read(thread, [key])
        stale = [] if before is None else [it for it in (_decode(before).order,) if it != order]
        self._shelf.apply(thread, [(key, _encode(kept)), (order, member.encode("utf-8", "surrogatepass"))], (), stale)

    def get(
        self, thread_id: str, checkpoint_id: str | None, *, checkpoint_ns: str | None = None
    ) -> CheckpointRecord | None:
        """The record of this id, or the newest one."""
        if checkpoint_id is None:
            return next(iter(self.list(thread_id, limit=1, checkpoint_ns=checkpoint_ns)), None)
        member = member_of(checkpoint_ns or "", checkpoint_id)
        (row,) = self._shelf.read(thread_id, [pack(_RECORD, member)])
        if row is None and checkpoint_ns is None:
            return next((it for it in self.list(thread_id) if it.checkpoint_id == checkpoint_id), None)
        return None if row is None else self._record(thread_id, member, row)

    def list(
        self, thread_id: str, *, limit: int | None = None, checkpoint_ns: str | None = None
    ) -> list[CheckpointRecord]:
        """Records, newest first."""
        found = self._walk(thread_id, pack(_TIME) if checkpoint_ns is None else pack(_TIME, checkpoint_ns))
        if checkpoint_ns is None:
            return sorted(found, key=age, reverse=True)[: None if limit is None else max(limit, 0)]
        return list(islice(found, None if limit is None else max(limit, 0)))

    def _walk(self, thread: str, first: bytes) -> Iterator[CheckpointRecord]:
        end = first + AFTER
        while rows := self._shelf.scan(thread, first, end, reverse=True, limit=_PAGE):
            end = rows[-1][0]
            members = [_text(member) for _, member in rows]
            kept = self._shelf.read(thread, [pack(_RECORD, member) for member in members])
            for (order, _), member, row in zip(rows, members, kept, strict=True):
                # Two who put it at the same time each leave where it stands in time; it stands where the last one says.
                if row is None or _decode(row).order != order:
                    continue
                record = self._record(thread, member, row)
                if record is not None:
                    yield record

    def _record(self, thread: str, member: str, row: bytes) -> CheckpointRecord | None:
        kept = _decode(row)
        first = pack(_WRITE, member)
        writes = self._shelf.scan(thread, first, first + AFTER)
        if kept.until and kept.until <= time.time():
            self._shelf.apply(thread, (), (), [pack(_RECORD, member), kept.order, *(key for key, _ in writes)])
            return None
        return decoded(kept.text, [text for _, text in writes])

    def delete(self, thread_id: str) -> int:
        """Delete all records of a thread; how many there were."""
        first = pack(_RECORD)
        now = time.time()
        rows = [(key, _decode(row).until) for key, row in self._shelf.scan(thread_id, first, first + AFTER)]
        expired = {key for key, until in rows if until and until <= now}
        gone = self._shelf.clear(thread_id)  # of two who delete at the same time one is told each
        return sum(key.startswith(first) and key not in expired for key in gone)

    def put_writes(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, written: Sequence[Written]) -> None:
        """Keep what a task wrote."""
        member = member_of(checkpoint_ns, checkpoint_id)
        puts, inserts = (
            [(pack(_WRITE, member, name), text) for name, text in rows] for rows in encoded_writes(written)
        )
        self._shelf.apply(thread_id, puts, inserts)

    def close(self) -> None:
        """Close the shelf."""
        self._shelf.close()
        self._threads.shutdown(wait=False)


def _text(member: bytes) -> str:
    return member.decode("utf-8", "surrogatepass")


class MemoryBackend(ShelfBackend):
    """Keeps records in this process, and forgets them with it."""

    def __init__(self, ttl_seconds: int | None = None) -> None:
        super().__init__(MemoryShelf(), ttl_seconds)


class SqliteBackend(ShelfBackend):
    """Keeps records in a SQLite file of their own: durable when a put returns."""

    def __init__(self, url: str, ttl_seconds: int | None = None) -> None:
        super().__init__(open_shelf(url), ttl_seconds)


class PostgresBackend(ShelfBackend):
    """Keeps records in a Postgres database: durable when a put returns."""

    def __init__(self, url: str, ttl_seconds: int | None = None) -> None:
        super().__init__(open_shelf(url), ttl_seconds)
