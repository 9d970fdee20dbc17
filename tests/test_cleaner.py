"""`terzetto._cleaner`: what a retention forgets, when, and whom it leaves alone (SEMANTICS 3.3)."""

import pytest
import trio
import trio.testing
from msgspec import Struct

import terzetto
from terzetto import _cleaner
from terzetto._services import STOP_DEADLINE
from terzetto.stores import MemoryStore
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import ActorStopped, CommitPruned, StoreUnavailable, UnknownRun
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import CLEANER_INTERVAL, FINISHED_GRACE
from terzetto_protocol.retention import Keep, Retention

from .runtimes import MUTATIONS, SUCCEEDED, Held, Say, Tally, chain, opened, parked, says, stores, told
from .stores import FaultyStore, claim_elsewhere
from .talks import Talk, where

ALL_OF_THEM = CheckpointPolicy(every=1)
LONG = 1e6
"""Seconds of virtual time: more than any test here needs."""


def keeping(**limits) -> dict:
    return {"retention": Retention(**limits), "limit": LONG}


def steps(count: int = 6, *more, **options):
    return chain(*(says(f"s{number}") for number in range(count)), *more, checkpoints=ALL_OF_THEM, **options)


async def rounds(count: float = 2) -> None:
    """Let the cleaner look so many times."""
    await trio.sleep(count * CLEANER_INTERVAL)


async def seqs(store, run_id: str = "r") -> list[int]:
    return await store.checkpoints(run_id)


async def ended(runtime, graph, run_id: str = "r"):
    run = await runtime.submit(graph, Tally(), run_id=run_id)
    assert SUCCEEDED is (await run.result()).status
    return run


# -- histories -----------------------------------------------------------------------------------------------


@stores
async def test_the_latest_checkpoints_are_kept(autojump_clock, store):
    """3.3: `history=Keep(latest=2)`; of a run that has ended the end is not counted, for nothing goes on from it."""
    graph, kept = steps(6, "gate"), store()
    async with opened(kept, graph, **keeping(history=Keep(latest=2))) as runtime:
        run = await parked(runtime, graph, "r")
        assert [*range(1, 9)] == await seqs(kept)
        await rounds()
        assert [7, 8] == await seqs(kept)
        assert (6, 0) == (runtime.statistics().cleaner.commits, runtime.statistics().cleaner.waiting)
        await run.decide("", Approve())
        await run.result()
        await rounds()
        assert [7, 8, 9] == await seqs(kept)
        with pytest.raises(CommitPruned):
            await run.state(at=6)
        assert (await run.replay()).holds


async def test_a_run_is_cut_while_it_runs(autojump_clock):
    held = Held("held")
    graph = chain(*(says(f"s{number}") for number in range(6)), held, says("last"), checkpoints=ALL_OF_THEM)
    async with opened(FaultyStore(), graph, **keeping(history=Keep(latest=1))) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await rounds()
        assert [8] == await seqs(runtime.store)
        held.go.set()
        assert ["s5", "held", "last"] == (await run.result()).state.trail[-3:]


async def test_what_a_node_asked_for_stays_alone(autojump_clock):
    """3.4: labelled checkpoints are addressable until somebody truncates the run."""

    async def publish(ctx):
        ctx.record(Say("publish"))
        ctx.checkpoint("before publishing")

    graph = chain(says("a"), publish, *(says(f"s{number}") for number in range(6)), "gate", checkpoints=ALL_OF_THEM)
    async with opened(FaultyStore(), graph, **keeping(history=Keep(latest=1))) as runtime:
        run = await parked(runtime, graph, "r")
        await rounds()
        assert [4, 10] == await run.checkpoints()
        assert ["a", "publish"] == (await run.state(at=4)).trail
        history = await run.history(limit=None)
        assert [(10, None), (4, "before publishing")] == [(commit.seq, commit.checkpoint) for commit in history]
        assert history[1:] == await run.history(before=10)
        assert history[:1] == await run.history(limit=1)
        for gone in (3, 5, 9):
            with pytest.raises(CommitPruned) as caught:
                await run.state(at=gone)
            assert 10 == caught.value.earliest
        fork = await run.fork(at=4, new_id="f")
        await told(fork, until=terzetto.BarrierOpened)
        assert (await run.state()).trail == (await fork.state()).trail
        await run.decide("", Approve())
        await run.result()
        await rounds()
        assert 4 in await run.checkpoints()
        assert 2 == await run.truncate((await runtime.row("r")).seq)
        assert [11] == await run.checkpoints()


