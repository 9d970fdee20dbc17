"""A Redis store for one test: with a prefix that nobody else has, of which nothing is left afterwards."""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

import trio

from ..stores import RedisStore
from ..stores._redis_place import read_place

if TYPE_CHECKING:
    from ..stores._redis_line import Line

_PAGE: Final = 1000
"""Keys that are looked for, and removed, at once."""


class RedisRoom(RedisStore):
    """A store beside all others on a server; `dispose` removes it.

    Args:
        url: of any store on that server; its prefix is what the test's own begins with.
    """

    def __init__(self, url: str) -> None:
        prefix = f"{read_place(url).prefix}{uuid4().hex}:"
        front, mark, query = url.partition("?")
        options = [each for each in query.split("&") if mark and not each.startswith("prefix=")]
        super().__init__(f"{front}?{'&'.join([*options, 'prefix=' + quote(prefix)])}")

    async def dispose(self) -> None:
        """Remove every key of the store, which is closed. A checkpoint."""
        from ..stores._redis_line import Line

        base = self._place.base.encode()
        async with trio.open_nursery() as nursery:
            line = Line(self._place, self._limit, nursery, _no_greeting)
            try:
                await _unlink(line, base + b"*")
            finally:
                line.close()


async def _unlink(line: "Line", pattern: bytes) -> None:
    cursor: Any = None
    while cursor != b"0":
        cursor, keys = await line.call(b"SCAN", cursor or b"0", b"MATCH", pattern, b"COUNT", _PAGE)
        if keys:
            await line.call(b"UNLINK", *keys)


async def _no_greeting(_: object) -> None:
    await trio.lowlevel.checkpoint()
