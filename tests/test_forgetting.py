"""`terzetto._forgetting`: what is left of a run whose log was cut (SEMANTICS 3.2)."""

import pytest

import terzetto
from terzetto._loading import load_fold
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import CommitPruned, InvalidRequest, StaleEpoch, UnknownRun
from terzetto_protocol.graph import Graph
from terzetto_protocol.views import run_view

from .runtimes import CANCELLED, FAILED, MUTATIONS, SUCCEEDED, Held, Say, Tally, chain, once, opened, parked, says, told
from .stores import FaultyStore
from .walks import EVERY, at_gate, walk


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def test_what_is_left_is_what_it_was_and_the_rest_says_that_it_is_gone(store):
    """3.2: a prune cuts in front of a checkpoint; every commit that is left can be addressed and is what it was."""
    graph = walk(checkpoints=EVERY)
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        assert [1, 3, 5, 7] == await run.checkpoints()
        states = {seq: await run.state(at=seq) for seq in range(1, 8)}
        history = await run.history(limit=None)
        assert 4 == await run.truncate(6)
        assert 5 == (await runtime.row("r")).first
        assert {seq: await run.state(at=seq) for seq in (5, 6, 7)} == {seq: states[seq] for seq in (5, 6, 7)}
        assert history[:3] == await run.history(limit=None)
        assert history[1:3] == await run.history(limit=2, before=7)
        assert [] == await run.history(before=5)
        assert ("trail[4]", "to 5") == [(c.path, c.after) for c in await run.difference(6)][-1]
        for gone in (
            lambda: run.state(at=4),
            lambda: run.difference(1, 6),
            lambda: run.fork(at=2),
            lambda: run.undo(4),
        ):
            with pytest.raises(CommitPruned, match="all commits from 5 on are left") as caught:
                await gone()
            assert 5 == caught.value.earliest
        replay = await run.replay()
        assert (True, 5, 3, 1) == (replay.holds, replay.first, replay.commits, replay.checked)


async def test_a_run_goes_on_after_a_cut_also_in_the_next_process(store):
    """3.2: a prune never cuts what a run needs to go on."""
    graph = walk(checkpoints=EVERY)
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        assert 6 == await run.truncate(7)
        assert 0 == await run.truncate(7)
    async with opened(store, graph) as runtime:
        run = runtime.get("r")
        await run.decide("", Approve())
        result = await run.result()
        assert (SUCCEEDED, [*(f"to {n}" for n in range(1, 6)), "home"]) == (result.status, result.state.trail)
        assert (await run.replay()).holds
        assert () == (await store.health(deep=True)).problems


async def test_a_run_is_cut_while_it_runs(store):
    """Its machine needs nothing that is cut, and its next commits follow."""
    held = Held("held")
    graph = chain(says("a"), says("b"), held, says("c"), checkpoints=CheckpointPolicy(every=1))
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        assert 3 == await run.truncate(4)
        held.go.set()
        assert ["a", "b", "held", "c"] == (await run.result()).state.trail
        assert (4, True) == ((await run.replay()).first, (await run.replay()).holds)


class CutMeanwhile(MemoryStore):
    """Is cut in front of `cut`, as by another process, when somebody has read the snapshot that was the newest then."""

    cut = newest = 0

    async def snapshot(self, run_id, *, at=None):
        cut, self.cut = self.cut, 0
        if not cut:
            return await super().snapshot(run_id, at=at)
        found = await super().snapshot(run_id, at=self.newest)
        await self.prune(run_id, cut, epoch=1)
        return found


