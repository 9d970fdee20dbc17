"""`terzetto._memory_bridge`, `_bridge_reader`: streams of foreign producers, in virtual time (SEMANTICS 8.6)."""

import gc

import pytest
import trio
import trio.testing

import terzetto
from terzetto import (
    CANCELLED_SENTINEL,
    END_SENTINEL,
    HEARTBEAT_SENTINEL,
    BridgeTerms,
    MemoryStreamBridge,
    StreamStatus,
    resume_of,
)
from terzetto_protocol.errors import ActorStopped, IllegalTransition, InvalidRequest, NotStorable, Refused, UnknownRun
from terzetto_protocol.limits import (
    DEAD_LETTER,
    DEAD_LETTER_AWAITING,
    EVENT_WINDOW,
    HEARTBEAT,
    STREAM_RETENTION,
    STREAM_UNREAD,
)

GAP = "__gap__"
settled = trio.testing.wait_all_tasks_blocked


@pytest.fixture
def bridge() -> MemoryStreamBridge:
    return MemoryStreamBridge()


async def read(bridge, run_id="r", **options):
    return [item async for item in bridge.subscribe(run_id, **options)]


def names(items):
    return [item.event for item in items if resume_of(item) is None]


async def test_a_silent_producer_is_given_up_and_its_readers_hear_it(autojump_clock, bridge):
    """8.6: dead letter after 600 s without a publish; nobody waits for ever. 8.4: heartbeats meanwhile."""
    await bridge.publish("r", "one", None)
    items = await read(bridge)

    assert DEAD_LETTER == trio.current_time()
    assert items[-1].data == {"error": "dead_letter", "reason": "no_publish_timeout"}
    beats = int(DEAD_LETTER / HEARTBEAT)
    assert ["one", *["__heartbeat__"] * (beats - 1), "error"] == names(items)
    assert 1 == bridge.statistics().dead_letters
    with pytest.raises(IllegalTransition):
        await bridge.publish("r", "too late", None)


async def test_who_awaits_input_has_more_time(autojump_clock, bridge):
    """8.6: 7,200 s awaiting input. 8.4: it is visible in the stream, once."""
    await bridge.publish("r", "one", None)
    await bridge.mark_awaiting_input("r")
    await bridge.mark_awaiting_input("r")
    items = await read(bridge, heartbeat_interval=10_000)

    assert (DEAD_LETTER_AWAITING, ["one", "awaiting_input", "error"]) == (trio.current_time(), names(items))


async def test_nobody_waits_for_input_of_what_is_not_there_or_over(autojump_clock, bridge):
    with pytest.raises(UnknownRun, match="no run 'r' in the stream bridge"):
        await bridge.mark_awaiting_input("r")
    await bridge.publish_end("r")
    with pytest.raises(IllegalTransition):
        await bridge.mark_awaiting_input("r")


async def test_the_dead_are_buried_without_a_witness(autojump_clock, bridge):
    """8.6: time passes also where nobody reads; it is noticed by whoever comes next."""
    await bridge.publish("r", "one", None)
    await trio.sleep(DEAD_LETTER + STREAM_UNREAD - 1)
    assert ["one", "error"] == names(await read(bridge))
    await trio.sleep(STREAM_UNREAD)
    with pytest.raises(UnknownRun):
        await read(bridge)


@pytest.mark.parametrize("later, there", [(STREAM_UNREAD - 1, True), (STREAM_UNREAD, False)])
async def test_what_has_ended_is_kept_for_who_comes_back(autojump_clock, bridge, later, there):
    """8.6: 60 s without readers."""
    await bridge.publish("r", "one", None)
    last = await bridge.publish_end("r")
    await trio.sleep(later)
    if there:
        assert [END_SENTINEL] == (await read(bridge, last_event_id=last))[1:]
    else:
        with pytest.raises(UnknownRun):
            await read(bridge)


