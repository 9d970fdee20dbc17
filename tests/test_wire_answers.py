"""`terzetto_protocol.wire_answers`: what a real runtime has to say goes over the wire as it is."""

import msgspec
import pytest
import trio

from terzetto._history import left_of
from terzetto.stores import MemoryStore
from terzetto_protocol.codec import readable
from terzetto_protocol.difference import Change
from terzetto_protocol.graph_view import graph_view
from terzetto_protocol.lineage import family, kin_of, turnings
from terzetto_protocol.pieces import Assembly, history_of, piece_of, text_of
from terzetto_protocol.timeline import timeline
from terzetto_protocol.views import barrier_view, plain, run_line, run_view
from terzetto_protocol.wire import Reply, read_frame, write_frame
from terzetto_protocol.wire_answers import (
    Barriers,
    Graphs,
    Health,
    Lineage,
    PlacesShown,
    Runs,
    RunShown,
    Statistics,
    Timeline,
    WaitingBarrier,
)
from terzetto_protocol.wire_asks import ReadDiff, ReadState

from .runtimes import opened, parked
from .test_runtime_forks import approval


@pytest.fixture
async def world(nursery):
    """A run that waits at its gate after an undo, and its fork."""
    graph, store = approval(), MemoryStore()
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.undo(1)
        await trio.testing.wait_all_tasks_blocked()
        await run.fork(new_id="other")
        await trio.testing.wait_all_tasks_blocked()
        yield runtime, run, await runtime.row("r")


def there_and_back(answer):
    """The answer, as the client has it."""
    frame = read_frame(write_frame(Reply(1, answer)))

    assert Reply(1, answer) == frame
    return frame.answer


async def test_runs_and_barriers(world):
    runtime, _, _ = world
    rows, barriers = await runtime.runs(), await runtime.store.barriers()
    lines = there_and_back(Runs(tuple(run_line(row, barriers) for row in rows))).runs
    graphs = {row.run_id: row.header.graph for row in rows}
    waiting = tuple(WaitingBarrier(each.run_id, graphs[each.run_id], barrier_view(each)) for each in barriers)

    assert {"r", "other"} == {line.run_id for line in lines}
    assert {"r", "other"} == {each.run_id for each in there_and_back(Barriers(waiting, len(waiting))).barriers}


async def test_one_run_and_its_history(world):
    runtime, run, row = world
    view = run_view(row, await runtime.store.records("r"), await run.barriers(), last=0)
    history = there_and_back(history_of("r", await run.history()))

    assert ((), None) == (there_and_back(RunShown(view)).run.commits, view.state)
    assert [*range(row.seq, 0, -1)] == [commit.seq for commit in history.commits]


async def test_a_state_and_what_changed(world):
    runtime, run, row = world
    past = await runtime.past("r")
    text = text_of(plain(readable((await past.fold(None)).pack())))
    state, diff = Assembly(ReadState("r")), Assembly(ReadDiff("r", 1))
    assert None is state.take(there_and_back(piece_of(text, "state", "r", row.seq, offset=0)))
    assert None is diff.take(there_and_back(piece_of(text_of(await run.difference(1)), "diff", "r", row.seq, offset=0)))

    assert await run.state() == state.value(past.blueprint.state.type)
    assert await run.difference(1) == diff.value(tuple[Change, ...])


async def test_progress_timeline_and_lineage(world):
    runtime, run, row = world
    begin, records = await left_of(runtime.store, row)
    spans = there_and_back(Timeline("r", timeline(records, begin=begin, at=row.header.at))).spans
    places = there_and_back(PlacesShown("r", await run.progress())).places
    rows = family("other", await runtime.runs(limit=None))
    kin = there_and_back(Lineage("other", tuple(kin_of(each, turnings(records)) for each in rows))).runs

    assert places["gate"].status is spans[-1].status
    assert [("r", "", 0), ("other", "r", row.seq)] == [(each.run_id, each.parent, each.parent_seq) for each in kin]
    assert 1 == len(kin[0].undone)


async def test_graphs_statistics_and_health(world):
    runtime, _, _ = world
    health = await runtime.store.health()
    there_and_back(Graphs(tuple(graph_view(each.graph) for each in runtime.registry.all())))
    counted = msgspec.json.decode(msgspec.json.encode(runtime.statistics()))
    numbers = there_and_back(Statistics("", counted)).numbers
    details = dict(health.details)

    assert 0 == numbers["restarts"]
    assert there_and_back(Health(True, health.url, health.durable, health.problems, details)).ok
