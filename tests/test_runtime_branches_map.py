"""Branches through a runtime: one for each of some items (SEMANTICS 5.5)."""

import gc
import time
from collections.abc import Awaitable, Callable

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore

from .fans import Numbered, bare, each, place
from .runtimes import SUCCEEDED, Add, Say, Tally, both, chain, opened, says, stores


@both
@stores
async def test_every_branch_has_an_item_of_its_own(autojump_clock, dispatch, store):
    """5.5, 4.5: `map` over items of the state; what one branch does to its item is nobody else's business."""
    graph, shared = bare(), [1]

    @graph.node
    async def work(ctx: terzetto.ItemContext[Tally, list[int]]) -> None:
        ctx.item.append(ctx.index)
        await trio.sleep(1)
        ctx.record(Say(str(ctx.item)))

    @graph.node
    async def again(ctx: terzetto.ItemContext[Tally, list[int]]) -> None:
        ctx.record(Say(f"again {ctx.item} of {ctx.state.trail}"))

    graph.edge(work, again)
    graph.start(graph.map("each", work, over=lambda _: [shared, shared, [9]], merge="replay"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        state = await runtime.run(graph, Tally())
    one, two, three = "[1, 0]", "[1, 1]", "[9, 2]"
    assert [one, f"again [1] of ['{one}']", two, f"again [1] of ['{two}']", three] == state.trail[:5]
    assert [1] == shared


@both
async def test_a_map_over_nothing_goes_on(autojump_clock, dispatch):
    async def work(ctx: Numbered) -> None:
        ctx.record(Say("never"))

    graph = each(work, 0, after=says("after"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        assert ["after"] == (await runtime.run(graph, Tally())).trail


def states() -> int:
    return sum(type(each) is Tally for each in gc.get_objects())


async def spread(count: int, store: MemoryStore | None) -> float:
    """Seconds of processor time for a map over so many items, 100 at once, of which no more states are in memory."""
    live, most_live, most_states, known = 0, 0, 0, states()

    async def work(ctx: Numbered) -> None:
        nonlocal live, most_live, most_states
        live, most_live = live + 1, max(most_live, live + 1)
        ctx.record(Add())
        await trio.sleep(1)
        if ctx.index % (count // 5) == count // 5 - 1:
            most_states = max(most_states, states())
        live -= 1

    graph, since = each(work, count, limit=100, merge="replay"), time.process_time()
    if store is None:
        state = await terzetto.run(graph, Tally())
    else:
        async with opened(store, graph, limit=count) as runtime:
            state = await runtime.run(graph, Tally())
    took = time.process_time() - since
    assert (count, 100) == (state.count, most_live)
    assert most_states - known <= 110
    return took


async def takes_at_most(times: float, measure: Callable[[int], Awaitable[float]], few: int, many: int) -> bool:
    """Whether many take at most so many times as long as few, in one of three looks: others share the machine."""
    gc.collect()
    gc.freeze()  # what thousands of other tests have loaded is not looked through on behalf of this one
    for _ in range(3):
        if await measure(many) < times * await measure(few):
            return True
    return False


@pytest.mark.parametrize("kind", [MemoryStore, None], ids=["stored", "inline"])
async def test_ten_thousand_items(autojump_clock, kind):
    """5.5: never more than the limit live; no state for a branch that waits or has ended, and time that is linear."""

    async def seconds(count: int) -> float:
        return await spread(count, None if kind is None else kind())

    assert await takes_at_most(12, seconds, 2_000, 10_000), "five times the items took more than twelve times as long"


@pytest.mark.parametrize("body", ["parallel", "subgraph"])
async def test_a_map_of_places_takes_linear_time(autojump_clock, body):
    """5.5: what a branch of branches costs does not depend on how many there are beside it."""

    async def seconds(count: int) -> float:
        graph = bare(max_steps=10 * count)
        inner = graph.subgraph("inner", chain(says("a"), says("b"), name="inner"), put=lambda outer, inner: None)
        if body == "parallel":
            inner = graph.parallel("pair", [place(graph, says(name)) for name in "ab"], merge="replay")
        graph.start(graph.map("each", inner, over=lambda _: list(range(count)), item=int, merge="replay", limit=10))
        since = time.process_time()
        await terzetto.run(graph, Tally())
        return time.process_time() - since

    assert await takes_at_most(10, seconds, 300, 1_800), "six times the items took more than ten times as long"


@both
async def test_a_limit_holds_also_where_each_branch_is_a_graph(autojump_clock, dispatch):
    """5.5: a limit per fan-out: a branch inside of its subgraph is as live as any other."""
    live, most = [], []

    async def work(ctx):
        live.append(ctx.visit.visit)
        most.append(len(live))
        await trio.sleep(1)
        live.remove(ctx.visit.visit)

    graph, inside = bare(), bare("inside")
    first, second = (inside.node(name=name)(work) for name in ("first", "second"))
    inside.start(first)
    inside.edge(first, second)
    inner = graph.subgraph("inner", inside, put=lambda outer, inner: None)
    graph.start(graph.map("each", inner, over=lambda _: range(7), item=int, merge="replay", limit=2))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
    assert (2, 14) == (max(most), len(most))


@both
@stores
async def test_what_was_read_from_the_log_keeps_no_states_either(autojump_clock, dispatch, store):
    """5.5: as above, after a restart: of a branch that has ended only what it recorded is needed."""
    counted: list[int] = []

    async def work(ctx: Numbered) -> None:
        if ctx.index >= 200:
            counted.append(states())
            await trio.sleep(10)
        ctx.record(Add())

    shelf, graph = store(), each(work, 205, limit=5, merge="strict", errors="collect")
    async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(1)
    before = max(counted)
    counted.clear()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await runtime.get("r").result()
    assert max(counted) <= before + 10
