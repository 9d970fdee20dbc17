"""A run's past: history, the state at any commit, differences, replay (SEMANTICS 1, 4.4)."""

import pytest
from attrs import define, field
from msgspec import Struct

import terzetto
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import InvalidRequest, UnknownRun
from terzetto_protocol.graph import Graph

from .runtimes import SUCCEEDED, opened


@define
class Log:
    lines: list[str] = field(factory=list)
    total: int = 0


class Wrote(Struct, frozen=True):
    text: str

    def apply(self, log: Log) -> None:
        log.lines.append(self.text)
        log.total += 1


STEPS = 30


def growing():
    """Thirty steps that add a line each, a barrier, a fan-out over three, and an end."""
    graph = Graph("growing", state=Log, mutations=[Wrote])

    @graph.node
    async def work(ctx):
        ctx.record(Wrote("x" * 100))

    @graph.node
    async def each(ctx: terzetto.ItemContext[Log, int]):
        ctx.record(Wrote(f"item {ctx.item}"))

    gate, fan = graph.barrier("gate"), graph.map("fan", each, over=lambda log: range(3), merge="replay")
    graph.start(work)
    graph.edge(work, work, when=lambda log: log.total < STEPS)
    graph.edge(work, gate, fallback=True)
    graph.edge(gate.approved, fan)
    return graph


async def ended(runtime, graph):
    run = await runtime.submit(graph, Log(), run_id="r", auto_approve=True)
    assert SUCCEEDED is (await run.result()).status
    return run


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "runs.db")


async def test_the_history_is_newest_first_and_paged(store):
    """3 (time travel): history, newest first, limit, before."""
    graph = growing()
    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        whole = await run.history(limit=None)
        assert list(range(len(whole), 0, -1)) == [commit.seq for commit in whole]
        assert ("submit", "join", "SUCCEEDED") == (whole[-1].kind, whole[0].kind, whole[0].status)
        paged, before = [], None
        while page := await run.history(limit=7, before=before):
            paged += page
            before = page[-1].seq
        assert whole == paged
        assert [] == await run.history(limit=0)


async def test_the_state_at_any_commit(store):
    """1: a checkpoint is a commit as seen from outside; 4.4: folding the log gives the state after every commit."""
    graph = growing()
    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        totals = []
        for commit in reversed(await run.history(limit=None)):
            state = await run.state(at=commit.seq)
            assert state.total == len(state.lines)
            totals.append(state.total)
        assert sorted(totals) == totals
        assert (0, STEPS + 3) == (totals[0], totals[-1])
        assert await run.state() == await run.state(at=len(totals))


async def test_what_changed_between_two_commits(store):
    graph = growing()
    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        first = next(c.seq for c in reversed(await run.history(limit=None)) if c.kind == "visit")
        assert () == await run.difference(first, first)
        changes = await run.difference(first, first + 1)
        assert [("lines[1]", "added", "x" * 100), ("total", "changed", 2)] == [
            (change.path, change.kind, change.after) for change in changes
        ]
        last = [change.after for change in await run.difference(first) if change.path == "total"]
        assert [STEPS + 3] == last


@pytest.mark.parametrize("at", [0, -1, 10_000])
async def test_a_commit_that_is_not_there(store, at):
    graph = growing()
    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        with pytest.raises(InvalidRequest, match=f"commits 1 to .*no {at}"):
            await run.state(at=at)
        with pytest.raises(UnknownRun):
            await runtime.get("nobody").history()


async def test_a_replay_runs_nothing_and_finds_the_same(store):
    """3 (time travel): replay feeds the log through the machine without nodes and verifies each state."""
    graph, began = growing(), []

    @graph.node
    async def unused(ctx):
        began.append(ctx)

    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        replay = await run.replay()
        assert (True, (await runtime.row("r")).seq) == (replay.holds, replay.commits)
        assert replay.checked > 2
    assert [] == began


async def test_a_replay_says_where_the_log_does_not_hold(monkeypatch):
    """4.4: a mutation whose code has changed makes another state of the same log."""
    graph, store = growing(), MemoryStore()
    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        monkeypatch.setattr(Wrote, "apply", lambda self, log: log.lines.append(self.text))
        replay = await run.replay()
        assert not replay.holds
        assert replay.broken[-1] == replay.commits


async def test_the_past_of_a_run_that_waits(store):
    graph = growing()
    async with opened(store, graph) as runtime:
        run = await runtime.submit(graph, Log(), run_id="r")
        async with run.events() as events:
            async for event in events:
                if isinstance(event, terzetto.BarrierOpened):
                    break
        assert (await run.replay()).holds
        assert STEPS == (await run.state()).total
        await run.decide("", Approve())
        await run.result()


async def test_where_a_run_is(store):
    """3 (drawing): what has happened at each place, to be drawn on the graph."""
    graph = growing()
    async with opened(store, graph) as runtime:
        run = await ended(runtime, graph)
        shown = await run.progress()
        assert (STEPS, "SUCCEEDED") == (shown["work"].visits, shown["work"].status)
        assert "work" in graph.svg(shown)
