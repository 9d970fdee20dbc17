"""`terzetto._sinks`, `_feeds`: who hears of runs is not waited for, and what it misses is counted (SEMANTICS 8.7)."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import InvalidRequest, StoreUnavailable
from terzetto_protocol.events import (
    BarrierOpened,
    BarrierResolved,
    CancelRequested,
    NodeFinished,
    NodeStarted,
    RunEnded,
    RunQueued,
    RunStarted,
    TextChunk,
)
from terzetto_protocol.limits import HEARTBEAT, SINK_DEADLINE, SINK_GRACE
from terzetto_protocol.records import Kind

from .runtimes import (
    CANCELLED,
    RUNNING,
    SUCCEEDED,
    Add,
    Held,
    Say,
    Tally,
    alive,
    both,
    chain,
    counts,
    opened,
    parked,
    says,
    settled,
    stores,
    told,
)
from .stores import FaultyStore, records


@define
class Ear:
    """A sink of every kind; may be slow, hang or fail."""

    events: list[Any] = field(factory=list)
    commits: list[Any] = field(factory=list)
    checkpoints: list[terzetto.Checkpoint] = field(factory=list)
    barriers: list[str] = field(factory=list)
    batches: list[int] = field(factory=list)

    async def emit(self, event: terzetto.Event, /) -> None:
        self.events.append(event)

    async def on_checkpoint(self, checkpoint: terzetto.Checkpoint, /) -> None:
        self.checkpoints.append(checkpoint)

    async def on_barrier_opened(self, event: BarrierOpened, /) -> None:
        self.barriers.append(f"opened {event.name}")

    async def on_barrier_resolved(self, event: BarrierResolved, /) -> None:
        self.barriers.append(f"resolved {event.name}")

    async def on_commits(self, run_id: str, commits: Sequence[terzetto.CommitView], /) -> None:
        self.batches.append(len(commits))
        self.commits += commits

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class Stream:
    """A stream sink that does something with each event."""

    def __init__(self, act=None) -> None:
        self.events: list[Any] = []
        self._act = act

    async def emit(self, event):
        self.events.append(event)
        if self._act is not None:
            await self._act(event)


class Trace:
    def __init__(self) -> None:
        self.seqs: list[int] = []

    async def on_commits(self, run_id, commits):
        self.seqs += [commit.seq for commit in commits]


async def for_ever(event) -> None:
    await trio.sleep_forever()


def slowly(seconds: float):
    async def act(event) -> None:
        await trio.sleep(seconds)

    return act


def counted(runtime: terzetto.Runtime, name: str) -> terzetto.SinkStatistics:
    (found,) = [each for each in runtime.statistics().sinks if each.name == name]
    return found


async def talks(ctx):
    ctx.emit_text("a")
    ctx.emit_text("b")
    ctx.record(Say("talked"))


# -- what each gets ------------------------------------------------------------------------------------------


@both
@stores
async def test_each_sink_gets_its_part_of_a_run(autojump_clock, dispatch, store):
    """8.7: events as they become visible (chunks too), checkpoints, barriers, and the commits once they are stored."""
    ear, shelf = Ear(), store()
    graph = chain(talks, "ask", counts(3))
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[ear])
        await told(run, until=BarrierOpened)
        await run.decide("ask", terzetto.Approve())
        await run.result()
        await settled()
        assert ear.events == await told(run)
        assert ["a", "b"] == [event.text for event in ear.events if isinstance(event, TextChunk)]
        assert ["opened ask", "resolved ask"] == ear.barriers
        log = await records(shelf, "r")
        assert [record.seq for record in log] == [commit.seq for commit in ear.commits]
        assert ear.commits == (await run.history(limit=None))[::-1]
        assert [record.kind for record in log] == [each.kind for each in ear.checkpoints]
        visits = [(each.node, each.visit, each.outcome) for each in ear.checkpoints if each.kind is Kind.VISIT]
        assert [("talks", 1, "SUCCEEDED"), ("count", 3, "SUCCEEDED")] == visits
        states = [(await each.state()).count for each in ear.checkpoints]
        assert (0, 3) == (states[0], states[-1])
        statistics = counted(runtime, "Ear")
        assert (0, 0, 0, "") == (statistics.fed, statistics.dropped, statistics.failed, statistics.error)
        assert len(ear.events) + len(ear.checkpoints) + len(ear.batches) + 2 == statistics.delivered


async def test_commits_are_told_when_they_are_stored_and_never_before(autojump_clock):
    """8.7, D3: no event before its commit."""
    store, ear, held = FaultyStore(), Ear(), Held()
    graph = chain(says("first"), held)
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[ear])
        await held.begun.wait()
        await settled()
        seen = len(ear.commits)
        store.hold()
        held.go.set()
        await trio.sleep(1)
        assert (seen, False) == (len(ear.commits), RunEnded in map(type, ear.events))
        store.release()
        await run.result()
        await settled()
        assert (seen + 1, True) == (len(ear.commits), RunEnded in map(type, ear.events))


async def test_what_a_run_keeps_to_itself_is_told_when_it_is_stored(autojump_clock):
    """8.7: commits that `durability=` holds back come with those that are written, and none is missed."""
    trace, held = Trace(), Held()
    graph = chain(says("a"), says("b"), held)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), durability="exit", sinks=[trace])
        await held.begun.wait()
        await settled()
        assert [1, 2] == trace.seqs
        held.go.set()
        await run.result()
        await settled()
    assert [1, 2, 3, 4, 5] == trace.seqs


async def test_a_sink_that_is_not_async_is_told_so(autojump_clock):
    class Plain:
        def emit(self, event):
            pass

    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        plain: Any = Plain()
        await (await runtime.submit(graph, Tally(), sinks=[plain])).result()
        await settled()
        (counts,) = runtime.statistics().sinks
    assert (0, "TypeError: this method of a sink has to be an `async def`") == (counts.delivered, counts.error)


@pytest.mark.parametrize("sink", [object(), Stream, None, [Stream()]])
async def test_what_is_no_sink_is_refused(sink):
    graph = chain(says("a"))
    with pytest.raises(InvalidRequest, match="is no sink: it has none of the methods emit"):
        await terzetto.run(graph, Tally(), sinks=[sink])
    async with opened(MemoryStore(), graph) as runtime:
        with pytest.raises(InvalidRequest):
            await runtime.submit(graph, Tally(), run_id="r", sinks=[sink])
        assert await runtime.store.run("r") is None
    with pytest.raises(InvalidRequest):
        async with opened(MemoryStore(), graph, sinks=[sink]):
            pass


# -- nobody waits for them -----------------------------------------------------------------------------------


@both
async def test_a_sink_that_hangs_does_not_slow_its_run(autojump_clock, dispatch):
    """8.7: a call that takes too long is cancelled and counted, and the next one comes."""
    hangs = Stream(for_ever)
    graph = chain(says("a"), says("b"))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[hangs])
        await run.result()
        assert 0 == trio.current_time()
        await trio.sleep(SINK_DEADLINE * 10)
        events = await told(run)
        assert events == hangs.events
        found = counted(runtime, "Stream")
        assert (0, len(events), "it took longer than 5 s") == (found.delivered, found.failed, found.error)


ERRORS = {
    "ValueError": lambda: ValueError("no\nway"),
    "SystemExit": lambda: SystemExit(3),
    "GeneratorExit": GeneratorExit,
    "ExceptionGroup": lambda: ExceptionGroup("both", [OSError(), KeyError()]),
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_a_sink_that_raises_is_counted(autojump_clock, kind, caplog):
    """8.7: it never fails a run; the last error is kept as a text, and the first one is logged."""

    async def explode(event):
        error = ERRORS[kind]()
        raise error

    breaks, ear = Stream(explode), Ear()
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[breaks, ear])
        assert SUCCEEDED is (await run.result()).status
        await settled()
        found = counted(runtime, "Stream")
        assert (0, len(ear.events)) == (found.delivered, found.failed)
        assert found.error.startswith(kind)
        assert "\n" not in found.error
        assert 0 == runtime.statistics().restarts
    (message,) = caplog.messages
    assert message.startswith("run 'r': sink Stream failed (further failures are only counted): ")


async def test_a_sink_whose_method_is_not_async_is_counted(autojump_clock):
    class Plain:
        def emit(self, event):
            pass

    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        await (await runtime.submit(graph, Tally(), sinks=[Plain()])).result()
        await settled()
        (found,) = runtime.statistics().sinks
        assert "TypeError" in found.error


async def test_one_that_falls_behind_loses_chunks_and_counts_them(autojump_clock):
    """8.7, 8.5: what has left the window of the run is gone, but durable events and the end are not."""

    async def floods(ctx):
        for number in range(2000):
            ctx.emit_text(str(number))
        await trio.sleep(1)

    slow = Stream(slowly(0.5))
    graph = chain(says("a"), floods, says("b"))
    async with opened(MemoryStore(), graph, limit=10_000) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[slow])
        await run.result()
        assert 1 == trio.current_time()
        await trio.sleep(3000)
        events, found = await told(run), counted(runtime, "Stream")
        assert [e for e in events if e.durable] == [e for e in slow.events if e.durable]
        assert RunEnded is type(slow.events[-1])
        assert 1000 < found.dropped < 2000
        shown = sum(not event.durable for event in slow.events)
        assert 2000 + 3 == found.dropped + shown, "every chunk, and the start of every node"
        assert len(slow.events) == found.delivered


async def test_a_slow_sink_slows_no_other(autojump_clock):
    slow, ear = Stream(slowly(1)), Ear()
    graph = chain(says("a"), says("b"))
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[slow, ear])
        await run.result()
        await settled()
        assert RunEnded is type(ear.events[-1])
        assert 1 == len(slow.events)


async def test_a_store_that_is_gone_for_a_while_is_waited_for(autojump_clock):
    """8.7: the log is the queue: no commit is missed."""
    store, trace, held = FaultyStore(), Trace(), Held()
    graph = chain(says("a"), held, says("b"))
    async with opened(store, graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[trace])
        await held.begun.wait()
        await settled()
        reading, count = store.records, 0

        async def failing(*args, **kwargs):
            nonlocal count
            count += 1
            if count < 4:
                raise StoreUnavailable("gone")
            return await reading(*args, **kwargs)

        store.records = failing
        held.go.set()
        await run.result()
        await trio.sleep(10)
        assert [1, 2, 3, 4, 5] == trace.seqs
        assert 0 == counted(runtime, "Trace").failed


async def test_a_log_that_cannot_be_read_is_counted(autojump_clock):
    store, trace, ear = FaultyStore(), Trace(), Ear()

    async def damaged(*args, **kwargs):
        return [b"\xc1"]

    graph = chain(says("a"))
    async with opened(store, graph) as runtime:
        store.records = damaged
        run = await runtime.submit(graph, Tally(), sinks=[trace])
        assert SUCCEEDED is (await run.result()).status
        await settled()
        assert "Malformed" in counted(runtime, "Trace").error
        assert [] == ear.events


# -- how long they live --------------------------------------------------------------------------------------


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@both
async def test_a_run_that_rests_keeps_no_task_for_its_sinks(autojump_clock, dispatch):
    """6.6: a parked run holds no slot and no task; its sinks go on where they were."""
    ear, trace = Ear(), Trace()
    graph = chain(says("a"), "ask", says("b"))
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=1000, sinks=[trace]) as runtime:
        await trio.sleep(1)
        before = tasks()
        run = await runtime.submit(graph, Tally(), sinks=[ear])
        await told(run, until=BarrierOpened)
        await trio.sleep(3 * HEARTBEAT)
        assert (before, 0) == (tasks(), counted(runtime, "Ear").fed)
        await run.decide("ask", terzetto.Approve())
        await run.result()
        await settled()
        assert ear.events == await told(run)
        assert [each.seq for each in ear.checkpoints] == trace.seqs == list(range(1, len(trace.seqs) + 1))
        assert {} == runtime.feeds._fed


async def test_sinks_are_no_readers_that_a_run_goes_on_for(autojump_clock):
    """8.4: only the last reader counts, and a sink is none."""
    held, ear = Held(), Ear()
    graph = chain(held)
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[ear])
        async with run.events(on_disconnect="cancel", grace=1) as events:
            await anext(events)
            await settled()
            assert 1 == runtime.hub.readers(run.run_id)
        assert CANCELLED is (await run.result()).status
        assert 1 == trio.current_time()


async def test_leaving_waits_for_sinks_and_for_no_more_than_their_grace(autojump_clock):
    """8.7, 9.6: what is not told by then is counted."""
    slow, quick = Stream(slowly(2)), Ear()
    graph = chain(says("a"), says("b"))
    async with opened(MemoryStore(), graph, limit=100, sinks=[quick]) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[slow])
        await run.result()
        total = len(await told(run))
    assert (SINK_GRACE, RunEnded) == (trio.current_time(), type(quick.events[-1]))
    found = counted(runtime, "Stream")
    assert 2 == found.delivered == len(slow.events) - 1
    assert total == found.delivered + found.dropped


async def test_a_sink_that_ignores_its_cancel_keeps_the_runtime_and_no_run(autojump_clock):
    """Trio abandons no task; what the sink was not told meanwhile is counted."""

    async def stubborn(event):
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    sink = Stream(stubborn)
    graph = chain(says("a"), says("b"))
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[sink])
        assert SUCCEEDED is (await run.result()).status
        assert 0 == trio.current_time()
        total = len(await told(run))
    found = counted(runtime, "Stream")
    assert (60, 1) == (trio.current_time(), len(sink.events))
    assert total == found.dropped + found.failed + found.delivered


async def test_leaving_in_a_hurry_tells_of_the_interruption(autojump_clock):
    ear, held = Ear(), Held()
    graph = chain(held)
    with pytest.RaisesGroup(KeyError):
        async with opened(MemoryStore(), graph, sinks=[ear]) as runtime:
            await runtime.submit(graph, Tally())
            await held.begun.wait()
            raise KeyError
    assert ["RunQueued", "RunStarted", "NodeStarted", "RunInterrupted"] == ear.kinds


async def test_nothing_is_left(autojump_clock):
    """Law 3: no task, and nothing that remembers the run."""
    before, known = tasks(), alive()
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph, sinks=lambda run_id: [Ear()]) as runtime:
        for number in range(5):
            await (await runtime.submit(graph, Tally(), run_id=f"r{number}", sinks=[Stream()])).result()
        await settled()
        assert ({}, {}, {}) == (runtime.feeds._fed, runtime.feeds._own, runtime.feeds._stirred)
    await trio.lowlevel.checkpoint()
    assert before == tasks()
    del runtime
    assert known == alive()


# -- for every run -------------------------------------------------------------------------------------------


@both
@stores
async def test_sinks_of_a_runtime_hear_of_every_run(autojump_clock, dispatch, store):
    ear = Ear()
    graph = chain(says("a"))
    async with opened(store(), graph, dispatch=dispatch, sinks=[ear]) as runtime:
        for run_id in ("one", "two"):
            await (await runtime.submit(graph, Tally(), run_id=run_id)).result()
        await settled()
        for run_id in ("one", "two"):
            assert await told(runtime.get(run_id)) == [event for event in ear.events if event.run_id == run_id]


@pytest.mark.parametrize("made", [None, 5, [object()], [Ear]], ids=["None", "number", "object", "class"])
async def test_what_is_made_and_is_no_sink_is_counted(autojump_clock, made):
    """8.7: the run has no sinks then, and nobody else is harmed."""

    def forgetful(run_id):
        return made

    graph = chain(says("a"))
    async with opened(MemoryStore(), graph, sinks=forgetful) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
        await settled()
        (made_by,) = runtime.statistics().sinks
        assert (True, 1, 0) == (made_by.name.endswith("forgetful"), made_by.failed, made_by.fed)


async def test_they_may_be_made_for_each_run(autojump_clock, caplog):
    made: dict[str, Ear] = {}

    def make(run_id: str) -> list[Ear]:
        if run_id == "bad":
            raise RuntimeError("none for this one")
        made[run_id] = Ear()
        return [made[run_id]]

    graph = chain(says("a"))
    async with opened(MemoryStore(), graph, sinks=make) as runtime:
        for run_id in ("one", "bad", "two"):
            await (await runtime.submit(graph, Tally(), run_id=run_id)).result()
        await settled()
        assert 1 == sum(each.failed for each in runtime.statistics().sinks)
        assert {} == runtime.feeds._fed
    assert ["one", "two"] == list(made)
    assert {"two"} == {event.run_id for event in made["two"].events}
    assert "none for this one" in caplog.text


@stores
async def test_a_run_that_is_recovered_is_traced(autojump_clock, store):
    """8.7: commits come at least once: also those from before; events from where the run goes on."""
    shelf, held = store(), Held()
    graph = chain(says("a"), held, says("b"))
    async with opened(shelf, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    before = len(await records(shelf, "r"))
    held.begun, ear = trio.Event(), Ear()
    async with opened(shelf, graph, sinks=[ear]) as runtime:
        await held.begun.wait()
        held.go.set()
        await runtime.get("r").result()
        await settled()
        total = len(await records(shelf, "r"))
    assert list(range(1, total + 1)) == [commit.seq for commit in ear.commits]
    assert before < total
    assert RunStarted is type(ear.events[0])
    assert RunQueued not in map(type, ear.events)
    assert 0 == counted(runtime, "Ear").dropped


@stores
async def test_a_parked_run_is_traced_when_it_goes_on(autojump_clock, store):
    shelf = store()
    graph = chain(says("a"), "ask", says("b"))
    async with opened(shelf, graph) as runtime:
        await parked(runtime, graph, "r")
    ear = Ear()
    async with opened(shelf, graph, sinks=[ear]) as runtime:
        run = runtime.get("r")
        await told(run, until=BarrierOpened)
        await settled()
        assert [] == ear.events
        await run.decide("ask", terzetto.Approve())
        await run.result()
        await settled()
        assert BarrierResolved is type(ear.events[0])
        assert ear.events == (await told(run))[-len(ear.events) :]
        assert 1 == ear.commits[0].seq
    assert ["resolved ask"] == ear.barriers


async def test_a_run_that_is_submitted_again_tells_the_new_sink_everything_once(autojump_clock):
    """10.2: the same id and input is the same run, and the same sink is one."""
    ear, held = Ear(), Held()
    graph = chain(says("a"), held)
    async with opened(MemoryStore(), graph) as runtime:
        for _ in range(2):
            run = await runtime.submit(graph, Tally(), run_id="r", sinks=[ear])
        await held.begun.wait()
        await settled()
        late = Ear()
        await runtime.submit(graph, Tally(), run_id="r", sinks=[late])
        held.go.set()
        await run.result()
        await settled()
        assert ear.events == late.events == await told(run)
        last = Ear()
        assert (await runtime.submit(graph, Tally(), run_id="r", sinks=[last])).reused
        await settled()
        assert [e for e in ear.events if e.durable] == [e for e in last.events if e.durable]


async def test_a_run_with_sinks_of_its_own_and_common_ones(autojump_clock):
    """One that was attached while its run rested here changes nothing for those of every run."""
    common, own = Ear(), Ear()
    graph = chain("ask", says("b"))
    store = MemoryStore()
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "r")
    async with opened(store, graph, sinks=[common]) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[own])
        await settled()
        assert (["opened ask"], []) == (own.barriers, common.events)
        await run.decide("ask", terzetto.Approve())
        await run.result()
        await settled()
    assert (["opened ask", "resolved ask"], ["resolved ask"]) == (own.barriers, common.barriers)


async def test_only_so_many_runs_that_rest_are_remembered(autojump_clock, monkeypatch):
    """8.7: one that is forgotten is told its commits again, and events from where it goes on."""
    monkeypatch.setattr("terzetto._feeds.NAPPING", 1)
    ear, own = Ear(), Ear()
    graph = chain("ask", says("b"))
    async with opened(MemoryStore(), graph, limit=1000, sinks=[ear]) as runtime:
        for run_id in ("first", "second"):
            await parked(runtime, graph, run_id, sinks=[own] if run_id == "first" else ())
            await trio.sleep(3 * HEARTBEAT)
        third = await parked(runtime, graph, "third")
        await trio.sleep(3 * HEARTBEAT)
        assert {"first", "third"} == set(runtime.feeds._fed)
        for run_id in ("second", "third"):
            await runtime.get(run_id).decide("ask", terzetto.Approve())
            await runtime.get(run_id).result()
        await settled()
        for run_id, times in (("second", 2), ("third", 1)):
            assert await told(runtime.get(run_id)) == [event for event in ear.events if event.run_id == run_id]
            assert times == sum(commit.seq == 1 and commit.events[0]["run_id"] == run_id for commit in ear.commits)
        assert third.run_id == "third"


async def test_a_run_that_has_woken_up_is_not_forgotten(autojump_clock, monkeypatch):
    monkeypatch.setattr("terzetto._feeds.NAPPING", 1)
    ear = Ear()
    graph = chain("ask", "again", says("b"))
    async with opened(MemoryStore(), graph, limit=1000, sinks=[ear]) as runtime:
        first = await parked(runtime, graph, "first")
        await trio.sleep(2 * HEARTBEAT)
        await parked(runtime, graph, "second")
        await trio.sleep(HEARTBEAT - 5)
        await first.decide("ask", terzetto.Approve())
        await trio.sleep(3 * HEARTBEAT)
        await first.decide("again", terzetto.Approve())
        await first.result()
        await settled()
        assert await told(first) == [event for event in ear.events if event.run_id == "first"]


# -- without a runtime ---------------------------------------------------------------------------------------


async def test_terzetto_run_tells_sinks_and_waits_for_them(autojump_clock):
    """8.7: as in a runtime; when it returns they have heard everything."""
    ear, slow = Ear(), Stream(slowly(0.2))
    graph = chain(talks, "ask", says("b"), counts(3))
    done = await terzetto.run(graph, Tally(), auto_approve=True, sinks=[ear, slow])
    assert (3, ["talked", "b"]) == (done.count, done.trail)
    assert ["RunQueued", "RunStarted", "NodeStarted", "TextChunk", "TextChunk", "NodeFinished"] == ear.kinds[:6]
    assert RunEnded is type(ear.events[-1]) is type(slow.events[-1])
    assert ["opened ask", "resolved ask"] == ear.barriers
    assert list(range(1, len(ear.commits) + 1)) == [commit.seq for commit in ear.commits]
    states = {each.seq: (await each.state()).count for each in ear.checkpoints}
    assert (0, 3) == (states[1], states[max(states)])


async def test_terzetto_run_waits_for_no_more_than_their_grace(autojump_clock, caplog):
    hangs = Stream(for_ever)
    await terzetto.run(chain(says("a")), Tally(), sinks=[hangs])
    assert SINK_GRACE == trio.current_time()


@pytest.mark.parametrize("how", ["fails", "refused"])
async def test_terzetto_run_raises_as_it_does_without(autojump_clock, how):
    async def fails(ctx):
        raise ValueError("no")

    async def pauses(ctx):
        ctx.pause()

    ear = Ear()
    graph = chain(fails) if how == "fails" else chain(pauses, says("never"))
    with pytest.raises(terzetto.RunFailed if how == "fails" else terzetto.Refused):
        await terzetto.run(graph, Tally(), sinks=[ear])
    assert ("RunEnded" if how == "fails" else "RunPaused") == ear.kinds[-1]


async def test_a_caller_that_is_cancelled_is_not_kept(autojump_clock):
    held, ear = Held(), Ear()
    with trio.move_on_after(1) as scope:
        await terzetto.run(chain(held), Tally(), sinks=[ear])
    assert (True, 1, ["cancelled"]) == (scope.cancelled_caught, trio.current_time(), held.ends)
    assert NodeStarted is type(ear.events[2])


async def test_without_sinks_a_run_keeps_no_log(autojump_clock):
    """Nobody listens: what nobody hears is not made."""
    seen = []

    async def look(ctx):
        seen.append(ctx)
        ctx.record(Add(1))

    await terzetto.run(chain(look), Tally())
    pack = seen[0].port.pack
    assert "keep" in pack.__name__


async def test_a_log_line_is_the_only_trace_of_a_failure(autojump_clock, caplog):
    async def explode(event):
        raise ValueError("no")

    with caplog.at_level(logging.WARNING, "terzetto"):
        await terzetto.run(chain(says("a")), Tally(), sinks=[Stream(explode)])
    assert 1 == len(caplog.messages)


def test_a_checkpoint_is_shown_without_what_makes_its_state():
    async def load(seq):
        return Tally(seq)

    checkpoint = terzetto.Checkpoint("r", 3, Kind.VISIT, RUNNING, "a", 1, None, 0.0, load)
    assert "load" not in repr(checkpoint)
    assert 3 == trio.run(checkpoint.state).count
    assert NodeFinished is not type(checkpoint)


# -- required ones -------------------------------------------------------------------------------------------


async def breaks(event) -> None:
    raise OSError("no space left")


@both
@pytest.mark.parametrize("act, text", [(breaks, "OSError: no space left"), (for_ever, "it took longer than 5 s")])
async def test_a_required_sink_that_fails_ends_its_run(autojump_clock, dispatch, act, text):
    """8.7: cancelled, with the reason; other runs go on."""
    held, others = Held(), Held("other")
    graph, other = chain(held), chain(others, name="other")
    async with opened(MemoryStore(), graph, other, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[terzetto.Required(Stream(act))])
        second = await runtime.submit(other, Tally(), run_id="s", sinks=[Stream(breaks)])
        result = await run.result()
        assert CANCELLED is result.status
        reasons = [event.reason for event in await told(run) if isinstance(event, CancelRequested)]
        assert [f"required sink Stream failed: {text}"] == reasons
        others.go.set()
        assert SUCCEEDED is (await second.result()).status


async def test_a_required_sink_of_every_run_ends_every_run(autojump_clock):
    """8.7: recovered ones too."""
    store, graph = MemoryStore(), chain("ask", Held())
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "r")
    async with opened(store, graph, sinks=[terzetto.Required(Stream(breaks))]) as runtime:
        run = runtime.get("r")
        await run.decide("ask", terzetto.Approve())
        assert CANCELLED is (await run.result()).status


async def test_a_required_sink_that_fails_too_late_changes_nothing(autojump_clock):
    """8.7: a run that has ended by then stays as it ended."""
    graph, sink = chain(says("a")), Stream(for_ever)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[terzetto.Required(sink)])
        assert SUCCEEDED is (await run.result()).status
        await trio.sleep(SINK_DEADLINE + 1)
        assert SUCCEEDED is await run.status()
        assert 1 == counted(runtime, "Stream").failed


async def test_a_required_sink_that_works_is_any_sink(autojump_clock):
    graph, ear = chain(says("a")), Ear()
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", sinks=[terzetto.Required(ear)])
        assert SUCCEEDED is (await run.result()).status
        await settled()
        assert ear.events == await told(run)
        assert 0 == counted(runtime, "Ear").failed


async def test_where_nobody_could_end_the_run_none_is_required(autojump_clock):
    graph = chain(says("a"))
    with pytest.raises(InvalidRequest, match="a required sink needs a runtime"):
        await terzetto.run(graph, Tally(), sinks=[terzetto.Required(Ear())])
    async with opened(MemoryStore(), graph) as runtime:
        with pytest.raises(InvalidRequest, match="object is no sink"):
            await runtime.submit(graph, Tally(), sinks=[terzetto.Required(object())])
