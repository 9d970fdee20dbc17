"""The bell of a Redis store: a stream that gets an entry with every command that is posted.

Whoever listens says which entry was the last, so that none is missed between two looks, and after a lost connection:
that is what a subscription would not tell. One blocking read is under way at a time, on a connection of its own, and
everybody waits for it; who goes away leaves it to the next.
"""

from typing import Any, Final

import anyio
import trio
from coredis.exceptions import RedisError

from terzetto_protocol.errors import StoreError

from ._redis_line import Line

_BLOCK: Final = 10.0
"""How long one read waits, seconds."""
_LATE: Final = 5.0
"""Seconds after which a read that should have ended is given up, with its connection."""


class Bell:
    """Listens on a line that is used for nothing else."""

    def __init__(self, line: Line, key: str) -> None:
        self._line, self._key = line, key.encode()
        self._last: bytes = b"0-0"
        self._reading: Any = None
        self._since = 0.0

    async def wait(self, seconds: float) -> None:
        """Return when it has rung since this last returned because of that, or after so many seconds. A checkpoint."""
        if seconds <= 0:
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(seconds):
            try:
                await self._listen()
            except (RedisError, StoreError):  # whoever looks for commands meanwhile is told why
                self._reading = None
                await trio.sleep_forever()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):  # it was lost, and the driver does not know
                self._reading = None
                self._line.drop()
                await trio.sleep_forever()

    def close(self) -> None:
        """End what is being read. Not a checkpoint."""
        self._line.close()

    async def _listen(self) -> None:
        reading = await self._read()
        reply = await reading
        if self._reading is reading:
            self._reading = None
        if reply:
            [entries] = reply.values()
            self._last = max(self._last, entries[-1][0], key=_place)

    async def _read(self) -> Any:
        if self._reading is not None and trio.current_time() > self._since + _BLOCK + _LATE:
            self._line.drop()
            self._reading = None
        if self._reading is None:
            connection = await self._line.connected()
            words = (b"BLOCK", int(_BLOCK * 1000), b"STREAMS", self._key, self._last)
            self._reading = connection.create_request(b"XREAD", *words, decode=False)
            self._since = trio.current_time()
        return self._reading


def _place(entry: bytes) -> tuple[int, int]:
    time, _, number = entry.partition(b"-")
    return int(time), int(number)
