"""Hearing of commands: a connection of its own that listens, and is made anew when it breaks."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import psycopg
import trio
from psycopg.sql import SQL, Identifier

from ._postgres_schema import Connected

_AGAIN: Final = 1.0
"""Seconds until it is tried again to listen."""


def channel_of(schema: str) -> str:
    """Where those who use a schema are told of commands; as long as a name may be."""
    return f"terzetto_{schema}"[:63]


@final
class Listener:
    """Waits on the loop, without a thread, until the server says something.

    Args:
        connect: makes a connection; called in a thread.
        channel: what is listened to.
    """

    def __init__(self, connect: Callable[[], Connected], channel: str) -> None:
        self._connect, self._channel = connect, channel
        self._link: Connected | None = None
        self._turn = trio.CapacityLimiter(1)
        self._waiting = self._closed = False

    async def wait(self, seconds: float) -> None:
        """Return when something was said, or may have been said, or so many seconds have passed. A checkpoint."""
        with trio.move_on_after(seconds):
            if self._waiting:
                await trio.sleep_forever()  # whoever waits already is told
            self._waiting = True
            try:
                await self._hear()
            finally:
                self._waiting = False

    async def _hear(self) -> None:
        while self._link is None:
            try:
                # Abandoned, it goes on, and the next one who waits finds what it made.
                await trio.to_thread.run_sync(self._listen, abandon_on_cancel=True, limiter=self._turn)
                return  # what was said before it listened is in the store
            except (psycopg.Error, OSError):
                await trio.sleep(_AGAIN)
        try:
            await trio.lowlevel.wait_readable(self._link.fileno())
            self._link.pgconn.consume_input()
            while self._link.pgconn.notifies() is not None:
                pass
        except (psycopg.Error, OSError, trio.ClosedResourceError):
            self._drop()
            await trio.lowlevel.checkpoint()

    def _listen(self) -> None:
        if self._link is not None:
            return
        link = self._connect()
        try:
            link.execute(SQL("listen {}").format(Identifier(self._channel)))
        except BaseException:
            link.close()
            raise
        self._link = link
        if self._closed:
            link.close()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def close(self) -> None:
        """Listen no more; a thread that is about to closes what it made. Not a checkpoint."""
        self._closed = True
        if self._link is not None:
            with suppress(psycopg.Error, OSError):
                trio.lowlevel.notify_closing(self._link.fileno())
            self._drop()
