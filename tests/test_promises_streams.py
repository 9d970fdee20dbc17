"""Promises about streams: over several owners, and where a run, a cancel and a runtime end (SEMANTICS 8)."""

import pytest
import trio
import trio.testing

from terzetto._hub import Hub
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import ActorStopped
from terzetto_protocol.events import BarrierOpened, Cursor, Gap, Heartbeat, RunEnded
from terzetto_protocol.ids import split_event_id
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .runtimes import Held, Tally, both, chain, function, opened, says, told
from .stores import FaultyStore, trail

CANCELLED, RUNNING, SUCCEEDED = RunStatus.CANCELLED, RunStatus.RUNNING, RunStatus.SUCCEEDED
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


def talk(name: str):
    async def body(ctx):
        for part in range(3):
            ctx.emit_text(f"{name} {part}")
            await trio.sleep(20)

    body.__name__ = name
    return function(body)


def ids(items) -> list[int]:
    return [item.id for item in items if not isinstance(item, Cursor | Gap | Heartbeat)]


@both
@stores
async def test_one_reader_over_three_owners(autojump_clock, dispatch, store):
    """8.1: event id = `epoch << 32 | n`, also when a run parks and goes on. 3 D4: after every restart the same id means
    the same bytes. 8.2: a cursor of an older epoch replays what is durable. 8.4: `awaiting_input` is visible in the
    stream, and a heartbeat comes only when idle (15 s), without an id."""
    shelf, items = store(), []
    graph = chain(talk("one"), "first", talk("two"), "second", talk("three"))
    async with opened(shelf, graph, dispatch=dispatch, limit=1000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read():
                async with run.events() as events:
                    items.extend([item async for item in events])

            for name in ("first", "second"):
                await told(run, until=BarrierOpened)
                await trio.sleep(100)
                assert (name, 0) == ((await run.barriers())[0].name, runtime.statistics().supervisor.live)
                await run.decide(name, Approve())
    assert sorted(set(ids(items))) == ids(items)
    assert [1, 2, 3] == sorted({split_event_id(number)[0] for number in ids(items)} - {0})
    assert not [item for item in items if isinstance(item, Gap)]
    assert 2 * (100 // 15) <= sum(isinstance(item, Heartbeat) for item in items)
    assert not hasattr(Heartbeat(), "id")
    durable = [item for item in items if getattr(item, "durable", False)]
    for seen in [None, *ids(items)]:
        async with Hub(shelf).events("r", last_event_id=seen) as events:
            cursor, *rest = [item async for item in events]
        assert cursor.how in ({"fresh"} if seen is None else {"evicted", "resumed"})
        assert [item for item in durable if item.id > (seen or 0)] == [
            item for item in rest if not isinstance(item, Gap)
        ]


@both
@stores
@pytest.mark.parametrize("delay", range(0, 15, 2))
async def test_a_cancel_that_meets_the_end(autojump_clock, dispatch, store, delay):
    """8.3: exactly one terminal event (end, cancel, error) per run, always last. 2: first durable writer wins; the
    loser learns who won."""
    shelf, graph, receipts, events = store(), chain(says("a"), says("b")), [], []
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")

        async def cancel(steps: int) -> None:
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            receipts.append(await run.cancel())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: told_into(events, run))
            for steps in range(4):
                nursery.start_soon(cancel, delay + steps)
        result = await run.result()
    assert [RunEnded] == [type(event) for event in events if isinstance(event, RunEnded)] == [type(events[-1])]
    assert {result.status} == {events[-1].status, (await shelf.run("r")).status}
    assert {result.status} >= {receipt.status for receipt in receipts if receipt.outcome == "already_terminal"}
    assert CANCELLED is result.status or {"already_terminal"} == {receipt.outcome for receipt in receipts}
    assert 1 == sum(line.rpartition(" ")[2] in TERMINAL for line in await trail(shelf, "r"))


async def told_into(events: list, run) -> None:
    events.extend(await told(run))


async def test_streams_end_and_the_store_closes_last(autojump_clock):
    """9.6: running work reaches its commit; streams end; the store closes last."""
    order = []

    class Closing(FaultyStore):
        async def __aexit__(self, *error):
            order.append("closed")
            await super().__aexit__(*error)

    async def slow(ctx):
        await trio.sleep(3)

    async def read(run, attached) -> None:
        async with run.events() as events:
            attached.set()
            with pytest.raises(ActorStopped):
                async for event in events:
                    order.append(type(event).__name__)  # noqa: PERF401 - it ends with an error
        order.append("ended")

    graph = chain(slow, says("never"))
    async with trio.open_nursery() as nursery:
        async with opened(Closing(), graph) as runtime:
            run, attached = await runtime.submit(graph, Tally()), trio.Event()
            nursery.start_soon(read, run, attached)
            await attached.wait()
        order.append("left")
    assert ["NodeFinished", "RunInterrupted"] == order[order.index("NodeFinished") :][:2]
    assert order.index("RunInterrupted") < order.index("closed")
    assert ["closed", "left", "ended"] == sorted(order[-3:], key=["closed", "left", "ended"].index)


@pytest.mark.parametrize("comes_back, outcome", [(None, CANCELLED), (4, SUCCEEDED), (6, CANCELLED)])
async def test_the_last_reader_may_take_the_run_with_it(autojump_clock, comes_back, outcome):
    """8.4: `on_disconnect`: cancel, where only the last reader counts, after a grace for reconnecting."""
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        async with run.events(on_disconnect="cancel", grace=5):
            async with run.events(on_disconnect="cancel", grace=0):
                pass
            await trio.sleep(1)
            assert RUNNING is await run.status()  # it was not the last
        if comes_back is not None:
            await trio.sleep(comes_back)
            async with run.events():
                await trio.sleep(5)
            held.go.set()
        assert outcome is (await run.result()).status


async def test_readers_leave_runs_alone_unless_they_say_otherwise(autojump_clock):
    """8.4: `on_disconnect`: continue (default)."""
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        async with run.events():
            pass
        await trio.sleep(15)
        assert RUNNING is await run.status()
        held.go.set()
        assert SUCCEEDED is (await run.result()).status
