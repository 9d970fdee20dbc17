"""What stands in the columns of rows, with their checksums: in SQLite and Postgres alike."""

from typing import NamedTuple, TypeAlias

import msgspec

from terzetto_protocol.records import BarrierRow, Write
from terzetto_protocol.statuses import BarrierStatus

from ._checksums import Damaged, checksum, fits, moment, sum_columns

_encode = msgspec.msgpack.Encoder().encode
_barrier = msgspec.msgpack.Decoder(BarrierRow).decode

RowColumns: TypeAlias = tuple[str, int, str, str, float | None]
"""Status, epoch, code, message and timer of a run."""


class BarrierColumns(NamedTuple):
    """A barrier as it is written."""

    barrier: str
    is_open: bool
    row: bytes
    crc: int


def row_columns(write: Write) -> RowColumns:
    """What a write says about the run's row."""
    return write.status.value, write.epoch, write.code, write.message, write.timer


def row_sum(write: Write) -> int:
    """The checksum of that, without the header's."""
    timer = moment(write.timer)
    return sum_columns(write.run_id, write.status.value, write.epoch, write.code, write.message, timer)


def head_sum(thread: str, run_id: str, at: float) -> int:
    """The checksum of where a thread is."""
    return sum_columns(thread, run_id, float(at))


def barrier_columns(run_id: str, barrier: BarrierRow) -> BarrierColumns:
    """What is written of a barrier."""
    is_open, row = barrier.status is BarrierStatus.OPEN, _encode(barrier)
    return BarrierColumns(barrier.barrier, is_open, row, checksum(row, run_id, barrier.barrier, int(is_open)))


def read_barrier(run_id: str, barrier: str, is_open: int, crc: int | None, row: bytes) -> BarrierRow:
    """A barrier as it is read; raises `Damaged`."""
    if not fits(crc, row, run_id, barrier, int(is_open)):
        raise Damaged(run_id, f"barrier {barrier!r}")
    return _barrier(row)
