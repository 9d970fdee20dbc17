"""Checksums of rows: what the disk gives back instead of what was stored is noticed, and never believed.

SQLite sums up the pages of its log, and not those of its file. So a row has a checksum of its own, over its columns and
over its blob, each with the id of its run: a row that turns up as another's is noticed like one with a flipped bit.
"""

from typing import Final
from zlib import crc32

import msgspec

from ._schema import Value

_BLOCK: Final = 5 * 1024
"""Bytes that zlib sums up without letting another thread go on, which would not give the interpreter back at once."""
_HALF: Final = 0xFFFF_FFFF

_encode = msgspec.msgpack.Encoder().encode


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What reading a damaged row without a checksum raises, where SQLite itself has noticed nothing."""


class Damaged(Exception):
    """A row is not what was stored."""

    def __init__(self, run_id: str, place: str, reason: str = "its bytes are not those that were stored") -> None:
        self.run_id, self.place, self.reason = run_id, place, reason
        super().__init__(f"run {run_id!r}: {place}: {reason}" if run_id else f"{place}: {reason}")


def sum_columns(*columns: Value) -> int:
    """The checksum of some columns, in the upper half of a number that SQLite can hold; moments are floats in it."""
    return (crc32(_encode(columns)) & 0x7FFF_FFFF) << 32


def sum_blob(blob: bytes) -> int:
    """The checksum of a blob, in the lower half."""
    view, found = memoryview(blob), 0
    for start in range(0, len(blob), _BLOCK):
        found = crc32(view[start : start + _BLOCK], found)
    return found


def checksum(blob: bytes, *columns: Value) -> int:
    """The checksum of a row."""
    low = crc32(blob) if len(blob) <= _BLOCK else sum_blob(blob)
    return (crc32(_encode(columns)) & 0x7FFF_FFFF) << 32 | low


def fits(crc: int | None, blob: bytes, *columns: Value) -> bool:
    """Whether a row is what was stored, as far as that is known."""
    return crc is None or crc == checksum(blob, *columns)


def columns_fit(crc: int | None, *columns: Value) -> bool:
    """The same for a row whose blob was not read."""
    return crc is None or crc & ~_HALF == sum_columns(*columns)


def moment(at: float | None) -> float | None:
    """A moment as SQLite gives it back, whatever kind of number it was."""
    return None if at is None else float(at)
