"""Branches through a runtime: gone on with after a restart between any two commits (SEMANTICS 3, 9.6)."""

from collections import Counter
from copy import deepcopy

import pytest
import trio

from terzetto.stores import MemoryStore
from terzetto_protocol.graph import Graph
from terzetto_protocol.records import Kind, Stale
from terzetto_protocol.statuses import VisitStatus

from .fans import Numbered, bare, fails, fan, leaves, naps, place
from .runtimes import INTERRUPTED, Body, Say, Tally, both, chain, opened, stores
from .stores import FaultyStore, records, trail


@both
@stores
async def test_a_shutdown_in_the_middle(autojump_clock, dispatch, store):
    """9.6, 5.5: INTERRUPTED, then the next runtime goes on, and no finished visit of a branch runs again."""
    asked, ran = [], Counter()
    graph = bare()

    @graph.node
    async def work(ctx: Numbered) -> None:
        ran[ctx.index] += 1
        await trio.sleep(ctx.item)
        ctx.record(Say(f"{ctx.item} at {ctx.fence}"))

    def over(tally: Tally) -> list[int]:
        asked.append(len(asked))
        return [1, 4, 2, 6]

    graph.start(graph.map("each", work, over=over, merge="replay"))
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(3)
        assert 2 == run.statistics().live
    assert INTERRUPTED is (await shelf.run("r")).status
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        result = await runtime.get("r").result()
    assert ["1 at 1", "4 at 2", "2 at 1", "6 at 2"] == result.state.trail
    assert (Counter({0: 1, 1: 2, 2: 1, 3: 2}), [0]) == (ran, asked)


