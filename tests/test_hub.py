"""`terzetto._hub`: which runs it holds, where their events come from, and what it leaves behind."""

import math

import pytest
import trio
import trio.testing

from terzetto._hub import IDLE_STREAMS, REPLAY_COMMITS, Hub, HubStatistics, Subscription
from terzetto_protocol.errors import ActorStopped, IllegalTransition, StoreUnavailable, UnknownRun
from terzetto_protocol.events import Cursor
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus

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
    assert await everything(later, run.durable[-2].id) == [Cursor("resumed", 0), run.durable[-1]], "inside a commit"
    assert later.statistics() == HubStatistics(streams=0, readers=0, published=0, dropped=0, gaps=0)


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
    assert (0, 0, 0) == (hub.tail("ghost"), hub.count_after("ghost", 0), hub.readers("ghost"))
    assert hub.is_idle("ghost")


async def test_what_is_known_of_a_live_run(hub, run):
    run.commit()
    run.chunk()
    last = run.told[-1].id
    assert last == hub.tail("r")
    assert [1, 0] == [hub.count_after("r", last - 1), hub.count_after("r", last)]
    assert not hub.is_idle("r")
    async with hub.events("r"), hub.events("r", is_sink=True):
        assert 1 == hub.readers("r"), "a sink is none"
    assert 0 == hub.readers("r")


async def test_a_live_run_is_replayed_from_the_store_and_then_followed(store, run):
    """SEMANTICS 8.1 and 3 D4: after a restart an id means the same event, and live ones follow."""
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


async def test_without_a_store_a_flood_drops_chunks_only():
    """SEMANTICS 8.5: control events are never dropped by a flood of chunks."""
    hub = Hub(None, idle_streams=0)
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


async def test_closing_the_hub_is_not_the_end_of_a_run(hub, run):
    """SEMANTICS 8.4: closing the hub is not cancelling the runs, and readers can tell."""
    record: list[object] = []

    async def reader() -> None:
        async with hub.events("r") as events:
            try:
                await follow(events, record.append)
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


async def test_a_reader_that_waits_is_told_at_once_that_the_hub_closed(hub, run):
    async with (
        trio.open_nursery() as nursery,
        hub.events("r", heartbeat=math.inf) as forever,
        hub.events("r") as events,
    ):

        async def wait(asked: Subscription) -> None:
            await some(asked, 3)
            with pytest.raises(ActorStopped):
                await anext(asked)
            left.append(asked)

        left: list[Subscription] = []
        nursery.start_soon(wait, forever)
        nursery.start_soon(wait, events)
        await trio.testing.wait_all_tasks_blocked()
        hub.close()
        await trio.testing.wait_all_tasks_blocked()
        assert len(left) == 2


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


async def test_a_cancelled_entry_lets_go_of_a_log_that_came_meanwhile(store, run):
    run.commit(Kind.OPEN, RunStatus.PAUSED)
    run.hub = later = Hub(store, idle_streams=0)
    with trio.CancelScope() as scope:

        def end() -> None:
            run.end()
            later.idle("r")
            assert later.statistics().streams == 1
            scope.cancel()

        store.meanwhile = end
        async with later.events("r"):
            raise AssertionError
    assert later.statistics().streams == 0


async def test_entering_is_a_checkpoint_and_leaving_is_not(hub, run):
    events = hub.events("r")
    with trio.testing.assert_checkpoints():
        await events.__aenter__()
    with trio.testing.assert_no_checkpoints():
        await events.__aexit__(None, None, None)
    with pytest.raises(UnknownRun), trio.testing.assert_checkpoints():
        await hub.events("ghost").__aenter__()


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


globals().update(limited(globals()))
