"""One reader of one stream of a bridge: an async iterator that lets go of its place, however it is left."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self, final

import trio

from terzetto_protocol.bridge import StreamEvent


class Place(Protocol):
    """Where a reader is in a stream."""

    async def take(self) -> Sequence[StreamEvent]:
        """The next items, 1 or more, or none after the last; attaches when it is first called. A checkpoint.

        Cancelled, it has taken nothing.
        """
        ...

    def leave(self) -> None:
        """Detach; twice is once. Not a checkpoint."""
        ...


@final
class BridgeReader(AsyncIterator[StreamEvent]):
    """Gives the items of a stream in order: `async for event in bridge.subscribe(run_id)`.

    It attaches when the first item is asked for, and detaches after the last one, when it is closed, at the end of an
    `async with`, or when nobody holds it any more. A cancelled wait loses nothing: the next one begins with the same
    item. One task iterates at a time.
    """

    def __init__(self, place: Place) -> None:
        self._place: Final = place
        self._items: Iterator[StreamEvent] = iter(())
        self._token: trio.lowlevel.TrioToken | None = None
        self._busy = self._closed = False

    async def __anext__(self) -> StreamEvent:
        """The next item; a checkpoint where it has to be fetched."""
        for item in self._items:
            return item
        items = await self.take()
        if not items:
            raise StopAsyncIteration
        self._items = iter(items)
        return next(self._items)

    async def take(self) -> Sequence[StreamEvent]:
        """The next items that are there, or none after the last one; always a checkpoint."""
        if rest := [*self._items]:
            self._items = iter(rest)  # until it is certain that they are handed over
            await trio.lowlevel.checkpoint()
            return [*self._items]
        if self._busy:
            raise trio.BusyResourceError("another task is iterating over this subscription")
        if self._closed:
            await trio.lowlevel.checkpoint()
            return []
        self._token, self._busy = trio.lowlevel.current_trio_token(), True
        try:
            items = await self._place.take()
        finally:
            self._busy = False
        if not items:
            self.close()
        return items

    def close(self) -> None:
        """Detach; what was not given is not given any more. Twice is once. Not a checkpoint."""
        self._closed, self._items = True, iter(())
        self._place.leave()

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Detach, whatever has happened; not a checkpoint."""
        self.close()

    def __del__(self) -> None:
        # Whoever leaves an `async for` need not know that there is anything to close. This may be any thread.
        if not self._closed and self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._place.leave)
