"""Runs that are deleted, by calls and by commands (SEMANTICS 3.5)."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto._inbox import COMMANDS, RECEIPTS
from terzetto.stores import MemoryStore, SqliteStore, open_store
from terzetto_protocol.commands import Delete, Truncate
from terzetto_protocol.decisions import Approve, Reject
from terzetto_protocol.errors import InvalidRequest, Refused, UnknownRun
from terzetto_protocol.events import Cursor, RunEnded, RunQueued
from terzetto_protocol.receipts import Deleted, Denied, Truncated
from terzetto_protocol.records import Posted

from .runtimes import AWAITING, CANCELLED, Tally, chain, opened, says, told
from .stores import FaultyStore
from .talks import Talk, where
from .walks import EVERY, at_gate, finished, walk


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def test_nothing_is_left_of_a_deleted_run(store):
    """3.5: terminal runs only, with the exact count; its id is free."""
    graph = walk()
    async with opened(store, graph) as runtime:
        run = await finished(runtime, graph)
        count = (await runtime.row("r")).seq
        assert count == await run.delete()
        for gone in (run.status, run.state, run.history, run.result, run.delete, lambda: run.decide("gate", Reject())):
            with pytest.raises(UnknownRun):
                await gone()
        assert "unknown" == (await run.cancel()).outcome
        assert [] == await runtime.runs()
        again = await at_gate(runtime, graph)
        assert not again.reused
        assert 7 == (await runtime.row("r")).seq
        assert isinstance((await told(again, until=RunQueued))[0], RunQueued)


async def test_a_run_that_has_not_ended_is_not_deleted(store):
    graph = walk()
    async with opened(store, graph) as runtime:
        run = await at_gate(runtime, graph)
        with pytest.raises(Refused, match="it is AWAITING_INPUT"):
            await run.delete()
        await run.cancel()
        assert 8 == await run.delete()


async def test_a_run_is_kept_for_one_that_went_on_from_it(store):
    """3.5: refused while a fork of it has not ended; a fork that has ended needs nobody."""
    graph = walk()
    async with opened(store, graph) as runtime:
        run = await finished(runtime, graph)
        fork = await run.fork(at=3, new_id="f")
        await told(fork, until=terzetto.BarrierOpened)
        with pytest.raises(Refused, match="run 'f' went on from it, and is AWAITING_INPUT"):
            await run.delete()
        await fork.cancel()
        await run.delete()
        assert "r@3" == (await runtime.row("f")).header.parent
        assert (await fork.replay()).holds


async def test_who_reads_a_run_that_is_deleted_gets_what_is_at_hand(store):
    """8.3: then `UnknownRun`, and never the events of the run that has its id now."""
    graph = walk()
    async with opened(store, graph) as runtime:
        run = await finished(runtime, graph)
        async with run.events() as at_hand:
            assert isinstance(await anext(at_hand), Cursor)
            await run.delete()
            await at_gate(runtime, graph)
            assert isinstance([item async for item in at_hand][-1], RunEnded)
        await run.cancel()
    async with opened(store, graph) as runtime:
        run = runtime.get("r")
        async with run.events() as in_store:
            await run.delete()
            await at_gate(runtime, graph)
            seen = []
            with pytest.raises(UnknownRun):
                seen += [item async for item in noted(in_store, seen)]
            assert [Cursor] == [type(item) for item in seen]
        new = [type(item) for item in await told(run, until=terzetto.BarrierOpened)]
        assert RunQueued is new[0]


async def noted(events, seen):
    async for item in events:
        seen.append(item)
        yield item


@pytest.mark.parametrize("reads", [1, 2], ids=["reading", "asking"])
async def test_an_id_is_free_whoever_still_has_the_run_in_memory(autojump_clock, monkeypatch, reads):
    """Who was about to look at the old run does not get at the new one, and takes nobody else to the old one."""

    async def slow(ctx):
        await trio.sleep(20)

    graph, store, looks, looked = chain(slow), FaultyStore(), [], trio.Event()
    inner = store.inner.records

    async def records(run_id, **options):
        looks.append(run_id)
        if len(looks) == reads:
            looked.set()
            await trio.sleep(5)
        return await inner(run_id, **options)

    async def undo(run):
        with pytest.raises((Refused, UnknownRun, InvalidRequest)):
            await run.undo()

    async with opened(store, graph, limit=100) as runtime, trio.open_nursery() as nursery:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        monkeypatch.setattr(store.inner, "records", records)
        nursery.start_soon(undo, run)
        await looked.wait()
        await run.delete()
        again = await runtime.submit(graph, Tally(), run_id="r")
        assert not again.reused
        await trio.sleep(10)
        assert again.statistics().live == 1
        assert "requested" == (await again.cancel()).outcome
        assert CANCELLED is (await again.result()).status


async def test_a_new_run_is_not_abandoned_by_who_read_the_old_one(autojump_clock):
    """8.4: `on_disconnect="cancel"` is about the run that was read."""
    graph = walk()
    async with opened(FaultyStore(), graph) as runtime:
        run = await at_gate(runtime, graph)
        async with run.events(on_disconnect="cancel", grace=5.0):
            await run.decide("", Approve())
            await run.result()
        await run.delete()
        await at_gate(runtime, graph)
        await trio.sleep(10)
        assert AWAITING is await run.status()


async def test_a_run_that_nobody_here_can_carry_is_deleted_all_the_same(store):
    graph = walk()
    async with opened(store, graph) as runtime:
        await finished(runtime, graph)
    async with opened(store, chain(says("x"))) as runtime:
        assert 1 < await runtime.delete("r")


async def test_where_a_thread_is_is_not_deleted(store):
    """3.5: refused while it is a thread's head; and nothing goes back to a run that is gone."""
    talk = Talk()
    async with opened(store, talk.graph) as runtime:
        await talk.said(runtime, "a", Tally())
        with pytest.raises(Refused, match="it is the head of thread 't': its next run begins with what this one came"):
            await runtime.delete("a")
        await talk.said(runtime, "b")
        await runtime.delete("a")
        with pytest.raises(Refused, match="run 'a', to which thread 't' would go back, was deleted"):
            await runtime.cancel("b", mode="rollback")
        assert ["a", "b", "c"] == (await talk.said(runtime, "c")).state.trail
        await runtime.cancel("c", mode="rollback")
        assert 3 == await runtime.delete("c")
        assert ("b", []) == await where(runtime)


