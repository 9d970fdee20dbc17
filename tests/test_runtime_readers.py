"""Many readers of one run, one of whom is slow (SEMANTICS 8): neither the others nor the run notice him."""

import pytest
import trio

import terzetto
from terzetto_protocol.events import Event, Gap, TextChunk
from terzetto_protocol.limits import EVENT_WINDOW

from .runtimes import Tally, opened

PACE = 64
"""Chunks after which the run lets its readers run."""


def talking(chunks: int, may_begin: trio.Event) -> terzetto.Graph[Tally, None]:
    graph = terzetto.Graph("talk", state=Tally)

    @graph.node
    async def talk(ctx: terzetto.NodeContext[Tally]) -> None:
        await may_begin.wait()
        for number in range(chunks):
            ctx.emit_text("word")
            if number % PACE == PACE - 1:
                await trio.lowlevel.checkpoint()

    graph.start(talk)
    return graph


async def read(run: terzetto.Run[Tally], found: list[tuple[int, int, int]]) -> None:
    """How many chunks were read, how many gaps there were, and how many chunks did not follow what was before."""
    chunks = missing = last = jumps = 0
    async with run.events() as events:
        async for batch in events.batches():
            for item in batch:
                chunks += isinstance(item, TextChunk)
                missing += isinstance(item, Gap)
                if isinstance(item, Event):
                    jumps += isinstance(item, TextChunk) and item.id != last + 1
                    last = item.id
    found.append((chunks, missing, jumps))


async def read_slowly(run: terzetto.Run[Tally], ended: trio.Event) -> tuple[int, int]:
    """One chunk a second while the run lives, then the rest: how many chunks were read, and how many were counted."""
    chunks = counted = 0
    async with run.events() as events:
        async for item in events:
            chunks += isinstance(item, TextChunk)
            if isinstance(item, Gap):
                assert item.missed is not None
                counted += item.missed
            if isinstance(item, TextChunk) and not ended.is_set():
                await trio.sleep(1)
    return chunks, counted


@pytest.mark.parametrize(
    "chunks, readers", [(20_000, 5), pytest.param(100_000, 100, marks=pytest.mark.slow)], ids=["some", "many"]
)
async def test_one_who_reads_an_event_a_second_slows_nobody(autojump_clock, chunks, readers):
    may_begin, ended = trio.Event(), trio.Event()
    graph, found, slow = talking(chunks, may_begin), list[tuple[int, int, int]](), list[tuple[int, int]]()
    async with opened("memory:", graph, strict=False, limit=100_000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")

        async def slowly() -> None:
            slow.append(await read_slowly(run, ended))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(slowly)
            for _ in range(readers):
                nursery.start_soon(read, run, found)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            may_begin.set()
            assert terzetto.RunStatus.SUCCEEDED is (await run.result()).status
            assert trio.current_time() - began < 2, "the run waits for no reader"
            ended.set()
    assert [(chunks, 0, 0)] * readers == found
    ((read_by_the_slow, counted),) = slow
    assert chunks == read_by_the_slow + counted
    assert read_by_the_slow <= 2 * EVENT_WINDOW
