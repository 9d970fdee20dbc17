"""New runs out of old ones: fork, retry, rerun (SEMANTICS 2)."""

import pytest
import trio
from msgspec import Struct

import terzetto
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.decisions import Approve, Choose, Reject
from terzetto_protocol.errors import InvalidRequest, Refused, RunConflict
from terzetto_protocol.graph import Graph

from .runtimes import AWAITING, FAILED, MUTATIONS, RUNNING, SUCCEEDED, Say, Tally, opened, parked, says, settled


def approval(after=None, **options):
    """first -> gate; approved: yes, rejected: no."""
    graph = Graph("approval", state=Tally, mutations=MUTATIONS)
    first, gate = graph.node(name="first")(says("first")), graph.barrier("gate")
    graph.start(first)
    graph.edge(first, gate)
    graph.edge(gate.approved, graph.node(name="yes", **options)(after or says("yes")))
    graph.edge(gate.rejected, graph.node(name="no")(says("no")))
    return graph


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def decided(run, decision):
    async with run.events() as events:
        async for event in events:
            if isinstance(event, terzetto.BarrierOpened):
                await run.decide(event.barrier, decision)
    return await run.result()


async def test_a_fork_goes_on_from_a_commit_and_leaves_its_parent_alone(store):
    """2: a fork is a new run that names its parent; what is finished does not run again."""
    graph = approval()
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert ["first", "yes"] == (await decided(run, Approve())).state.trail
        opening = next(c.seq for c in await run.history() if any(e["type"] == "BarrierOpened" for e in c.events))
        other = await run.fork(at=opening, new_id="other")
        assert ["first", "no"] == (await decided(other, Reject())).state.trail
        assert ["first", "yes"] == (await run.state()).trail
        row = await runtime.row("other")
        assert (f"r@{opening}", SUCCEEDED) == (row.header.parent, row.status)
        assert (await other.replay()).holds
        first = (await other.history())[-1]
        assert ("submit", {"type": "note", "text": f"goes on from r@{opening}"}) == (
            first.kind,
            {key: value for key, value in first.detail.items() if key != "command_id"},
        )


async def test_a_parked_run_is_forked_where_it_stands(store):
    graph = approval()
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        async with run.events() as events:
            async for event in events:
                if isinstance(event, terzetto.BarrierOpened):
                    break
        other = await run.fork()
        assert ["first", "no"] == (await decided(other, Reject())).state.trail
        assert AWAITING is await run.status()


async def test_the_same_fork_twice_is_one_run(autojump_clock):
    """10: same id and input again = the same run; another commit under the id is a conflict."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        first = await run.fork(new_id="f")
        assert (False, True) == (first.reused, (await run.fork(new_id="f")).reused)
        with pytest.raises(RunConflict):
            await run.fork(at=1, new_id="f")


async def test_nothing_goes_on_from_an_end(autojump_clock):
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("", Approve())
        await run.result()
        with pytest.raises(InvalidRequest, match="had ended at commit"):
            await run.fork()


async def test_a_failed_run_is_tried_again_from_before_its_failure(autojump_clock):
    """2: retry makes a new run; finished visits do not run again."""
    began = []

    async def shaky(ctx):
        began.append(ctx.run_id)
        if len(began) < 2:
            raise ValueError("not yet")
        ctx.record(Say("at last"))

    graph = approval(shaky)
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(InvalidRequest, match="only one that has ended"):
            await run.retry()
        await run.decide("", Approve())
        assert FAILED is (await run.result()).status
        again = await run.retry(new_id="again")
        result = await again.result()
        assert (SUCCEEDED, ["first", "at last"]) == (result.status, result.state.trail)
        assert FAILED is await run.status()
        with pytest.raises(InvalidRequest, match="has SUCCEEDED: there is nothing to try again"):
            await again.retry()


async def test_effects_are_not_repeated_by_accident(autojump_clock):
    """3: fork, rerun and rollback across a `once` visit need `repeat_effects=True`."""
    done = []

    async def pays(ctx):
        done.append(ctx.key)
        ctx.record(Say("paid"))

    graph = approval(pays, effects="once")
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        parked_at = (await runtime.row("r")).seq
        await run.decide("", Approve())
        await run.result()
        for again in (run.fork(at=parked_at), run.rerun("first")):
            with pytest.raises(InvalidRequest, match="effects of yes@3 may happen again: say repeat_effects=True"):
                await again
        other = await run.fork(at=parked_at, repeat_effects=True)
        await settled()
        await other.decide("", Approve())
        assert ["first", "paid"] == (await other.result()).state.trail
    assert 2 == len(set(done))


async def test_a_rerun_begins_at_a_place_with_an_edited_state(autojump_clock):
    """2: rerun makes a new run."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        result = await (await run.rerun("no", Tally(5, ["edited"]))).result()
        assert Tally(5, ["edited", "no"]) == result.state
        result = await (await run.rerun("yes")).result()
        assert ["first", "yes"] == result.state.trail
        with pytest.raises(InvalidRequest, match="no place 'nowhere'"):
            await run.rerun("nowhere")


