"""The console over its websocket: every query and every command, subscriptions, and readers that are slow.

SEMANTICS 13 and 8: the runtime's promises, seen from outside of the process.
"""

from contextlib import suppress

import msgspec
import pytest
import trio
import trio.lowlevel
from attrs import define, field

import terzetto
from terzetto.console import _connection, _outbox, connect
from terzetto_protocol.commands import Delete, Fork, Rerun, Retry, Truncate, Undo, Withdraw
from terzetto_protocol.pieces import text_of
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.views import run_line
from terzetto_protocol.wire_asks import (
    GetGraphs,
    GetHealth,
    GetLineage,
    GetProgress,
    GetRun,
    GetStatistics,
    GetTimeline,
    ListBarriers,
    ListRuns,
    ReadCommit,
    ReadDiff,
    ReadHistory,
    ReadState,
)

from .consoles import Place, asked, closes, framed, heard, parsed, place, until
from .runtimes import Add, Held, Say, Tally, chain, says, told as events_of

SUBMITTED = terzetto.Submitted


@pytest.fixture
def graph():
    return chain(says("a"), "ok", says("b"))


async def ended(here: Place, graph, run_id="r", **options):
    run = await here.runtime.submit(graph, Tally(), run_id=run_id, auto_approve=True, **options)
    await run.result()
    return run


# -- queries


async def test_queries_say_what_the_runtime_says(graph):
    """SEMANTICS 13.8."""
    async with place(graph) as here, connect(here.url) as console:
        run = await ended(here, graph)
        row, past = await here.runtime.row("r"), await here.runtime.past("r")
        shown = (await console.ask(GetRun("r"))).run
        history = await console.ask(ReadHistory("r"))
        progress = await console.ask(GetProgress("r"))
        lineage = await console.ask(GetLineage("r"))
        graphs = await console.ask(GetGraphs())
        health = await console.ask(GetHealth())

        assert (run_line(row),) == (await console.ask(ListRuns())).runs
        assert (row.seq, row.status, (), None) == (shown.seq, shown.status, shown.commits, shown.state)
        assert (await run.history(limit=None)) == list(history.commits)
        assert await run.progress() == progress.places
        assert ["r"] == [kin.run_id for kin in lineage.runs]
        assert ["chain"] == [each.name for each in graphs.graphs]
        assert () == (await console.ask(GetGraphs("other"))).graphs
        assert (True, "memory:", False) == (health.ok, health.store, health.durable)
        assert {"count": 0, "trail": ["a", "b"]} == await console.whole(ReadState("r"))
        assert {"count": 0, "trail": ["a"]} == await console.whole(ReadState("r", at=4))
        assert msgspec.to_builtins(await past.difference(1, row.seq)) == tuple(await console.whole(ReadDiff("r", 1)))
        assert msgspec.json.decode(msgspec.json.encode(history.commits[0])) == await console.whole(
            ReadCommit("r", row.seq)
        )


async def test_lists_go_on_where_they_say(graph):
    async with place(graph) as here, connect(here.url) as console:
        for number in range(5):
            await ended(here, graph, f"r{number}")
        found, before = [], ""
        while True:
            page = await console.ask(ListRuns(before=before, limit=2))
            found += [line.run_id for line in page.runs]
            if not (before := page.next):
                break
        commits, newest = [], None
        while True:
            some = await console.ask(ReadHistory("r0", before=newest, limit=2))
            commits += [commit.seq for commit in some.commits]
            if (newest := some.next) is None:
                break

        assert ["r4", "r3", "r2", "r1", "r0"] == found
        assert list(range((await here.runtime.row("r0")).seq, 0, -1)) == commits
        assert () == (await console.ask(ListRuns(limit=0))).runs
        assert () == (await console.ask(ListRuns(statuses=(RunStatus.FAILED,)))).runs
        assert () == (await console.ask(ListRuns(graph="other"))).runs


