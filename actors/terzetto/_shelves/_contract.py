"""What a shelf is, whoever keeps it."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

Row: TypeAlias = tuple[bytes, bytes]
"""A key and its value."""

AFTER: Final = b"\xff"
"""Sorts behind everything that may follow a prefix made by `pack`: no byte of UTF-8 is as large."""


class Shelf(Protocol):
    """Rows of bytes in the order of their keys, in rooms. Thread-safe: any thread may call at any time.

    Keys are what `pack` makes, or begin as that does: none begins with the byte 255.

    Once `apply` or `clear` has returned, what it did is durable and survives `kill -9`, as far as the
    place it is kept in promises that. Every call is whole: nobody sees, or keeps, a part of an `apply`.

    Every method but `close` raises `StoreUnavailable` while the place cannot be reached, and
    `StoreError` once the shelf is closed.
    """

    blocks: bool
    """Whether a call waits for a disk or a server."""

    def apply(self, room: str, puts: Sequence[Row], inserts: Sequence[Row] = (), deletes: Sequence[bytes] = ()) -> None:
        """Write `puts`, and of `inserts` those whose key is not there yet, and delete; no key is there twice."""
        ...

    def read(self, room: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, None for one that is not there."""
        ...

    def scan(
        self, room: str, first: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with `first <= key < end` in the order of their keys, or backwards."""
        ...

    def keys(self, room: str, first: bytes, end: bytes) -> list[bytes]:
        """The keys that `scan` would find, in order."""
        ...

    def rooms(self) -> list[str]:
        """All rooms that have rows, sorted."""
        ...

    def clear(self, room: str) -> list[bytes]:
        """Delete all rows of a room; their keys, each of which is told to nobody else."""
        ...

    def close(self) -> None:
        """Let go of what the shelf holds. Never raises; the second time it does nothing."""
        ...


def pack(*parts: str) -> bytes:
    """Texts as a key that sorts as the tuple of them would, whatever characters they have."""
    whole = "\0".join(parts) + "\0"
    if whole.count("\0") == len(parts):
        return whole.encode("utf-8", "surrogatepass")
    return b"".join([part.encode("utf-8", "surrogatepass").replace(b"\0", b"\0\xff") + b"\0" for part in parts])


def unpack(key: bytes) -> list[str]:
    """The texts that `pack` made a key of."""
    # A terminator is a zero that no \xff follows; parts never begin with \xff, so the split is unambiguous.
    parts = key[:-1].replace(b"\0\xff", b"\xfe").split(b"\0")
    return [part.replace(b"\xfe", b"\0").decode("utf-8", "surrogatepass") for part in parts]
