"""What becomes of those who wait on a thread: restarts, stores that are gone, deadlines, decisions (SEMANTICS 10.3)."""

import pytest
import trio

from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import (
    InvalidRequest,
    Refused,
    StoreUnavailable,
)
from terzetto_protocol.limits import STATE_BYTES
from terzetto_protocol.statuses import RunStatus

from .runtimes import (
    FAILED,
    QUEUED,
    Tally,
    both,
    chain,
    opened,
    parked,
    says,
    settled,
    stores,
    told,
)
from .stores import FaultyStore
from .talks import Talk, where

BUSY = ["reject", "enqueue", "interrupt", "rollback"]


@both
@stores
async def test_a_line_survives_a_restart(autojump_clock, dispatch, store):
    """10: enqueue is durable; the order, the state and the head are what they were."""
    shelf, talk = store(), Talk()
    async with opened(shelf, talk.graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await talk.said(runtime, "a", Tally())
        for run_id in ("z", "y", "x"):
            await runtime.submit(talk.graph, run_id=run_id, thread="t", busy="enqueue")
        await settled()
    async with opened(shelf, talk.graph, dispatch=dispatch) as runtime:
        assert ("a", ["z", "y", "x"]) == await where(runtime)
        await settled()
        assert ["a", "z", "z"] == talk.begun, "the one that was at work, again, and nobody else"
        late = await runtime.submit(talk.graph, run_id="w", thread="t", busy="enqueue")
        talk.free("z", "y", "x", "w")
        assert ["a", "z", "y", "x", "w"] == (await late.result()).state.trail


async def test_a_turn_that_came_as_the_process_died(tmp_path):
    """7.6: recovery finds whose turn it is, also where nobody was told."""
    talk, path = Talk(), tmp_path / "runs.db"
    async with opened(SqliteStore(path), talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        runtime.supervisor._succession.next_on = lambda thread: None
        talk.free("a")
        await runtime.get("a").result()
        assert ("a", ["b"]) == await where(runtime)
    talk.free("b")
    async with opened(SqliteStore(path), talk.graph) as runtime:
        assert ["a", "b"] == (await runtime.get("b").result()).state.trail


async def test_a_supervisor_that_dies_takes_no_line_with_it(autojump_clock):
    """9.5: the next incarnation goes on with what the store says."""
    talk, shelf = Talk(), FaultyStore()
    async with opened(shelf, talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        await settled()

        async def dies():
            raise RuntimeError("a bug")

        runtime.supervisor._nursery.start_soon(dies)
        await settled()
        talk.free("a", "b")
        assert ["a", "b"] == (await runtime.get("b").result()).state.trail


async def test_a_store_that_is_gone(autojump_clock):
    """9.6: new work is refused, and nobody's turn is forgotten."""
    store, talk = FaultyStore(), Talk()
    async with opened(store, talk.graph, limit=100) as runtime:
        first = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        run = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        await settled()
        store.down = True
        for busy in BUSY:
            with pytest.raises(StoreUnavailable):
                await runtime.submit(talk.graph, Tally(), run_id="c", thread="t", busy=busy)
        talk.free("a", "b")
        await trio.sleep(3)
        store.down = False
        assert ["a"] == (await first.result()).state.trail
        store.down = True
        await trio.sleep(3)
        store.down = False
        assert ["a", "b"] == (await run.result()).state.trail
        assert {"a", "b"} == {row.run_id for row in await runtime.runs()}


async def test_who_has_no_input_yet_is_not_forked(autojump_clock):
    """What a run that waits for its turn shows is a stand-in, from which nothing goes on."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        waits = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        given = await runtime.submit(talk.graph, Tally(5), run_id="c", thread="t", busy="enqueue")
        with pytest.raises(InvalidRequest, match="run 'b' had not begun at commit 1: it waited for its input"):
            await waits.fork()
        talk.free("a", "b", "fork")
        assert Tally(5, ["fork"]) == (await (await given.fork(new_id="fork")).result()).state
        await waits.result()
        with pytest.raises(InvalidRequest, match="run 'b' had not begun at commit 1"):
            await waits.fork(at=1)


async def test_events_of_the_largest_state(tmp_path):
    """12, 8.1: a claim that brings a state as large as one may be is read back as every commit is."""
    talk, path = Talk(), tmp_path / "runs.db"
    large = Tally(0, ["x" * (STATE_BYTES - 30)])
    async with opened(SqliteStore(path), talk.graph, limit=60) as runtime:
        await runtime.submit(talk.graph, large, run_id="a", thread="t")
        run = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        talk.free("a", "b")
        await run.result()
    async with opened(SqliteStore(path), talk.graph, limit=60) as runtime:
        events = [type(event).__name__ for event in await told(runtime.get("b"))]
    assert ["RunQueued", "RunStarted", "NodeFinished", "RunEnded"] == events


async def test_a_deadline_counts_while_a_run_waits(autojump_clock):
    """9.7: from the submit on, as in any queue; those behind it move up."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        late = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue", deadline=3)
        last = await runtime.submit(talk.graph, run_id="c", thread="t", busy="enqueue")
        assert (FAILED, "deadline_exceeded") == ((await late.result()).status, (await late.result()).code)
        talk.free("a", "c")
        assert ["a", "c"] == (await last.result()).state.trail


async def test_a_decision_may_come_before_the_turn(autojump_clock):
    """6.5 beside 10: what is kept for a run that waits does not move it."""
    talk, graph = Talk(), chain(says("first"), "gate", name="asks")
    async with opened(MemoryStore(), talk.graph, graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        run = await runtime.submit(graph, run_id="b", thread="t", busy="enqueue")
        await run.decide("gate", Approve(), keep="once")
        await settled()
        assert QUEUED is await run.status()
        talk.free("a")
        assert ["a", "first"] == (await run.result()).state.trail


async def test_a_pause_may_come_before_the_turn(autojump_clock):
    """2.8 beside 10.3: it begins, is PAUSED before its first node, and keeps its thread."""
    talk = Talk()
    talk.free("b")
    async with opened(MemoryStore(), talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        run = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        await run.pause()
        talk.free("a")
        await settled()
        assert (RunStatus.PAUSED, ["a"]) == (await run.status(), talk.begun)
        assert ("a", ["b"]) == await where(runtime)
        await run.resume()
        assert ["a", "b"] == (await run.result()).state.trail


async def test_a_run_whose_graph_is_gone_keeps_its_thread(autojump_clock):
    """2.7: it stays as it is, and so do those behind it."""
    store, talk, graph = MemoryStore(), Talk(), chain(says("first"), "gate", name="asks")
    async with opened(store, talk.graph, graph) as runtime:
        await parked(runtime, graph, "r", thread="t")
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t", busy="enqueue")
    async with opened(store, talk.graph) as runtime:
        await settled()
        assert ("", ["r", "a"]) == await where(runtime)
        with pytest.raises(Refused, match="graph 'asks' '1' is not known here"):
            await runtime.submit(talk.graph, Tally(), thread="t", busy="interrupt")
        assert ("", ["r", "a"]) == await where(runtime)
