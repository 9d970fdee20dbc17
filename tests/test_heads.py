"""Threads: what a run on one begins with, and what becomes its head (SEMANTICS 1)."""

import pytest
from attrs import define, field
from msgspec import Struct

from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import HeadMissing, InvalidRequest, Refused, RunConflict
from terzetto_protocol.graph import Graph

from .runtimes import (
    CANCELLED,
    FAILED,
    MUTATIONS,
    QUEUED,
    SUCCEEDED,
    Held,
    Tally,
    both,
    chain,
    opened,
    parked,
    says,
    settled,
    stores,
)
from .stores import FaultyStore, records, trail
from .talks import Talk, where


@both
@stores
async def test_a_run_begins_where_the_head_has_ended(autojump_clock, dispatch, store):
    """1: a run on a thread with a head starts from the head's final state unless a state is given."""
    talk = Talk()
    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        assert ["a"] == (await talk.said(runtime, "a", Tally())).state.trail
        assert ["a", "b"] == (await talk.said(runtime, "b")).state.trail
        assert Tally(7, ["c"]) == (await talk.said(runtime, "c", Tally(7))).state
        assert Tally(7, ["c", "d"]) == (await talk.said(runtime, "d")).state

        thread = runtime.thread("t")
        assert ("d", Tally(7, ["c", "d"])) == ((await thread.head()).run_id, await thread.state())
        assert ["d", "c", "b", "a"] == sorted((row.run_id for row in await thread.runs()), reverse=True)
        assert ["a", "b"] == (await runtime.state("b")).trail, "what is behind the head stays as it was"


async def test_on_a_file(tmp_path):
    """The same on a disk, and after a restart."""
    talk = Talk()
    for number in range(3):
        async with opened(SqliteStore(tmp_path / "runs.db"), talk.graph) as runtime:
            result = await talk.said(runtime, f"r{number}", *([] if number else [Tally()]))
            assert [f"r{n}" for n in range(number + 1)] == result.state.trail
            assert (f"r{number}", []) == await where(runtime)
            assert number + 1 == len(await runtime.runs(thread="t"))
            assert [] == await runtime.runs(thread="other")


