"""A shelf in memory: it is gone with the process."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from threading import Lock
from typing import final

from attrs import Factory, define

from ._contract import Row


@define(eq=False)
class _Room:
    rows: dict[bytes, bytes] = Factory(dict[bytes, bytes])
    order: list[bytes] = Factory(list[bytes])
    """The keys, sorted."""

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.rows:
            insort(self.order, key)
        self.rows[key] = value

    def delete(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self.rows.pop(key, None)
        self.order = [key for key in self.order if key in self.rows]


@final
class MemoryShelf:
    """Keeps rows in this process, and forgets them with it."""

    blocks = False

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._lock = Lock()

    def apply(self, room: str, puts: Sequence[Row], inserts: Sequence[Row] = (), deletes: Sequence[bytes] = ()) -> None:
        """Write, insert and delete, at once."""
        with self._lock:
            there = self._rooms.get(room)
            if there is None:
                there = self._rooms[room] = _Room()
            for key, value in puts:
                there.put(key, value)
            for key, value in inserts:
                if key not in there.rows:
                    there.put(key, value)
            if deletes:
                there.delete(deletes)
            if not there.rows:
                del self._rooms[room]

    def read(self, room: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys."""
        with self._lock:
            there = self._rooms.get(room)
            return [None if there is None else there.rows.get(key) for key in keys]

    def scan(
        self, room: str, first: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows of a range."""
        with self._lock:
            there = self._rooms.get(room)
            if there is None:
                return []
            keys = _between(there.order, first, end)
            if reverse:
                keys.reverse()
            return [(key, there.rows[key]) for key in keys[:limit]]

    def keys(self, room: str, first: bytes, end: bytes) -> list[bytes]:
        """Keys of a range."""
        with self._lock:
            there = self._rooms.get(room)
            return [] if there is None else _between(there.order, first, end)

    def rooms(self) -> list[str]:
        """All rooms."""
        with self._lock:
            return sorted(self._rooms)

    def clear(self, room: str) -> list[bytes]:
        """Forget a room."""
        with self._lock:
            there = self._rooms.pop(room, None)
            return [] if there is None else there.order

    def close(self) -> None:
        """Nothing is held that another could want; what is kept stays readable until it is collected."""


def _between(order: list[bytes], first: bytes, end: bytes) -> list[bytes]:
    return order[bisect_left(order, first) : bisect_left(order, end)]