async def test_what_is_read_is_kept_and_then_for_a_while(autojump_clock, bridge):
    """8.6: 300 s after the end, where somebody reads it meanwhile; never while it is read."""
    for number in range(3):
        await bridge.publish("r", f"e{number}", None)
    await bridge.publish_end("r")
    for _ in range(7):
        async with bridge.subscribe("r") as events:
            await anext(events)
            await trio.sleep(40)
    assert 280 == trio.current_time()
    async with bridge.subscribe("r") as events:
        await anext(events)
        await trio.sleep(STREAM_RETENTION)
        bridge.sweep()
        assert ["e0", "e1", "e2", "end"] == names([item async for item in events])
    bridge.sweep()
    assert 0 == bridge.statistics().streams


async def test_a_cleanup_is_for_the_stream_that_was_there(autojump_clock, bridge):
    """8.6: cleanup with a delay: what was begun meanwhile stays."""
    await bridge.publish_end("r")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: bridge.cleanup("r", delay=100))
        await trio.sleep(STREAM_UNREAD)
        await bridge.publish("r", "anew", None)
    assert (100, 1) == (trio.current_time(), bridge.statistics().streams)
    await bridge.cleanup("nobody")
    for delay in (-1, float("inf")):
        with pytest.raises(InvalidRequest):
            await bridge.cleanup("r", delay=delay)


async def test_only_so_many_streams_fit(autojump_clock):
    """8.6: the oldest that has ended makes room; where none has, the publish is refused and makes nothing."""
    bridge = MemoryStreamBridge(BridgeTerms(streams=2))
    await bridge.publish("a", "one", None)
    await bridge.publish("b", "one", None)
    with pytest.raises(Refused, match="run 'c': 2 other streams"):
        await bridge.publish("c", "one", None)
    await bridge.publish_end("b")
    await bridge.publish("c", "one", None)
    with pytest.raises(UnknownRun):
        await read(bridge, "b")
    assert (2, 2) == (bridge.statistics().streams, bridge.statistics().active)


async def test_a_cancelled_wait_loses_nothing(autojump_clock, bridge):
    """8.2: the next one begins with the same item."""
    await bridge.publish("r", "one", None)
    seen = []
    async with bridge.subscribe("r") as events:
        for number in range(20):
            with trio.move_on_after(0.5):
                seen += [await anext(events) for _ in range(2)]
            await bridge.publish("r", f"e{number}", None)
            with trio.CancelScope() as scope:
                scope.cancel()
                await events.take()
        await bridge.publish_end("r")
        rest = [item async for item in events]
    given = names([*seen, *rest])
    assert [each for each in ["one", *(f"e{number}" for number in range(20)), "end"] if each in given] == given
    assert "end" == given[-1]


async def test_one_task_iterates_at_a_time(autojump_clock, bridge):
    await bridge.publish("r", "one", None)
    events = bridge.subscribe("r")
    await events.take()
    await events.take()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(events.take)
        await settled()
        with pytest.raises(trio.BusyResourceError):
            await anext(events)
        nursery.cancel_scope.cancel()


async def test_who_closes_it_under_a_reader_tells_him(autojump_clock, bridge):
    await bridge.publish("r", "one", None)
    events = bridge.subscribe("r", heartbeat_interval=1000)
    heard = []

    async def follow():
        with pytest.raises(trio.ClosedResourceError):
            heard.extend([item async for item in events])
        heard.append("closed")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await settled()
        await events.aclose()
    assert (["closed"], 0, 0) == (heard, bridge.statistics().readers, trio.current_time())
    assert [] == await events.take()


async def test_who_breaks_out_of_a_loop_leaves_nothing(autojump_clock, bridge):
    """8.6: a reader that is not held any more does not keep a stream."""
    await bridge.publish("r", "one", None)
    async for _ in bridge.subscribe("r"):
        break
    gc.collect()
    await trio.sleep(1)
    assert 0 == bridge.statistics().readers


async def test_who_never_began_and_who_outlives_the_loop_leave_nothing():
    bridge = MemoryStreamBridge()
    bridge.subscribe("r")
    kept = []

    async def hold() -> None:
        await bridge.publish("r", "one", None)
        kept.append(bridge.subscribe("r"))
        await anext(kept[0])

    await trio.to_thread.run_sync(trio.run, hold)
    kept.clear()
    gc.collect()


