"""Feeds: a task for every sink of every run that is awake, with a place of its own in what the run tells.

A feed is one more reader of the hub and of the log, so its sink's queue is the window of the run's events and
the store behind it, and nobody waits for it. It owns how far its sink has been told, and counts what its sink
has missed. What kills it is the end of the runtime; whatever its sink does is only counted.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from attrs import Factory, define, frozen

from terzetto_protocol.backoff import backoff
from terzetto_protocol.errors import ActorStopped, StoreUnavailable, UnknownRun, describe
from terzetto_protocol.events import BarrierOpened, BarrierResolved, Cursor, Gap, Heartbeat, RunEnded, StreamItem
from terzetto_protocol.ids import split_event_id
from terzetto_protocol.image import read_record
from terzetto_protocol.limits import HEARTBEAT, SINK_DEADLINE
from terzetto_protocol.views import commit_view

from ._failures import own_part
from ._hub import REPLAY_COMMITS, Hub
from ._sinks import (
    BarrierSink,
    CheckpointSink,
    Required,
    Sink,
    Sinks,
    StreamSink,
    TraceSink,
    check_sinks,
    checkpoint_of,
    heard_by,
)
from .stores._contract import Store

NAPPING: Final = 10_000
"""Runs that rest and whose feeds remember how far they have come; the sinks of others are told their log again."""

_log: Final = logging.getLogger("terzetto")

LoadAt: TypeAlias = Callable[[str, int], Awaitable[Any]]


@frozen
class SinkStatistics:
    """What became of the calls of all sinks of one class."""

    name: str
    fed: int
    """Runs that they are fed from now."""
    delivered: int
    """Calls that returned."""
    dropped: int
    """Events that left the window before the sink came to them, or that it had not come to when it was stopped."""
    failed: int
    """Calls that raised or took too long."""
    error: str
    """What the last one of them came to."""


@define(eq=False)
class _Counts:
    name: str
    delivered: int = 0
    dropped: int = 0
    failed: int = 0
    error: str = ""

    def fail(self, run_id: str, error: str) -> None:
        """Count a failure; the first of a class of sinks is logged."""
        if not self.failed:
            _log.warning("run %r: sink %s failed (further failures are only counted): %s", run_id, self.name, error)
        self.failed += 1
        self.error = error


class _Feed:
    """One sink of one run."""

    def __init__(self, world: "Feeds", run_id: str, sink: Sink, after: int | None) -> None:
        self.run_id: Final = run_id
        self.is_own: Final = after is None
        """Whether the sink was given to this run, and not to all."""
        self.sink: Final = sink
        self._required = isinstance(sink, Required)
        called = heard_by(sink)
        self.counts: Final = world.counts_of(called)
        self.active = False
        """Whether it has a task, or is about to."""
        self.over = False
        """Whether nothing more can come."""
        self._world: Final = world
        self._stream = called.emit if isinstance(called, StreamSink) else None
        self._barriers = called if isinstance(called, BarrierSink) else None
        self._trace = called.on_commits if isinstance(called, TraceSink) else None
        self._checkpoint = called.on_checkpoint if isinstance(called, CheckpointSink) else None
        self._event = after
        """Id of the last event that was dealt with; None at the beginning."""
        self._told = after or 0
        """The same, with the commits that these events told."""
        self._seq = 0

    @property
    def behind(self) -> bool:
        """Whether its sink has not been told everything yet."""
        return self.active and self._world.hub.tail(self.run_id) > self._told

    async def run(self) -> None:
        """Feed the sink until its run ends or sleeps. A checkpoint; cancelled, what is left is counted."""
        failures = 0
        try:
            while not self.over:
                try:
                    self.over = await self._follow()
                    return
                except StoreUnavailable:
                    failures += 1
                    await trio.sleep(backoff(failures))
        except (ActorStopped, UnknownRun):
            self.over = True
        except Exception as error:  # noqa: BLE001 - a log that cannot be read is no reason for a run to fail
            self.over = True
            self.counts.fail(self.run_id, describe(error))
        finally:
            if self.behind:
                self.counts.dropped += self._world.hub.count_after(self.run_id, self._event or 0)
            self.active = False

    async def _follow(self) -> bool:
        """Tell what comes; False when the run sleeps."""
        hub = self._world.hub
        async with hub.events(self.run_id, last_event_id=self._event, heartbeat=HEARTBEAT, is_sink=True) as events:
            await self._tell_commits()
            while items := await events.take():
                durable = False
                for item in items:
                    durable |= await self._tell(item)
                if durable:
                    await self._tell_commits()
                self._told = self._event or 0
                self._world.moved()
                if isinstance(items[-1], Heartbeat) and hub.is_idle(self.run_id) and not self.behind:
                    return False
        return True

    async def _tell(self, item: StreamItem) -> bool:
        """Hand on an item of the stream, and say whether it may have come with commits."""
        if isinstance(item, Cursor | Gap | Heartbeat):
            return False
        if self._stream is not None:
            self.counts.dropped += _hole(self._event or 0, item.id)
            await self._call(self._stream, item)
        if self._barriers is not None and isinstance(item, BarrierOpened):
            await self._call(self._barriers.on_barrier_opened, item)
        elif self._barriers is not None and isinstance(item, BarrierResolved):
            await self._call(self._barriers.on_barrier_resolved, item)
        self._event = item.id
        return item.durable or isinstance(item, RunEnded)

    async def _tell_commits(self) -> None:
        """Hand on what was stored meanwhile; the log is the queue, so nothing is missed."""
        if self._trace is None and self._checkpoint is None:
            return
        while bodies := await self._world.store.records(self.run_id, after=self._seq, limit=REPLAY_COMMITS):
            commits = [commit_view(self.run_id, read_record(body)) for body in bodies]
            if self._trace is not None:
                await self._call(self._trace, self.run_id, commits)
            for commit in commits if self._checkpoint is not None else ():
                assert self._checkpoint is not None, "just looked"
                load = partial(self._world.load, self.run_id)
                await self._call(self._checkpoint, checkpoint_of(commit, self.run_id, load))
            self._seq = commits[-1].seq
            if len(bodies) < REPLAY_COMMITS:
                return

    async def _call(self, fn: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Call the sink, and count what comes of it."""
        failed = ""
        with trio.move_on_after(SINK_DEADLINE) as scope:
            await trio.lowlevel.checkpoint()
            try:
                if not inspect.isawaitable(called := fn(*args)):
                    raise TypeError("this method of a sink has to be an `async def`")
                await called
            except BaseException as error:  # noqa: BLE001, ASYNC103 - a sink may raise anything
                failed = describe(own_part(error))
        if scope.cancelled_caught:
            failed = f"it took longer than {SINK_DEADLINE:g} s"
        if not failed:
            self.counts.delivered += 1
            return
        self.counts.fail(self.run_id, failed)
        if self._required:
            self._required = False  # once is enough
            await self._world.on_broken(self.run_id, f"required sink {self.counts.name} failed: {failed}")


