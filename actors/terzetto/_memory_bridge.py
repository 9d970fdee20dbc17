"""A stream bridge in memory, for producers whose runs are not ours.

It owns the streams, and a place in one per reader. It has no task: time passes for a stream whenever somebody calls
the bridge, and a reader who waits wakes up when the stream's time has come. Nothing can kill it; `close` ends it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, final

import trio
from attrs import frozen

from terzetto_protocol.bridge import (
    HEARTBEAT_SENTINEL,
    JSONValue,
    StreamEvent,
    check_event,
    check_terminal,
    resumed,
    sealed,
)
from terzetto_protocol.errors import ActorStopped, InvalidRequest, Refused, UnknownRun
from terzetto_protocol.foreign_reader import ForeignReader
from terzetto_protocol.foreign_stream import BridgeTerms, ForeignStream
from terzetto_protocol.ids import check_run_id
from terzetto_protocol.limits import EVENT_WINDOW, HEARTBEAT
from terzetto_protocol.statuses import StreamStatus

from ._bridge_reader import BridgeReader
from ._clock import wall_clock
from ._stream_bridge import BRIDGE, StreamBridge

TURN: Final = 16
"""Publishes after which the other tasks get to run: a producer who never rests is read in batches, and by everybody."""


@frozen
class BridgeStatistics:
    """What a bridge in memory is doing."""

    streams: int
    """Runs whose events are in memory."""
    active: int
    """Those that have not ended."""
    readers: int
    """Subscriptions that are open."""
    published: int
    """Events since the bridge began, terminal ones included."""
    dropped: int
    """Events that have left the memory, of streams that are there."""
    dead_letters: int
    """Streams that ended because their producer was silent."""


class _Kept:
    """A stream, and who waits for it."""

    def __init__(self, stream: ForeignStream) -> None:
        self.stream: Final = stream
        self.lot: Final = trio.lowlevel.ParkingLot()


@final
class MemoryStreamBridge(StreamBridge):
    """Keeps the last events of each run in memory, and forgets streams that have ended.

    A stream whose producer is silent for `DEAD_LETTER` seconds (`DEAD_LETTER_AWAITING` while it awaits input) ends with
    an `error`, whose data has the reason `no_publish_timeout`. One that has ended is forgotten after
    `STREAM_RETENTION` seconds, or `STREAM_UNREAD` after its end or its last reader's leaving; never while it is read.
    Ids never mean another event, also after a cleanup or in another life of the process.

    Args:
        terms: other limits than those.
    """

    def __init__(self, terms: BridgeTerms | None = None) -> None:
        self._terms: Final = BridgeTerms() if terms is None else terms
        self._kept: dict[str, _Kept] = {}
        self._births = self._readers = self._published = self._dead = 0
        self._clock: Callable[[], float] | None = None
        self._closed = False

    async def publish(self, run_id: str, event: str, data: JSONValue) -> str:
        """Append an event; see `StreamBridge.publish`. Raises `Refused` where there is no room for another run."""
        check_event(event)
        copy, size = sealed(event, data)
        kept = await self._stream(run_id)
        made = kept.stream.publish(event, copy, size, trio.current_time())
        return self._tell(kept, made)

    async def publish_end(self, run_id: str) -> str:
        """End the stream; see `StreamBridge.publish_end`."""
        return await self.publish_terminal(run_id, StreamStatus.ENDED)

    async def publish_terminal(self, run_id: str, kind: StreamStatus, data: JSONValue = None) -> str:
        """End the stream; see `StreamBridge.publish_terminal`."""
        check_terminal(kind)
        copy, size = sealed(kind, data)
        kept = await self._stream(run_id)
        if kept.stream.terminal is not None:
            return kept.stream.terminal.id
        return self._tell(kept, kept.stream.end(kind, copy, size, trio.current_time()))

    async def mark_awaiting_input(self, run_id: str) -> None:
        """Show that the run waits for people, and give its producer `DEAD_LETTER_AWAITING` seconds.

        Readers get an event `awaiting_input`; marked again, there is no other. What is published next ends it.

        Raises:
            UnknownRun: there is no such stream.
            IllegalTransition: it has ended.
        """
        await self._enter()
        kept = self.find(run_id)
        if (made := kept.stream.await_input(trio.current_time())) is not None:
            self._tell(kept, made)

    def subscribe(
        self, run_id: str, *, last_event_id: str | None = None, heartbeat_interval: float = HEARTBEAT
    ) -> BridgeReader:
        """Read a stream; see `StreamBridge.subscribe`."""
        if not heartbeat_interval > 0:
            raise InvalidRequest(f"run {run_id!r}: a heartbeat every {heartbeat_interval!r} s is not possible")
        return BridgeReader(_Reading(self, run_id, last_event_id, heartbeat_interval))

    async def cleanup(self, run_id: str, *, delay: float = 0) -> None:
        """Forget a stream; see `StreamBridge.cleanup`. What is published later begins another one."""
        if not 0 <= delay < math.inf:
            raise InvalidRequest(f"run {run_id!r}: a cleanup after {delay!r} s is not possible")
        kept = self._kept.get(run_id)
        await trio.sleep(delay)
        if kept is not None and self._kept.get(run_id) is kept:  # else it is gone, and what is there is another one
            self._forget(kept)

    async def close(self) -> None:
        """Close; see `StreamBridge.close`."""
        self._closed = True
        kept, self._kept = self._kept, {}
        for each in kept.values():
            each.lot.unpark_all()
        await trio.lowlevel.checkpoint()

    def sweep(self) -> None:
        """Let go of the streams whose time is over; every publish does that too. Not a checkpoint."""
        for kept in list(self._kept.values()):
            if self.pass_time(kept):
                self._forget(kept)

    def statistics(self) -> BridgeStatistics:
        """Counts; not a checkpoint."""
        streams = [kept.stream for kept in self._kept.values()]
        active = sum(stream.terminal is None for stream in streams)
        dropped = sum(stream.floor for stream in streams)
        return BridgeStatistics(len(streams), active, self._readers, self._published, dropped, self._dead)

    # -- for readers -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise `ActorStopped` once the bridge is closed."""
        if self._closed:
            raise ActorStopped(BRIDGE)

    def find(self, run_id: str) -> _Kept:
        """A run's stream; raises `UnknownRun` where there is none (any more)."""
        self.check()
        kept = self._kept.get(run_id)
        if kept is not None and self.pass_time(kept):
            self._forget(kept)
            kept = None
        if kept is None:
            raise UnknownRun(run_id, BRIDGE)
        return kept

    def pass_time(self, kept: _Kept) -> bool:
        """Let time pass for a stream, and tell its readers what became of it; whether it may be forgotten."""
        was, over = kept.stream.terminal, kept.stream.pass_time(trio.current_time())
        if was is not kept.stream.terminal:
            self._dead += 1
            self._published += 1
            kept.lot.unpark_all()
        return over

    def come(self, kept: _Kept) -> None:
        """Count a reader in."""
        kept.stream.come()
        self._readers += 1

    def go(self, kept: _Kept) -> None:
        """Count a reader out."""
        kept.stream.leave(trio.current_time())
        self._readers -= 1

    # -- for producers ---------------------------------------------------------------------------------------

    async def _enter(self) -> None:
        if self._published % TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        self.check()

    async def _stream(self, run_id: str) -> _Kept:
        check_run_id(run_id)
        await self._enter()
        kept = self._kept.get(run_id)
        if kept is not None and not self.pass_time(kept):
            return kept
        self.sweep()
        self._make_room(run_id)
        if self._clock is None:
            self._clock = wall_clock()
        self._births = max(self._births + 1, int(self._clock() * 1000))
        stream = ForeignStream(run_id, self._births, trio.current_time(), self._terms)
        kept = self._kept[run_id] = _Kept(stream)
        return kept

    def _make_room(self, run_id: str) -> None:
        if len(self._kept) < self._terms.streams:
            return
        for kept in self._kept.values():
            if kept.stream.terminal is not None and not kept.stream.readers:
                self._forget(kept)
                return
        raise Refused(run_id, f"{self._terms.streams} other streams are active or read here: nothing was published")

    def _tell(self, kept: _Kept, made: StreamEvent) -> str:
        self._published += 1
        kept.lot.unpark_all()
        return made.id

    def _forget(self, kept: _Kept) -> None:
        del self._kept[kept.stream.run_id]
        kept.stream.cleaned = True
        kept.lot.unpark_all()