async def test_closing_wakes_everybody_and_ends_no_run(autojump_clock):
    """8.4: closing is not cancelling: readers get what is there, then `ActorStopped`."""
    heard = []

    async def follow(bridge):
        with pytest.raises(ActorStopped):
            heard.extend([item.event async for item in bridge.subscribe("r")])
        heard.append("stopped")

    async with trio.open_nursery() as nursery:
        async with MemoryStreamBridge() as bridge:
            await bridge.publish("r", "one", None)
            nursery.start_soon(follow, bridge)
            await settled()
    assert ["stopped"] == heard
    for call in (bridge.publish("r", "e", None), bridge.publish_end("r"), bridge.mark_awaiting_input("r")):
        with pytest.raises(ActorStopped):
            await call
    with pytest.raises(ActorStopped):
        await read(bridge)


async def test_what_is_refused_makes_nothing(autojump_clock, bridge):
    for call, error in [
        (bridge.publish("r", "__end__", None), InvalidRequest),
        (bridge.publish("r", "e", {1, float("nan")}), NotStorable),
        (bridge.publish("../r", "e", None), InvalidRequest),
        (bridge.publish_terminal("r", StreamStatus.CLOSED), InvalidRequest),
    ]:
        with pytest.raises(error):
            await call
    with pytest.raises(InvalidRequest):
        bridge.subscribe("r", heartbeat_interval=0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await bridge.publish("r", "e", None)
    assert (0, 0) == (bridge.statistics().streams, bridge.statistics().published)


async def test_ids_of_streams_that_follow_each_other_at_once_are_not_the_same(autojump_clock, bridge):
    """8.1: no id is reused."""
    ids = set()
    for _ in range(5):
        ids |= {await bridge.publish("r", "e", None), await bridge.publish_end("r")}
        await bridge.cleanup("r")
    assert 10 == len(ids)


async def test_the_end_of_a_stream_wakes_its_readers_at_once(autojump_clock, bridge):
    await bridge.publish("r", "one", None)
    found = []

    async def follow():
        found.extend(names(await read(bridge)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await settled()
        await bridge.cancel("r")
    assert (0, ["one", "cancel"]) == (trio.current_time(), found)
    assert CANCELLED_SENTINEL not in found
    assert HEARTBEAT_SENTINEL not in found


async def crowd(count, events, publish_all, subscribe):
    """Readers, one of whom reads an event a second; what each was given and what was counted."""
    slow, fast, turns = [], [[0, 0] for _ in range(count - 1)], []

    async def read_slowly():
        async for item in subscribe():
            slow.append(item)
            await trio.sleep(1)

    async def read_fast(tally):
        reader = subscribe()
        while items := await reader.take():
            for item in items:
                tally[0] += item.id != ""
                tally[1] += item.event == GAP
        turns.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_slowly)
        for tally in fast:
            nursery.start_soon(read_fast, tally)
        await settled()
        await publish_all()
        told = trio.current_time()
    return slow, fast, turns, told


@pytest.mark.parametrize(
    "readers, events", [(100, 2000), pytest.param(100, 100_000, marks=pytest.mark.slow, id="whole")]
)
async def test_one_slow_reader_of_a_hundred(autojump_clock, bridge, readers, events):
    """8.1, 8.2: nobody's slowness reaches the run or another reader; a Gap, never a silent jump."""
    await bridge.publish("r", "begin", None)

    async def publish_all():
        for number in range(events):
            await bridge.publish("r", "chunk", number)
            if number % 128 == 0:
                await settled()
        await bridge.publish_end("r")

    slow, fast, turns, told = await crowd(readers, events, publish_all, lambda: bridge.subscribe("r"))
    assert {(events + 2, 0)} == {tuple(tally) for tally in fast}
    assert (0, {0}) == (told, set(turns)), "neither the producer nor a fast reader has waited"
    assert trio.current_time() == len(slow), "the slow one took its time"
    missed = sum(item.data["missed"] for item in slow if item.event == GAP)
    given = sum(item.id != "" for item in slow)
    assert events + 2 == given + missed
    assert given <= 2 * EVENT_WINDOW
    assert "end" == slow[-1].event


def test_the_contract_is_what_users_subclass():
    assert isinstance(MemoryStreamBridge(), terzetto.StreamBridge)
    assert {
        "publish",
        "publish_end",
        "publish_terminal",
        "subscribe",
        "cleanup",
    } == terzetto.StreamBridge.__abstractmethods__