async def test_a_history_as_long_as_is_wanted(autojump_clock):
    """3.3: `history=Keep(max_age=...)`: every commit that is younger can be addressed."""

    async def slow(ctx):
        ctx.record(Say("slow"))
        await trio.sleep(100)

    graph = chain(slow, checkpoints=ALL_OF_THEM)
    graph.edge("slow", "slow", when=lambda tally: len(tally.trail) < 10)
    graph.edge("slow", graph.barrier("gate"), fallback=True)
    async with opened(FaultyStore(), graph, **keeping(history=Keep(max_age=250.0))) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.BarrierOpened)
        await rounds(1)
        at = {commit.seq: commit.at for commit in await run.history()}
        now = runtime.supervisor.clock()
        assert [12, 11, 10, 9] == list(at), "the oldest is the newest that is older than that"
        assert now - at[9] > 250.0 > now - at[10]
        await trio.sleep(100)
        assert [10, 11, 12] == await seqs(runtime.store)
        await trio.sleep(300)
        assert [12] == await seqs(runtime.store), "also when nothing is written any more"
        await run.decide("", Approve())
        await run.result()
        await trio.sleep(1000)
        assert [12, 13] == await seqs(runtime.store), "from the checkpoint before its end it can be tried again"


async def test_both_limits_are_kept(autojump_clock):
    graph = steps(6, "gate")
    both = Keep(latest=3, max_age=1000.0)
    async with opened(FaultyStore(), graph, **keeping(history=both)) as runtime:
        await parked(runtime, graph, "r")
        await rounds()
        assert [6, 7, 8] == await seqs(runtime.store)
        await trio.sleep(1100)
        assert [8] == await seqs(runtime.store)


async def test_an_earlier_process_left_something(autojump_clock):
    """Recovery is a loop: whoever opens the store next looks at everything once."""
    graph, store = steps(6, "gate"), FaultyStore()
    async with opened(store, graph, limit=LONG) as runtime:
        for number in range(5):
            await parked(runtime, graph, f"r{number}")
        assert runtime.statistics().cleaner is None
    async with opened(store, graph, **keeping(history=Keep(latest=1))) as runtime:
        await rounds()
        assert [[8]] * 5 == [await seqs(store, f"r{number}") for number in range(5)]


async def test_a_long_history_is_cut_in_pieces_and_commits_get_in_between(autojump_clock, monkeypatch):
    """Each piece is one transaction of the persistence actor, which takes a group of commits after each."""
    monkeypatch.setattr(_cleaner, "PRUNE_COMMITS", 2)
    store, calls, cutting = FaultyStore(), [], trio.Event()
    inner = store.inner.prune

    async def prune(run_id, before, **options):
        calls.append(before)
        cutting.set()
        await trio.sleep(1)
        return await inner(run_id, before, **options)

    monkeypatch.setattr(store.inner, "prune", prune)
    graph = steps(9, "gate")
    async with opened(store, graph, **keeping(history=Keep(latest=1))) as runtime:
        run = await parked(runtime, graph, "r")
        await cutting.wait()
        began, groups = trio.current_time(), len(store.groups)
        await run.cancel()
        assert trio.current_time() - began <= 2
        assert len(store.groups) == groups + 1
        await rounds(3)
        assert [3, 5, 5, 7, 9, 11] == calls, "the cancel claimed the run, and the rest was cut the next time"
        assert [11, 12] == await seqs(store)


