"""The heads of websocket frames as they pass: what is too large is found before any of it is read."""

from typing import Final

from terzetto_protocol.limits import CONSOLE_FRAGMENTS, WIRE_BURST, WIRE_RATE
from terzetto_protocol.rate import TokenBucket

_CONTROL: Final = 0x8
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_TOO_BIG: Final = 1009
_POLICY: Final = 1008


class Violation(Exception):
    """A client breaks a limit, and the connection has to be closed with `code`."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class FrameHeads:
    """Follows what a client sends, from its first frame on; never needs more than the head of one.

    Args:
        limit: largest message, bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._head = bytearray()
        self._skip = 0
        """Bytes of the payload that are still to pass."""
        self._message = 0
        """Bytes of the message so far."""
        self._fragments = 0
        self._bucket: Final = TokenBucket(WIRE_RATE, WIRE_BURST)
        """Of pings, pongs and closes: other frames are counted where they are answered."""

    def feed(self, data: bytes, at: float) -> None:
        """Look at what has come; raises `Violation`.

        Args:
            data: the next bytes.
            at: seconds, on a clock that does not go back.
        """
        position = 0
        while position < len(data):
            if self._skip:
                passed = min(self._skip, len(data) - position)
                self._skip -= passed
                position += passed
                continue
            missing = _length_of(self._head) - len(self._head)
            self._head += data[position : position + missing]
            position += missing
            if len(self._head) == _length_of(self._head):
                self._begin(at)

    def _begin(self, at: float) -> None:
        """A frame begins: the head is whole."""
        head, self._head = self._head, bytearray()
        size = _size_of(head)
        self._skip = size
        if head[0] & _CONTROL:
            if self._bucket.take(at):
                raise Violation(_POLICY, "too many control frames")
            return
        self._message += size
        self._fragments += 1
        if self._message > self._limit:
            raise Violation(_TOO_BIG, f"a message has more than {self._limit} bytes")
        if self._fragments > CONSOLE_FRAGMENTS:
            raise Violation(_POLICY, f"a message has more than {CONSOLE_FRAGMENTS} fragments")
        if head[0] & _FINAL:
            self._message = self._fragments = 0


def _length_of(head: bytearray) -> int:
    """Bytes of a head, as far as they can be known."""
    if len(head) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
    return 2 + extended + (4 if head[1] & _MASKED else 0)


def _size_of(head: bytearray) -> int:
    short = head[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(head[2:4] if short == 126 else head[2:10], "big")
