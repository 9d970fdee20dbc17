"""`submit(durability=...)`: runs that promise less, and are written in fewer pieces (SEMANTICS 3)."""

import shutil
from itertools import pairwise

import pytest
import trio
import trio.testing

from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.events import NodeFinished, RunEnded
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import HELD_COMMITS
from terzetto_protocol.statuses import RunStatus

from .runtimes import AWAITING, MUTATIONS, SUCCEEDED, Add, Tally, both, opened, says, settled, stores, told

modes = pytest.mark.parametrize("durability", ["barriers", "exit"])


def chain(*bodies, **options):
    graph = Graph("chain", state=Tally, mutations=MUTATIONS)
    nodes = [graph.node(name=f"n{number}", **options)(body) for number, body in enumerate(bodies)]
    graph.start(nodes[0])
    for source, target in pairwise(nodes):
        graph.edge(source, target)
    return graph


def waits(event):
    async def body(ctx):
        await event.wait()

    return body


@both
@stores
@modes
async def test_commits_are_kept_until_the_end(autojump_clock, dispatch, store, durability):
    """3: keeps commits in memory until a barrier or the end; the store has all of them then, none split."""
    event = trio.Event()
    graph = chain(says("a"), says("b"), waits(event), says("c"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", durability=durability)
        await settled()
        assert ["claim", "submit"] == [commit.kind for commit in await run.history()]
        event.set()
        result = await run.result()
        assert (SUCCEEDED, ["a", "b", "c"]) == (result.status, result.state.trail)
        assert ["visit"] * 4 + ["claim", "submit"] == [commit.kind for commit in await run.history()]
        assert (await run.replay()).holds


@both
async def test_what_is_shown_before_is_marked(autojump_clock, dispatch):
    """3: events shown before that are marked `durable=False`; D4: the ids and bytes are the same afterwards."""
    event = trio.Event()
    graph, store = chain(says("a"), waits(event), says("b")), MemoryStore()
    seen = []
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", durability="exit")

        async def reads():
            async with run.events() as events:
                seen.extend([item async for item in events])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reads)
            await settled()
            event.set()
    ends = [item for item in seen if isinstance(item, NodeFinished | RunEnded)]
    assert [("n0", False), ("n1", False), ("n2", True), ("", True)] == [
        (getattr(end, "node", ""), end.durable) for end in ends
    ]
    async with opened(store, graph) as runtime:
        again = [item for item in await told(runtime.get("r")) if isinstance(item, NodeFinished | RunEnded)]
    assert [True] * 4 == [end.durable for end in again]
    assert [end.__struct_fields__ and [getattr(end, f) for f in end.__struct_fields__] for end in ends] == [
        [getattr(end, f) for f in end.__struct_fields__] for end in again
    ]


@both
@modes
async def test_a_barrier_brings_everything_to_the_store(autojump_clock, dispatch, durability):
    """3: until a barrier; 6.1: a barrier is durable before it is told."""
    graph = Graph("gated", state=Tally, mutations=MUTATIONS)
    a, b, gate = graph.node(name="a")(says("a")), graph.node(name="b")(says("b")), graph.barrier("gate")
    c = graph.node(name="c")(says("c"))
    graph.start(a)
    graph.edge(a, b)
    graph.edge(b, gate)
    graph.edge(gate.approved, c)
    store = MemoryStore()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", durability=durability)
        await settled()
        assert (AWAITING, ["a", "b"]) == (await run.status(), (await run.state()).trail)
        await run.decide("", Approve())
        assert ["a", "b", "c"] == (await run.result()).state.trail


@both
async def test_so_does_the_intent_of_a_once_node(autojump_clock, dispatch):
    """D2: a once node starts => its intent, and everything before it, is durable."""
    stored = []
    graph, store = Graph("g", state=Tally, mutations=MUTATIONS), MemoryStore()

    async def pays(ctx):
        stored.append([commit.kind for commit in await runtime.get("r").history()])

    a, pay = graph.node(name="a")(says("a")), graph.node(name="pay", effects="once")(pays)
    graph.start(a)
    graph.edge(a, pay)
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await (await runtime.submit(graph, Tally(), run_id="r", durability="exit")).result()
    assert [["intent", "visit", "claim", "submit"]] == stored


@both
async def test_so_does_an_orderly_stop(autojump_clock, dispatch):
    """9.6: INTERRUPTED, resumable; nothing that was committed in memory is lost."""
    began = []

    async def notes(ctx):
        began.append(ctx.visit.node)
        ctx.record(Add())

    async def sleeps(ctx):
        began.append("sleeps")
        if began.count("sleeps") == 1:
            await trio.sleep_forever()

    graph, store = chain(notes, sleeps, notes), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r", durability="exit")
        await settled()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert 2 == (await runtime.get("r").result()).state.count
    assert ["n0", "sleeps", "sleeps", "n2"] == began


async def test_memory_is_bounded(autojump_clock):
    """12: at most HELD_COMMITS commits are held."""
    graph = Graph("loop", state=Tally, mutations=MUTATIONS)

    async def adds(ctx):
        ctx.record(Add())

    again = graph.node(name="again")(adds)
    graph.start(again)
    graph.edge(again, again, when=lambda tally: tally.count < 3 * HELD_COMMITS)
    graph.edge(again, graph.node(name="last")(says("end")), fallback=True)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", durability="exit")
        most = 0
        while await run.status() is not RunStatus.SUCCEEDED:
            statistics = run.statistics()
            most = max(most, 0 if statistics is None else statistics.seq - (await runtime.row("r")).seq)
            await trio.lowlevel.checkpoint()
        assert 0 < most <= HELD_COMMITS + 1
        assert (3 * HELD_COMMITS, True) == ((await run.state()).count, (await run.replay()).holds)


async def test_a_crash_takes_it_back_to_what_was_written(tmp_path):
    """3: a crash may lose what was not written, and nothing of it half: whoever goes on begins there."""
    began, event, waiting = [], trio.Event(), trio.Event()

    async def notes(ctx):
        began.append(ctx.visit.node)
        ctx.record(Add())

    async def rests(ctx):
        waiting.set()
        await event.wait()

    graph = chain(notes, notes, rests, notes)
    with trio.fail_after(20):
        async with opened(f"sqlite:{tmp_path / 'a.db'}", graph) as runtime:
            await runtime.submit(graph, Tally(), run_id="r", durability="exit")
            await waiting.wait()
            for name in ("a.db", "a.db-wal"):
                shutil.copy(tmp_path / name, tmp_path / name.replace("a", "b", 1))
            event.set()
            assert 3 == (await runtime.get("r").result()).state.count
        async with opened(f"sqlite:{tmp_path / 'b.db'}", graph) as runtime:
            assert 3 == (await runtime.get("r").result()).state.count
    assert ["n0", "n1", "n3", "n0", "n1", "n3"] == began


async def test_an_unknown_word_is_refused(autojump_clock):
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        with pytest.raises(InvalidRequest, match="durability: 'sometimes' is none of commits, barriers, exit"):
            await runtime.submit(graph, Tally(), durability="sometimes")