async def test_a_store_that_is_gone_is_cleaned_when_it_is_back(autojump_clock):
    graph, store = steps(6, "gate"), FaultyStore()
    async with opened(store, graph, **keeping(history=Keep(latest=1), finished=Keep(latest=0))) as runtime:
        await parked(runtime, graph, "r")
        store.down = True
        await rounds(5)
        store.down = False
        await rounds(2)
        assert [8] == await seqs(store)
        assert 0 == runtime.statistics().restarts


async def test_a_run_that_was_claimed_meanwhile_is_cut_the_next_time(autojump_clock, monkeypatch):
    """D8: the store checks the epoch of every write."""
    held = Held("held")
    graph, store = chain(says("a"), says("b"), held, checkpoints=ALL_OF_THEM), FaultyStore()
    inner, raced = store.inner.prune, []

    async def prune(run_id, before, **options):
        if not raced:
            raced.append(await claim_elsewhere(store.inner, graph, run_id))
        return await inner(run_id, before, **options)

    monkeypatch.setattr(store.inner, "prune", prune)
    async with opened(store, graph, **keeping(history=Keep(latest=1))) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await rounds(1.5)
        assert raced
        assert 1 == (await runtime.row("r")).first
        assert 1 == runtime.statistics().cleaner.waiting
        await rounds(2)
        assert 1 < (await runtime.row("r")).first


async def test_a_run_with_which_something_is_wrong_keeps_no_other_from_being_cleaned(autojump_clock):
    graph, store = steps(6, "gate"), FaultyStore()
    async with opened(store, graph, limit=LONG) as runtime:
        for name in ("a", "b", "c"):
            await parked(runtime, graph, name)
    damaged = store.inner._wake("b")
    damaged.log = [(*kept[:3], b"\xff damaged") for kept in damaged.log]
    async with opened(store, graph, **keeping(history=Keep(latest=1))) as runtime:
        await rounds(3)
        assert [[8], [*range(1, 9)], [8]] == [await seqs(store, name) for name in ("a", "b", "c")]
        assert (1, 0) == (runtime.statistics().cleaner.failures, runtime.statistics().restarts)


# -- runs that have ended ------------------------------------------------------------------------------------


@stores
async def test_the_latest_runs_are_kept(autojump_clock, store):
    """3.3: `finished=Keep(latest=2)`, counted by their end; those that have not ended are not counted."""
    graph, waiting, kept = steps(1), steps(1, "gate", name="waiting"), store()
    async with opened(kept, graph, waiting, **keeping(finished=Keep(latest=2))) as runtime:
        slow = await parked(runtime, waiting, "slow")
        for number in range(5):
            await ended(runtime, graph, f"r{number}")
            await trio.sleep(1)
        await rounds(3)
        assert {"r3", "r4", "slow"} == {row.run_id for row in await runtime.runs()}
        await slow.decide("", Approve())
        await slow.result()
        await rounds(3)
        assert {"r4", "slow"} == {row.run_id for row in await runtime.runs()}
        assert (4, 2) == (runtime.statistics().cleaner.runs, runtime.statistics().cleaner.ended)


async def test_runs_are_kept_as_long_as_is_wanted(autojump_clock):
    graph = steps(1)
    async with opened(FaultyStore(), graph, **keeping(finished=Keep(max_age=500.0))) as runtime:
        run = await ended(runtime, graph)
        await trio.sleep(490)
        assert SUCCEEDED is await run.status()
        await trio.sleep(30)
        with pytest.raises(UnknownRun):
            await run.status()


async def test_a_run_that_is_not_kept_can_be_read_for_a_while(autojump_clock):
    """3.3: `Keep(latest=0)` deletes at once, but nobody who submitted a run finds it gone before he could look."""
    graph = steps(1)
    async with opened(FaultyStore(), graph, **keeping(finished=Keep(latest=0))) as runtime:
        assert ["s0"] == (await runtime.run(graph, Tally())).trail
        run = await ended(runtime, graph)
        await trio.sleep(FINISHED_GRACE - 1)
        assert SUCCEEDED is (await run.result()).status
        await rounds()
        assert [] == await runtime.runs()


