"""Submits on a busy thread: rejected, enqueued, or in the place of those that are under way (SEMANTICS 10.3)."""

import pytest
import trio
from attrs import define, field

from terzetto.stores import MemoryStore
from terzetto_protocol.commands import Cancel, Submit
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import (
    HeadMissing,
    InvalidRequest,
    ThreadBusy,
)
from terzetto_protocol.graph import Graph

from .runtimes import (
    CANCELLED,
    MUTATIONS,
    QUEUED,
    RUNNING,
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
from .talks import Talk, where


@both
@stores
async def test_a_busy_thread_rejects(autojump_clock, dispatch, store):
    """10: a typed error that names the thread and the run; other threads are free."""
    talk = Talk()
    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await settled()
        with pytest.raises(ThreadBusy, match="run 'a': thread 't' is busy with it \\(RUNNING\\): wait for its end"):
            await runtime.submit(talk.graph, run_id="b", thread="t")
        await runtime.submit(talk.graph, Tally(), run_id="x", thread="u")
        with pytest.raises(ThreadBusy) as caught:
            await runtime.submit(talk.graph, Tally(), run_id="y", thread="u", busy="reject")
        assert ("u", "x", RUNNING) == (caught.value.thread, caught.value.run_id, caught.value.status)
        assert {"a", "x"} == {row.run_id for row in await runtime.runs()}
        assert ("", ["a"]) == await where(runtime)


@stores
async def test_a_thread_is_busy_while_its_run_is_parked(autojump_clock, store):
    """A run that waits for a person is under way."""
    graph = chain(says("first"), "gate", name="asks")
    async with opened(store(), graph) as runtime:
        run = await parked(runtime, graph, "r", thread="t")
        with pytest.raises(ThreadBusy, match="AWAITING_INPUT"):
            await runtime.submit(graph, thread="t")
        await run.decide("", Approve())
        await run.result()
        assert "s" == (await parked(runtime, graph, "s", thread="t")).run_id


@both
@stores
async def test_runs_wait_for_their_turn(autojump_clock, dispatch, store):
    """10: enqueue starts when the earlier ones have ended, in order of submission, from the head as it is then."""
    shelf, talk = store(), Talk()
    talk.fails = {"c"}
    async with opened(shelf, talk.graph, dispatch=dispatch) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="z", thread="t", busy="enqueue")
        for run_id in ("c", "b", "a"):  # not in the order of their ids
            run = await runtime.submit(talk.graph, run_id=run_id, thread="t", busy="enqueue")
            await settled()
            assert QUEUED is await run.status()
        given = await runtime.submit(talk.graph, Tally(5), run_id="g", thread="t", busy="enqueue")
        assert ("", ["z", "c", "b", "a", "g"]) == await where(runtime)
        assert ["z"] == talk.begun
        for run_id, head in (("z", "z"), ("c", "z"), ("b", "b"), ("a", "a")):
            talk.free(run_id)
            await settled()
            assert head == (await where(runtime))[0]
        assert ["z", "c", "b", "a", "g"] == talk.begun
        talk.free("g")
        assert Tally(5, ["g"]) == (await given.result()).state
        assert ["z", "b", "a"] == (await runtime.state("a")).trail, "a run that failed adds nothing"
        await settled()
        assert ("g", []) == await where(runtime)
        assert "a" == (await runtime.cancel("g", mode="rollback")).head, "where it began, not where it was submitted"


async def test_a_run_that_waits_may_be_cancelled(autojump_clock):
    """9.1: before its turn no node of it ever runs, and those behind it move up."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        runs = [await runtime.submit(talk.graph, run_id=one, thread="t", busy="enqueue") for one in "bcd"]
        assert "stopped" == (await runs[1].cancel("not any more")).outcome
        assert ("", ["a", "b", "d"]) == await where(runtime)
        talk.free("a", "b", "c", "d")
        assert ["a", "b", "d"] == (await runs[2].result()).state.trail
        assert ["a", "b", "d"] == talk.begun
        assert CANCELLED is (await runs[1].result()).status


async def test_the_first_is_cancelled_and_the_next_one_starts(autojump_clock):
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        first = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(talk.graph, Tally(3), run_id="b", thread="t", busy="enqueue")
        await first.cancel()
        await settled()
        assert ["b"] == talk.begun[-1:]


async def test_a_run_that_waits_in_vain(autojump_clock):
    """Where nothing before it came to a head, a run without a state is CANCELLED, and says why."""
    talk = Talk()
    talk.fails = {"a"}
    async with opened(MemoryStore(), talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(4), run_id="a", thread="t")
        vain = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        last = await runtime.submit(talk.graph, Tally(5), run_id="c", thread="t", busy="enqueue")
        assert Tally(4) == await vain.state(), "its predecessor's input, until it begins"
        talk.free("a")
        result = await vain.result()
        assert (CANCELLED, Tally(4)) == (result.status, result.state)
        assert "thread 't' has no head: no run on it has SUCCEEDED, so the next one needs a state" == result.message
        talk.free("c")
        assert SUCCEEDED is (await last.result()).status
        assert ["a", "c"] == talk.begun


@define
class Poll:
    count: int = 0
    trail: list[str] = field(factory=list)


async def test_a_head_of_another_type_that_came_meanwhile(autojump_clock):
    """1: the head's graph must have the same type of state, also by the time of its turn."""
    talk, gate = Talk(), chain(says("x"), "gate", name="asks")

    other = Graph("poll", state=Poll, mutations=MUTATIONS)
    other.start(other.node(name="ask")(says("asked")))
    async with opened(MemoryStore(), talk.graph, gate, other) as runtime:
        await talk.said(runtime, "a", Tally())
        run = await parked(runtime, gate, "r", thread="t")
        await runtime.submit(other, Poll(), run_id="p", thread="t", busy="enqueue")
        vain = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        await run.decide("", Approve())
        result = await vain.result()
        assert CANCELLED is result.status
        assert "graph 'talk' '1' has another type of state than graph 'poll' '1'" in result.message
        await settled()
        assert ("p", []) == await where(runtime)