@pytest.mark.parametrize("newest, cut, at", [(3, 5, None), (3, 7, None), (5, 7, 6), (3, 5, 6)])
async def test_who_reads_while_a_log_is_cut_reads_what_is_left(newest, cut, at):
    """3.2: never a run with a hole in it, and nothing that is left is missed."""
    graph, store = walk(checkpoints=EVERY), CutMeanwhile()
    async with opened(store, graph) as runtime:
        await at_gate(runtime, graph)
        row, blueprint = await runtime.row("r"), graph.build()
        store.newest, store.cut = newest, cut
        if at is not None and at < cut:
            with pytest.raises(CommitPruned, match="commit 6 was pruned: all commits from 7 on are left"):
                await load_fold(store, row, blueprint, at=at)
        else:
            fold = await load_fold(store, row, blueprint, at=at)
            assert (at or 7, f"to {(at or 7) - 2}") == (fold.image.seq, fold.state.trail[-1])


async def test_a_fork_needs_nothing_of_what_it_came_from(store):
    graph = walk(checkpoints=EVERY)
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        fork = await run.fork(at=4, new_id="f")
        await run.truncate(7)
        await told(fork, until=terzetto.BarrierOpened)
        late = await run.fork(new_id="late")
        for each in (fork, late):
            await told(each, until=terzetto.BarrierOpened)
            await each.decide("gate", Approve())
            assert "home" == (await each.result()).state.trail[-1]
            assert (await each.replay()).holds


async def test_an_undo_goes_back_as_far_as_the_log_does(store):
    """3.2: undo likewise says what is the earliest that is left."""
    graph = walk(checkpoints=EVERY)
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        await run.truncate(5)
        for count in (3, 100):
            with pytest.raises(CommitPruned):
                await run.undo(count)
        with pytest.raises(InvalidRequest):
            await run.undo(0)
        assert 5 == (await run.undo(2)).to
        await told(run, until=terzetto.BarrierOpened)


async def test_a_log_that_is_cut_while_it_is_read_is_read_again(autojump_clock, monkeypatch):
    graph, store = walk(checkpoints=EVERY), FaultyStore()
    inner = store.inner.snapshot
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        state = await run.state()
        await run.truncate(3)

        async def snapshot(run_id, *, at=None):
            monkeypatch.setattr(store.inner, "snapshot", inner)
            found = await inner(run_id, at=5 if at is None else at)
            await store.inner.prune("r", 7, epoch=1)
            return found

        monkeypatch.setattr(store.inner, "snapshot", snapshot)
        assert state == await run.state()
        assert 7 == (await runtime.row("r")).first


async def test_a_log_that_is_cut_while_it_is_drawn_is_read_again(autojump_clock, monkeypatch):
    graph, store = walk(checkpoints=EVERY), FaultyStore()
    inner = store.inner.records
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        await run.truncate(3)

        async def records(run_id, **options):
            monkeypatch.setattr(store.inner, "records", inner)
            await store.inner.prune("r", 7, epoch=1)
            return await inner(run_id, **options)

        monkeypatch.setattr(store.inner, "records", records)
        assert {"gate": "AWAITING_INPUT"} == {name: each.status for name, each in (await run.progress()).items()}


async def test_a_run_that_is_claimed_while_it_is_cut_is_cut_all_the_same(autojump_clock, monkeypatch):
    """D8: the store checks the epoch of every write; who pruned by hand need not know."""
    graph, store = walk(checkpoints=EVERY), FaultyStore()
    inner, tries = store.inner.prune, []

    async def prune(run_id, before, *, epoch, **options):
        tries.append(epoch)
        if len(tries) == 1:
            raise StaleEpoch(run_id, epoch, epoch + 1)
        return await inner(run_id, before, epoch=epoch, **options)

    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        monkeypatch.setattr(store.inner, "prune", prune)
        assert 4 == await run.truncate(5)
        assert 2 == len(tries)


@pytest.mark.parametrize("keep_from", [0, -1, 8])
async def test_a_commit_that_never_was_is_no_place_to_cut(store, keep_from):
    graph = walk(checkpoints=EVERY)
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        with pytest.raises(InvalidRequest, match="commits 1 to 7"):
            await run.truncate(keep_from)
        with pytest.raises(UnknownRun):
            await runtime.prune("nobody", 1)


