"""Branches through a runtime: side by side, and folded in order (SEMANTICS 5.5)."""

from itertools import permutations

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore

from .fans import Numbered, bare, each, fan, naps
from .runtimes import SUCCEEDED, Tally, both, opened, settled, stores
from .stores import FaultyStore

# -- side by side ------------------------------------------------------------------------------------------------


@both
@stores
async def test_branches_overlap_in_time(autojump_clock, dispatch, store):
    """5.5: branches run side by side; the place lasts until they have ended."""
    record: list = []

    def timed(name, seconds):
        async def body(ctx):
            record.append((name, "begins", trio.current_time()))
            await trio.sleep(seconds)
            record.append((name, "ends", trio.current_time()))

        body.__name__ = name
        return body

    graph = fan(timed("a", 3), timed("b", 1), timed("c", 2), after=timed("d", 1))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
    assert [(name, "begins", 0) for name in "abc"] == sorted(record[:3])
    assert [("b", "ends", 1), ("c", "ends", 2), ("a", "ends", 3), ("d", "begins", 3), ("d", "ends", 4)] == record[3:]


@both
@stores
async def test_a_task_of_a_visit_bears_the_name_of_its_node(autojump_clock, dispatch, store):
    """9.1: who looks at the tree of tasks sees what runs."""
    names: list[str] = []

    def noting(name):
        async def body(ctx):
            names.append(trio.lowlevel.current_task().name)

        body.__name__ = name
        return body

    graph = fan(noting("a"), noting("b"), after=noting("c"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        await runtime.run(graph, Tally())
    assert ["a", "b"] == sorted(names[:2])
    assert dispatch == "direct" or names[2] == "c"


@pytest.mark.parametrize("kind", [MemoryStore, FaultyStore, None], ids=["memory", "faulty", "inline"])
@both
async def test_the_fold_is_in_order_of_declaration(autojump_clock, dispatch, kind):
    """5.5: the join folds in order of *declaration*, never of completion: for every order of four."""
    for order in permutations("abcd"):
        ended: list[str] = []
        graph = fan(*(naps(name, 1 + order.index(name), ended) for name in "abcd"))
        if kind is None:
            state = await terzetto.run(graph, Tally())
        else:
            async with opened(kind(), graph, dispatch=dispatch) as runtime:
                state = await runtime.run(graph, Tally())
        assert (list(order), list("abcd")) == (ended, state.trail)


@both
@stores
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_is_how_many_live_at_once(autojump_clock, dispatch, store, limit):
    """5.5: a limit per fan-out; branches begin in order of declaration."""
    begun: dict[int, float] = {}
    live, most = 0, 0

    async def work(ctx: Numbered) -> None:
        nonlocal live, most
        live, most = live + 1, max(most, live + 1)
        begun[ctx.index] = trio.current_time()
        await trio.sleep(1 + ctx.item % 2)
        live -= 1

    graph = each(work, 9, limit=limit)
    async with opened(store(), graph, dispatch=dispatch, limit=50) as runtime:
        await runtime.run(graph, Tally())
    assert limit == most
    assert sorted(begun.values()) == [begun[index] for index in range(9)]


@both
async def test_limits_inside_each_other_do_not_block(autojump_clock, dispatch):
    """5.5: a limit is never held while waiting for children."""
    graph, seen = bare(), []

    @graph.node
    async def work(ctx: Numbered) -> None:
        await trio.sleep(1)
        seen.append((ctx.visit.path, ctx.item))

    inner = graph.map("inner", work, over=lambda _: [7, 8], limit=1)
    middle = graph.parallel("middle", [inner], limit=1)
    graph.start(graph.map("outer", middle, over=lambda _: [1, 2, 3], item=int, limit=1))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
    paths = [(f"outer/{n}/middle/inner/inner/{k}", 7 + k) for n in range(3) for k in range(2)]
    assert paths == sorted(seen)


# -- statistics --------------------------------------------------------------------------------------------------


@both
@stores
async def test_statistics_count_what_is_live(autojump_clock, dispatch, store):
    """10: every actor has `statistics()`."""

    async def work(ctx: Numbered) -> None:
        await trio.sleep(1 + ctx.index)

    graph = each(work, 5, limit=3)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        seen = []
        for _ in range(7):
            await trio.sleep(0.5)
            said = run.statistics()
            seen.append((said.live, said.finished))
            await trio.sleep(0.5)
        await run.result()
        await settled()
        supervisor = runtime.statistics().supervisor
    assert [(3, 0), (3, 1), (3, 2), (2, 3), (2, 3), (1, 4), (1, 4)] == seen
    assert (0, 0, 1) == (supervisor.live, supervisor.carried, supervisor.ended)