class _Reading:
    """A reader's place in a stream of a bridge in memory."""

    def __init__(self, bridge: MemoryStreamBridge, run_id: str, last_event_id: str | None, heartbeat: float) -> None:
        self._bridge, self._run_id = bridge, run_id
        self._last_event_id, self._heartbeat = last_event_id, heartbeat
        self._place: tuple[_Kept, ForeignReader] | None = None

    async def take(self) -> Sequence[StreamEvent]:
        """See `Place.take`."""
        await trio.lowlevel.checkpoint()
        if self._place is None:
            kept = self._bridge.find(self._run_id)
            self._bridge.come(kept)
            self._place = kept, ForeignReader(kept.stream, self._last_event_id)
            return [resumed(self._place[1].resume)]
        return await self._next(*self._place)

    def leave(self) -> None:
        """See `Place.leave`."""
        if self._place is not None:
            kept, self._place = self._place[0], None
            self._bridge.go(kept)
            kept.lot.unpark_all()  # another task may be waiting in here, and nobody would ever wake it

    async def _next(self, kept: _Kept, reader: ForeignReader) -> Sequence[StreamEvent]:
        silent_at = trio.current_time() + self._heartbeat
        while not reader.done:
            self._bridge.pass_time(kept)
            if items := reader.take(EVENT_WINDOW):
                return items
            self._bridge.check()
            if trio.current_time() >= silent_at:
                return [HEARTBEAT_SENTINEL]
            due = kept.stream.due
            with trio.move_on_at(silent_at if due is None else min(silent_at, due)):
                await kept.lot.park()
            if self._place is None:
                raise trio.ClosedResourceError("this subscription was closed while a task was iterating over it")
        return []
