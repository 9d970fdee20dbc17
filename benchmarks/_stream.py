"""Events of one run, told to one reader and to a hundred, beside a channel for each of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import Literal

import trio
import trio.testing
from attrs import frozen

import terzetto
from terzetto_protocol.limits import EVENT_WINDOW

from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._states import Nothing
from ._work import RAW_CHAIN, raw_chain
from .limits import _stream as limits

PACE = 64
"""Events after which a node, or the raw loop, lets its readers go on."""
CHANNEL = 1024
"""Events that a raw channel holds."""
OTHERS = 6
"""Items of a stream that are no chunks: its Cursor, and that the run was queued, begun and ended, and its node, too."""
Reading = Literal["each", "batches"]

_CHANNELS = f"a memory channel of {CHANNEL} events for every reader, each read by async for"


@frozen
class Talk:
    """What the node is to do."""

    events: int
    may_begin: trio.Event
    word: str = "word"


async def read_each(events: terzetto.Subscription) -> int:
    """How many items there were."""
    count = 0
    async for _ in events:
        count += 1
    return count


async def read_batches(events: terzetto.Subscription) -> int:
    """How many items there were."""
    count = 0
    async for batch in events.batches():
        count += len(batch)
    return count


@frozen
class Told:
    """What came of a stream."""

    rate: float
    """Events told per second, all readers together."""
    kept: int
    """Chunks that were still in memory at the end."""


def contests(setting: Setting) -> list[Contest]:
    """`stream` (G6a); `stream_each`, `stream_batches`, `stream_ring` and `stream_slow` (G6b)."""
    sizes = setting.sizes
    return [
        Contest(
            goal="G6a",
            name="stream",
            work=f"{sizes.events:,} chunks of one run on memory:, one reader, async for",
            unit="events/s",
            ours=lambda: trio.run(_tell, sizes.events, 1, "each").rate,
            opponents=[
                Opponent("raw Trio", partial(raw_chain, sizes.chain), f"{RAW_CHAIN} (steps/s)", Bar(4, 7)),
                *setting.peers_at("stream", LangGraph=Bar(3)),
            ],
            limit=Limit(partial(limits.told, sizes.events, 1, "each", PACE), limits.EACH),
        ),
        _to_many(setting, "each", sizes.deliveries, Bar(15, 30)),
        _to_many(setting, "batches", sizes.batched, Bar(100, 300)),
        _ring(setting),
        _slow(setting),
    ]


def _to_many(setting: Setting, reading: Reading, events: int, bar: Bar) -> Contest:
    readers, raw = setting.sizes.readers, setting.sizes.deliveries
    how = {"each": "async for", "batches": "batches()"}[reading]
    return Contest(
        goal="G6b",
        name=f"stream_{reading}",
        work=f"{events:,} chunks of one run on memory: to {readers:,} readers by {how}",
        unit="deliveries/s",
        ours=lambda: trio.run(_tell, events, readers, reading).rate,
        opponents=[Opponent("raw channels", lambda: trio.run(_raw_tell, raw, readers), _CHANNELS, bar)],
        limit=Limit(partial(limits.told, events, readers, reading, PACE), limits.HOW[reading]),
    )


def _ring(setting: Setting) -> Contest:
    events = setting.sizes.batched
    return Contest(
        goal="G6b",
        name="stream_ring",
        work=f"chunks that are still in memory when one reader has read {events:,} of them and another one none",
        unit="events",
        ours=lambda: trio.run(partial(_tell, events, 1, "batches", slow=True)).kept,
        opponents=[
            Opponent(
                "the limit",
                lambda: EVENT_WINDOW,
                "the window of events of a run, which is cut when it is a quarter over",
                Bar(1.25),
            )
        ],
        better="less",
        rounds=1,
    )


def _slow(setting: Setting) -> Contest:
    events, readers = setting.sizes.deliveries, setting.sizes.readers
    return Contest(
        goal="G6b",
        name="stream_slow",
        work=f"{events:,} chunks to {readers:,} readers by async for, beside one that stops after its first item",
        unit="deliveries/s",
        ours=lambda: trio.run(partial(_tell, events, readers, "each", slow=True)).rate,
        opponents=[
            Opponent(
                "without it", lambda: trio.run(_tell, events, readers, "each").rate, "the same readers alone", Bar(0.9)
            )
        ],
        turns=2,
    )


def talk_graph() -> terzetto.Graph[Nothing, Talk]:
    """A node that emits chunks, and lets its readers go on after some."""
    graph = terzetto.Graph("talk", state=Nothing, deps=Talk)

    @graph.node
    async def talk(ctx: terzetto.NodeContext[Nothing, Talk]) -> None:
        await ctx.deps.may_begin.wait()
        for number in range(ctx.deps.events):
            ctx.emit_text(ctx.deps.word)
            if number % PACE == PACE - 1:
                await trio.lowlevel.checkpoint()

    graph.start(talk)
    return graph


async def _tell(events: int, count: int, reading: Reading, *, slow: bool = False) -> Told:
    graph, talk = talk_graph(), Talk(events, trio.Event())
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, talk)]) as runtime:
        run = await runtime.submit(graph, Nothing())
        async with _one_who_sleeps(run) if slow else _nobody():
            seen: list[int] = []
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(_read, run, seen, reading)
                await trio.testing.wait_all_tasks_blocked()
                talk.may_begin.set()
                began = perf_counter()
            took = perf_counter() - began
            hub = runtime.hub.statistics()
            assert (seen, hub.gaps) == ([events + OTHERS] * count, 0)
            return Told(events * count / took, events - hub.dropped)


async def _read(run: terzetto.Run[Nothing], seen: list[int], reading: Reading) -> None:
    async with run.events() as events:
        seen.append(await (read_each(events) if reading == "each" else read_batches(events)))


@asynccontextmanager
async def _one_who_sleeps(run: terzetto.Run[Nothing]) -> AsyncGenerator[None, None]:
    async with run.events() as events:
        await anext(events)
        yield


@asynccontextmanager
async def _nobody() -> AsyncGenerator[None, None]:
    yield


async def _raw_tell(events: int, count: int) -> float:
    channels = [trio.open_memory_channel[str](CHANNEL) for _ in range(count)]
    seen: list[int] = []
    async with trio.open_nursery() as nursery:
        for _, mailbox in channels:
            nursery.start_soon(_raw_read, mailbox, seen)
        await trio.testing.wait_all_tasks_blocked()
        began = perf_counter()
        await _raw_talk([address for address, _ in channels], events)
    took = perf_counter() - began
    assert seen == [events] * count
    return events * count / took


async def _raw_talk(addresses: list[trio.MemorySendChannel[str]], events: int) -> None:
    for number in range(events):
        for address in addresses:
            address.send_nowait("word")
        if number % PACE == PACE - 1:
            await trio.lowlevel.checkpoint()
    for address in addresses:
        address.close()


async def _raw_read(mailbox: trio.MemoryReceiveChannel[str], seen: list[int]) -> None:
    count = 0
    async for _ in mailbox:
        count += 1
    seen.append(count)