async def test_a_long_run_goes_in_pieces(autojump_clock, monkeypatch):
    """3.3: running work waits for one piece at most, also where a whole run goes."""
    monkeypatch.setattr(_cleaner, "PRUNE_COMMITS", 3)
    store, calls = FaultyStore(), []

    def noting(name):
        inner = getattr(store.inner, name)

        async def call(*args, **options):
            count = await inner(*args, **options)
            calls.append((name, args[1:], count))
            return count

        monkeypatch.setattr(store.inner, name, call)

    noting("prune")
    noting("delete")
    graph = steps(6)
    async with opened(store, graph, **keeping(finished=Keep(latest=0))) as runtime:
        await ended(runtime, graph)
        await rounds(4)
    assert [("prune", (4,), 3), ("prune", (7,), 3), ("delete", (), 2)] == calls


class Spoil(Struct, frozen=True):
    """Makes a state that cannot be stored."""

    def apply(self, tally):
        tally.trail.append("\ud800")


async def test_a_run_whose_end_has_no_snapshot_is_deleted_too(autojump_clock):
    """Its state is in no snapshot, and it has ended all the same."""
    held = Held("held")
    graph = Graph("spoiled", state=Tally, mutations=[*MUTATIONS, Spoil])

    @graph.node
    async def spoil(ctx):
        ctx.record(Spoil())

    graph.start(spoil)
    graph.edge(spoil, graph.node(name="held")(held.__call__))
    async with opened(FaultyStore(), graph, **keeping(finished=Keep(latest=0))) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await run.cancel()
        await trio.sleep(1)
        assert [1] == await run.checkpoints()
        await rounds(3)
        assert [] == await runtime.runs()


async def test_a_run_that_is_read_stays(autojump_clock):
    graph = steps(1)
    async with opened(FaultyStore(), graph, **keeping(finished=Keep(latest=0))) as runtime:
        run = await ended(runtime, graph)
        async with run.events() as events:
            await anext(events)
            await rounds(10)
            assert ["r"] == [row.run_id for row in await runtime.runs()]
            assert isinstance([event async for event in events][-1], terzetto.RunEnded)
        await rounds()
        assert [] == await runtime.runs()


async def test_a_run_that_a_fork_came_from_stays_until_that_has_ended(autojump_clock):
    graph = steps(1, "gate")
    async with opened(FaultyStore(), graph, **keeping(finished=Keep(latest=0))) as runtime:
        run = await parked(runtime, graph, "r")
        fork = await run.fork(new_id="f")
        await told(fork, until=terzetto.BarrierOpened)
        await run.cancel()
        await rounds(5)
        assert {"r", "f"} == {row.run_id for row in await runtime.runs()}
        await fork.cancel()
        await rounds(3)
        assert [] == await runtime.runs()


async def test_where_a_thread_is_stays_until_it_moves_on(autojump_clock):
    """3.3: the head of a thread is kept, whatever its age; it is looked at again when another one is the head."""
    talk = Talk()
    async with opened(FaultyStore(), talk.graph, **keeping(finished=Keep(latest=0))) as runtime:
        for number in range(3):
            await talk.said(runtime, f"r{number}", *([] if number else [Tally()]))
            await rounds(5)
            assert [f"r{number}"] == [row.run_id for row in await runtime.runs()]
        talk.fails.add("bad")
        await talk.said(runtime, "bad")
        await rounds(3)
        assert ("r2", []) == await where(runtime)
        assert (3, 1) == (runtime.statistics().cleaner.runs, runtime.statistics().cleaner.ended)
        assert ["r0", "r1", "r2", "r3"] == (await talk.said(runtime, "r3")).state.trail
        await rounds(3)
        assert ["r3"] == [row.run_id for row in await runtime.runs()]


