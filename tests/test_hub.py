"""`terzetto._hub`: events reach every reader, from the store and then live, and no reader reaches the run."""

import functools
import math
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from terzetto._hub import IDLE_STREAMS, REPLAY_COMMITS, Hub, HubStatistics, Subscription
from terzetto.stores._contract import Store
from terzetto_protocol.errors import ActorStopped, IllegalTransition, InvalidRequest, StoreUnavailable, UnknownRun
from terzetto_protocol.events import (
    Cursor,
    Event,
    Gap,
    Heartbeat,
    NodeFinished,
    RunEnded,
    StreamItem,
    TextChunk,
    told_by,
)
from terzetto_protocol.ids import event_id
from terzetto_protocol.limits import HEARTBEAT
from terzetto_protocol.records import Kind, Record, RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus, VisitStatus


class Shelf(Store):
    """Just enough of a store: rows and commits of runs, and a way to interfere with a read."""

    durable = True

    def __init__(self) -> None:
        self.rows: dict[str, RunRow] = {}
        self.commits: dict[str, list[tuple[int, bytes]]] = {}
        self.reads: list[tuple[int, int | None]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """Called once between looking and answering."""

    async def run(self, run_id):
        row = self.rows.get(run_id)
        await self.answer_late()
        return row

    async def records_by_event(self, run_id, *, after_event, limit=None):
        self.reads.append((after_event, limit))
        found = [body for last, body in self.commits.get(run_id, []) if last > after_event][:limit]
        await self.answer_late()
        return found

    async def answer_late(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        await trio.lowlevel.checkpoint()


Shelf.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


class Teller:
    """A run that tells: commits go to the store first, then everything to the hub, in order."""

    def __init__(self, hub: Hub, store: Shelf | None, run_id: str = "r") -> None:
        self.hub, self.store, self.run_id = hub, store, run_id
        self.epoch, self.number, self.seq = 0, 0, 0
        self.told: list[Event] = []

    def commit(self, kind: Kind = Kind.VISIT, status: RunStatus = RunStatus.RUNNING, *, publish: bool = True) -> None:
        if kind is Kind.CLAIM:
            self.epoch, self.number = self.epoch + 1, 0
        self.seq += 1
        first = event_id(self.epoch, self.number + 1)
        record = Record(self.seq, kind, self.epoch, 0.0, status, first, self.seq, "n", VisitStatus.SUCCEEDED)
        events = told_by(self.run_id, record)
        self.number += len(events)
        if self.store is not None:
            self.save(record, events[-1].id)
        for event in events:
            self.tell(event, publish=publish)

    def save(self, record: Record, last: int) -> None:
        assert self.store is not None
        self.store.commits.setdefault(self.run_id, []).append((last, msgspec.msgpack.encode(record)))
        header = RunHeader(self.run_id, "g", "1", "", "", 0.0)
        self.store.rows[self.run_id] = RunRow(header, record.status, self.epoch, self.seq, last, 0.0)

    def chunk(self, *, publish: bool = True) -> None:
        self.number += 1
        number = event_id(self.epoch, self.number)
        event = TextChunk(id=number, run_id=self.run_id, at=0.0, node="n", visit=1, text="x")
        self.tell(event, publish=publish)

    def tell(self, event: Event, *, publish: bool) -> None:
        self.told.append(event)
        if publish:
            self.hub.publish(event)

    def begin(self) -> "Teller":
        self.commit(Kind.SUBMIT, RunStatus.QUEUED)
        self.commit(Kind.CLAIM)
        return self

    def end(self) -> None:
        self.commit(status=RunStatus.SUCCEEDED)

    def flood(self, count: int) -> None:
        for _ in range(count):
            self.chunk()

    @property
    def durable(self) -> list[Event]:
        return [event for event in self.told if event.durable]


@pytest.fixture
def store() -> Shelf:
    return Shelf()


@pytest.fixture
def hub(store) -> Hub:
    return Hub(store)


@pytest.fixture
def run(hub, store) -> Teller:
    return Teller(hub, store).begin()


async def read_all(events: Subscription) -> list[StreamItem]:
    return [item async for item in events]


async def everything(hub: Hub, last_event_id: int | str | None = None, **options: Any) -> list[StreamItem]:
    async with hub.events("r", last_event_id=last_event_id, **options) as events:
        return await read_all(events)


async def some(events: Subscription, count: int) -> list[StreamItem]:
    return [await anext(events) for _ in range(count)]


async def test_the_first_item_is_the_cursor_and_the_last_one_the_end(hub, run):
    """SEMANTICS 8.2, 8.3: how the cursor was resolved comes first, exactly one terminal event last."""
    run.chunk()
    run.commit()
    run.end()

    assert await everything(hub) == [Cursor("fresh", 0), *run.told]
    assert isinstance(run.told[-1], RunEnded)
    assert await everything(hub, run.told[2].id) == [Cursor("resumed", 0), *run.told[3:]]
    assert await everything(hub, str(run.told[2].id)) == [Cursor("resumed", 0), *run.told[3:]]
    assert await everything(hub, "x") == [Cursor("invalid", 0), *run.told]
    assert await everything(hub, run.told[-1].id + 1) == [Cursor("unknown", 0), *run.told]


async def test_events_are_given_as_they_come(hub, run):
    """SEMANTICS 8.1: every reader gets every event."""
    record: list[tuple[str, StreamItem]] = []

    async def reader(name: str) -> None:
        async with hub.events("r") as events:
            async for item in events:
                record.append((name, item))

    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(reader, name)
        for tell in (run.chunk, run.commit, run.end):
            await trio.testing.wait_all_tasks_blocked()
            assert [item for name, item in record if name == "a"] == [Cursor("fresh", 0), *run.told]
            tell()

    for name in "ab":
        assert [item for who, item in record if who == name] == [Cursor("fresh", 0), *run.told]


async def test_batches_are_the_same_items(hub, run):
    run.flood(100)
    run.commit()
    run.end()
    async with hub.events("r") as events:
        first = await some(events, 3)
        batches = [batch async for batch in events.batches()]

    assert all(batches)
    assert len(batches) == 2, "what was left of a turn, and the rest"
    assert [*first, *(item for batch in batches for item in batch)] == [Cursor("fresh", 0), *run.told]


async def test_a_finished_run_is_read_from_the_store(store, hub, run):
    """SEMANTICS 8.1: durable events are read from the store; the chunks are gone, and nobody knows how many."""
    for _ in range(REPLAY_COMMITS + 10):
        run.chunk()
        run.commit()
    run.end()
    later = Hub(store)

    assert await everything(later) == [Cursor("fresh", None), *run.durable]
    assert store.reads == [(0, REPLAY_COMMITS), (run.durable[REPLAY_COMMITS - 1].id, REPLAY_COMMITS)]
    assert await everything(later, run.durable[-4].id) == [Cursor("evicted", 1), *run.durable[-3:]]
    assert later.statistics() == HubStatistics(streams=0, readers=0, published=0, dropped=0, gaps=0)


@pytest.mark.parametrize("where", ["memory", "store"])
async def test_a_cursor_at_the_end_gives_the_end_at_once(store, hub, run, where):
    """SEMANTICS 8.3: a cursor at the terminal gives END at once."""
    run.end()
    asked = hub if where == "memory" else Hub(store)

    assert await everything(asked, run.told[-1].id) == [Cursor("resumed", 0)]


async def test_an_unknown_run_is_not_found_and_creates_nothing(hub, run):
    """SEMANTICS 8.3: an unknown run is `not_found` and creates nothing."""
    with pytest.raises(UnknownRun, match="no run 'ghost'"):
        async with hub.events("ghost"):
            pass
    with pytest.raises(UnknownRun):
        async with Hub(None).events("r"):
            pass
    assert hub.statistics().streams == 1
    hub.idle("ghost")
    assert hub.statistics().streams == 1


async def test_a_live_run_is_replayed_from_the_store_and_then_followed(store, run):
    """SEMANTICS 8.1 and 3 D4: after a restart the same ids mean the same events, and live ones follow without a hole."""
    run.commit()
    last = run.told[-1].id
    run.hub = later = Hub(store)
    run.commit(Kind.CLAIM)
    run.chunk()
    told = [Cursor("fresh", None), *run.told]

    async with later.events("r") as events, later.events("r", last_event_id=last) as resumed:
        assert await some(events, len(told)) == told
        run.end()
        assert await read_all(events) == run.told[-2:]
        assert await read_all(resumed) == [Cursor("evicted", None), *run.told[-4:]]


async def test_a_parked_run_is_waited_for(store, run):
    """SEMANTICS 8.1: a run that is not in memory is read from the store, and followed when it goes on."""
    run.commit(Kind.OPEN, RunStatus.PAUSED)
    run.hub = later = Hub(store)
    async with later.events("r", last_event_id=run.told[0].id) as events:
        assert await some(events, 3) == [Cursor("evicted", None), *run.told[1:]]
        assert later.statistics().streams == 1
        run.commit(Kind.QUEUE, RunStatus.QUEUED)
        run.commit(Kind.CLAIM)
        run.chunk()
        assert await some(events, 3) == run.told[3:]
    assert later.statistics().streams == 1, "it is live now"
    async with later.events("r", last_event_id=run.told[2].id) as events:
        assert await some(events, 4) == [Cursor("resumed", 0), *run.told[3:]]


async def test_nothing_is_held_for_a_run_that_only_a_reader_wanted(store, run):
    run.commit(Kind.OPEN, RunStatus.PAUSED)
    later = Hub(store)
    async with later.events("r") as one, later.events("r") as two:
        assert len(await some(one, 4)) == len(await some(two, 4)) == 4
        assert later.statistics().streams == 1
    assert later.statistics().streams == 0


async def test_a_row_may_be_ahead_of_the_events(store, run):
    """SEMANTICS 3 D4: what was read from the store is not given again when it is published."""
    run.commit(Kind.OPEN, RunStatus.PAUSED)
    run.hub = later = Hub(store)
    run.commit(Kind.QUEUE, RunStatus.QUEUED, publish=False)
    run.commit(Kind.CLAIM, publish=False)
    async with later.events("r") as events:
        assert await some(events, 6) == [Cursor("fresh", None), *run.told]
        for event in run.told[-2:]:
            later.publish(event)
        run.chunk()
        assert await anext(events) == run.told[-1]


async def test_a_slow_reader_gets_a_gap_and_a_fast_one_does_not(store):
    """SEMANTICS 8.1, 8.2: nobody's slowness reaches the run or another reader; a Gap, never a silent jump."""
    hub = Hub(store, window=8)
    run = Teller(hub, store).begin()
    fast: list[StreamItem] = []

    async def read_fast() -> None:
        async with hub.events("r") as events:
            async for item in events:
                fast.append(item)

    async with trio.open_nursery() as nursery, hub.events("r") as slow:
        nursery.start_soon(read_fast)
        assert await some(slow, 3) == [Cursor("fresh", 0), *run.told]
        for _ in range(20):
            run.flood(3)
            run.commit()
            await trio.testing.wait_all_tasks_blocked()
        run.end()
        given = await read_all(slow)

    assert fast == [Cursor("fresh", 0), *run.told]
    gap = given[0]
    assert isinstance(gap, Gap)
    assert gap.after == run.told[1].id
    assert gap.missed == len(run.told) - 2 - len(given) + 1
    assert [item for item in given[1:] if item.durable] == run.durable[2:]
    assert hub.statistics().gaps == 1


async def test_the_window_may_move_on_while_the_store_is_read(store):
    """SEMANTICS 8.2: then the chunks are a Gap, and the durable events come from the store again."""
    hub = Hub(store, window=4)
    run = Teller(hub, store).begin()
    run.flood(20)

    def move_on() -> None:
        run.commit()
        run.flood(20)

    store.meanwhile = move_on
    async with hub.events("r") as events:
        items = [await anext(events)]
        store.meanwhile = move_on
        items += await some(events, len(run.durable) + 4)
        run.end()
        items += await read_all(events)

    events_given = [item for item in items if not isinstance(item, Cursor | Gap)]
    assert [item for item in events_given if item.durable] == run.durable
    assert [item.id for item in events_given] == sorted({item.id for item in events_given})
    gaps = [item for item in items if isinstance(item, Gap)]
    assert items[0] == Cursor("fresh", None)
    assert len(gaps) == 1
    assert gaps[0].missed is not None


async def test_an_evicted_cursor_says_exactly_what_is_gone(store):
    """SEMANTICS 8.2: evicted with the gap count, exact inside an epoch; then replay; `strict` ends instead."""
    hub = Hub(store, window=8)
    run = Teller(hub, store).begin()
    cursor = run.told[-1].id
    for _ in range(3 * REPLAY_COMMITS):
        run.chunk()
        run.commit()
    run.end()
    given = await everything(hub, cursor)

    assert given[0] == Cursor("evicted", len(run.told) - 2 - (len(given) - 1))
    assert [item for item in given[1:] if item.durable] == run.durable[2:]
    assert await everything(hub, cursor, strict=True) == given[:1]


async def test_a_reader_that_missed_only_durable_events_has_resumed(store):
    """SEMANTICS 7: it resumes from its id: no gap, no duplicate; `strict` has no reason to end."""
    hub = Hub(store, window=8)
    run = Teller(hub, store).begin()
    for _ in range(30):
        run.commit()
    run.end()

    assert await everything(hub, run.told[1].id, strict=True) == [Cursor("resumed", 0), *run.told[2:]]


async def test_without_a_store_a_flood_drops_chunks_only():
    """SEMANTICS 8.5: control events are never dropped by a flood of chunks."""
    hub = Hub(None)
    run = Teller(hub, None).begin()
    for _ in range(10):
        run.flood(1000)
        run.commit()
    run.end()
    given = await everything(hub)

    assert given[0] == Cursor("fresh", None)
    assert [item for item in given[1:] if item.durable] == run.durable
    hub.idle("r")
    assert hub.statistics() == HubStatistics(1, 0, len(run.told), len(run.told) - len(given) + 1, 0)


async def test_heartbeats_come_only_when_nothing_else_does(autojump_clock, hub, run):
    """SEMANTICS 8.4: heartbeat only when idle (15 s), without an id."""
    record: list[tuple[float, StreamItem]] = []

    async def reader() -> None:
        async with hub.events("r", last_event_id=run.told[-1].id) as events:
            async for item in events:
                record.append((trio.current_time() - start, item))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await trio.sleep(40)
        for _ in range(5):
            run.chunk()
            await trio.sleep(14)
        run.end()

    chunks = [(40.0 + 14 * n, event) for n, event in enumerate(run.told[2:7])]
    assert record == [
        (0.0, Cursor("resumed", 0)),
        (15.0, Heartbeat()),
        (30.0, Heartbeat()),
        *chunks,
        *((110.0, event) for event in run.told[7:]),
    ]
    assert HEARTBEAT == 15
    assert not hasattr(Heartbeat(), "id")


async def test_heartbeats_can_be_had_otherwise(autojump_clock, hub, run):
    async with hub.events("r", heartbeat=2) as often, hub.events("r", heartbeat=math.inf) as never:
        assert (await some(often, 4))[3] == Heartbeat()
        assert trio.current_time() == pytest.approx(trio.current_time())
        await some(never, 3)
        with trio.move_on_after(10_000) as scope:
            await anext(never)
        assert scope.cancelled_caught
    for wrong in (0, -1, math.nan):
        with pytest.raises(InvalidRequest, match="run 'r': a heartbeat"):
            hub.events("r", heartbeat=wrong)


async def test_closing_the_hub_is_not_the_end_of_a_run(hub, run):
    """SEMANTICS 8.4: closing the hub is not cancelling the runs, and readers can tell."""
    record: list[object] = []

    async def reader() -> None:
        async with hub.events("r") as events:
            try:
                async for item in events:
                    record.append(item)
            except ActorStopped as error:
                record.append(error.actor)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        async with hub.events("r") as late:
            run.chunk()
            hub.close()
            run.chunk()
            assert await some(late, 4) == [Cursor("fresh", 0), *run.told[:3]], "what was in memory is still given"
            with pytest.raises(ActorStopped):
                await anext(late)
            with pytest.raises(ActorStopped):
                await anext(late)

    assert record == [Cursor("fresh", 0), *run.told[:3], "the event hub"]
    with pytest.raises(ActorStopped):
        async with hub.events("r"):
            pass
    assert hub.statistics() == HubStatistics(streams=0, readers=0, published=3, dropped=1, gaps=0)


async def test_a_closed_hub_reads_no_store(store, run):
    """The store closes last, but the hub does not count on it."""
    later = Hub(store)
    async with later.events("r") as events:
        assert await anext(events) == Cursor("fresh", None)
        later.close()
        with pytest.raises(ActorStopped):
            await anext(events)
    assert store.reads == []


async def test_parked_runs_are_kept_for_a_while_and_then_forgotten(store):
    """SEMANTICS 6.6: a parked run's memory is its row."""
    hub = Hub(store)
    for number in range(10_000):
        run = Teller(hub, store, f"r{number}").begin()
        run.chunk()
        hub.idle(run.run_id)

    assert hub.statistics() == HubStatistics(IDLE_STREAMS, 0, 30_000, 9000, 0)
    assert len(hub._idle) == IDLE_STREAMS
    assert set(hub._streams) == set(hub._idle) == {f"r{number}" for number in range(9000, 10_000)}


async def test_a_log_that_was_read_lately_goes_last(store):
    hub = Hub(store, idle_streams=2)
    runs = [Teller(hub, store, name).begin() for name in "abcd"]
    hub.idle("a")
    hub.idle("b")
    async with hub.events("a"):
        for run in runs[2:]:
            hub.idle(run.run_id)
        assert set(hub._streams) == {"a", "c", "d"}, "a reader keeps its log"
    assert set(hub._streams) == {"a", "d"}

    runs[3].chunk()
    hub.idle("c")
    assert set(hub._streams) == {"a", "d"}
    assert set(hub._idle) == {"a"}, "a run that goes on is not idle"


async def test_a_cancelled_read_loses_nothing(hub, run):
    """After a cancelled `anext` or batch the next one begins with the same item."""
    run.flood(200)
    run.end()
    given: list[StreamItem] = []
    async with hub.events("r") as events:
        while len(given) <= len(run.told):
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(events)
            assert scope.cancelled_caught
            if len(given) % 50 == 25:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await events.take()
                assert scope.cancelled_caught
            given.append(await anext(events))

    assert given == [Cursor("fresh", 0), *run.told]


async def test_a_cancelled_wait_leaves_nothing(hub, run):
    async with hub.events("r") as events:
        await some(events, 3)
        with trio.move_on_after(0):
            await anext(events)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, events)
            await trio.testing.wait_all_tasks_blocked()
            assert len(hub._streams["r"].waiting) == 1
            nursery.cancel_scope.cancel()
        assert hub._streams["r"].waiting == {}
        run.chunk()
        assert await anext(events) == run.told[-1]
    assert hub.statistics().readers == 0


async def test_a_cancelled_entry_leaves_no_reader(store, run):
    later = Hub(store)
    for _ in range(2):
        with trio.CancelScope() as scope:
            store.meanwhile = scope.cancel
            async with later.events("r"):
                raise AssertionError
        assert scope.cancelled_caught
        assert later.statistics() == HubStatistics(0, 0, 0, 0, 0)
        assert later._sought == {}


async def test_leaving_detaches_whatever_happened(hub, run):
    with pytest.raises(ZeroDivisionError):
        async with hub.events("r"):
            assert hub.statistics().readers == 1
            raise ZeroDivisionError
    with trio.CancelScope() as scope:
        async with hub.events("r"):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert hub.statistics().readers == 0


async def test_a_fast_reader_lets_others_run_and_notices_its_cancel(hub, run):
    """A full checkpoint every 64 items at least, and a cancel check at every one."""
    run.flood(240)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    seen = 0
    async with trio.open_nursery() as nursery, hub.events("r") as events:
        nursery.start_soon(count)
        await some(events, 242)
        assert turns >= 4
        nursery.cancel_scope.cancel()
    async with hub.events("r") as events:
        with trio.CancelScope() as scope:
            async for _ in events:
                seen += 1
                if seen == 10:
                    scope.cancel()
    assert seen == 10


async def test_one_task_iterates_at_a_time(hub, run):
    async with hub.events("r") as events:
        await some(events, 3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, events)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await anext(events)
            nursery.cancel_scope.cancel()


async def test_a_subscription_is_for_one_block(hub, run):
    events = hub.events("r")
    with pytest.raises(trio.ClosedResourceError):
        await anext(events)
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as nursery:
            async with events:
                await some(events, 3)
                nursery.start_soon(anext, events)
                await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(trio.ClosedResourceError):
        await anext(events)
    with pytest.raises(RuntimeError, match="entered once"):
        async with events:
            pass


async def test_a_store_that_is_gone_for_now_loses_nothing(store, run):
    """A reader that waits out `StoreUnavailable` goes on where it was."""

    def fail() -> None:
        raise StoreUnavailable("gone")

    run.end()
    later, items = Hub(store), []
    store.meanwhile = fail
    with pytest.raises(StoreUnavailable):
        async with later.events("r"):
            pass
    async with later.events("r") as events:
        for _ in range(2):
            items.append(await anext(events))
            store.meanwhile = fail
            if len(items) == 1:
                with pytest.raises(StoreUnavailable):
                    await anext(events)
        items += await read_all(events)

    assert items == [Cursor("fresh", None), *run.durable]


async def test_nobody_waits_for_a_run_that_was_deleted(store, run):
    """Law 5: nobody waits forever unknowingly."""
    run.end()
    later = Hub(store)
    async with later.events("r") as events:
        await anext(events)
        store.commits.clear()
        store.rows.clear()
        with pytest.raises(UnknownRun):
            await anext(events)


@pytest.mark.parametrize("idle_streams", [0, 10])
@pytest.mark.parametrize("finish", [False, True])
async def test_a_run_may_begin_to_tell_while_the_store_is_asked(store, run, finish, idle_streams):
    """The row that the store gives may be older than what was published since."""
    run.commit(Kind.OPEN, RunStatus.PAUSED)
    run.hub = later = Hub(store, idle_streams=idle_streams)

    def go_on() -> None:
        run.commit(Kind.QUEUE, RunStatus.QUEUED)
        run.commit(Kind.CLAIM)
        run.chunk()
        if finish:
            run.end()
            later.idle("r")

    store.meanwhile = go_on
    async with later.events("r") as events:
        assert await some(events, len(run.told) + 1) == [Cursor("fresh", None), *run.told]
    assert later.statistics().streams == (0 if finish and not idle_streams else 1)
    assert later._sought == {}


async def test_publishing_after_the_end_is_refused(hub, run):
    """SEMANTICS 8.3: a second terminal returns the first id; publishing after it raises."""
    run.end()
    hub.publish(run.told[-1])
    with pytest.raises(IllegalTransition):
        run.chunk()
    assert hub.statistics().published == 4


@pytest.mark.parametrize("seed", range(8))
async def test_readers_at_any_pace_get_everything_but_what_was_counted(store, seed):
    """SEMANTICS 8.1, 8.2, 8.5: whatever the order in which tasks run."""
    rng = random.Random(seed)
    hub = Hub(store, window=8)
    run = Teller(hub, store).begin()
    results: list[list[StreamItem]] = []

    async def reader(pace: float, batches: bool) -> None:
        cursor = rng.choice([None, *(event.id for event in run.told if event.id >= event_id(1, 0))])
        items: list[StreamItem] = []
        async with hub.events("r", last_event_id=cursor) as events:
            source = events.batches() if batches else events
            async for got in source:
                items += got if isinstance(got, list) else [got]
                while rng.random() < pace:
                    await trio.lowlevel.checkpoint()
        check([event for event in run.told if event.id > (cursor or 0)], items)
        results.append(items)

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            if rng.random() < 0.1:
                nursery.start_soon(reader, rng.choice([0, 0.5, 0.95]), rng.random() < 0.5)
            run.commit() if rng.random() < 0.3 else run.chunk()
            while rng.random() < 0.5:
                await trio.lowlevel.checkpoint()
        run.end()

    assert len(results) > 10, f"seed {seed}"


def check(expected: list[Event], items: list[StreamItem]) -> None:
    given = [item for item in items if not isinstance(item, Cursor | Gap)]
    missed = [item.missed for item in items if isinstance(item, Cursor | Gap)]
    wanted = [event for event in expected if event in given]
    assert given == wanted
    assert [item for item in given if item.durable] == [event for event in expected if event.durable]
    if None not in missed:
        assert len(given) + sum(missed) == len(expected)


def limited(test: Callable[..., Any]) -> Callable[..., Any]:
    """No test of this file hangs: 20 s of real time, or more virtual time than any of them needs."""

    @functools.wraps(test)
    async def run(**fixtures: Any) -> None:
        virtual = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
        with trio.fail_after(1e6 if virtual else 20):
            await test(**fixtures)

    return run


globals().update({name: limited(test) for name, test in globals().items() if name.startswith("test_")})