async def test_who_waits_behind_a_run_that_was_pruned(autojump_clock):
    """1: it has its predecessor's state to stand in for its own, whatever is left of that."""
    talk, gate = Talk(), walk(checkpoints=EVERY)
    async with opened(FaultyStore(), talk.graph, gate) as runtime:
        run = await at_gate(runtime, gate, thread="t")
        assert 6 == await run.truncate(7)
        waits = await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        assert await run.state() == await waits.state()


async def test_commands_say_the_same(autojump_clock):
    """3.5: in receipts that tell how much durable is worth."""
    graph = walk(checkpoints=EVERY)
    async with opened(MemoryStore(), graph) as runtime:
        run = await finished(runtime, graph)
        assert Truncated("r", 4, durable=False) == await runtime.ask(Truncate("c1", "r", 6))
        assert Deleted("r", 5, durable=False) == await runtime.ask(Delete("c2", "r"))
        with pytest.raises(UnknownRun):
            await run.status()


async def test_another_process_may_leave_them_in_the_inbox(tmp_path):
    """11: a command of a guest is carried out by the owner, and its receipt is there although the run is not."""
    graph, url = walk(checkpoints=EVERY), f"sqlite:{tmp_path / 'runs.db'}"
    async with opened(open_store(url), graph) as runtime, open_store(url, guest=True) as guest:
        await at_gate(runtime, graph)
        for command in (Delete("c1", "r"), Truncate("c2", "r", 7)):
            await guest.post(Posted(command.command_id, "r", COMMANDS.pack(command), 0.0))
        denied, truncated = await answered(guest, "c1"), await answered(guest, "c2")
        assert isinstance(denied, Denied)
        assert Truncated("r", 6, durable=True) == truncated
        await runtime.cancel("r")
        await guest.post(Posted("c3", "r", COMMANDS.pack(Delete("c3", "r")), 0.0))
        assert Deleted("r", 2, durable=True) == await answered(guest, "c3")
        assert await guest.receipt("c1") is None, "what was answered about the run is forgotten with it"


async def answered(guest, command_id):
    while (receipt := await guest.receipt(command_id)) is None:  # noqa: ASYNC110 - another process sets no event
        await trio.sleep(0.05)
    return RECEIPTS.unpack(receipt)