async def test_a_fork_in_the_middle_of_branches(autojump_clock):
    """5.5: branches that have ended stay ended, and the others begin again."""
    began = []

    class Mark(Struct, frozen=True):
        text: str

        def apply(self, tally: Tally) -> None:
            tally.trail.append(self.text)

    graph = Graph("wide", state=Tally, mutations=[Mark])

    @graph.node
    async def each(ctx: terzetto.ItemContext[Tally, int]):
        began.append((ctx.run_id, ctx.item))
        ctx.record(Mark(str(ctx.item)))

    graph.start(graph.map("all", each, over=lambda tally: range(4), merge="replay", limit=1))
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        two = [c.seq for c in reversed(await run.history()) if c.place == "each"][1]
        result = await (await run.fork(at=two, new_id="f")).result()
    assert ["0", "1", "2", "3"] == result.state.trail
    assert [("f", 2), ("f", 3)] == began[4:]


async def test_a_running_run_is_forked_too(autojump_clock):

    async def slow(ctx):
        await trio.sleep(5)
        ctx.record(Say("slow"))

    graph = approval(slow)
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("", Approve())
        await settled()
        assert RUNNING is await run.status()
        other = await run.fork()
        assert ["first", "slow"] == (await other.result()).state.trail == (await run.result()).state.trail


async def test_a_fork_has_no_key_and_no_kept_decision(autojump_clock):
    """2.10: a key is one run's; 6.5: so is a decision that waits."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), key="k")
        await settled()
        fork = await run.fork()
        assert (run.run_id, True) == ((again := await runtime.submit(graph, Tally(), key="k")).run_id, again.reused)
        await run.decide("gate@9", Approve(), keep="once")
        await (other := await run.fork()).withdraw("gate@9")
        assert {AWAITING} == {await each.status() for each in (run, fork, other)}
        assert 0 == (await other.withdraw("gate@9")).count
        assert 1 == (await run.withdraw("gate@9")).count


# -- undo ----------------------------------------------------------------------------------------------------


async def test_an_undo_is_a_new_head_of_the_same_run(store):
    """1: visit numbers are never reused in a run, also not after undo; the history keeps what was undone."""
    graph = approval()
    graph.edge("no", "gate")
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        seen, receipts = [], []
        async with run.events() as events:
            async for event in events:
                if not isinstance(event, terzetto.BarrierOpened):
                    continue
                seen.append(event.barrier)
                if len(seen) == 1:
                    await run.decide("", Reject())
                elif len(seen) == 2:
                    receipts.append(await run.undo(2))
                else:
                    await run.decide("", Approve())
        result = await run.result()
        assert (SUCCEEDED, ["first", "yes"]) == (result.status, result.state.trail)
        assert ["gate@2", "gate@4", "gate@5"] == seen
        assert (await run.replay()).holds
        trails = {tuple((await run.state(at=c.seq)).trail) for c in await run.history()}
        assert ("first", "no") in trails, "what was undone can still be looked at"
        assert [] == await run.barriers()


async def test_what_was_undone_is_not_undone_again(store):
    """2.10: each undo takes back what is left of the run's past, and never brings back what was undone."""
    graph = Graph("round", state=Tally, mutations=MUTATIONS)
    graph.start(gate := graph.barrier("gate", exits=list("abc")))
    for name in "abc":
        graph.edge(gate.exit(name), graph.node(name=name)(says(name)))
        graph.edge(name, gate)
    steps, trails = iter(["a", "b", "c", 2, 2, "b", "c", 4]), []  # ways, each of two steps, and how many are undone
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        async with run.events() as events:
            async for event in events:
                if not isinstance(event, terzetto.BarrierOpened):
                    continue
                trails.append("".join((await run.state()).trail))
                step = next(steps, None)
                if isinstance(step, int):
                    await run.undo(step)
                elif step:
                    await run.decide("", Choose(step))
                else:
                    break
        assert ["", "a", "ab", "abc", "ab", "a", "ab", "abc", "a"] == trails
        with pytest.raises(InvalidRequest, match="no 3 visits"):
            await run.undo(3)
        assert (await run.replay()).holds


