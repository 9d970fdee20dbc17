"""Commits of a run that came in one group stand in one row: a *segment*, in SQLite and Postgres alike.

The body of a single commit stands as it is; several stand as a msgpack array of [last event id, body].
"""

from typing import Final, NamedTuple, TypeAlias

import msgspec

from terzetto_protocol.records import Write

from ._checksums import Damaged, checksum

SEGMENT_BYTES: Final = 256 * 1024
"""Bodies that one row holds, bytes; more make another row, so that reading one commit stays cheap."""

Entries: TypeAlias = list[tuple[int, bytes]]
"""Commits, each as its last event id and its body."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entries).decode


class Segment(NamedTuple):
    """Columns of commits that stand in one row."""

    first: int
    last: int
    event: int
    epoch: int | None
    at: float | None
    crc: int | None
    length: int


class NewRow(NamedTuple):
    """A segment as it is written."""

    run_id: str
    expect: int
    epoch: int
    first: int
    last: int
    event: int
    at: float
    body: bytes
    crc: int


class NewSegment:
    """Commits of one run that follow one another, of one epoch, on their way into one row."""

    __slots__ = ("entries", "first", "last", "size")

    def __init__(self, write: Write) -> None:
        self.first: Final = write
        self.last: Write = write
        self.entries = [(write.event_id, write.body)]
        self.size: int = len(write.body)

    def takes(self, write: Write) -> bool:
        """Whether a write is part of it now."""
        last, size = self.last, self.size + len(write.body)
        if write.seq != last.seq + 1 or not write.expect == write.epoch == last.epoch or size > SEGMENT_BYTES:
            return False
        self.last, self.size = write, size
        self.entries.append((write.event_id, write.body))
        return True

    def row(self) -> NewRow:
        """What is written."""
        first, last = self.first, self.last
        body = body_of(self.entries)
        crc = checksum(body, first.run_id, first.seq, last.seq, last.event_id, last.epoch, float(last.at))
        return NewRow(
            first.run_id, first.expect, last.epoch, first.seq, last.seq, last.event_id, float(last.at), body, crc
        )


def body_of(entries: Entries) -> bytes:
    """What stands for these commits."""
    return entries[0][1] if len(entries) == 1 else _encode(entries)


def entries_of(run_id: str, segment: Segment, body: bytes) -> Entries:
    """The commits of a segment; raises `Damaged`."""
    first, last, event, epoch, at, crc, _ = segment
    if crc is not None and crc != checksum(body, run_id, first, last, event, epoch, at):
        raise Damaged(run_id, f"commit {first}" if first == last else f"commits {first} to {last}")
    return [(event, body)] if first == last else _decode(body)
