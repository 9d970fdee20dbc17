"""What is new in a turn: mutations that are stored with a submit and applied when its turn comes (SEMANTICS 10.3)."""

import pytest
import trio
from attrs import frozen
from msgspec import Raw

import terzetto
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.commands import Submit
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.errors import HeadMissing, Malformed, MutationFailed, NotStorable, RunConflict
from terzetto_protocol.limits import MESSAGE_BYTES, STATE_BYTES
from terzetto_protocol.migrations import Migration

from .runtimes import CANCELLED, MUTATIONS, Add, Say, Tally, both, chain, opened, says, settled, stores
from .talks import Talk
from .test_runtime_blobs import Album, Paste, albums, sweep, unknown, weigh


@frozen
class Pay:
    """Raises where there is too little."""

    count: int

    def apply(self, tally: Tally) -> None:
        tally.trail.append("tried")
        if tally.count < self.count:
            raise ValueError("too little")
        tally.count -= self.count


@both
@stores
async def test_what_is_new_comes_to_the_head_when_the_turn_has_come(autojump_clock, dispatch, store):
    """10.3, 4.2: in the order in which it was recorded, and onto the head as it is then."""
    talk = Talk()
    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        await runtime.submit(talk.graph, Tally(1), run_id="a", thread="t")
        for run_id in ("b", "c"):
            new = [Say(f"to {run_id}"), Add(2)]
            run = await runtime.submit(talk.graph, run_id=run_id, thread="t", busy="enqueue", record=new)
            new.clear()
        assert Tally(1) == await run.state(), "until it begins"
        talk.free("a", "b", "c")
        assert Tally(5, ["a", "to b", "b", "to c", "c"]) == (await run.result()).state
        assert (await run.replay()).holds


