"""What waits to be sent to one client: bounded, because whoever makes more waits for room before."""

from collections import deque
from typing import Final

import trio

from terzetto_protocol.limits import CONSOLE_OUTBOX


class Outbox:
    """Frames in order, and at last the code with which the connection is closed."""

    def __init__(self) -> None:
        self._frames: Final = deque[bytes]()
        self._bytes = 0
        self._changed = trio.Event()
        self.closing: tuple[int, str] | None = None
        """Code and reason."""

    def put(self, frame: bytes) -> None:
        """Have a frame sent after all others; nothing once it is closed. Not a checkpoint."""
        if self.closing is None:
            self._frames.append(frame)
            self._bytes += len(frame)
            self._stir()

    def close(self, code: int, reason: str, *, at_once: bool = False) -> None:
        """Close after the last frame, or before the next one; only the first call counts. Not a checkpoint."""
        if self.closing is None:
            self.closing = code, reason
            if at_once:
                self._frames.clear()
                self._bytes = 0
            self._stir()

    async def room(self) -> None:
        """Wait until little enough waits that more may be made; a checkpoint then, and else it notices a cancel."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._bytes > CONSOLE_OUTBOX:
            await self._changed.wait()

    async def take(self) -> bytes | None:
        """The next frame, or None when it is time to close. A checkpoint where it waits, else it notices a cancel.

        Cancelled, nothing is lost.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._frames:
            if self.closing is not None:
                return None
            await self._changed.wait()
        frame, crowded = self._frames.popleft(), self._bytes > CONSOLE_OUTBOX
        self._bytes -= len(frame)
        if crowded:
            self._stir()  # else nobody waits for room
        return frame

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
