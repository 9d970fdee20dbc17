"""Branches through a runtime: what readers are told of them (SEMANTICS 5.5, 8)."""

from collections import Counter
from itertools import pairwise

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.events import BranchesStarted, NodeFinished

from .fans import Numbered, each, fan, line, naps
from .runtimes import Say, Tally, both, opened, says, stores, told


@both
@stores
async def test_what_a_reader_sees(autojump_clock, dispatch, store):
    """8.1, 3 D4: starts and ends with their paths, in the order in which the run made them; ids rise strictly."""
    graph = fan(naps("a", 2), naps("b", 1), after=says("end"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        events = await told(await runtime.submit(graph, Tally()))
    assert [
        "RunQueued",
        "RunStarted",
        "BranchesStarted fan 2",
        "NodeStarted fan/a/a",
        "NodeStarted fan/b/b",
        "NodeFinished fan/b/b",
        "NodeFinished fan/a/a",
        "NodeFinished fan",
        "NodeStarted end",
        "NodeFinished end",
        "RunEnded",
    ] == [line(event) for event in events]
    assert all(before.id < after.id for before, after in pairwise(events))


@stores
async def test_the_progress_of_a_map_can_be_counted(autojump_clock, store):
    """8: how many of how many, from events alone."""

    async def work(ctx: Numbered) -> None:
        await trio.sleep(ctx.item % 3)

    graph, progress = each(work, 20, limit=4), []
    async with opened(store(), graph) as runtime:
        run, total, ended = await runtime.submit(graph, Tally()), 0, 0
        async with run.events() as events:
            async for event in events:
                if isinstance(event, BranchesStarted):
                    total = event.count
                ended += isinstance(event, NodeFinished) and event.node.startswith("each/")
                progress.append(f"{ended}/{total}")
    assert "20/20" == progress[-1]
    assert {f"{count}/20" for count in range(21)} <= set(progress)


@both
@stores
@pytest.mark.parametrize("restart", [False, True])
async def test_reading_on_in_the_middle_of_a_map(autojump_clock, dispatch, store, restart):
    """8.2, 3 D4: a reader resumes from its id without a gap and without a duplicate, also after a restart."""

    async def work(ctx: Numbered) -> None:
        await trio.sleep(1 + ctx.item % 2)
        ctx.record(Say(str(ctx.item)))

    shelf, graph = store(), each(work, 12, limit=3)

    async def read(runtime: terzetto.Runtime, last=None, count=None) -> list:
        seen: list = []
        async with runtime.get("r").events(last_event_id=last) as events:
            async for event in events:
                seen.append(event)
                if sum(isinstance(each, NodeFinished) for each in seen) == count:
                    break
        # what a dead process only showed (that a node began) is gone, and counted: of durable events none may be
        assert seen[0].how == ("fresh" if last is None else "evicted" if restart else "resumed")
        return seen[1:]

    async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        seen = await read(runtime, count=5)
        if not restart:
            seen += await read(runtime, seen[-1].id, count=4)
            seen += await read(runtime, seen[-1].id)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        seen += await read(runtime, seen[-1].id) if restart else []
        whole = await told(runtime.get("r"))
        assert [str(number) for number in range(12)] == (await runtime.get("r").result()).state.trail
    durable = [event for event in seen if event.durable]
    assert [event for event in whole if event.durable] == durable
    assert Counter({f"each/{n}/work": 1 for n in range(12)} | {"each": 1}) == Counter(
        event.node for event in durable if isinstance(event, NodeFinished)
    )


@both
async def test_chunks_of_branches_name_their_paths(autojump_clock, dispatch):
    """8.5: every chunk says which node of which branch it comes from."""

    async def work(ctx: Numbered) -> None:
        for number in range(3):
            await trio.sleep(1 + ctx.index / 10)
            ctx.emit_text(str(number))

    graph = each(work, 2)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        events = await told(await runtime.submit(graph, Tally()))
    chunks = [(event.node, event.text) for event in events if isinstance(event, terzetto.TextChunk)]
    assert [(f"each/{index}/work", str(number)) for number in range(3) for index in range(2)] == chunks