@stores
@pytest.mark.parametrize("busy", ["reject", "interrupt"])
async def test_a_run_that_begins_at_once_begins_with_it(autojump_clock, store, busy):
    """4.4: it is part of the state with which its log begins."""
    talk = Talk()
    async with opened(store(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        if busy == "interrupt":
            await runtime.submit(talk.graph, run_id="b", thread="t")
            await settled()
        talk.free("c")
        run = await runtime.submit(talk.graph, run_id="c", thread="t", busy=busy, record=[Say("new")])
        assert ["a", "new", "c"] == (await run.result()).state.trail
        assert ["a", "new"] == (await run.state(at=1 if busy == "reject" else 2)).trail
        fork = await run.fork(at=2, new_id="fork")
        talk.free("fork")
        assert ["a", "new", "fork"] == (await fork.result()).state.trail
        assert (await run.replay()).holds


async def test_a_state_of_its_own_is_changed_too(autojump_clock):
    """On a thread or not: so the first turn of a conversation is like the others."""
    graph, tally = chain(says("said")), Tally()
    async with opened(MemoryStore(), graph) as runtime:
        alone = await runtime.run(graph, tally, record=[Say("new")])
        first = await runtime.run(graph, tally, record=[Say("new")], thread="t")
        assert [["new", "said"]] * 2 == [alone.trail, first.trail]
        assert Tally() == tally


async def test_it_survives_a_restart(tmp_path):
    """D1: it is durable with the submit."""
    talk, path = Talk(), tmp_path / "runs.db"
    async with opened(SqliteStore(path), talk.graph, shutdown_deadline=0) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue", record=[Say("new")])
    talk.free("a", "b")
    async with opened(SqliteStore(path), talk.graph) as runtime:
        assert ["a", "new", "b"] == (await runtime.get("b").result()).state.trail


async def test_the_same_submit_has_the_same_to_record(autojump_clock):
    """10.2: with other mutations it is another input."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        options = {"run_id": "b", "thread": "t"}
        assert not (await runtime.submit(talk.graph, record=[Say("new")], **options)).reused
        assert (await runtime.submit(talk.graph, record=[Say("new")], **options)).reused
        for other in ([Say("old")], [Say("new"), Say("new")], []):
            with pytest.raises(RunConflict):
                await runtime.submit(talk.graph, record=other, **options)


class Unlisted:
    def apply(self, tally: Tally) -> None: ...


@pytest.mark.parametrize("ahead", [True, False], ids=["enqueued", "at once"])
async def test_what_cannot_be_recorded_is_refused(autojump_clock, ahead):
    """4.1, 4.7: as in a node, and nothing has changed."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        if ahead:
            await runtime.submit(talk.graph, run_id="b", thread="t")
        for wrong, said in (
            ([Unlisted()], r"it is not listed: say Graph\(..., mutations=\[Unlisted\]\)"),
            ([Say("\ud800")], "lone surrogate"),
            ([Add("one")], "Expected `int`"),
            ([Say("x" * (MESSAGE_BYTES // 2))] * 3, "what is recorded with a submit"),
        ):
            with pytest.raises(NotStorable, match=said):
                await runtime.submit(talk.graph, run_id="c", thread="t", busy="enqueue", record=wrong)
        assert {"a", *("b" * ahead)} == {row.run_id for row in await runtime.runs()}


@stores
async def test_what_does_not_apply_is_refused_at_once_or_ends_its_run_in_its_turn(autojump_clock, store):
    """4.6: all or nothing; the run never began, so it is CANCELLED and says why, and the next one has its turn."""
    talk = Talk(mutations=[*MUTATIONS, Pay])
    async with opened(store(), talk.graph) as runtime:
        await talk.said(runtime, "a", Tally(5))
        with pytest.raises(MutationFailed, match="mutation Pay could not be applied: ValueError: too little"):
            await runtime.submit(talk.graph, run_id="b", thread="t", record=[Pay(2), Pay(4)])
        with pytest.raises(MutationFailed):
            await runtime.submit(talk.graph, Tally(1), run_id="b", record=[Pay(2)])
        await runtime.submit(talk.graph, run_id="c", thread="t", record=[Pay(3)])
        vain = await runtime.submit(talk.graph, run_id="d", thread="t", busy="enqueue", record=[Pay(1), Pay(2)])
        last = await runtime.submit(talk.graph, run_id="e", thread="t", busy="enqueue", record=[Pay(2)])
        talk.free("c", "e")
        result = await vain.result()
        assert (CANCELLED, "mutation Pay could not be applied: ValueError: too little") == (
            result.status,
            result.message,
        )
        assert Tally(0, ["a", "tried", "c", "tried", "e"]) == (await last.result()).state
        assert ["a", "c", "e"] == talk.begun


async def test_what_makes_too_large_a_state_ends_its_run_in_its_turn(autojump_clock):
    """4.7: found before it begins."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, limit=60) as runtime:
        await runtime.submit(talk.graph, Tally(0, ["x" * (STATE_BYTES - 100)]), run_id="a", thread="t")
        vain = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue", record=[Say("x" * 200)])
        talk.free("a")
        result = await vain.result()
        assert (CANCELLED, True) == (result.status, "the limit is" in result.message)


async def test_without_a_head_there_is_nothing_to_record_onto(autojump_clock):
    talk = Talk()
    async with opened(MemoryStore(), talk.graph) as runtime:
        with pytest.raises(HeadMissing):
            await runtime.submit(talk.graph, thread="t", record=[Say("new")])


async def test_by_command(autojump_clock):
    """Encoded by the sender, and held against what the graph lists."""
    talk = Talk()
    talk.free("a", "b")
    note = talk.graph.build().vocabulary.note
    async with opened(MemoryStore(), talk.graph) as runtime:
        new = (note(Say("new")), note(Add(2)))
        await runtime.address.ask(Submit("c-1", "a", "talk", b"{}", thread="t", record=new))
        await runtime.get("a").result()
        await runtime.address.ask(Submit("c-2", "b", "talk", b"", thread="t", record=new))
        assert Tally(4, ["new", "a", "new", "b"]) == (await runtime.get("b").result()).state
        wrong = (Recorded("Pay", Raw(b"\x80")),)
        with pytest.raises(Malformed, match=r"mutation Pay.*the graph does not list it"):
            await runtime.address.ask(Submit("c-3", "c", "talk", b"", thread="t", record=wrong))


async def test_a_blob_that_it_names_waits_along(autojump_clock):
    """4.7: a run keeps the blobs that its input names, however long it waits for its turn."""
    async with opened(MemoryStore(), graph := albums(weigh, gate=True)) as runtime:
        first = await runtime.submit(graph, Album(pages=[await runtime.put_blob(b"first")]), thread="t")
        page = await runtime.put_blob(b"page")
        run = await runtime.submit(graph, thread="t", busy="enqueue", record=[Paste(page)])
        with pytest.raises(terzetto.StoreRejected, match="names blob:"):
            await runtime.submit(graph, thread="t", busy="enqueue", record=[Paste(unknown())])
        await sweep(runtime)
        assert b"page" == await runtime.blob_bytes(page)
        for each in (first, run):
            await each.decide("gate", terzetto.Approve(), keep="once")
        assert page == (await run.result()).unwrap().pages[1]


@frozen
class Told:
    """What an older version called `Say`."""

    text: str

    def apply(self, tally: Tally) -> None:
        tally.trail.append(self.text)


async def test_what_an_older_version_recorded_is_led_on(autojump_clock):
    """2.9: a run of an older version begins under this one with what its submit recorded."""

    def renamed(name, fields):
        return ("Say" if name == "Told" else name, fields)

    store, old = MemoryStore(), Talk(mutations=[*MUTATIONS, Told])
    new = Talk(version="2", migrations=[Migration(since="1", mutation=renamed)])
    async with opened(store, old.graph, shutdown_deadline=0) as runtime:
        await runtime.submit(old.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(old.graph, run_id="b", thread="t", busy="enqueue", record=[Told("new")])
    new.free("a", "b")
    async with opened(store, new.graph) as runtime:
        assert ["a", "new", "b"] == (await runtime.get("b").result()).state.trail


async def test_it_is_applied_once_however_often_the_turn_is_lost(autojump_clock):
    """3: a claim that is durable has brought it; one that is not brings it again, onto the head as it is by then."""
    talk, store = Talk(), MemoryStore()
    async with opened(store, talk.graph, shutdown_deadline=0) as runtime:
        await talk.said(runtime, "a", Tally())
        await runtime.submit(talk.graph, run_id="b", thread="t", record=[Say("one")])
        await runtime.submit(talk.graph, run_id="c", thread="t", busy="enqueue", record=[Say("two")])
        await settled()
    for _ in range(2):
        async with opened(store, talk.graph, shutdown_deadline=0) as runtime:
            await settled()
    talk.free("b")
    async with opened(store, talk.graph, shutdown_deadline=0) as runtime:
        await runtime.get("b").result()
        with trio.move_on_after(1):
            await runtime.get("c").result()
    talk.free("c")
    async with opened(store, talk.graph) as runtime:
        assert ["a", "one", "b", "two", "c"] == (await runtime.get("c").result()).state.trail