async def test_a_large_state_comes_in_pieces_and_is_made_once(monkeypatch):
    async def grow(ctx):
        ctx.record(Say("äö" * 200_000))

    graph = chain(grow)
    async with place(graph) as here, connect(here.url) as console:
        await ended(here, graph)
        made = []
        monkeypatch.setattr("terzetto.console._texts.text_of", lambda value: made.append(1) or text_of(value))
        first = await console.ask(ReadState("r"))
        state = await console.whole(ReadState("r"))

    assert first.next is not None
    assert {"count": 0, "trail": ["äö" * 200_000]} == state
    assert [1] == made


async def test_the_numbers_of_the_runtime_and_of_a_run():
    held = Held()
    graph = chain(held)
    async with place(graph) as here, connect(here.url) as console:
        await here.runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        whole = (await console.ask(GetStatistics())).numbers
        run = (await console.ask(GetStatistics("r"))).numbers
        held.go.set()

    assert (1, []) == (whole["supervisor"]["live"], whole["supervisor"]["stuck"])
    assert ("RUNNING", 1) == (run["status"], run["live"])


async def test_open_barriers_of_all_runs(graph):
    async with place(graph) as here, connect(here.url) as console:
        for number in range(3):
            run = await here.runtime.submit(graph, Tally(), run_id=f"r{number}")
            await events_of(run, until=terzetto.BarrierOpened)
        first = await console.ask(ListBarriers(limit=2))
        second = await console.ask(ListBarriers(offset=first.next))

        assert (["r0", "r1"], 3, 2) == ([each.run_id for each in first.barriers], first.total, first.next)
        assert [("r2", "chain", "ok@2")] == [(e.run_id, e.graph, e.barrier.barrier) for e in second.barriers]
        assert second.next is None


async def test_the_timeline_of_a_fork_and_of_a_pruned_run(graph):
    async with place(graph) as here, connect(here.url) as console:
        run = await ended(here, graph, checkpoints=terzetto.CheckpointPolicy(every=1))
        whole = await console.ask(GetTimeline("r"))
        await console.ask(Fork("c1", "r", "f", at=4))
        await events_of(here.runtime.get("f"), until=terzetto.NodeFinished)
        forked = await console.ask(GetTimeline("f"))
        await run.truncate((await here.runtime.row("r")).seq)
        pruned = await console.ask(GetTimeline("r"))
        paged = await console.ask(GetTimeline("f", after=1, limit=1))

    assert ["a", "ok", "b"] == [span.node for span in whole.spans]
    assert [] != [span for span in forked.spans if span.node == "b"]
    assert len(pruned.spans) < len(whole.spans)
    assert 1 == len(paged.spans)


async def test_lineage_knows_who_was_made_from_whom(graph):
    async with place(graph) as here, connect(here.url) as console:
        await ended(here, graph)
        await console.ask(Fork("c1", "r", "f", at=4))
        found = await console.ask(GetLineage("f"))

    assert [("r", ""), ("f", "r")] == [(kin.run_id, kin.parent) for kin in found.runs]


@pytest.mark.parametrize(
    "ask", [GetRun("none"), ReadHistory("none"), ReadState("none"), GetTimeline("none"), GetLineage("none")], ids=repr
)
async def test_an_unknown_run_is_the_same_error_as_in_the_process(graph, ask):
    async with place(graph) as here, connect(here.url) as console:
        with pytest.raises(terzetto.UnknownRun):
            await console.ask(ask)


async def test_what_there_is_not_is_refused(graph):
    async with place(graph) as here, connect(here.url) as console:
        await ended(here, graph)
        for ask in [ReadState("r", at=99), ReadDiff("r", 99), ReadCommit("r", 99), ReadState("r", offset=10_000)]:
            with pytest.raises(terzetto.InvalidRequest):
                await console.ask(ask)


# -- commands