async def test_runs_from_which_a_thread_was_taken_back_go_when_it_moves_on(autojump_clock):
    """They were its head when they were looked at; those that a rollback may come to stay as long as they are kept."""
    talk = Talk()
    async with opened(FaultyStore(), talk.graph, **keeping(finished=Keep(max_age=500.0))) as runtime:
        await talk.said(runtime, "a", Tally())
        await trio.sleep(300)
        await talk.said(runtime, "b")
        await runtime.cancel("b", mode="rollback")
        await trio.sleep(1000)
        assert ("a", []) == await where(runtime)
        assert ["a"] == [row.run_id for row in await runtime.runs()]
        await talk.said(runtime, "c")
        await trio.sleep(1000)
        assert ["c"] == [row.run_id for row in await runtime.runs()]


@pytest.mark.parametrize("wait", [60, 300])
async def test_an_id_that_is_used_again_is_another_run(autojump_clock, wait):
    """One that was deleted by hand, and one under its id that ends before or after the first would have been."""
    graph = steps(1, "gate")
    async with opened(FaultyStore(), graph, **keeping(finished=Keep(max_age=100.0))) as runtime:
        run = await parked(runtime, graph, "r")
        await run.cancel()
        await run.delete()
        again = await parked(runtime, graph, "r")
        await trio.sleep(wait)
        await again.decide("", Approve())
        await again.result()
        await trio.sleep(80)
        assert SUCCEEDED is await again.status()
        await trio.sleep(100)
        assert [] == await runtime.runs()


async def test_ended_runs_of_earlier_processes_are_counted(autojump_clock):
    graph, store = steps(1), FaultyStore()
    async with opened(store, graph, limit=LONG) as runtime:
        for number in range(300):
            await ended(runtime, graph, f"r{number:03}")
        await trio.sleep(60)
    async with opened(store, graph, **keeping(finished=Keep(latest=3))) as runtime:
        await rounds()
        assert 3 == len(await runtime.runs(limit=None))
        assert (297, 3) == (runtime.statistics().cleaner.runs, runtime.statistics().cleaner.ended)


# -- its place in the tree -----------------------------------------------------------------------------------


async def test_nobody_cleans_where_everything_is_kept(autojump_clock):
    """The hot path of a store that settles inside the call stays as it is."""
    graph, store = steps(1), MemoryStore()
    for retention in (None, Retention()):
        async with opened(store, graph, retention=retention) as runtime:
            assert runtime.cleaner is None
            assert runtime.supervisor._roster._services.settle == store.settle
    async with opened(store, graph, retention=Retention(finished=Keep(latest=1))) as runtime:
        assert runtime.cleaner is not None


async def test_a_cut_that_hangs_does_not_keep_a_runtime_from_closing(autojump_clock, monkeypatch):
    """9.6: it has as long as the store's last transactions have."""
    graph, store, cutting = steps(6, "gate"), FaultyStore(), trio.Event()

    async def prune(run_id, before, **options):
        cutting.set()
        await trio.sleep_forever()

    monkeypatch.setattr(store.inner, "prune", prune)

    async def truncate(run):
        with pytest.raises(ActorStopped):
            await run.truncate(5)

    async with trio.open_nursery() as nursery, opened(store, graph, limit=LONG) as runtime:
        run = await parked(runtime, graph, "r")
        nursery.start_soon(truncate, run)
        await cutting.wait()
        began = trio.current_time()
    assert trio.current_time() - began <= STOP_DEADLINE


async def test_a_chore_that_the_store_did_not_take(autojump_clock, monkeypatch):
    """9.6: who asked hears `StoreUnavailable`, and the store gets a new handle before anything else is tried."""
    graph, store = steps(6, "gate"), FaultyStore()

    async def prune(run_id, before, **options):
        raise StoreUnavailable("gone")

    async with opened(store, graph, limit=LONG) as runtime:
        run = await parked(runtime, graph, "r")
        with monkeypatch.context() as patch:
            patch.setattr(store.inner, "prune", prune)
            with pytest.raises(StoreUnavailable):
                await run.truncate(5)
        await trio.sleep(5)
        assert 1 == len(store.reopened)
        assert 4 == await run.truncate(5)