async def test_who_reads_along_hears_of_an_undo_and_misses_nothing(autojump_clock):
    """2.10; 8.2: nothing is a Gap that tells nothing, as a decision that is kept."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        async with run.events() as events:
            await run.decide("other", Approve(), keep="once")
            await run.withdraw("other")
            await run.undo()
            await settled()
            await run.decide("", Approve())
            await run.result()
            told = [f"{type(event).__name__} {getattr(event, 'reason', '')}".rstrip() async for event in events]
        again = ["RunStarted", "NodeStarted", "NodeFinished", "BarrierOpened"]
        end = ["BarrierResolved", "NodeStarted", "NodeFinished", "RunEnded"]
        assert ["Cursor", "RunQueued", *again, "RunQueued undone", *again, *end] == told


async def test_what_can_not_be_undone(autojump_clock):
    """3: undo across a `once` visit needs `repeat_effects=True`; 2: terminal is immutable."""
    done = []

    async def pays(ctx):
        done.append(1)

    graph = Graph("paying", state=Tally, mutations=MUTATIONS)
    graph.start(pay := graph.node(name="pay", effects="once")(pays))
    graph.edge(pay, gate := graph.barrier("gate"))
    graph.edge(gate.approved, graph.node(name="yes")(says("yes")))
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(InvalidRequest, match="no 9 visits"):
            await run.undo(9)
        with pytest.raises(InvalidRequest, match="effects of pay@1 may happen again"):
            await run.undo()
        await run.undo(repeat_effects=True)
        await settled()
        assert (AWAITING, 2) == (await run.status(), len(done))
        await run.decide("", Approve())
        await run.result()
        with pytest.raises(Refused, match="SUCCEEDED"):
            await run.undo()


async def test_an_undo_goes_back_into_branches(autojump_clock):
    """5.5 beside undo: a join is taken back, and its branches wait again."""
    graph = Graph("wide", state=Tally, mutations=MUTATIONS)
    asks = [graph.barrier(name) for name in ("one", "two")]
    for ask in asks:
        graph.edge(ask.approved, graph.node(name=f"{ask.name}-yes")(says(ask.name)))
    graph.start(fan := graph.parallel("fan", asks, merge="replay"))
    graph.edge(fan, last := graph.barrier("last"))
    graph.edge(last.approved, graph.node(name="end")(says("end")))
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        await run.decide("one", Approve())
        await settled()
        await run.decide("two", Approve())
        await settled()
        assert ["last"] == [row.name for row in await run.barriers()]
        await run.undo(3)
        await settled()
        assert ["two"] == [row.name for row in await run.barriers()]
        await run.decide("two", Approve())
        await settled()
        await run.decide("last", Approve())
        assert ["one", "two", "end"] == (await run.result()).state.trail
        assert (await run.replay()).holds
