"""`terzetto._subscription`: what one reader is given and when, and that no reader reaches the run or another."""

import math
import random

import pytest
import trio
import trio.testing

from terzetto._hub import REPLAY_COMMITS, Hub
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.events import Cursor, Event, Gap, Heartbeat, RunEnded, StreamItem
from terzetto_protocol.ids import event_id
from terzetto_protocol.limits import EVENT_WINDOW, HEARTBEAT

from .telling import Shelf, Teller, everything, follow, limited, read_all, some


@pytest.fixture
def store() -> Shelf:
    return Shelf()


@pytest.fixture
def hub(store) -> Hub:
    return Hub(store)


@pytest.fixture
def run(hub, store) -> Teller:
    return Teller(hub, store).begin()


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
            await follow(events, lambda item: record.append((name, item)))

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
    async with hub.events("r") as events:
        first = await some(events, 3)
        run.commit()
        run.end()
        batches = [batch async for batch in events.batches()]

    assert all(batches)
    assert len(batches) == 2, "what was fetched already, and the rest"
    assert [*first, *(item for batch in batches for item in batch)] == [Cursor("fresh", 0), *run.told]


@pytest.mark.parametrize("where", ["memory", "store"])
async def test_a_cursor_at_the_end_gives_the_end_at_once(store, hub, run, where):
    """SEMANTICS 8.3: a cursor at the terminal gives END at once."""
    run.end()
    asked = hub if where == "memory" else Hub(store)

    assert await everything(asked, run.told[-1].id) == [Cursor("resumed", 0)]


async def test_a_slow_reader_gets_a_gap_and_a_fast_one_does_not(store):
    """SEMANTICS 8.1, 8.2: nobody's slowness reaches the run or another reader; a Gap, never a silent jump."""
    hub = Hub(store, window=8)
    run = Teller(hub, store).begin()
    fast: list[StreamItem] = []

    async def read_fast() -> None:
        async with hub.events("r") as events:
            await follow(events, fast.append)

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


async def test_heartbeats_come_only_when_nothing_else_does(autojump_clock, hub, run):
    """SEMANTICS 8.4: heartbeat only when idle (15 s), without an id."""
    record: list[tuple[float, StreamItem]] = []

    async def reader() -> None:
        async with hub.events("r", last_event_id=run.told[-1].id) as events:
            await follow(events, lambda item: record.append((trio.current_time() - start, item)))

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
        start = trio.current_time()
        assert (await some(often, 4))[3] == Heartbeat()
        assert trio.current_time() - start == 2
        await some(never, 3)
        with trio.move_on_after(10_000) as scope:
            await anext(never)
        assert scope.cancelled_caught
    for wrong in (0, -1, math.nan):
        with pytest.raises(InvalidRequest, match="run 'r': a heartbeat"):
            hub.events("r", heartbeat=wrong)


async def test_a_cancelled_read_loses_nothing(hub, run):
    """After a cancelled `anext` or batch the next one begins with the same item."""
    run.flood(200)
    run.end()
    given: list[StreamItem] = []
    async with hub.events("r") as events:
        while len(given) <= len(run.told):
            given.append(await anext(events))
            with trio.CancelScope() as scope:
                scope.cancel()
                await events.take()
            assert scope.cancelled_caught
            with trio.CancelScope() as scope:
                scope.cancel()
                while True:  # what was fetched is given out first
                    given.append(await anext(events))
            assert scope.cancelled_caught

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


async def test_a_fast_reader_lets_others_run_and_notices_its_cancel(hub, run):
    """A full checkpoint every 256 items at least."""
    run.flood(300)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    seen = 0
    async with hub.events("r") as events:
        with trio.testing.assert_checkpoints():
            await anext(events)
        with trio.testing.assert_checkpoints():
            await events.take()
    async with trio.open_nursery() as nursery, hub.events("r") as events:
        nursery.start_soon(count)
        await some(events, 1 + 300)
        assert turns >= 2
        nursery.cancel_scope.cancel()
    async with hub.events("r") as events:
        with trio.CancelScope() as scope:
            async for _ in events:
                seen += 1
                if seen == 10:
                    scope.cancel()
    assert seen == 1 + 256, "the Cursor, and what was fetched with the tenth item"


@pytest.mark.parametrize("way", ["each", "batches"])
async def test_a_reader_who_does_nothing_keeps_up_with_a_busy_run(hub, run, way):
    """SEMANTICS 8.2: a run that lets go of the loop after half a window of events leaves no such reader behind."""
    given: list[StreamItem] = []

    async def read() -> None:
        async with hub.events("r") as events:
            if way == "each":
                await follow(events, given.append)
            else:
                async for batch in events.batches():
                    given.extend(batch)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(40):
            run.flood(EVENT_WINDOW // 2)
            await trio.lowlevel.checkpoint()
        run.end()
    assert 3 * (1 + len(run.told)) == len(given)
    assert 0 == hub.statistics().gaps


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
    events = hub.events("r", heartbeat=math.inf)
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


globals().update(limited(globals()))