async def test_a_run_is_steered_from_its_beginning_to_its_end(graph):
    async with place(graph) as here, connect(here.url) as console:
        assert SUBMITTED("r", durable=False, reused=False) == await console.submit("chain", b"{}", run_id="r")
        await events_of(here.runtime.get("r"), until=terzetto.BarrierOpened)
        kept = await console.decide("r", "later", terzetto.Approve(), keep="once")
        withdrawn = await console.ask(Withdraw("w", "r", "later"))
        await console.pause("r")
        await console.resume("r")
        await console.ask(Undo("u", "r", 1))
        await events_of(here.runtime.get("r"), until=terzetto.BarrierOpened)
        while not (waiting := await here.runtime.get("r").barriers()):
            await trio.lowlevel.checkpoint()
        taken = await console.decide("r", waiting[0].barrier, terzetto.Approve(), source="ann")
        await here.runtime.get("r").result()
        again = await console.decide("r", waiting[0].barrier, terzetto.Reject("no"))
        cancelled = await console.cancel("r")
        pruned = await console.ask(Truncate("t", "r", 1))
        forked = await console.ask(Fork("f", "r", "r2", at=2))
        rerun = await console.ask(Rerun("rr", "r", "r3", "b"))
        await here.runtime.get("r3").result()
        deleted = await console.ask(Delete("d", "r3"))

    assert isinstance(kept, terzetto.DecisionKept)
    assert 1 == withdrawn.count
    assert isinstance(taken, terzetto.DecisionTaken)
    assert ("approve", "ann") == (again.decision, again.source)
    assert ("already_terminal", RunStatus.SUCCEEDED) == (cancelled.outcome, cancelled.status)
    assert isinstance(pruned, terzetto.Truncated)
    assert ("r2", "r3") == (forked.run_id, rerun.run_id)
    assert isinstance(deleted, terzetto.Deleted)


async def test_a_run_that_failed_is_tried_again_and_a_command_twice_is_once():
    fails = [True]

    async def shaky(ctx):
        if fails:
            raise ValueError("not yet")

    graph = chain(says("a"), shaky)
    async with place(graph) as here, connect(here.url) as console:
        await ended(here, graph)
        fails.clear()
        receipts = [await console.ask(Retry("same", "r", "r2")) for _ in range(2)]
        result = await here.runtime.get("r2").result()

    assert ["r2", "r2"] == [receipt.run_id for receipt in receipts]
    assert RunStatus.SUCCEEDED == result.status


async def test_a_wrong_state_is_refused_with_the_place_of_the_mistake(graph):
    async with place(graph) as here, connect(here.url) as console:
        with pytest.raises(terzetto.Malformed, match=r"\$\.count"):
            await console.submit("chain", b'{"count":"many"}')
        with pytest.raises(terzetto.UnknownGraph, match="no graph 'other'"):
            await console.submit("other", b"{}")


# -- subscriptions


async def test_events_come_as_they_do_in_the_process(graph):
    async with place(graph) as here, connect(here.url) as console:
        run = await ended(here, graph)
        expected = await events_of(run)
        async with console.watch("r") as events:
            told = [event async for event in events]

        assert expected == told[1:]
        assert terzetto.Cursor("fresh", 0) == told[0]
        async with console.watch("r", last_event_id=expected[2].id) as events:
            assert expected[3:] == [event async for event in events][1:]


async def test_events_come_in_few_frames():
    """SEMANTICS 13.9: what is there together is sent together."""
    go = trio.Event()

    async def chatter(ctx):
        await go.wait()
        for number in range(200):
            ctx.emit_text(str(number))

    graph = chain(chatter)
    async with place(graph) as here, here.socket() as socket:
        await here.runtime.submit(graph, Tally(), run_id="r")
        await asked(socket, 1, type="subscribe", run_id="r")
        go.set()
        frames = []
        while (frame := await heard(socket))["type"] != "over":
            frames.append(frame["events"])

    assert 200 == sum(event["type"] == "TextChunk" for events in frames for event in events)
    assert len(frames) < 12


async def test_a_subscription_ends_with_its_reason(graph):
    async with place(graph) as here, here.socket() as socket:
        await ended(here, graph)
        last = (await here.runtime.row("r")).event_id
        reasons = []
        for number, more in enumerate([{}, {"last_event_id": last}, {"last_event_id": 1, "strict": True}]):
            await asked(socket, number, type="subscribe", run_id="r", **more)
            while (frame := await heard(socket))["type"] != "over":
                pass
            reasons.append(frame["reason"])
        unknown = await asked(socket, 9, type="subscribe", run_id="none")

    assert ["ended", "ended", "ended"] == reasons
    assert "unknown_run" == unknown["code"]