@stores
async def test_only_success_moves_the_head(autojump_clock, store):
    """1: SUCCEEDED moves the head in its terminal transaction, FAILED and CANCELLED do not."""
    talk = Talk()
    talk.fails = {"f"}
    async with opened(store(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        assert FAILED is (await talk.said(runtime, "f")).status
        assert ("a", []) == await where(runtime)
        run = await runtime.submit(talk.graph, run_id="c", thread="t")
        await settled()
        await run.cancel()
        assert CANCELLED is (await run.result()).status
        assert ("a", []) == await where(runtime)
        assert ["a", "b"] == (await talk.said(runtime, "b")).state.trail


async def test_the_head_moves_in_the_terminal_transaction(autojump_clock):
    """3, D7: the write that ends the run is the write that moves the head, and no other names the thread."""
    store, talk = FaultyStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
    writes = [write for group in store.groups for write in group]
    assert [("t", SUCCEEDED)] == [(write.thread, write.status) for write in writes if write.thread]
    assert SUCCEEDED is writes[-1].status


@stores
async def test_a_run_that_ends_with_a_decision_or_a_join_moves_the_head(autojump_clock, store):
    """However a run comes to its end."""
    graph = chain(says("first"), "gate", name="asks")
    wide = Graph("wide", state=Tally, mutations=MUTATIONS)
    wide.start(wide.parallel("both", [wide.node(name=name)(says(name)) for name in "xy"], merge="replay"))
    async with opened(store(), graph, wide) as runtime:
        run = await parked(runtime, graph, "r", thread="t")
        assert ("", ["r"]) == await where(runtime)
        await run.decide("", Approve())
        await run.result()
        assert ("r", []) == await where(runtime)
        assert Tally(0, ["first", "x", "y"]) == await runtime.run(wide, run_id="w", thread="t")
        assert "w" == (await where(runtime))[0]


async def test_a_thread_without_a_head_needs_a_state(autojump_clock):
    talk, held = Talk(), Held()
    async with opened(MemoryStore(), talk.graph, chain(held)) as runtime:
        with pytest.raises(HeadMissing, match="thread 't' has no head: no run on it has SUCCEEDED, so the next one"):
            await runtime.submit(talk.graph, thread="t")
        with pytest.raises(HeadMissing) as caught:
            await runtime.thread("t").state()
        assert "t" == caught.value.thread
        assert ("", []) == await where(runtime)
        assert [] == await runtime.runs()


async def test_what_is_no_thread(autojump_clock):
    """A thread's id is as a run's; without a thread a run needs a state."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        for wrong in ("", "a b", "-", "x" * 129):
            with pytest.raises(InvalidRequest, match="is not a thread id"):
                await runtime.submit(talk.graph, Tally(), thread=wrong)
            with pytest.raises(InvalidRequest, match="is not a thread id"):
                runtime.thread(wrong)
        with pytest.raises(InvalidRequest, match="graph 'talk' needs a state to begin with: a Tally, or the thread"):
            await runtime.submit(talk.graph)  # type: ignore[call-overload]
        with pytest.raises(InvalidRequest, match="busy: 'wait' is none of reject, enqueue, interrupt, rollback"):
            await runtime.submit(talk.graph, Tally(), thread="t", busy="wait")
        assert [] == await runtime.runs()
        assert "<thread t>" == repr(runtime.thread("t"))


@define
class Other:
    count: int = 0
    trail: list[str] = field(factory=list)


class Shout(Struct, frozen=True):
    def apply(self, other: Other) -> None:
        other.trail.append("!")


async def test_the_head_has_the_same_type_of_state(autojump_clock):
    """Another graph may go on where its state is of the same type; else it says which two graphs do not fit."""
    talk, same = Talk(), Talk("other-talk")
    loud = Graph("loud", state=Other, mutations=[Shout], version="7")

    @loud.node
    async def shout(ctx):
        ctx.record(Shout())

    loud.start(shout)
    async with opened(MemoryStore(), talk.graph, same.graph, loud) as runtime:
        await talk.said(runtime, "a", Tally())
        assert ["a", "b"] == (await same.said(runtime, "b")).state.trail
        said = "graph 'loud' '7' has another type of state than graph 'other-talk' '1', with whose run 'b' thread 't'"
        with pytest.raises(Refused, match=said):
            await runtime.submit(loud, run_id="x", thread="t")
        assert Other(0, ["!"]) == await runtime.run(loud, Other(), thread="t")
        with pytest.raises(Refused, match="graph 'talk' '1' has another type of state than graph 'loud' '7'"):
            await runtime.submit(talk.graph, thread="t")


async def test_a_head_whose_graph_is_not_known_any_more(autojump_clock):
    """A new version of a graph goes on where the old one has ended; only its type of state counts."""
    store, old, new = MemoryStore(), Talk(), Talk()
    new.graph = Graph("talk", state=Tally, mutations=MUTATIONS, version="2")
    new.graph.start(new.graph.node(name="speak-better")(new.speak))
    async with opened(store, old.graph) as runtime:
        await old.said(runtime, "a", Tally())
    async with opened(store, new.graph) as runtime:
        assert ["a", "b"] == (await new.said(runtime, "b")).state.trail


@stores
async def test_the_same_submit_again_is_the_same_run(autojump_clock, store):
    """10.2: also when the head has moved since; on another thread, or with a state, it is another."""
    talk = Talk()
    async with opened(store(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        run = await runtime.submit(talk.graph, run_id="b", key="k", thread="t")
        assert not run.reused
        for options in ({"run_id": "b"}, {"run_id": "b", "key": "k"}, {"key": "k"}):
            again = await runtime.submit(talk.graph, thread="t", **options)
            assert ("b", True) == (again.run_id, again.reused), "busy with itself is not busy"
        talk.free("b")
        await run.result()
        await talk.said(runtime, "c")
        assert (await runtime.submit(talk.graph, run_id="b", thread="t")).reused
        for state, options in (
            ([], {"thread": "u"}), ([Tally()], {"thread": "t"}), ([Tally()], {"thread": "u"}), ([Tally()], {}),
        ):  # fmt: skip
            with pytest.raises((RunConflict, HeadMissing)):
                await runtime.submit(talk.graph, *state, run_id="b", **options)
        assert 3 == len(await runtime.runs())


async def test_forks_are_on_no_thread(autojump_clock):
    """A fork, retry or rerun is beside the conversation: its end moves nothing, and the thread stays free."""
    store, graph = MemoryStore(), chain(says("first"), "gate", says("last"), name="asks")
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r", thread="t")
        fork = await run.fork(new_id="f")
        await settled()
        await fork.decide("", Approve())
        assert SUCCEEDED is (await fork.result()).status
        await run.cancel()
        again = await run.retry(new_id="again")
        rerun = await run.rerun("last", new_id="rerun")
        assert SUCCEEDED is (await rerun.result()).status
        assert ("", []) == await where(runtime)
        assert {""} == {(await runtime.row(one)).header.thread for one in ("f", "again", "rerun")}
        assert ["r"] == [row.run_id for row in await runtime.runs(thread="t")]
        await again.cancel()


async def test_what_waits_for_its_input_is_not_forked(autojump_clock):
    """1: it learns with its first claim what it begins with; from then on it can be."""
    store, talk = MemoryStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        late = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        for at in (1, None):
            with pytest.raises(InvalidRequest, match="had not begun at commit 1: it waited for its input"):
                await late.fork(at=at)
        talk.free("a", "b")
        await late.result()
        talk.free("f")
        assert ["a", "f"] == (await (await late.fork(at=2, new_id="f")).result()).state.trail


async def test_the_log_tells_what_a_run_began_with(autojump_clock):
    """Law 1: the first snapshot or the first claim has it, whatever the head is by now."""
    store, talk = MemoryStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        await runtime.submit(talk.graph, run_id="b", thread="t")
        late = await runtime.submit(talk.graph, run_id="c", thread="t", busy="enqueue")
        assert (QUEUED, Tally(0, ["a"])) == (await late.status(), await late.state()), "its head's, until it begins"
        talk.free("b", "c")
        assert ["a", "b", "c"] == (await late.result()).state.trail
        assert [["a"], ["a", "b"], ["a", "b", "c"]] == [(await late.state(at=n)).trail for n in (1, 2, 3)]
        assert (await late.replay()).holds
        assert (await runtime.get("b").replay()).holds
    taken = (await records(store, "c"))[1].detail
    assert "b" == taken.base
    assert ["submit -> QUEUED", "claim -> RUNNING", "visit speak@1 SUCCEEDED -> SUCCEEDED"] == await trail(store, "c")


async def test_undo_inside_a_run_stays_behind_its_beginning(autojump_clock):
    """What a run took from its thread is not undone with its visits."""
    talk, graph = Talk(), chain(says("first"), "gate", says("last"), name="asks")
    async with opened(MemoryStore(), talk.graph, graph) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        run = await runtime.submit(graph, run_id="r", thread="t", busy="enqueue")
        talk.free("a")
        await settled()
        await run.undo()
        await settled()
        await run.decide("", Approve())
        assert ["a", "first", "last"] == (await run.result()).state.trail
        assert (await run.replay()).holds
        assert "a" == (await runtime.cancel("r", mode="rollback")).head
