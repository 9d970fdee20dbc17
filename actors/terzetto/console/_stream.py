"""The stream below a websocket: it begins with what was read of it before, and stops where a limit is broken."""

from collections.abc import Callable
from typing import Final

import trio

from ._frame_heads import FrameHeads, Violation


class GuardedStream(trio.abc.Stream):
    """Gives the head of the handshake again, and then lets through what `heads` lets through.

    Args:
        stream: the connection.
        head: what was read of it.
        heads: looks at all that follows.
        broken: told of a violation, once; nothing is read after it.
    """

    def __init__(
        self, stream: trio.abc.Stream, head: bytes, heads: FrameHeads, broken: Callable[[Violation], None]
    ) -> None:
        self._stream: Final = stream
        self._head = head
        self._heads: Final = heads
        self._broken: Final = broken

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What comes next. A checkpoint; after a violation it waits until the connection is closed."""
        if self._head:
            await trio.lowlevel.checkpoint()
            head, self._head = self._head, b""
            return head
        data = bytes(await self._stream.receive_some(max_bytes))
        try:
            self._heads.feed(data, trio.current_time())
        except Violation as violation:
            self._broken(violation)
            await trio.sleep_forever()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send. A checkpoint."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room. A checkpoint."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close. A checkpoint."""
        await self._stream.aclose()


class EndingStream(trio.abc.Stream):
    """Says when the other side is gone, which whoever waits for its handshake is not told otherwise.

    Args:
        stream: the connection.
        ended: told, maybe more than once.
    """

    def __init__(self, stream: trio.abc.Stream, ended: Callable[[], None]) -> None:
        self._stream: Final = stream
        self._ended: Final = ended

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What comes next. A checkpoint."""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended()
            raise
        if not data:
            self._ended()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send. A checkpoint."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room. A checkpoint."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close. A checkpoint."""
        await self._stream.aclose()
