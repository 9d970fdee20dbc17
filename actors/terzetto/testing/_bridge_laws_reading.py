"""Laws about what readers are given: where they go on, what is counted, heartbeats, and what is forgotten."""

import trio

from terzetto_protocol.bridge import CANCELLED_SENTINEL, END_SENTINEL, HEARTBEAT_SENTINEL

from .._stream_bridge import StreamBridge
from ._bridge_laws import SILENCE, BridgeBook, everything, is_unknown, names, reading, resumed_as, settled, some, told
from ._store_laws import expect

BOOK = BridgeBook()


@BOOK.law
async def the_first_item_says_how_the_cursor_was_resolved(bridge: StreamBridge) -> None:
    """SEMANTICS 8.2: `fresh` without a cursor, or with an empty one; it has no id."""
    await bridge.publish("r", "one", None)
    await bridge.publish_end("r")
    for cursor in (None, ""):
        items = await everything(bridge, last_event_id=cursor)
        expect((resumed_as(items).status, resumed_as(items).gap_count), ("fresh", 0), "the first item")
        expect(items[0].id, "", "its id")
        expect(names(items), ["one", "end"], "everything follows")


@BOOK.law
async def a_reader_goes_on_after_what_it_saw(bridge: StreamBridge) -> None:
    """SEMANTICS 8.2: `resumed`, with the next event."""
    ids = [await bridge.publish("r", f"e{number}", None) for number in range(4)]
    await bridge.publish_end("r")
    for number, last in enumerate(ids):
        items = await everything(bridge, last_event_id=last)
        expect((resumed_as(items).status, resumed_as(items).gap_count), ("resumed", 0), f"a cursor at {last}")
        expect(names(items), [*(f"e{each}" for each in range(number + 1, 4)), "end"], f"what follows {last}")


@BOOK.law
async def a_cursor_that_says_nothing_begins_at_the_beginning(bridge: StreamBridge) -> None:
    """SEMANTICS 8.2: `invalid` where nobody can read it, and everything follows."""
    await bridge.publish("r", "one", None)
    await bridge.publish_end("r")
    for cursor in ("?", "1 2", "\N{SNOWMAN}"):
        items = await everything(bridge, last_event_id=cursor)
        expect(resumed_as(items).status, "invalid", f"a cursor {cursor!r}")
        expect(names(items), ["one", "end"], "everything follows")


@BOOK.law
async def an_id_of_a_stream_that_was_forgotten_is_not_taken_for_another(bridge: StreamBridge) -> None:
    """SEMANTICS 8.1, 8.2: it is `evicted` or `unknown`, and everything that is there follows."""
    old = [await bridge.publish("r", "old", None) for _ in range(3)]
    await bridge.cleanup("r")
    for _ in range(3):
        await bridge.publish("r", "new", None)
    await bridge.publish_end("r")
    for last in old:
        items = await everything(bridge, last_event_id=last)
        expect(resumed_as(items).status in {"evicted", "unknown"}, True, f"a cursor of before: {items[0].data}")
        expect(names(items), ["new", "new", "new", "end"], "everything follows")


@BOOK.law
async def who_has_seen_the_end_is_told_so_at_once(bridge: StreamBridge) -> None:
    """SEMANTICS 8.3: a cursor at the terminal gives END at once."""
    for run_id in ("ended", "cancelled"):
        await bridge.publish(run_id, "one", None)
    last = [await bridge.publish_end("ended")]
    await bridge.cancel("cancelled")
    last.append([item.id for item in await everything(bridge, "cancelled")][-1])
    for run_id, cursor in zip(("ended", "cancelled"), last, strict=True):
        expect((await everything(bridge, run_id, cursor))[1:], [END_SENTINEL], f"a cursor at the end of {run_id}")


@BOOK.law
async def looking_for_an_unknown_run_makes_nothing(bridge: StreamBridge) -> None:
    """SEMANTICS 8.3: an unknown run is not found, however often one looks."""
    for _ in range(2):
        expect(await is_unknown(bridge, "nobody"), True, "a subscription to an unknown run raises `UnknownRun`")


@BOOK.law
async def events_come_while_one_waits(bridge: StreamBridge) -> None:
    """SEMANTICS 8.1: to every reader, in order."""
    await bridge.publish("r", "one", None)
    seen: dict[str, list[str]] = {"a": [], "b": []}

    async def read(name: str) -> None:
        seen[name] += await told(bridge)

    async with trio.open_nursery() as nursery:
        for name in seen:
            nursery.start_soon(read, name)
        for event in ("two", "three"):
            await settled()
            await bridge.publish("r", event, None)
        await settled()
        await bridge.publish_end("r")
    expect(seen, {name: ["one", "two", "three", "end"] for name in "ab"}, "what both readers saw")


@BOOK.law
async def heartbeats_come_only_in_silence(bridge: StreamBridge) -> None:
    """SEMANTICS 8.4: only when idle, without an id, and none after the end."""
    await bridge.publish("r", "one", None)
    async with reading(bridge.subscribe("r", heartbeat_interval=SILENCE)) as events:
        items = await some(events, 4)
        expect(items[2:], [HEARTBEAT_SENTINEL] * 2, "what comes in silence")
        await bridge.publish("r", "two", None)
        await bridge.publish_end("r")
        expect([item.event async for item in events], ["two", "end"], "what follows it")


@BOOK.law
async def awaiting_input_keeps_a_stream_as_it_is(bridge: StreamBridge) -> None:
    """SEMANTICS 8.4: it may be shown, and what is told before and after it is told."""
    await bridge.publish("r", "one", None)
    await bridge.mark_awaiting_input("r")
    await bridge.publish("r", "two", None)
    await bridge.publish_end("r")
    found = [name for name in await told(bridge) if name != "awaiting_input"]
    expect(found, ["one", "two", "end"], "what was published")


@BOOK.law
async def a_cleanup_tells_who_waits(bridge: StreamBridge) -> None:
    """SEMANTICS 8.6: nobody waits for what never comes; afterwards the run is unknown."""
    await bridge.publish("r", "one", None)
    seen: list[str] = []

    async def read() -> None:
        seen.extend(names(await everything(bridge)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await settled()
        await bridge.cleanup("r")
    expect(seen, ["one", CANCELLED_SENTINEL.event], "what a reader hears of a cleanup")
    expect(await is_unknown(bridge, "r"), True, "what was cleaned up is not there any more")


@BOOK.law
async def a_cleanup_can_be_called_off(bridge: StreamBridge) -> None:
    """SEMANTICS 8.6: a delay that can be cancelled."""
    await bridge.publish("r", "one", None)
    await bridge.publish_end("r")
    with trio.move_on_after(SILENCE):
        await bridge.cleanup("r", delay=2 * SILENCE)
    await trio.sleep(2 * SILENCE)
    expect(await told(bridge), ["one", "end"], "what is there after a cleanup that was called off")