@both
async def test_a_shutdown_lets_branches_reach_their_commits(autojump_clock, dispatch):
    """9.6: running work reaches its commits until the deadline; nothing new begins."""
    graph = bare()
    first, second = place(graph, naps("first", 4)), place(graph, naps("second", 4))
    graph.edge(first, second)
    graph.start(graph.parallel("fan", [first, place(graph, naps("b", 5))], merge="replay"))
    async with opened(store := MemoryStore(), graph, dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(3)
    assert 5 == trio.current_time()
    assert ["visit first@2 SUCCEEDED -> RUNNING", "visit b@3 SUCCEEDED -> RUNNING", "interrupt -> INTERRUPTED"] == (
        await trail(store, "r")
    )[-3:]
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert ["first", "second", "b"] == (await runtime.get("r").result()).state.trail


class Remembering(MemoryStore):
    """Remembers what it and the world outside held before each commit."""

    def __init__(self, world: list[str]) -> None:
        super().__init__()
        self._world = world
        self.before: list[tuple[MemoryStore, list[str]]] = []

    def settle(self, write):
        held = {name: part for name, part in vars(self).items() if name not in ("before", "_world")}
        copy = MemoryStore()
        vars(copy).update(deepcopy(held))
        self.before.append((copy, list(self._world)))
        return super().settle(write)


def spacious(world: list[str], ran: list[int], **options) -> Graph[Tally]:
    """Every kind of branch: a chain, a map of pairs, a subgraph, a `once` node with a probe, and a barrier."""
    graph, inner = bare(), chain(*(noted(name, ran) for name in ("in", "side")), name="inner")
    left, right = place(graph, noted("left", ran)), place(graph, noted("right", ran))
    graph.edge(left, right)

    async def charge(ctx) -> None:
        ran.append(ctx.visit.visit)
        world.append(ctx.key)
        await trio.sleep(1)
        ctx.record(Say("charged"))

    async def was_charged(ctx) -> bool:
        if ctx.key in world:
            ctx.record(Say("charged"))
        return ctx.key in world

    pay = graph.node(name="pay", effects="once", probe=was_charged)(charge)
    pair = graph.parallel("pair", [place(graph, noted(name, ran)) for name in "xy"], merge="replay")
    many = graph.map("many", pair, over=lambda _: [1, 2, 3], item=int, merge="replay", limit=2)
    start = graph.parallel(
        "fan", [left, many, graph.subgraph("sub", inner), pay, graph.barrier("ask")], merge="replay", **options
    )
    graph.start(start)
    graph.edge(start, place(graph, noted("end", ran)))
    return graph


def noted(name: str, ran: list[int]) -> Body:
    async def body(ctx):
        ran.append(ctx.visit.visit)
        await trio.sleep(0.5)
        ctx.record(Say(f"{ctx.visit.path} {name}"))

    body.__name__ = name
    return body


def breaking(world: list[str], ran: list[int], **options) -> Graph[Tally]:
    """The last of three branches to end fails, and `rescued` follows."""
    graph = bare()
    first, second = place(graph, noted("first", ran)), place(graph, noted("second", ran))
    graph.edge(first, second)
    start = graph.parallel(
        "fan", [first, place(graph, noted("b", ran)), place(graph, fails("c", 2))], merge="replay", **options
    )
    graph.start(start)
    graph.edge(start, place(graph, noted("rescued", ran)), on_error=True)
    return graph


async def lived_on(made, store, world: list[str], dispatch: str, **options) -> tuple[Tally, list[int]]:
    """The run's final state, and the visits that ran here."""
    ran: list[int] = []
    graph = made(world, ran, **options)
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", auto_approve=True)
        return (await run.result()).unwrap(), ran


@both
@stores
@pytest.mark.parametrize(
    "made, options",
    [(spacious, {}), (breaking, {"errors": "fail_fast"}), (breaking, {"errors": "collect"})],
    ids=["all kinds", "fail fast", "collect"],
)
async def test_a_restart_between_any_two_commits(autojump_clock, dispatch, store, made, options):
    """3, 5.5: wherever the process dies, the same state comes out, no visit with a commit runs again, and the body of
    a `once` node begins once."""
    world: list[str] = []
    inner = Remembering(world)
    expected, _ = await lived_on(
        made, inner if store is MemoryStore else FaultyStore(inner), world, dispatch, **options
    )
    assert len(inner.before) > 5
    for held, seen in inner.before:
        done = [record for record in await records(held, "r") if record.kind in (Kind.VISIT, Kind.JOIN)]
        finished = {record.visit for record in done if record.outcome is VisitStatus.SUCCEEDED}
        shelf = held if store is MemoryStore else FaultyStore(held)
        state, ran = await lived_on(made, shelf, seen, dispatch, **options)
        assert expected == state
        assert not finished & set(ran)
        assert len(seen) == len(world)


@both
async def test_who_was_claimed_elsewhere_leaves_its_branches(autojump_clock, dispatch):
    """3 D8: a stale writer cancels its run scope, branches and all, and publishes nothing."""
    record: list = []
    store, graph = FaultyStore(), fan(naps("a", 2), leaves("b", record, cleanup=1), leaves("c", record))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(1)
        store.verdict = lambda write: Stale(write.expect + 1)
        await trio.sleep(5)
        assert runtime.get("r").statistics() is None
    assert [("c", 2), ("b", 3)] == record
    assert "fork fan@1 -> RUNNING" == (await trail(store, "r"))[-1]


@both
async def test_branches_wait_for_a_store_that_is_gone(autojump_clock, dispatch):
    """9.6: runs halt in memory and go on when the store is back; what begins next waits for its predecessor."""
    graph, begun = bare(), []
    first, second = place(graph, naps("first", 2)), place(graph, naps("second", 1, begun))
    graph.edge(first, second)
    graph.start(graph.parallel("fan", [first, place(graph, naps("b", 3))], merge="replay"))
    async with opened(store := FaultyStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(1)
        store.down = True
        await trio.sleep(10)
        assert ([], 0) == (begun, run.statistics().live)
        store.down = False
        assert ["first", "second", "b"] == (await run.result()).state.trail
        assert 0 == runtime.statistics().restarts


@both
async def test_an_interrupt_in_a_branch_is_raised_again(autojump_clock, dispatch):
    """9.4: KeyboardInterrupt is re-raised and the run INTERRUPTED; its branches have left."""
    record: list = []

    async def interrupted(ctx):
        await trio.sleep(1)
        raise KeyboardInterrupt

    graph = fan(interrupted, leaves("b", record))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with opened(store := MemoryStore(), graph, dispatch=dispatch) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await trio.sleep(5)
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert [("b", 1)] == record
    assert INTERRUPTED is (await store.run("r")).status
