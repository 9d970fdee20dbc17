"""`cancel(mode="rollback")`: the thread is where it was before the run, or nothing has changed (SEMANTICS 9.2)."""

import pytest
import trio

from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import HeadMissing, InvalidRequest, Refused
from terzetto_protocol.receipts import CancelReceipt

from .runtimes import (
    CANCELLED,
    FAILED,
    SUCCEEDED,
    Tally,
    both,
    chain,
    once,
    opened,
    parked,
    says,
    settled,
    stores,
)
from .stores import FaultyStore
from .talks import Talk, where


@both
@stores
async def test_a_rollback_of_the_head_goes_back_to_where_it_began(autojump_clock, dispatch, store):
    """9.2: the head goes back, as often as one likes, down to none; the runs themselves stay as they are."""
    shelf, talk = store(), Talk()
    async with opened(shelf, talk.graph, dispatch=dispatch) as runtime:
        await talk.said(runtime, "a", Tally())
        await talk.said(runtime, "b")
        await talk.said(runtime, "c")
        for run_id, head in (("c", "b"), ("b", "a"), ("a", "")):
            for _ in range(2):  # the answer may have been lost
                receipt = await runtime.cancel(run_id, mode="rollback")
                assert CancelReceipt(run_id, "rolled_back", SUCCEEDED, shelf.durable, head) == receipt
            assert (head, []) == await where(runtime)
        assert SUCCEEDED is await runtime.get("c").status()
        with pytest.raises(HeadMissing):
            await runtime.submit(talk.graph, thread="t")
        assert ["d"] == (await talk.said(runtime, "d", Tally())).state.trail


async def test_after_a_rollback_the_thread_goes_on_from_there(autojump_clock):
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        await talk.said(runtime, "b")
        await runtime.get("b").cancel(mode="rollback")
        assert ["a", "c"] == (await talk.said(runtime, "c")).state.trail
        assert "rolled_back" == (await runtime.cancel("c", mode="rollback")).outcome
        assert "a" == (await where(runtime))[0]


async def test_a_rollback_survives(tmp_path):
    """3: what a receipt promises is durable."""
    talk = Talk()
    async with opened(SqliteStore(tmp_path / "runs.db"), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        await talk.said(runtime, "b")
        assert (await runtime.cancel("b", mode="rollback")).durable
    async with opened(SqliteStore(tmp_path / "runs.db"), talk.graph) as runtime:
        assert ("a", []) == await where(runtime)
        assert ["a", "c"] == (await talk.said(runtime, "c")).state.trail


async def test_what_a_later_run_was_built_on_is_not_rolled_back(autojump_clock):
    """9.2: or refuses, naming who is in the way."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        await talk.said(runtime, "b")
        with pytest.raises(Refused, match="run 'a': run 'b' is the head of thread 't' now: only its head"):
            await runtime.cancel("a", mode="rollback")
        later = await runtime.submit(talk.graph, run_id="c", thread="t")
        with pytest.raises(Refused, match="run 'b': run 'c' is under way on thread 't' and builds on it: cancel that"):
            await runtime.cancel("b", mode="rollback")
        assert ("b", ["c"]) == await where(runtime)
        await later.cancel()
        await settled()
        assert "rolled_back" == (await runtime.cancel("b", mode="rollback")).outcome
        assert "rolled_back" == (await runtime.cancel("a", mode="rollback")).outcome
        await talk.said(runtime, "d", Tally())
        with pytest.raises(Refused, match="run 'd' is the head"):
            await runtime.cancel("b", mode="rollback")


@both
@stores
async def test_a_run_that_is_under_way_is_cancelled_and_the_head_stays(autojump_clock, dispatch, store):
    """9.2: the thread is at its head before the run."""
    talk = Talk()
    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        await talk.said(runtime, "a", Tally())
        run = await runtime.submit(talk.graph, run_id="b", thread="t")
        await settled()
        assert "requested" == (await run.cancel(mode="rollback")).outcome
        assert CANCELLED is (await run.result()).status
        await settled()
        assert ("a", []) == await where(runtime)
        assert "already_terminal" == (await run.cancel(mode="rollback")).outcome
        assert ["a", "c"] == (await talk.said(runtime, "c")).state.trail


async def test_a_rollback_does_not_forget_effects_by_accident(autojump_clock):
    """3: rollback across a `once` visit needs `repeat_effects=True`, while the run is under way and afterwards."""
    graph = chain(once(says("paid")), "gate", says("last"), name="pays")
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r", thread="t")
        said = "run 'r': effects of paid@1 may happen again: say repeat_effects=True if that is meant"
        with pytest.raises(InvalidRequest, match=said):
            await run.cancel(mode="rollback")
        assert ("", ["r"]) == await where(runtime), "nothing has changed"
        await run.decide("", Approve())
        await run.result()
        with pytest.raises(InvalidRequest, match=said):
            await run.cancel(mode="rollback")
        assert "r" == (await where(runtime))[0]
        assert "rolled_back" == (await run.cancel(mode="rollback", repeat_effects=True)).outcome

        other = await parked(runtime, graph, "s", thread="t")
        assert "stopped" == (await other.cancel(mode="rollback", repeat_effects=True)).outcome
        await settled()
        assert ("", []) == await where(runtime)


async def test_effects_of_an_earlier_life_count(autojump_clock):
    """The log knows what was begun, also for who loads the run anew."""
    store, graph = MemoryStore(), chain(once(says("paid")), "gate", name="pays")
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "r", thread="t")
    async with opened(store, graph) as runtime:
        with pytest.raises(InvalidRequest, match="effects of paid@1"):
            await runtime.cancel("r", mode="rollback")


async def test_what_cannot_be_rolled_back(autojump_clock):
    talk = Talk()
    talk.fails = {"f"}
    async with opened(MemoryStore(), talk.graph) as runtime:
        talk.free("lonely")
        lonely = await runtime.submit(talk.graph, Tally(), run_id="lonely")
        with pytest.raises(Refused, match="it is on no thread that could be put back: cancel it, or fork it"):
            await lonely.cancel(mode="rollback")
        assert SUCCEEDED is (await lonely.result()).status, "it was not even cancelled"
        assert "unknown" == (await runtime.cancel("nobody", mode="rollback")).outcome
        await talk.said(runtime, "f", Tally())
        receipt = await runtime.cancel("f", mode="rollback")
        assert CancelReceipt("f", "already_terminal", FAILED, durable=False) == receipt


@pytest.mark.parametrize("ends", [True, False])
async def test_a_rollback_meets_an_end(autojump_clock, ends):
    """One of the two is first, and the thread is where it was before the run in either case."""
    store, talk = FaultyStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        await runtime.submit(talk.graph, run_id="b", thread="t")
        await settled()
        outcomes = []

        async def roll_back():
            outcomes.append((await runtime.cancel("b", mode="rollback")).outcome)

        async with trio.open_nursery() as nursery:
            store.hold()
            if ends:
                talk.free("b")
                await settled()
            nursery.start_soon(roll_back)
            await settled()
            talk.free("b")
            store.release()
        await settled()
        assert ("a", []) == await where(runtime)
        assert ["rolled_back" if ends else "requested"] == outcomes


async def test_a_store_that_says_no_is_believed(autojump_clock, monkeypatch):
    """Somebody else has moved the head between the look and the move."""
    store, talk = MemoryStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())

        async def moved(*args):
            del store._heads["t"]
            return False

        monkeypatch.setattr(store, "move_head", moved)
        with pytest.raises(Refused, match="run 'a': thread 't' has no head now"):
            await runtime.cancel("a", mode="rollback")
