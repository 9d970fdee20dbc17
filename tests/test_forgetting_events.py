"""What readers are told of events whose commits were pruned (SEMANTICS 3.2, 8.2)."""

import terzetto
from terzetto.stores import SqliteStore
from terzetto_protocol.events import Cursor, Gap, RunEnded, RunQueued, told_by
from terzetto_protocol.image import read_record
from terzetto_protocol.limits import EVENT_WINDOW

from .runtimes import Held, Tally, opened
from .stores import FaultyStore
from .walks import EVERY, at_gate, walk


async def test_a_reader_from_before_the_cut_is_told_what_it_misses(tmp_path):
    """8.2: `evicted`, with the gap count, exact inside an epoch, else unknown; then what is left."""
    graph, store = walk(EVENT_WINDOW * 2, checkpoints=EVERY), SqliteStore(tmp_path / "runs.db")
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        whole = [event for event in await replayed(run) if event.durable]
        await run.truncate(100)
        left = [event for body in await store.records("r") for event in told_of(body)]
    async with opened(store, graph) as runtime:
        run, seen = runtime.get("r"), whole[50]
        gone = [event for event in whole if seen.id < event.id < left[0].id]
        items = await until_silent(run, seen.id)
        in_between = (left[-1].id - seen.id) - len(left)
        assert Cursor("evicted", in_between) == items[0], "the passing events between those that are left count too"
        assert [event.id for event in items[1:]] == [event.id for event in left]
        assert len(gone) > 40
        assert (await until_silent(run, None))[0] == Cursor("fresh", None), "an epoch back, nobody can know"
        async with run.events(last_event_id=seen.id, strict=True) as events:
            assert [Cursor] == [type(item) async for item in events]


def told_of(body):
    return told_by("r", read_record(body))


async def replayed(run):
    return [item for item in await until_silent(run, None) if not isinstance(item, Cursor | Gap)]


async def until_silent(run, last_event_id):
    """Everything that a reader gets until it has to wait."""
    items = []
    async with run.events(last_event_id=last_event_id, heartbeat=0.05) as events:
        async for item in events:
            if isinstance(item, terzetto.Heartbeat):
                return items
            items.append(item)
    return items


async def test_a_reader_that_fell_behind_a_cut_gets_a_gap(autojump_clock):
    """8.2: a connected reader that falls behind gets a Gap, never a silent jump."""
    held = Held("held")
    graph = walk(EVENT_WINDOW, checkpoints=EVERY)
    graph.edge("home", graph.node(name="held")(held.__call__))
    async with opened(FaultyStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", auto_approve=True)
        async with run.events() as events:
            first = [await anext(events) for _ in range(3)]
            assert [Cursor, RunQueued] == [type(item) for item in first[:2]]
            await held.begun.wait()
            await run.truncate(200)
            held.go.set()
            rest = [item async for item in events]
    gaps = [item for item in rest if isinstance(item, Gap)]
    assert gaps[0].missed > 150
    assert isinstance(rest[-1], RunEnded)
    ids = [item.id for item in rest if not isinstance(item, Gap)]
    assert ids == sorted(ids)
