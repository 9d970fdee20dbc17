"""The last long texts that were made: who reads one piece by piece has it made once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

from terzetto_protocol.pieces import text_of

_BYTES: Final = 32 * 1024 * 1024
"""Bytes of texts that are kept; one that is larger alone is kept until the next comes."""


class Texts:
    """JSON texts by what they are of, which never changes; those that were asked for last."""

    def __init__(self) -> None:
        self._known: Final[OrderedDict[Hashable, bytes]] = OrderedDict()
        self._bytes = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Any]]) -> bytes:
        """The text that is known by this key, or that of what `make` gives. A checkpoint where it is made."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        text = text_of(await make())
        if key not in self._known:
            self._known[key] = text
            self._bytes += len(text)
        while self._bytes > _BYTES and len(self._known) > 1:
            self._bytes -= len(self._known.popitem(last=False)[1])
        return text