async def test_a_strict_subscription_ends_where_something_is_gone():
    async def chatter(ctx):
        ctx.emit_text("gone")
        ctx.record(Add())

    graph = chain(chatter)
    async with place(graph) as here, here.socket() as socket:
        run = await ended(here, graph)
        first = next(event.id for event in await events_of(run) if isinstance(event, terzetto.RunStarted))
        here.runtime.hub.forget("r")  # as after a restart: chunks are gone
        await asked(socket, 1, type="subscribe", run_id="r", last_event_id=first, strict=True)
        frames = [await heard(socket), await heard(socket)]

    assert ("evicted", "gap") == (frames[0]["events"][0]["how"], frames[1]["reason"])


async def test_a_run_that_is_deleted_ends_its_subscription(graph):
    held = Held()
    graph = chain(held)
    async with place(graph) as here, connect(here.url) as console:
        await console.submit("chain", b"{}", run_id="r")
        async with console.watch("r") as events:
            assert isinstance(await anext(events), terzetto.Cursor)
            held.go.set()
            await here.runtime.get("r").result()
            await console.ask(Delete("d", "r"))
            told = []
            with pytest.raises((terzetto.UnknownRun, StopAsyncIteration)):
                while True:
                    told.append(await anext(events))


async def test_a_subscription_that_was_left_tells_nothing_more():
    held = Held()
    graph = chain(held)
    async with place(graph) as here, here.socket() as socket:
        await here.runtime.submit(graph, Tally(), run_id="r")
        await asked(socket, 1, type="subscribe", run_id="r")
        await asked(socket, 2, type="unsubscribe", subscription=1)
        held.go.set()
        await here.runtime.get("r").result()
        assert "reply" == (await asked(socket, 3, type="health"))["type"]
        assert 0 == here.runtime.hub.statistics().readers
        assert "unknown_subscription" == (await asked(socket, 4, type="unsubscribe", subscription=1))["code"]


async def test_who_follows_runs_is_told_how_they_are_listed_now(graph):
    """SEMANTICS 13.9: also of a run that came and went between two looks."""
    async with place(graph) as here, connect(here.url) as console, console.follow() as runs:
        seen: dict[str, str] = {}

        async def until(run_id, status):
            while seen.get(run_id) != status:
                changed = await anext(runs)
                seen.update({line.run_id: line.status for line in changed.runs})
                for gone in changed.deleted:
                    seen[gone] = "deleted"

        await here.runtime.submit(graph, Tally(), run_id="r")
        await until("r", "AWAITING_INPUT")
        await console.decide("r", "ok", terzetto.Approve())
        await until("r", "SUCCEEDED")
        await ended(here, graph, "short")
        await until("short", "SUCCEEDED")
        await console.ask(Delete("d", "r"))
        await until("r", "deleted")


async def test_who_follows_some_runs_hears_when_one_is_none_of_them_any_more(graph):
    other = chain("ok", name="other")
    wanted = (RunStatus.AWAITING_INPUT,)
    async with place(graph, other) as here, connect(here.url) as console:
        await here.runtime.submit(graph, Tally(), run_id="old")
        await events_of(here.runtime.get("old"), until=terzetto.BarrierOpened)
        async with console.follow(statuses=wanted, graph="chain") as runs:
            await here.runtime.submit(other, Tally(), run_id="another")

            await console.decide("old", "ok", terzetto.Approve())
            changed = await anext(runs)

    assert [("old", "SUCCEEDED")] == [(line.run_id, line.status) for line in changed.runs]


# -- slow readers


@define
class Slow:
    """A client that reads when it is told to."""

    stream: trio.SocketStream
    data: bytes = field(default=b"")

    async def read(self) -> None:
        while more := await self.stream.receive_some(65536):
            self.data += more

    def events(self):
        texts = [payload for opcode, payload in parsed(self.data) if opcode == 1]
        told = [msgspec.json.decode(text) for text in texts]
        return [event for frame in told if frame["type"] == "told" for event in frame["events"]]


