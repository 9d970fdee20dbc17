"""Who reads what a console tells: the events of one run, or how runs are listed."""

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import trio
from msgspec.structs import replace

from terzetto_protocol.errors import TerzettoError, UnknownRun
from terzetto_protocol.events import StreamItem
from terzetto_protocol.stream_place import StreamPlace
from terzetto_protocol.views import RunLine
from terzetto_protocol.wire import Changed
from terzetto_protocol.wire_asks import FollowRuns, Subscribe
from terzetto_protocol.wire_errors import WireError

if TYPE_CHECKING:
    from ._client import Console

WATCHED: Final = 4096
"""Items that wait for a reader before it is told no more until it has read them."""
_AT_ONCE: Final = 64
"""Items that are given before other tasks get to run: a turn of the loop costs more than an item."""


class _Reader:
    """What is common to both."""

    def __init__(self, console: "Console") -> None:
        self._console: Final = console
        self._number: int | None = None
        self._stirred = trio.Event()
        self._error: TerzettoError | None = None
        self.ended = ""
        """Why nothing more comes: `ended`, `gap`, `deleted` or `refused`; empty while something may."""

    def end(self, reason: str) -> None:
        """Nothing more comes. Not a checkpoint."""
        self.ended, self._number = reason, None
        self._stir()

    def fail(self, error: TerzettoError) -> None:
        """Nothing more comes, and this is why. Not a checkpoint."""
        self._error, self._number = error, None
        self._stir()

    def leave(self) -> None:
        """Want nothing more. Not a checkpoint; twice is once."""
        if self._number is not None:
            number, self._number = self._number, None
            self._console.unsubscribe(number)
        self.ended = self.ended or "left"
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = trio.Event()

    async def __aenter__(self) -> Self:
        """Not a checkpoint."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave; not a checkpoint."""
        self.leave()


class Watch(_Reader):
    """The events of a run: each once and in order, from a `Cursor` on, with a `Gap` where some are missing.

    It subscribes when it is first read. A reader who leaves more than `WATCHED` items unread is told no more until it
    has read them, and goes on then: what left the server's memory meanwhile is a `Gap`.
    """

    def __init__(self, console: "Console", ask: Subscribe) -> None:
        super().__init__(console)
        self._ask: Final = ask
        self._place: Final = StreamPlace(ask.last_event_id)
        self._items: Final = deque[StreamItem]()
        self._given = 0
        self._begun = False

    @property
    def last_event_id(self) -> int | None:
        """The last event that was given, or is about to be: what to begin with another time."""
        return self._place.last_event_id

    def give(self, items: Iterable[StreamItem]) -> None:
        """Take what has come. Not a checkpoint."""
        self._items.extend(self._place.take(items))
        if len(self._items) > WATCHED and self._number is not None and not self._place.ended:
            number, self._number = self._number, None
            self._console.unsubscribe(number)
        self._stir()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamItem:
        """The next item. A checkpoint where it waits, and for one of 64; else it notices a cancel, which loses nothing.

        Raises:
            UnknownRun: there is no such run, or it was deleted.
            TerzettoError: why the server refuses it, or that the client was closed.
        """
        self._given += 1
        if self._given % _AT_ONCE:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        while not self._items:
            self._check()
            if self._number is None:
                self._subscribe()
            await self._stirred.wait()
        return self._items.popleft()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self.ended == "deleted":
            raise UnknownRun(self._ask.run_id)
        if self.ended == "refused":
            raise WireError("not_allowed", f"the console does not tell of run {self._ask.run_id!r} any more")
        if self.ended:
            raise StopAsyncIteration

    def _subscribe(self) -> None:
        ask = replace(self._ask, last_event_id=self._place.last_event_id) if self._begun else self._ask
        self._begun = True
        self._number = self._console.subscribe(ask, self)


class Follow(_Reader):
    """How runs are listed as they change; a run that changes twice before it is read is told once."""

    def __init__(self, console: "Console", ask: FollowRuns) -> None:
        super().__init__(console)
        self._ask: Final = ask
        self._runs: Final[dict[str, RunLine | None]] = {}
        self._anew = False
        self._begun = False

    def begin(self) -> None:
        """From here on changes are told. Not a checkpoint."""
        self._begun = True
        self._stir()

    def give(self, changed: Changed) -> None:
        """Take what has come. Not a checkpoint."""
        for line in changed.runs:
            self._runs[line.run_id] = line
        for run_id in changed.deleted:
            self._runs[run_id] = None
        self._stir()

    def again(self) -> None:
        """There was a time in which nothing was told. Not a checkpoint."""
        self._anew = True
        self._stir()

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        """Subscribe, and wait until changes are told. A checkpoint; raises as `Console.ask`."""
        self._number = self._console.subscribe(self._ask, self)
        try:
            while not self._begun:
                if self._error is not None:
                    raise self._error
                await self._stirred.wait()
        except BaseException:
            self.leave()
            raise
        return self

    async def __anext__(self) -> Changed | None:
        """What has changed, or None: list the runs again. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while not (self._runs or self._anew):
            if self._error is not None:
                raise self._error
            if self.ended:
                raise StopAsyncIteration
            await self._stirred.wait()
        if self._anew:
            self._anew = False
            self._runs.clear()
            return None
        runs = dict(self._runs)
        self._runs.clear()
        return Changed(
            self._number or 0,
            tuple(line for line in runs.values() if line is not None),
            tuple(run_id for run_id, line in runs.items() if line is None),
        )