async def test_effects_in_front_of_a_cut_are_not_forgotten(store):
    """3.2: fork and rerun across a `once` visit need `repeat_effects=True`, also where nobody can look any more."""
    graph = chain(once(says("charge")), "gate", says("b"), checkpoints=CheckpointPolicy(every=1))
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r")
        row = await runtime.row("r")
        await store.prune("r", row.seq, epoch=row.epoch, keep=(2,))
        with pytest.raises(InvalidRequest, match="pruned"):
            await run.rerun("charge")
        with pytest.raises(InvalidRequest, match="pruned"):
            await run.fork(at=2)
        fork = await run.fork(at=2, repeat_effects=True)
        await told(fork, until=terzetto.BarrierOpened)
        assert ["charge"] == (await fork.state()).trail


async def test_effects_are_looked_for_in_graphs_inside_of_graphs(store):
    """3.2: where there is no `once` node nothing can be repeated, and nobody is asked."""
    for effects, refused in (("repeatable", False), ("once", True)):
        inner = Graph(f"inner-{effects}", state=Tally, mutations=MUTATIONS)
        inner.start(inner.node(name="charge", effects=effects)(says("charge")))
        outer = Graph(f"outer-{effects}", state=Tally, mutations=MUTATIONS, checkpoints=CheckpointPolicy(every=1))
        below, gate = outer.subgraph("below", inner), outer.barrier("gate")
        outer.start(below)
        outer.edge(below, gate)
        async with opened(store, outer) as runtime:
            run = await parked(runtime, outer, effects)
            await run.truncate((await runtime.row(effects)).seq)
            if refused:
                with pytest.raises(InvalidRequest, match="pruned"):
                    await run.rerun("gate")
            await run.rerun("gate", repeat_effects=refused)


async def test_what_is_shown_of_a_run_that_was_cut(store):
    """Pictures and lists count what is left; a visit that the cut went through is known all the same."""
    held = Held("held")
    graph = chain(says("a"), says("b"), held, says("c"), checkpoints=CheckpointPolicy(every=1))
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await run.truncate(4)
        shown = await run.progress()
        assert {"held"} == set(shown)
        held.go.set()
        await run.result()
        assert {"held": "SUCCEEDED", "c": "SUCCEEDED"} == {
            name: each.status for name, each in (await run.progress()).items()
        }
        row, bodies = await runtime.row("r"), await store.records("r")
        begin = await store.snapshot("r", at=row.first)
        view = run_view(row, bodies, begin=begin[1])
        assert (4, 4, row.seq) == (view.first, view.commits[0].seq, view.commits[-1].seq)


async def test_a_lost_effect_is_listed_after_a_cut(store):
    """7.4: a `once` visit whose end nobody saw is listed, though its intent was pruned."""
    held = Held("held")
    graph = chain(once(held), says("b"), checkpoints=CheckpointPolicy(every=1))
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await run.cancel()
        assert CANCELLED is (await run.result()).status
        row = await runtime.row("r")
        await run.truncate(row.seq)
        row = await runtime.row("r")
        assert row.first == row.seq
        begin = await store.snapshot("r", at=row.first)
        assert ("held@1",) == run_view(row, await store.records("r"), begin=begin[1]).unknown
        assert ("held@1",) == (await run.result()).unknown


async def test_a_run_that_failed_is_tried_again_after_a_cut(store):
    """2: the checkpoint in front of the end is enough for a retry."""
    began = []

    async def shaky(ctx):
        began.append(ctx.run_id)
        if len(began) < 2:
            raise ValueError("not yet")
        ctx.record(Say("at last"))

    graph = chain(says("a"), says("b"), shaky, checkpoints=CheckpointPolicy(every=1))
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert FAILED is (await run.result()).status
        await run.truncate((await runtime.row("r")).seq - 1)
        again = await run.retry(new_id="again")
        assert ["a", "b", "at last"] == (await again.result()).state.trail
        await run.truncate((await runtime.row("r")).seq)
        with pytest.raises(CommitPruned):
            await run.retry()