async def test_a_reader_that_is_too_slow_gets_a_gap_and_delays_nobody(monkeypatch):
    """SEMANTICS 13.9: memory is bounded, and what is missing is counted."""
    monkeypatch.setattr(_outbox, "CONSOLE_OUTBOX", 64 * 1024)
    begun = trio.Event()

    async def chatter(ctx):
        await begun.wait()
        for number in range(4000):
            ctx.emit_text("x" * 2000 + str(number))
            if number % 50 == 0:
                await trio.lowlevel.checkpoint()

    graph = chain(chatter)
    async with place(graph) as here, here.opened() as stream:
        slow = Slow(stream)
        await here.runtime.submit(graph, Tally(), run_id="r")
        await stream.send_all(framed(b'{"type":"greet","major":1}'))
        await stream.send_all(framed(b'{"type":"request","id":1,"ask":{"type":"subscribe","run_id":"r"}}'))
        await trio.sleep(0.05)
        begun.set()
        await here.runtime.get("r").result()  # nobody waits for the slow one
        with trio.move_on_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(slow.read)
                await until(lambda: b'"over"' in slow.data)
                nursery.cancel_scope.cancel()
        told = slow.events()

    chunks = [event for event in told if event["type"] == "TextChunk"]
    gaps = [event for event in told if event["type"] == "Gap"]
    assert "RunEnded" == told[-1]["type"]
    assert gaps
    assert 4000 == len(chunks) + sum(gap["missed"] for gap in gaps)


async def test_a_reader_that_takes_nothing_at_all_is_closed(monkeypatch):
    """SEMANTICS 13.9: with 1013, if it takes the frame that it is in the middle of."""
    monkeypatch.setattr(_connection, "SERVER_SLOW", 0.4)

    async def grow(ctx):
        for _ in range(12):
            ctx.record(Say("x" * 80_000))

    graph = chain(grow)
    async with place(graph) as here, here.opened() as stream:
        await ended(here, graph)
        slow = Slow(stream)
        await stream.send_all(framed(b'{"type":"greet","major":1}'))
        for number in range(60):
            ask = b'{"type":"request","id":%d,"ask":{"type":"commit","run_id":"r","seq":3}}' % number
            await stream.send_all(framed(ask))
        await trio.sleep(0.5)
        with trio.fail_after(10), suppress(trio.BrokenResourceError):
            await slow.read()
        assert 200 == (await here.get("/healthz")).status

    assert closes(parsed(slow.data)) in ([1013], [])  # cut, where this machine was too slow to take the frame
    assert slow.data.count(b'"type":"reply"') < 60


async def test_an_answer_that_is_too_large_is_an_error_and_not_the_end():
    async def tell(ctx):
        ctx.record(Say("x" * 900_000))

    graph = chain(tell)
    async with place(graph) as here, connect(here.url) as console:
        await ended(here, graph)
        history = await console.ask(ReadHistory("r"))

        assert (3,) == history.cut
        assert "x" * 900_000 == (await console.whole(ReadCommit("r", 3)))["mutations"][0]["data"]["text"]


async def test_a_store_that_is_gone_is_an_error_that_passes(graph, monkeypatch):
    async with place(graph) as here, connect(here.url) as console:

        async def gone(run_id):
            raise terzetto.StoreUnavailable("disk of /secret/place is full")

        with monkeypatch.context() as patch:
            patch.setattr(here.runtime.store, "run", gone)
            with pytest.raises(terzetto.StoreUnavailable, match="gone for now") as caught:
                await console.ask(GetRun("r"))
        assert "/secret" not in str(caught.value)
        await ended(here, graph)
        assert "r" == (await console.ask(GetRun("r"))).run.run_id


async def test_a_subscription_cannot_be_asked_for_by_hand(graph):
    async with place(graph) as here, connect(here.url) as console:
        from terzetto_protocol.wire_asks import Subscribe

        with pytest.raises(terzetto.InvalidRequest, match="watch"):
            await console.ask(Subscribe("r"))
