"""What readers are shown that nobody here has told: its teller died, or is another owner (SEMANTICS 3 D4, 8.2, 9.5)."""

import pytest
import trio

import terzetto
from terzetto import Approve
from terzetto.stores import MemoryStore
from terzetto.testing import FaultPlan
from terzetto_protocol.errors import ActorStopped, Refused
from terzetto_protocol.events import Cursor, Gap, NodeStarted, told_by
from terzetto_protocol.image import read_record

from .runtimes import SUCCEEDED, Tally, chain, opened, parked, says


def gate():
    graph = terzetto.Graph("gate", state=Tally)
    graph.start(graph.barrier("ask"))
    return graph


async def stored(shelf, run_id="r"):
    """Ids of all durable events, as the log has them."""
    return [event.id for body in await shelf.records(run_id) for event in told_by(run_id, read_record(body))]


async def durable(events):
    """Ids of all durable events, as a reader is shown them, to the last."""
    return [event.id async for event in events if not isinstance(event, Cursor | Gap | NodeStarted)]


@pytest.mark.parametrize("number", [2, 3, 4, 5])
async def test_what_was_stored_and_not_told_is_shown_after_a_restart(autojump_clock, number):
    """D4, 9.5: the persistence actor dies when it has stored; readers miss nothing, nor wait for ever."""
    shelf, graph = MemoryStore(), chain(says("a"), says("b"), says("c"))
    with FaultPlan().at("commit_durable").on_pass(number).raises(ConnectionError) as plan:
        async with opened(shelf, graph) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            async with run.events(heartbeat=float("inf")) as events:
                shown = await durable(events)
            assert await stored(shelf) == shown
            assert SUCCEEDED is await run.status()
    assert 1 == len(plan.done)


async def test_who_waits_at_a_barrier_is_shown_what_was_decided(autojump_clock):
    """8.2: nothing carries the run when its decision is stored, and its teller dies with it."""
    shelf, graph = MemoryStore(), gate()
    with FaultPlan().at("decision_durable").on_pass(1).raises(ConnectionError) as plan:
        async with opened(shelf, graph) as runtime:
            run = await parked(runtime, graph, "r")
            async with run.events(heartbeat=float("inf")) as events:
                with pytest.raises(ActorStopped):
                    await run.decide("ask", Approve())
                shown = await durable(events)
            assert await stored(shelf) == shown
    assert 1 == len(plan.done)


async def test_what_another_owner_told_is_not_passed_over(autojump_clock):
    """8.2: who is asked about a run that somebody else has moved first shows its readers what that one told."""
    shelf, graph = MemoryStore(), gate()
    async with opened(shelf, graph) as one, opened(shelf, graph) as other:
        run = await parked(one, graph, "r")
        async with other.get("r").events() as events:
            while not isinstance(await anext(events), terzetto.BarrierOpened):
                pass
            await run.pause()
            with pytest.raises(Refused):
                await other.get("r").decide("ask", Approve())
            await other.get("r").resume()
            told = [type(await anext(events)).__name__ for _ in range(2)]
            assert ["RunPaused", "RunQueued"] == told
            await trio.testing.wait_all_tasks_blocked()
