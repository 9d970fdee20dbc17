"""A recorder of events, for tests that assert in which order things happened."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, final, overload

import trio

from terzetto_protocol.events import Event, RunEnded

E = TypeVar("E", bound=Event)


@final
class EventRecorder:
    """Keeps every event that it hears, in order.

    A sink: `open_runtime(sinks=[recorder])` hears of every run, `submit(sinks=[recorder])` and
    `terzetto.run(sinks=[recorder])` of one. Events of one run come in their order; those of several runs, in the order
    in which they were heard. Nobody waits for a recorder: in a runtime, wait for what is to be heard with `until`.
    """

    def __init__(self) -> None:
        self.events: Final[list[Event]] = []
        self._more = trio.Event()

    async def emit(self, event: Event, /) -> None:
        """Hear of an event; a checkpoint."""
        self.events.append(event)
        self._more.set()
        self._more = trio.Event()
        await trio.lowlevel.checkpoint()

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Each event as its kind and the node or barrier that it is about: `("NodeFinished", "charge")`."""
        return [(type(event).__name__, about(event)) for event in self.events]

    def of(self, kind: type[E], /) -> list[E]:
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def of_run(self, run_id: str, /) -> list[Event]:
        """The events of a run, in order."""
        return [event for event in self.events if event.run_id == run_id]

    @overload
    async def until(self, wanted: type[E], /, *, count: int = 1) -> E: ...
    @overload
    async def until(self, wanted: Callable[[Event], bool], /, *, count: int = 1) -> Event: ...
    async def until(self, wanted: Any, /, *, count: int = 1) -> Any:
        """Wait until the `count`-th event of a kind (or one of which this is true) was heard. A checkpoint.

        What was heard before counts too.
        """
        await trio.lowlevel.checkpoint()
        while True:
            found = [event for event in self.events if _is(event, wanted)]
            if len(found) >= count:
                return found[count - 1]
            await self._more.wait()

    async def ended(self, run_id: str, /) -> RunEnded:
        """Wait until the end of this run was heard, and so all of it. A checkpoint."""
        found = await self.until(lambda event: isinstance(event, RunEnded) and event.run_id == run_id)
        assert isinstance(found, RunEnded)
        return found


def _is(event: Event, wanted: type[Any] | Callable[[Event], bool]) -> bool:
    return isinstance(event, wanted) if isinstance(wanted, type) else wanted(event)


def about(event: Event) -> str:
    """The node or barrier that an event is about, or empty."""
    for field in ("barrier", "node"):
        if found := getattr(event, field, ""):
            return str(found)
    return ""
