"""Submits on a busy thread: rejected, enqueued, or in the place of those that are under way (SEMANTICS 10)."""

import pytest
import trio
from attrs import define, field

from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.commands import Cancel, Submit
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import (
    HeadMissing,
    InvalidRequest,
    QueueFull,
    Refused,
    StoreUnavailable,
    ThreadBusy,
)
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import STATE_BYTES, THREAD_QUEUE

from .runtimes import (
    CANCELLED,
    FAILED,
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
    told,
)
from .stores import FaultyStore
from .talks import Talk, where

BUSY = ["reject", "enqueue", "interrupt", "rollback"]


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


# -- room ----------------------------------------------------------------------------------------------------


async def test_a_line_is_bounded(autojump_clock):
    """10: overload is a typed QueueFull; nothing that was accepted is lost."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, limit=100) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="r0", thread="t")
        names = [f"r{number}" for number in range(1, THREAD_QUEUE + 1)]
        for name in names:
            await runtime.submit(talk.graph, run_id=name, thread="t", busy="enqueue")
        with pytest.raises(QueueFull, match=f"{THREAD_QUEUE} runs are waiting on thread 't' already; try again in 1 s"):
            await runtime.submit(talk.graph, run_id="x", thread="t", busy="enqueue")
        talk.free("r0", *names)
        assert ["r0", *names] == (await runtime.get(names[-1]).result()).state.trail


async def test_a_full_queue_interrupts_nobody(autojump_clock):
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, pool_size=1, queue_size=0) as runtime:
        run = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await settled()
        with pytest.raises(QueueFull):
            await runtime.submit(talk.graph, Tally(), run_id="b", thread="t", busy="interrupt")
        assert RUNNING is await run.status()


async def test_a_line_shares_the_pool_with_others(autojump_clock):
    """Whose turn has come waits for a slot as everybody does; who waits for a turn holds none."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, pool_size=1) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        await runtime.submit(talk.graph, Tally(), run_id="x")
        assert 1 == runtime.statistics().supervisor.waiting
        talk.free("a", "b", "x")
        await runtime.get("b").result()
        assert ["a", "x", "b"] == talk.begun


# -- several at once -----------------------------------------------------------------------------------------


@both
@stores
async def test_many_submit_at_once(autojump_clock, dispatch, store):
    """10: check and create are one step: exactly one is taken, or all of them in some order."""
    talk, taken, refused = Talk(), [], []
    names = [f"r{number}" for number in range(8)]

    async def submit(name, busy):
        try:
            taken.append((await runtime.submit(talk.graph, Tally(), run_id=name, thread="t", busy=busy)).run_id)
        except ThreadBusy:
            refused.append(name)

    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(submit, name, "reject")
        await settled()
        assert (1, 7) == (len(taken), len(refused))
        async with trio.open_nursery() as nursery:
            for name in refused:
                nursery.start_soon(submit, name, "enqueue")
        assert taken == (await where(runtime))[1]
        assert taken[:1] == talk.begun
        talk.free(*names)
        await runtime.get(taken[-1]).result()
        assert taken == talk.begun


@pytest.mark.parametrize("steps", range(12))
async def test_a_submit_that_is_cancelled_leaves_the_thread_in_order(autojump_clock, steps):
    """D1: the run may or may not be there; in either case one run at a time is on its way."""
    store, talk = FaultyStore(), Talk()
    store.latency = 0.1
    async with opened(store, talk.graph) as runtime:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: runtime.submit(talk.graph, Tally(), run_id="a", thread="t"))
                for _ in range(steps):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                scope.cancel()
        await runtime.submit(talk.graph, Tally(), run_id="b", thread="t", busy="enqueue")
        await trio.sleep(1)
        first = (await where(runtime))[1][0]
        assert [first] == talk.begun
        talk.free("a", "b")
        await runtime.get("b").result()


async def test_an_end_between_look_and_submit_is_noticed(autojump_clock):
    """Nobody waits for a run that has ended while he was being made durable."""
    store, talk = FaultyStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        first = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await settled()
        store.latency = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue"))
            await settled()
            talk.free("a", "b")
            await first.result()
        assert ["a", "b"] == (await runtime.get("b").result()).state.trail


# -- lives ---------------------------------------------------------------------------------------------------


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
        runtime.supervisor._next_on = lambda thread: None
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


# -- other doors ---------------------------------------------------------------------------------------------


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
