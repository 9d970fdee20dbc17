"""The runs of a runtime, seen through the contract of a stream bridge.

It owns its readers, and nothing else: the events are the hub's and the store's, and what ends a run is the runtime's.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias, final

import trio

from terzetto_protocol.bridge import CANCELLED_SENTINEL, END_SENTINEL, JSONValue, StreamEvent, check_terminal
from terzetto_protocol.bridged import Bridged
from terzetto_protocol.errors import ActorStopped, InvalidRequest, Refused, UnknownRun
from terzetto_protocol.events import RunEnded
from terzetto_protocol.ids import check_choice
from terzetto_protocol.limits import HEARTBEAT, RECONNECT_GRACE
from terzetto_protocol.statuses import TERMINAL, StreamStatus

from ._bridge_reader import BridgeReader
from ._stream_bridge import BRIDGE, StreamBridge
from ._subscription import Subscription

if TYPE_CHECKING:
    from ._runtime import Runtime

OnDisconnect: TypeAlias = Literal["continue", "cancel"]
DISCONNECTED: Final[tuple[OnDisconnect, ...]] = ("continue", "cancel")
"""What may become of a run whose last reader has left."""


@final
class RuntimeStreamBridge(StreamBridge):
    """Shows what the runs of a runtime tell, to readers who know stream bridges.

    An event keeps its id, as a text, also over a restart of the process; durable events are read back from the store,
    and what was lost with a process is counted. It is called as its type is, the last one `end`, `cancel` or `error`;
    its data are its fields. Runs tell by themselves, so nothing can be published here.
    """

    def __init__(self, runtime: "Runtime") -> None:
        self.runtime: Final = runtime
        self._crowds: dict[str, _Crowd] = {}
        self.closed = False

    async def publish(self, run_id: str, event: str, data: JSONValue) -> str:
        """Raise `Refused`: nodes tell by their contexts."""
        self._refuse(run_id)

    async def publish_end(self, run_id: str) -> str:
        """See `publish_terminal`."""
        return await self.publish_terminal(run_id, StreamStatus.ENDED)

    async def publish_terminal(self, run_id: str, kind: StreamStatus, data: JSONValue = None) -> str:
        """Return the id of the terminal event of a run that has ended; raise `Refused` for one that has not."""
        check_terminal(kind)
        row = await self.runtime.row(run_id)
        if row.status not in TERMINAL:
            self._refuse(run_id)
        return str(row.event_id)

    async def mark_awaiting_input(self, run_id: str) -> None:
        """Raise `Refused`: a run says itself that it waits for people."""
        self._refuse(run_id)

    def subscribe(
        self,
        run_id: str,
        *,
        last_event_id: str | None = None,
        heartbeat_interval: float = HEARTBEAT,
        on_disconnect: OnDisconnect = "continue",
        grace: float = RECONNECT_GRACE,
    ) -> BridgeReader:
        """Read a run's stream; see `StreamBridge.subscribe`. `on_disconnect` and `grace` are those of `Run.events`."""
        if not heartbeat_interval > 0:
            raise InvalidRequest(f"run {run_id!r}: a heartbeat every {heartbeat_interval!r} s is not possible")
        check_choice(on_disconnect, DISCONNECTED, "on_disconnect")

        def open_events() -> Subscription:
            run = self.runtime.get(run_id)
            return run.events(
                last_event_id=last_event_id or None,
                heartbeat=heartbeat_interval,
                on_disconnect=on_disconnect,
                grace=grace,
            )

        return BridgeReader(_Reading(self, run_id, open_events))

    async def cleanup(self, run_id: str, *, delay: float = 0) -> None:
        """Let go of what is in memory of a run that rests and that nobody reads; the store keeps it. A checkpoint."""
        if not 0 <= delay < math.inf:
            raise InvalidRequest(f"run {run_id!r}: a cleanup after {delay!r} s is not possible")
        await trio.sleep(delay)
        self.runtime.hub.let_go(run_id)

    async def cancel(self, run_id: str) -> None:
        """Cancel a run, durably; see `Runtime.cancel`. Raises `UnknownRun`. A checkpoint."""
        if (await self.runtime.cancel(run_id)).outcome == "unknown":
            raise UnknownRun(run_id)

    async def close(self) -> None:
        """Send the readers away: they get what is there, and then `ActorStopped`. No run is touched. A checkpoint."""
        self.closed = True
        for crowd in self._crowds.values():
            for events in crowd.readers:
                events.stop()
        await trio.lowlevel.checkpoint()

    # -- for readers -----------------------------------------------------------------------------------------

    def come(self, run_id: str, events: Subscription) -> Bridged:
        """Count a reader in."""
        crowd = self._crowds.setdefault(run_id, _Crowd())
        crowd.readers.add(events)
        return crowd.shown

    def go(self, run_id: str, events: Subscription) -> None:
        """Count a reader out."""
        crowd = self._crowds[run_id]
        crowd.readers.discard(events)
        if not crowd.readers:
            del self._crowds[run_id]

    def _refuse(self, run_id: str) -> NoReturn:
        hint = "its nodes tell by their contexts, and `cancel` ends it"
        raise Refused(run_id, f"the bridge of a runtime only shows what its runs tell: {hint}")


class _Crowd:
    """Who reads one run here, and what they are shown."""

    def __init__(self) -> None:
        self.readers: Final[set[Subscription]] = set()
        self.shown: Final = Bridged()


class _Reading:
    """A reader's place in what a run tells."""

    def __init__(self, bridge: RuntimeStreamBridge, run_id: str, open_events: Callable[[], Subscription]) -> None:
        self._bridge, self._run_id, self._open = bridge, run_id, open_events
        self._place: tuple[Subscription, Bridged] | None = None
        self._ended = False

    async def take(self) -> Sequence[StreamEvent]:
        """See `Place.take`."""
        if self._place is None:
            if self._bridge.closed:
                raise ActorStopped(BRIDGE)
            events = await self._open().__aenter__()
            self._place = events, self._bridge.come(self._run_id, events)
        events, shown = self._place
        if self._ended:
            await trio.lowlevel.checkpoint()
            return []
        return await self._next(events, shown)

    async def _next(self, events: Subscription, shown: Bridged) -> Sequence[StreamEvent]:
        try:
            items = await events.take()
        except UnknownRun:  # it was deleted, and this reader has not seen its end
            self._ended = True
            return [CANCELLED_SENTINEL]
        except ActorStopped:
            raise ActorStopped(BRIDGE) from None
        self._ended = not items or isinstance(items[-1], RunEnded)
        where = events.position + 1
        return [shown.show(item, where) for item in items] or [END_SENTINEL]

    def leave(self) -> None:
        """See `Place.leave`."""
        if self._place is not None:
            events, self._place = self._place[0], None
            self._bridge.go(self._run_id, events)
            events.leave()
