"""`terzetto._runtime_bridge`: our runs, seen through the contract of a stream bridge (SEMANTICS 8)."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto import (
    CANCELLED_SENTINEL,
    END_SENTINEL,
    HEARTBEAT_SENTINEL,
    RuntimeStreamBridge,
    StreamStatus,
    resume_of,
)
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.errors import ActorStopped, InvalidRequest, Refused, UnknownRun
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.limits import EVENT_WINDOW, HEARTBEAT

from .runtimes import CANCELLED, Held, Tally, chain, function, opened, says, settled, told
from .stores import FaultyStore


async def read(bridge, run_id="r", **options):
    return [item async for item in bridge.subscribe(run_id, **options)]


def names(items):
    return [item.event for item in items if resume_of(item) is None]


async def talks(ctx):
    ctx.emit_text("a")
    ctx.emit("progress", {"done": 1})


CHUNKS = {"NodeStarted", "TextChunk", "CustomChunk"}
PLAIN = ["RunQueued", "RunStarted", "NodeStarted", "TextChunk", "CustomChunk", "NodeFinished", "end"]


async def test_a_run_is_read_as_any_stream(autojump_clock):
    """8.2, 8.3: the first item says how the cursor was resolved, the terminal event is last; ids are the run's."""
    graph = chain(talks)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        bridge = RuntimeStreamBridge(runtime)
        items = await read(bridge)
        assert PLAIN == names(items)
        assert [str(event.id) for event in await told(run)] == [item.id for item in items[1:]]
        first = resume_of(items[0])
        assert ("fresh", 0, 1) == (first.status, first.gap_count, first.next_offset)
        again = await read(bridge, last_event_id=items[4].id)
        assert ("resumed", int(items[4].id) + 1) == (resume_of(again[0]).status, resume_of(again[0]).next_offset)
        assert items[5:] == again[1:]
        assert [END_SENTINEL] == (await read(bridge, last_event_id=items[-1].id))[1:]
        for cursor, how in (("x", "invalid"), (str(int(items[-1].id) + 1), "unknown")):
            other = await read(bridge, last_event_id=cursor)
            assert (how, items[1:]) == (resume_of(other[0]).status, other[1:])
        assert items == await read(bridge, last_event_id="")
        with pytest.raises(UnknownRun):
            await read(bridge, "nobody")
        assert await runtime.store.run("nobody") is None


@pytest.mark.parametrize("how, name", [("fails", "error"), ("is cancelled", "cancel")])
async def test_how_other_runs_end(autojump_clock, how, name):
    """8.3: exactly one terminal event (end, cancel, error)."""
    held = Held()

    async def breaks(ctx):
        raise RuntimeError("broken")

    graph = chain(breaks if how == "fails" else held)
    async with opened(MemoryStore(), graph) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        bridge = RuntimeStreamBridge(runtime)
        if how == "is cancelled":
            await held.begun.wait()
            await bridge.cancel("r")
        items = await read(bridge)
        assert name == items[-1].event
        for kind in (StreamStatus.ENDED, StreamStatus.CANCELLED):
            assert items[-1].id == await bridge.publish_terminal("r", kind)
        assert items[-1].id == await bridge.publish_end("r")
        await bridge.cancel("r")
        with pytest.raises(UnknownRun):
            await bridge.cancel("nobody")


async def test_heartbeats_and_awaiting_input(autojump_clock):
    """8.4: heartbeat only when idle (15 s), without an id; `awaiting_input` is visible in the stream."""
    graph = chain(says("a"), "ask")
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        events = RuntimeStreamBridge(runtime).subscribe("r")
        items = [await anext(events) for _ in range(7)]
        assert "BarrierOpened" == items[-2].event
        assert (HEARTBEAT_SENTINEL, HEARTBEAT) == (items[-1], trio.current_time())
        await run.decide("ask", terzetto.Approve())
        assert ["BarrierResolved", "end"] == [item.event async for item in events][-2:]