@define(eq=False)
class _Fed:
    """A run with sinks."""

    feeds: list[_Feed] = Factory(list[_Feed])
    is_common: bool = False
    """Whether those of every run are among them."""


class Feeds:
    """Every feed of a runtime.

    Args:
        hub: whose events are told.
        store: where commits are read.
        load: gives the state of a run as of a commit.
        sinks: those of every run; None where runs have only their own.
        always: further ones of every run, whatever becomes of those.
    """

    def __init__(
        self, hub: Hub, store: Store, load: LoadAt, sinks: Sinks | None = None, always: Sequence[Sink] = ()
    ) -> None:
        self.hub: Final = hub
        self.store: Final = store
        self.load: Final = load
        self._sinks = sinks
        self._always: Final = tuple(always)
        self._counts: dict[str, _Counts] = {}
        self._fed: dict[str, _Fed] = {}
        self._own: dict[str, list[Sink]] = {}
        """Sinks of single runs that have no feeds yet."""
        self._stirred: dict[str, int | None] = {}
        """Runs that have begun to tell, and what they had told before; None for those that have only got sinks."""
        self._napping: dict[str, None] = {}
        self._wake = trio.Event()
        self._moved = trio.Event()
        self.on_broken: Callable[[str, str], Awaitable[None]] = _nobody
        """Told of a run that is not to go on, for a required sink of it has failed, and of the reason."""
        hub.on_stir = self.stir

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Feed sinks until cancelled; then what they were not told is counted. A checkpoint."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                for run_id, after in self._stirred.items():
                    self._rouse(nursery, run_id, after)
                self._stirred.clear()
                self.moved()

    def attach(self, run_id: str, sinks: Sequence[Sink]) -> None:
        """Give a run sinks of its own: they are told everything that it ever told. Not a checkpoint."""
        if sinks:
            self._own.setdefault(run_id, []).extend(sinks)
            self._stirred.setdefault(run_id, None)
            self._wake.set()

    def stir(self, run_id: str, after: int) -> None:
        """A run tells something, after it has been silent: nobody may be waited for here. Not a checkpoint."""
        if self._sinks is not None or self._always or run_id in self._fed:
            self._stirred[run_id] = after
            self._wake.set()

    def moved(self) -> None:
        """A sink has been told something. Not a checkpoint."""
        self._moved.set()

    async def settle(self, seconds: float) -> None:
        """Give sinks some time to be told everything that was told by now. A checkpoint."""
        with trio.move_on_after(seconds):
            await trio.lowlevel.checkpoint()
            while self._stirred or any(feed.behind for fed in self._fed.values() for feed in fed.feeds):
                self._moved = trio.Event()
                await self._moved.wait()

    def counts_of(self, sink: object) -> _Counts:
        """Where the calls of a sink are counted: with those of its class."""
        name = type(sink).__qualname__
        return self._counts.setdefault(name, _Counts(name))

    def statistics(self) -> tuple[SinkStatistics, ...]:
        """Numbers since the start, by the names of the sinks' classes. Not a checkpoint."""
        active = [feed.counts for fed in self._fed.values() for feed in fed.feeds if feed.active]
        return tuple(
            SinkStatistics(each.name, active.count(each), each.delivered, each.dropped, each.failed, each.error)
            for each in self._counts.values()
        )

    # -- which runs have feeds -------------------------------------------------------------------------------

    def _rouse(self, nursery: trio.Nursery, run_id: str, after: int | None) -> None:
        self._napping.pop(run_id, None)
        fed = self._fed.setdefault(run_id, _Fed())
        if after is not None and not fed.is_common:
            fed.is_common = True
            fed.feeds += [_Feed(self, run_id, sink, after) for sink in (*self._made_for(run_id), *self._always)]
        for sink in self._own.pop(run_id, ()):
            if not any(feed.sink is sink for feed in fed.feeds):
                fed.feeds.append(_Feed(self, run_id, sink, None))
        for feed in fed.feeds:
            if not feed.active:
                feed.active = True
                nursery.start_soon(self._carry, feed, name=f"sink {feed.counts.name} of run {run_id}")
        if not fed.feeds:
            del self._fed[run_id]

    def _made_for(self, run_id: str) -> Sequence[Sink]:
        if self._sinks is None or not callable(self._sinks):
            return self._sinks or ()
        try:
            return check_sinks(self._sinks(run_id))
        except Exception as error:  # noqa: BLE001 - whoever makes sinks may raise or return anything, and runs go on
            counts = self._counts.setdefault(name := getattr(self._sinks, "__qualname__", "sinks"), _Counts(name))
            counts.fail(run_id, describe(error))
            return ()

    async def _carry(self, feed: _Feed) -> None:
        await feed.run()
        self.moved()
        fed = self._fed[feed.run_id]
        if feed.over:
            fed.feeds.remove(feed)
        if not fed.feeds:
            del self._fed[feed.run_id]
        elif not any(each.active or each.is_own for each in fed.feeds):
            self._nap(feed.run_id)

    def _nap(self, run_id: str) -> None:
        self._napping[run_id] = None
        if len(self._napping) > NAPPING:
            oldest = next(iter(self._napping))
            del self._napping[oldest], self._fed[oldest]


async def _nobody(run_id: str, reason: str) -> None:
    """Nobody could end the run."""


def _hole(last: int, number: int) -> int:
    """How many events are missing between two; of the last ones of an epoch that was left nobody knows."""
    (before, low), (epoch, high) = split_event_id(last), split_event_id(number)
    return high - 1 - (low if before == epoch else 0)
