"""One connection: bytes that have to be taken in time, and an end that nobody can put off."""

from typing import Final

import trio

Address = tuple[str, int]


class Connection(trio.abc.HalfCloseableStream):
    """A socket whose other side has to take what is sent to it.

    Hypercorn shields what it sends from being cancelled. So each piece has a deadline inside of that shield, and
    `abort` ends it at once: nobody who reads nothing keeps a server from being left.

    Args:
        stream: the socket.
        slow: seconds in which one piece has to be taken, before the connection is closed.
    """

    def __init__(self, stream: trio.SocketStream, slow: float) -> None:
        self.socket: Final = stream.socket
        self._stream: Final = stream
        self._slow: Final = slow
        self._sending: trio.CancelScope | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, or close the connection and raise `trio.BrokenResourceError`. A checkpoint."""
        with trio.move_on_after(self._slow) as self._sending:
            await self._stream.send_all(data)
        if self._sending.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError("the other side does not take what is sent to it")

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.SocketStream`. A checkpoint."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some bytes that have come. A checkpoint."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """Say that nothing more is sent. A checkpoint."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it. A checkpoint, before which it is closed."""
        await self._stream.aclose()

    def abort(self) -> None:
        """Close it at once, and end what is being sent. Not a checkpoint."""
        self.socket.close()
        if self._sending is not None:
            self._sending.cancel(reason="the connection is closed")


class Door:
    """Counts who is inside; there is room for so many in all, and for so many of one address."""

    def __init__(self, room: int, address: int) -> None:
        self._room: Final = room
        self._address: Final = address
        self._inside: Final[dict[Connection, str]] = {}

    def enter(self, connection: Connection, address: str) -> bool:
        """Let somebody in, or say that there is no room. Not a checkpoint."""
        here = sum(known == address for known in self._inside.values())
        if len(self._inside) >= self._room or here >= self._address:
            return False
        self._inside[connection] = address
        return True

    def leave(self, connection: Connection) -> None:
        """Count somebody out. Not a checkpoint."""
        self._inside.pop(connection, None)

    def close(self) -> None:
        """Send everybody away at once. Not a checkpoint."""
        for connection in [*self._inside]:
            connection.abort()
