"""Laws about what producers say: ids, ends, and who is not waited for."""

import trio

from terzetto_protocol.bridge import TERMINAL_EVENTS, JSONValue
from terzetto_protocol.errors import ActorStopped, IllegalTransition, InvalidRequest
from terzetto_protocol.statuses import StreamStatus

from .._stream_bridge import StreamBridge
from ._bridge_laws import FLOOD, BridgeBook, everything, gone, names, resumed_as, settled, told
from ._store_laws import expect

BOOK = BridgeBook()


@BOOK.law
async def ids_are_texts_and_never_used_again(bridge: StreamBridge) -> None:
    """SEMANTICS 8.1."""
    seen = [await bridge.publish("r", f"e{number}", number) for number in range(5)]
    seen.append(await bridge.publish_end("r"))
    await bridge.cleanup("r")
    seen += [await bridge.publish("r", "again", None), await bridge.publish_end("r")]
    expect(len(set(seen)), 8, f"every event has an id of its own, also after a cleanup: {seen}")
    expect([each for each in seen if not each or not isinstance(each, str)], [], "an id is a text, and not empty")


@BOOK.law
async def what_is_published_is_what_readers_get(bridge: StreamBridge) -> None:
    """SEMANTICS 8.1: ids, names and data, in order, as they were when they were published."""
    data: JSONValue = {"text": "grüße", "list": [1, 2.5, True, None], "more": {"a": []}}
    first = await bridge.publish("r", "one", data)
    assert isinstance(data, dict)
    data["text"] = "changed later"
    last = await bridge.publish_terminal("r", StreamStatus.ENDED, {"ok": True})
    found = [(item.id, item.event, item.data) for item in await everything(bridge)][1:]
    was: JSONValue = {"text": "grüße", "list": [1, 2.5, True, None], "more": {"a": []}}
    expect(found, [(first, "one", was), (last, "end", {"ok": True})], "what was published")


@BOOK.law
async def streams_of_two_runs_are_two(bridge: StreamBridge) -> None:
    """SEMANTICS 8: what one run tells is nothing to the readers of another."""
    for run_id in ("a", "b"):
        await bridge.publish(run_id, f"of {run_id}", None)
    await bridge.publish_end("a")
    await bridge.publish("b", "more", None)
    await bridge.cancel("b")
    expect(await told(bridge, "a"), ["of a", "end"], "what a tells")
    expect(await told(bridge, "b"), ["of b", "more", "cancel"], "what b tells")


@BOOK.law
async def there_is_one_end_and_it_is_the_first(bridge: StreamBridge) -> None:
    """SEMANTICS 8.3: a second terminal returns the first id."""
    for kind, name in TERMINAL_EVENTS.items():
        run_id = f"r-{name}"
        await bridge.publish(run_id, "one", None)
        first = await bridge.publish_terminal(run_id, kind)
        for other in TERMINAL_EVENTS:
            expect(await bridge.publish_terminal(run_id, other), first, "a second terminal returns the first id")
        expect(await bridge.publish_end(run_id), first, "so does publish_end")
        await bridge.cancel(run_id)
        expect(await told(bridge, run_id), ["one", name], f"a stream that ended {kind}")


@BOOK.law
async def nothing_comes_after_the_end(bridge: StreamBridge) -> None:
    """SEMANTICS 8.3: publishing after the terminal event raises, and adds nothing."""
    await bridge.publish_end("r")
    try:
        await bridge.publish("r", "late", None)
    except IllegalTransition:
        expect(await told(bridge), ["end"], "a refused event was not published")
    else:
        raise AssertionError("an event was published after the end")


@BOOK.law
async def only_an_end_ends_a_stream(bridge: StreamBridge) -> None:
    """SEMANTICS 8.3: end, cancel and error, and no other."""
    await bridge.publish("r", "one", None)
    for kind in (StreamStatus.ACTIVE, StreamStatus.CLOSED):
        try:
            await bridge.publish_terminal("r", kind)
        except InvalidRequest:
            continue
        raise AssertionError(f"a stream ended {kind}")
    await bridge.publish_end("r")
    expect(await told(bridge), ["one", "end"], "a refused end was not published")


@BOOK.law
async def a_flood_does_not_drive_the_end_out(bridge: StreamBridge) -> None:
    """SEMANTICS 8.1, 8.3: the terminal event is always kept, and what is missing is counted."""
    for number in range(FLOOD):
        await bridge.publish("r", "chunk", number)
    await bridge.publish_end("r")
    items = await everything(bridge)
    expect(names(items)[-1], "end", "the last event")
    given = names(items).count("chunk")
    counted = (resumed_as(items).gap_count or 0) + gone(items)
    expect(given + counted, FLOOD, "every event comes or is counted")


@BOOK.law
async def a_reader_who_does_not_read_delays_nobody(bridge: StreamBridge) -> None:
    """SEMANTICS 8.1, 8.2: nobody's slowness reaches the run or another reader."""
    await bridge.publish("r", "chunk", 0)
    slow = bridge.subscribe("r")
    await anext(slow)
    seen: list[str] = []

    async def read() -> None:
        seen.extend(await told(bridge))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await settled()
        for number in range(1, FLOOD):
            await bridge.publish("r", "chunk", number)
            if number % 100 == 0:
                await settled()
        await bridge.publish_end("r")
    expect(len(seen), FLOOD + 1, "a reader who keeps up gets every event")
    rest = [item async for item in slow]
    expect(names(rest)[-1], "end", "the slow one gets the end, too")
    expect(len(names(rest)) - 1 + gone(rest), FLOOD, "and every other event, or the count of those that are gone")


@BOOK.law
async def closing_is_no_end_of_a_run(bridge: StreamBridge) -> None:
    """SEMANTICS 8.4: readers can tell it from a cancel, and nothing more is taken."""
    await bridge.publish("r", "one", None)
    seen: list[str] = []

    async def read() -> None:
        try:
            async for item in bridge.subscribe("r"):
                seen.append(item.event)  # noqa: PERF401 - what was given before it is stopped counts
        except ActorStopped:
            seen.append("stopped")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await settled()
        await bridge.close()
        await bridge.close()
    expect(seen[1:], ["one", "stopped"], "what a reader hears of a close")
    try:
        await bridge.publish("r", "late", None)
    except ActorStopped:
        return
    raise AssertionError("a closed bridge took an event")