@both
@stores
@pytest.mark.parametrize("busy", ["interrupt", "rollback"])
async def test_a_run_takes_the_place_of_those_under_way(autojump_clock, dispatch, store, busy):
    """10: they are CANCELLED, and the new one starts from the head when they have stopped."""
    talk = Talk()
    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        await talk.said(runtime, "a", Tally())
        running = await runtime.submit(talk.graph, run_id="b", thread="t")
        waiting = await runtime.submit(talk.graph, run_id="c", thread="t", busy="enqueue")
        await settled()
        talk.free("d")
        run = await runtime.submit(talk.graph, run_id="d", thread="t", busy=busy)
        assert ["a", "d"] == (await run.result()).state.trail
        for cancelled in (running, waiting):
            assert CANCELLED is (await cancelled.result()).status
        assert "run 'd' takes its place on thread 't'" == (await waiting.result()).message
        assert ["a", "b", "d"] == talk.begun
        await settled()
        assert ("d", []) == await where(runtime)
        assert "a" == (await runtime.cancel("d", mode="rollback")).head


@stores
async def test_the_new_run_waits_until_the_old_one_has_stopped(autojump_clock, store):
    """9.1: cleanup runs to its end before the thread goes on."""
    ends = []
    graph = Graph("slow", state=Tally, mutations=MUTATIONS)

    @graph.node
    async def work(ctx):
        ends.append(f"{ctx.run_id} begins")
        try:
            await trio.sleep(5)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            ends.append(f"{ctx.run_id} ends")

    graph.start(work)
    async with opened(store(), graph) as runtime:
        await runtime.submit(graph, Tally(), run_id="a", thread="t")
        await settled()
        run = await runtime.submit(graph, Tally(), run_id="b", thread="t", busy="interrupt")
        assert QUEUED is await run.status()
        await run.result()
    assert ["a begins", "a ends", "b begins", "b ends"] == ends


async def test_a_parked_run_is_interrupted_too(autojump_clock):
    graph = chain(says("first"), "gate", name="asks")
    async with opened(MemoryStore(), graph) as runtime:
        await parked(runtime, graph, "r", thread="t")
        await parked(runtime, graph, "s", thread="t", busy="interrupt")
        assert (CANCELLED, ["s"]) == (await runtime.get("r").status(), (await where(runtime))[1])


async def test_a_rollback_that_is_refused_changes_nothing(autojump_clock):
    """3: where effects would be forgotten, neither those under way nor the thread are touched."""
    graph = chain(once(says("paid")), "gate", name="pays")
    async with opened(MemoryStore(), graph) as runtime:
        await parked(runtime, graph, "r", thread="t")
        await runtime.submit(graph, Tally(), run_id="s", thread="t", busy="enqueue")
        with pytest.raises(InvalidRequest, match="run 'r': effects of paid@1 may happen again"):
            await runtime.submit(graph, Tally(), run_id="u", thread="t", busy="rollback")
        assert ("", ["r", "s"]) == await where(runtime)
        assert 2 == len(await runtime.runs())
        await parked(runtime, graph, "v", thread="t", busy="interrupt")
        assert ("", ["v"]) == await where(runtime)


@pytest.mark.parametrize("busy", ["interrupt", "rollback"])
async def test_who_would_have_no_state_takes_nobodys_place(autojump_clock, busy):
    """Refused means that nothing has changed."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        run = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await settled()
        with pytest.raises(HeadMissing):
            await runtime.submit(talk.graph, run_id="b", thread="t", busy=busy)
        assert RUNNING is await run.status()


async def test_by_command(autojump_clock):
    """The same through the typed mailbox; an empty state begins with the head's."""
    talk = Talk()
    talk.free("a", "b")
    async with opened(MemoryStore(), talk.graph) as runtime:
        await runtime.address.ask(Submit("c-1", "a", "talk", b"{}", thread="t"))
        await runtime.get("a").result()
        await runtime.address.ask(Submit("c-2", "b", "talk", b"", thread="t", busy="enqueue"))
        assert ["a", "b"] == (await runtime.get("b").result()).state.trail
        receipt = await runtime.address.ask(Cancel("c-3", "b", mode="rollback"))
        assert ("rolled_back", "a") == (receipt.outcome, receipt.head)


async def test_run_waits_for_its_turn_and_its_end(autojump_clock):
    talk = Talk()
    talk.free("a", "b")
    async with opened(MemoryStore(), talk.graph) as runtime:
        assert ["a"] == (await runtime.run(talk.graph, Tally(), run_id="a", thread="t")).trail
        assert ["a", "b"] == (await runtime.run(talk.graph, run_id="b", thread="t")).trail