async def test_nothing_can_be_published_and_nothing_is_made(autojump_clock):
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        bridge = RuntimeStreamBridge(runtime)
        for call in (
            bridge.publish("r", "e", None),
            bridge.publish_end("r"),
            bridge.publish_terminal("r", StreamStatus.ERRORED),
            bridge.mark_awaiting_input("r"),
        ):
            with pytest.raises(Refused, match="only shows what its runs tell"):
                await call
        with pytest.raises(InvalidRequest):
            await bridge.publish_terminal("r", StreamStatus.ACTIVE)
        with pytest.raises(InvalidRequest):
            bridge.subscribe("r", heartbeat_interval=-1)
        with pytest.raises(InvalidRequest):
            bridge.subscribe("r", on_disconnect="explode")
        held.go.set()


async def test_closing_it_is_not_cancelling_the_runs(autojump_clock):
    """8.4: readers get what is there, and can tell it from a cancel."""
    held = Held()
    graph = chain(says("a"), held)
    heard = []

    async def follow(bridge):
        with pytest.raises(ActorStopped, match="the stream bridge"):
            async for item in bridge.subscribe("r"):
                heard.append(item.event)  # noqa: PERF401 - what was given before it is stopped counts
        heard.append("stopped")

    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        async with trio.open_nursery() as nursery, RuntimeStreamBridge(runtime) as bridge:
            nursery.start_soon(follow, bridge)
            late = bridge.subscribe("r")
            await anext(late)
            await settled()
        assert "stopped" == heard[-1]
        rest = []
        with pytest.raises(ActorStopped):
            async for item in late:
                rest.append(item.event)  # noqa: PERF401 - as above
        assert heard[1:-1] == rest
        with pytest.raises(ActorStopped):
            await read(bridge)
        assert 1 == runtime.statistics().hub.readers
        late.close()
        held.go.set()
        assert terzetto.RunStatus.SUCCEEDED is (await run.result()).status


async def test_a_run_that_is_deleted_under_a_reader(autojump_clock):
    """8.6: nobody waits for what never comes. What has its id now is another run."""
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        bridge = RuntimeStreamBridge(runtime)
        await (await runtime.submit(graph, Tally(), run_id="r")).result()
        behind = bridge.subscribe("r")
        await anext(behind)
        await bridge.cleanup("r")
        assert 1 == runtime.statistics().hub.streams, "it is read"
        await runtime.delete("r")
        await (await runtime.submit(graph, Tally(5), run_id="r")).result()
        rest = [item.event async for item in behind]
        assert rest[-1] in {"end", CANCELLED_SENTINEL.event}
        assert "end" == (await read(bridge))[-1].event


async def test_a_cleanup_forgets_the_memory_and_not_the_run(autojump_clock):
    """8.1: durable events are read back from the store. 8.6: the delay can be cancelled."""
    graph = chain(talks)
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        bridge = RuntimeStreamBridge(runtime)
        await (await runtime.submit(graph, Tally(), run_id="r")).result()
        before = await read(bridge)
        with trio.move_on_after(5):
            await bridge.cleanup("r", delay=10)
        assert 1 == runtime.statistics().hub.streams
        await bridge.cleanup("r", delay=10)
        assert 0 == runtime.statistics().hub.streams
        with pytest.raises(InvalidRequest):
            await bridge.cleanup("r", delay=-1)
        after = await read(bridge)
        assert [item for item in before[1:] if item.event not in CHUNKS] == after[1:]
        assert resume_of(after[0]).gap_count is None, "over two epochs"


async def test_the_last_reader_who_leaves_may_take_the_run_along(autojump_clock):
    """8.4: `on_disconnect`: only the last reader counts, after a grace for reconnecting."""
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        bridge = RuntimeStreamBridge(runtime)
        for keep in (True, False):
            async with bridge.subscribe("r", on_disconnect="cancel", grace=3) as events:
                await anext(events)
            if keep:
                await trio.sleep(1)
        assert CANCELLED is (await run.result()).status
        assert 4 == trio.current_time()


