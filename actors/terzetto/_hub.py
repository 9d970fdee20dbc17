"""The event hub: one shared log per run, and a place in it per reader.

It owns the logs of runs that are live here, the last ones that are not, and nothing of any other run.
It tells nobody anything by itself: publishing is a plain call that wakes the readers who wait. It has no
task, so nothing can kill it; `close` ends it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, final

import trio
from attrs import frozen

from terzetto_protocol.codec import Codec
from terzetto_protocol.errors import ActorStopped, InvalidRequest, StoreDamaged, UnknownRun
from terzetto_protocol.event_log import EventLog
from terzetto_protocol.events import Event, RunQueued, told_by
from terzetto_protocol.limits import EVENT_WINDOW, EVENT_WINDOW_BYTES, HEARTBEAT, INBOX_POLL, STATE_BYTES
from terzetto_protocol.records import Record, RunRow
from terzetto_protocol.scribe import RESTING
from terzetto_protocol.stepped import Stepped

from ._subscription import HUB, Stream, Subscription
from .stores._contract import Store

__all__ = ["IDLE_STREAMS", "REPLAY_COMMITS", "Hub", "HubStatistics", "Subscription"]

IDLE_STREAMS: Final = 1000
"""Logs of parked and ended runs that stay in memory though nobody reads them."""
REPLAY_COMMITS: Final = 128
"""Commits that are read back from the store at once."""

_RECORDS: Final[Codec[Record]] = Codec(Record, "a stored commit", 3 * STATE_BYTES)  # an undo keeps a snapshot


@frozen
class HubStatistics:
    """What the hub is doing."""

    streams: int
    """Runs whose events are in memory."""
    readers: int
    """Subscriptions that are open."""
    published: int
    """Events since the hub began."""
    dropped: int
    """Events that have left the memory and can be read back from nowhere."""
    gaps: int
    """Times that a reader was told that it fell behind."""


@final
class Hub:
    """Hands every published event to every reader of its run, and never waits for one of them.

    Args:
        store: where durable events that have left the memory are read back; None when there is nothing but
            memory, so that logs are never dropped and keep durable events longer than chunks.
        window: events of one run that stay in memory.
        window_bytes: bytes of one run's events that stay in memory.
        idle_streams: logs of parked and ended runs that stay in memory though nobody reads them.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        window: int = EVENT_WINDOW,
        window_bytes: int = EVENT_WINDOW_BYTES,
        idle_streams: int = IDLE_STREAMS,
    ) -> None:
        self._store = store
        self._window, self._window_bytes, self._idle_streams = window, window_bytes, idle_streams
        self._streams: dict[str, Stream] = {}
        self._idle: dict[str, None] = {}
        self._sought: dict[str, int] = {}
        self._readers = self._published = self._dropped = self.gaps = 0
        self.closed = False
        self.on_stir: Callable[[str, int], None] = _nobody
        """Told when a run begins to tell, here or again, and the id after which it does; waits for nothing."""
        self.lives: Callable[[str], bool] = _lives_nowhere
        """Whether a run has an actor here, so that nobody else may say what it tells."""

    def publish(self, event: Event) -> None:
        """Append to the run's log and wake its readers: not a checkpoint, and no reader can make it raise.

        Events of a run come in the order of their ids, durable ones after their commit. Raises
        `IllegalTransition` after the run's terminal event and `Refused` for an id that does not rise;
        a second terminal event changes nothing, and so does any event once the hub is closed.
        """
        stream = self._streams.get(event.run_id)
        if stream is None or stream.idle:
            self._begin_to_tell(event, stream)
            return
        stream.log.append(event)
        if stream.waiting:
            stream.wake()

    def _begin_to_tell(self, event: Event, stream: Stream | None) -> None:
        """Publish an event of a run that has told nothing here yet, or not since it rested."""
        run_id = event.run_id
        if stream is not None and stream.log.terminal is not None and isinstance(event, RunQueued):
            self.forget(run_id)  # another owner of the store has deleted that run: this is one of its name
            stream = None
        if stream is None:
            if self.closed:
                return
            stream = self._streams[run_id] = Stream(run_id, self._log())
        stream.log.append(event)
        if stream.waiting:
            stream.wake()
        stream.idle = False
        self._idle.pop(run_id, None)
        self.on_stir(run_id, stream.log.before)

    def publish_step(self, step: Stepped) -> None:
        """Publish the two events of a step, which are made when somebody reads them; as `publish` for each of them."""
        stream = self._streams.get(step.run_id)
        if stream is None or stream.idle:
            self.publish(step.finished)
            self.publish(step.started)
            return
        stream.log.append_step(step)
        if stream.waiting:
            stream.wake()

    def events(
        self,
        run_id: str,
        *,
        last_event_id: int | str | None = None,
        heartbeat: float = HEARTBEAT,
        strict: bool = False,
        left: Callable[[], None] | None = None,
        is_sink: bool = False,
    ) -> Subscription:
        """A subscription, to be entered: the run's events after `last_event_id`, from the store and then live.

        Args:
            run_id: the run; entering raises `UnknownRun` when neither the hub nor the store knows it.
            last_event_id: id of the last event that the caller saw; None for all events.
            heartbeat: seconds without an event after which a `Heartbeat` is given; `math.inf` for never.
            strict: end after the Cursor when something after `last_event_id` is gone, instead of going on.
            left: called when this reader leaves and it was the run's last one.
            is_sink: whether it feeds a sink, and is no reader for whom a run goes on.
        """
        if not heartbeat > 0:
            raise InvalidRequest(f"run {run_id!r}: a heartbeat every {heartbeat!r} s is not possible")
        return Subscription(self, run_id, last_event_id, heartbeat, strict=strict, left=left, is_sink=is_sink)

    def tail(self, run_id: str) -> int:
        """Id of the last event of a run whose log is in memory, else 0."""
        stream = self._streams.get(run_id)
        return 0 if stream is None else stream.log.tail

    def count_after(self, run_id: str, after: int) -> int:
        """How many events of a run came after this id, as far as is known here."""
        stream = self._streams.get(run_id)
        return 0 if stream is None else stream.log.count_after(after)

    def is_idle(self, run_id: str) -> bool:
        """Whether a run has parked or ended, as far as is known here."""
        stream = self._streams.get(run_id)
        return stream is None or stream.idle

    def read(self) -> list[str]:
        """The runs that somebody reads."""
        return [run_id for run_id, stream in self._streams.items() if stream.readers]

    def readers(self, run_id: str) -> int:
        """How many read this run's events, sinks left out."""
        stream = self._streams.get(run_id)
        return 0 if stream is None else stream.readers - stream.sinks

    def idle(self, run_id: str, epoch: int = 0) -> None:
        """Say that a run has parked or ended, after its last event: its log may go when nobody reads it.

        `epoch` is the one in which it did, if that is known.
        """
        stream = self._streams.get(run_id)
        if stream is not None:
            stream.log.rest(epoch)
            stream.idle = True
            self._settle(stream)

    async def follow(self, run_id: str, through: int) -> None:
        """Show readers what a run that others carry has told up to this id, as the store has it; a checkpoint.

        It is as idle as it was, so that sinks hear nothing: they hear where it is carried. Nothing more is shown once
        the run lives here: then its actor tells it. Raises what the store raises.
        """
        await trio.lowlevel.checkpoint()
        while (stream := self._streams.get(run_id)) is not None and stream.log.tail < through:
            found, _ = await self.recollect(stream, stream.log.tail, through)
            if not found or self.lives(run_id):
                return
            for event in found:
                if self._streams.get(run_id) is stream and event.id > stream.log.tail:
                    stream.log.append(event)
                    stream.wake()

    async def catch_up(self, run_id: str, through: int) -> None:
        """Show what a run has told up to this id, as the store has it, and nobody has shown here; a checkpoint then.

        Whoever stored it died before it could say so, or is another owner. A run of which nothing is in memory needs
        none of it. Raises what the store raises; called again, it goes on where it was.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while (stream := self._streams.get(run_id)) is not None and stream.log.tail < through:
            found, _ = await self.recollect(stream, stream.log.tail, through)
            for event in found:
                if self._streams.get(run_id) is stream and event.id > stream.log.tail:
                    self.publish(event)
            if not found:
                return

    async def catch_up_all(self) -> None:
        """As `catch_up`, for every run of which something is in memory, while nobody carries any. A checkpoint."""
        await trio.lowlevel.checkpoint()
        for run_id in list(self._streams):
            with suppress(StoreDamaged):  # whoever reads it hears that, and the others are shown what they told
                row = None if self._store is None else await self._store.run(run_id)
                if row is not None:
                    await self.catch_up(run_id, row.event_id)
                    if row.status in RESTING:
                        self.idle(run_id, row.epoch)

    def let_go(self, run_id: str) -> None:
        """Drop the log of a run that has parked or ended and that nobody reads; else nothing. Not a checkpoint."""
        if run_id in self._idle:
            self._drop(run_id)

    def forget(self, run_id: str) -> None:
        """Say that a run was deleted: readers get what is in memory, then `UnknownRun`. Not a checkpoint."""
        stream = self._streams.pop(run_id, None)
        self._idle.pop(run_id, None)
        if stream is not None:
            stream.forgotten = True
            self._retire(stream.log)
            stream.wake()

    def close(self) -> None:
        """End every subscription: readers get what is in memory, then `ActorStopped`. No run is touched."""
        self.closed = True
        streams, self._streams, self._idle = self._streams, {}, {}
        for stream in streams.values():
            self._retire(stream.log)
            stream.wake()

    def statistics(self) -> HubStatistics:
        """Counts; not a checkpoint."""
        logs = [stream.log for stream in self._streams.values()]
        published = self._published + sum(log.evicted + len(log) for log in logs)
        dropped = self._dropped + sum(log.dropped for log in logs)
        return HubStatistics(len(logs), self._readers, published, dropped, self.gaps)

    # -- for subscriptions -----------------------------------------------------------------------------------

    async def attach(self, run_id: str, seen: int) -> Stream:
        """Count a reader in that has seen this event.

        Always a checkpoint, and a cancelled one leaves no reader and no log.
        """
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise ActorStopped(HUB)
        stream = self._streams.get(run_id)
        if stream is None:
            return await self._find(run_id)
        self._count_in(stream)
        store = self._store
        if store is not None and store.lease is not None and (stream.idle or seen > stream.log.tail):
            try:
                is_there = await self._look_elsewhere(stream, seen, store, store.lease)
            except BaseException:
                self.detach(stream)
                raise
            if not is_there:
                self.detach(stream)
                if self._streams.get(run_id) is stream:
                    self.forget(run_id)
                return await self._find(run_id)
        return stream

    def detach(self, stream: Stream) -> None:
        """Count a reader out, and drop a log that only it needed; not a checkpoint."""
        stream.readers -= 1
        self._readers -= 1
        if not (self.closed or stream.forgotten):
            self._settle(stream)

    async def recollect(self, stream: Stream, after: int, through: int) -> tuple[Sequence[Event], int]:
        """Durable events after `after`, and the id up to which they are complete: `through`, or less."""
        if self._store is None:
            kept = stream.log.kept_after(after)
            await trio.lowlevel.checkpoint()
            return kept, through
        if self.closed:
            raise ActorStopped(HUB)
        run_id = stream.run_id
        if stream.forgotten:  # what has its id now is another run
            await trio.lowlevel.checkpoint()
            raise UnknownRun(run_id)
        bodies = await self._store.records_by_event(run_id, after_event=after, limit=REPLAY_COMMITS)
        found = [event for body in bodies for event in told_by(run_id, _RECORDS.unpack(body))]
        if len(bodies) == REPLAY_COMMITS and found:
            through = min(through, found[-1].id)
        return found, through

    async def _look_elsewhere(self, stream: Stream, seen: int, store: Store, lease: float) -> bool:
        """Show what another owner has stored of a run: a reader that comes from there has seen it.

        False where another owner has deleted the run; what has its id now, if anything, is another run.
        """
        with trio.move_on_after(lease):  # in which whoever carries it here hears that it is not his any more
            await trio.lowlevel.checkpoint_if_cancelled()
            while not stream.idle and stream.log.tail < seen:  # noqa: ASYNC110 - he tells nobody
                await trio.sleep(INBOX_POLL)
        row = await store.run(stream.run_id)
        if row is None or stream.log.ended_before(row):
            return False
        await self.follow(stream.run_id, row.event_id)
        return True

    def _count_in(self, stream: Stream) -> Stream:
        stream.readers += 1
        self._readers += 1
        self._idle.pop(stream.run_id, None)
        return stream

    async def _find(self, run_id: str) -> Stream:
        # A run that begins to tell meanwhile keeps its log until we are done, even if it parks or ends: the row
        # that the store gives us may be older than that.
        self._sought[run_id] = self._sought.get(run_id, 0) + 1
        try:
            row = None if self._store is None else await self._store.run(run_id)
            return self._count_in(self._streams.get(run_id) or self._stand_in(run_id, row))
        finally:
            others = self._sought.pop(run_id) - 1
            if others:
                self._sought[run_id] = others
            if (stream := self._streams.get(run_id)) is not None:
                self._settle(stream)

    def _stand_in(self, run_id: str, row: RunRow | None) -> Stream:
        if row is None:
            raise UnknownRun(run_id)
        if self.closed:
            raise ActorStopped(HUB)
        log = self._log()
        log.begin_after(row)
        stream = self._streams[run_id] = Stream(run_id, log)
        return stream

    def _log(self) -> EventLog:
        return EventLog(replayable=self._store is not None, window=self._window, window_bytes=self._window_bytes)

    def _settle(self, stream: Stream) -> None:
        """Keep a log without readers only while its run is live, or among the last ones that are not."""
        if stream.readers or self._store is None or stream.run_id in self._sought:
            return
        if not len(stream.log):
            del self._streams[stream.run_id]
        elif stream.idle:
            self._idle[stream.run_id] = None
            if len(self._idle) > self._idle_streams:
                self._drop(next(iter(self._idle)))

    def _drop(self, run_id: str) -> None:
        del self._idle[run_id]
        self._retire(self._streams.pop(run_id).log)

    def _retire(self, log: EventLog) -> None:
        self._published += log.evicted + len(log)
        self._dropped += log.dropped + log.volatile()


def _lives_nowhere(run_id: str) -> bool:
    """Nobody carries runs here."""
    return False


def _nobody(run_id: str, after: int) -> None:
    """Nobody wants to know."""