@pytest.mark.parametrize("store", [MemoryStore, FaultyStore])
async def test_ids_go_on_in_another_runtime(autojump_clock, store):
    """8.1, 8.2: durable events replay from the store; chunks that are lost show as a gap."""
    shelf, graph = store(), chain(talks, "ask", says("b"))
    async with opened(shelf, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=BarrierOpened)
        events = RuntimeStreamBridge(runtime).subscribe("r")
        before = [await anext(events) for _ in range(8)]
        events.close()
    async with opened(shelf, graph) as runtime:
        run = runtime.get("r")
        bridge = RuntimeStreamBridge(runtime)
        await run.decide("ask", terzetto.Approve())
        await run.result()
        for index in range(1, 8):
            first, *rest = await read(bridge, last_event_id=before[index].id)
            durable = [
                item for item in before[index + 1 :] if item.event not in {"NodeStarted", "TextChunk", "CustomChunk"}
            ]
            assert durable == rest[: len(durable)]
            assert "end" == rest[-1].event
            gone = len(before) - index - 1 - len(durable)
            assert resume_of(first).status in {"evicted", *["resumed"] * (not gone)}
            assert resume_of(first).gap_count in {gone, None}, "over epochs nobody can know"


@pytest.mark.parametrize(
    "readers, events", [(100, 2000), pytest.param(100, 100_000, marks=pytest.mark.slow, id="whole")]
)
async def test_one_slow_reader_of_a_hundred(autojump_clock, readers, events):
    """8.1, 8.2: nobody's slowness reaches the run or another reader; a Gap, never a silent jump."""

    async def floods(ctx):
        await started.wait()
        for number in range(events):
            ctx.emit_text(str(number))
            if number % 128 == 127:
                await settled()

    started, graph = trio.Event(), chain(function(floods))
    slow, fast, ends = [], [[0, 0] for _ in range(readers - 1)], []

    async def read_slowly(bridge):
        async for item in bridge.subscribe("r", heartbeat_interval=1e6):
            slow.append(item)
            await trio.sleep(1)

    async def read_fast(bridge, tally):
        reader = bridge.subscribe("r")
        while items := await reader.take():
            tally[0] += len(items)
            tally[1] += sum(not item.id for item in items)
        ends.append(trio.current_time())

    async with opened(MemoryStore(), graph, limit=10_000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        bridge = RuntimeStreamBridge(runtime)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_slowly, bridge)
            for tally in fast:
                nursery.start_soon(read_fast, bridge, tally)
            await trio.sleep(5.5)  # the slow one comes to where the flood begins: over two epochs nobody could count
            started.set()
            await run.result()
            assert 5.5 == trio.current_time(), "the run has not waited"
    total = events + 5
    assert {(total + 1, 1)} == {tuple(tally) for tally in fast}, "everything, and no gap"
    assert {5.5} == set(ends)
    missed = sum(item.data["missed"] for item in slow if item.event == "__gap__")
    given = sum(item.id != "" for item in slow)
    assert total == given + missed
    assert given <= 3 * EVENT_WINDOW
    assert "end" == slow[-1].event


async def test_events_are_the_same_from_a_file(tmp_path):
    """D4: the same id means the same bytes."""
    graph = chain(talks)
    with trio.fail_after(60):
        async with terzetto.open_runtime(SqliteStore(tmp_path / "runs.db"), graphs=[graph]) as runtime:
            await (await runtime.submit(graph, Tally(), run_id="r")).result()
            before = await read(RuntimeStreamBridge(runtime))
        async with terzetto.open_runtime(SqliteStore(tmp_path / "runs.db"), graphs=[graph]) as runtime:
            after = await read(RuntimeStreamBridge(runtime))
    assert [item for item in before[1:] if item in after] == after[1:]
