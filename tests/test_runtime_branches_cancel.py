"""Branches through a runtime: cancels and deadlines reach all of them (SEMANTICS 9.1, 9.7)."""

import trio
import trio.testing

import terzetto

from .fans import Numbered, bare, each, fails, fan, leaves, place
from .runtimes import CANCELLED, FAILED, Add, Tally, both, chain, opened, says, settled, stores
from .stores import trail


@both
@stores
async def test_a_hundred_live_branches_are_cancelled(autojump_clock, dispatch, store):
    """9.1: children first: every `finally` has run before the run is CANCELLED, and nothing is left."""
    left = []

    async def work(ctx: Numbered) -> None:
        ctx.record(Add())
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(ctx.index % 3)
            left.append(ctx.index)

    shelf, graph = store(), each(work, 100)
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.testing.wait_all_tasks_blocked()
        assert 100 == run.statistics().live
        assert "requested" == (await run.cancel("enough")).outcome
        result = await run.result()
        assert (CANCELLED, 0, ()) == (result.status, result.state.count, result.unknown)
        assert (list(range(100)), 2) == (sorted(left), trio.current_time())
        assert run.statistics() is None
    assert tasks == trio.lowlevel.current_statistics().tasks_living
    assert ["cancel -> CANCELLING", "end -> CANCELLED"] == (await trail(shelf, "r"))[-2:]


@both
@stores
async def test_branches_inside_each_other_are_cancelled(autojump_clock, dispatch, store):
    """9.1: children first, however deep; a barrier that is open among them is dropped."""
    record: list = []
    graph = bare()
    inner = graph.parallel("inner", [place(graph, leaves("a", record, cleanup=1)), place(graph, "ask")])
    deep = graph.map("deep", inner, over=lambda _: [1, 2], item=int)
    below = graph.subgraph("below", chain(says("first"), leaves("b", record), name="below"))
    graph.start(graph.parallel("outer", [deep, below]))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await trio.sleep(1)
        assert 2 == len(await run.barriers())
        await run.cancel()
        assert CANCELLED is (await run.result()).status
        assert [] == await run.barriers()
    assert [("b", 1), ("a", 2), ("a", 2)] == record


@both
@stores
async def test_a_cancel_while_siblings_are_leaving(autojump_clock, dispatch, store):
    """2: CANCELLING -> CANCELLED only, also where a branch has failed and its siblings still clean up."""
    record: list = []
    graph = fan(fails("a", 1), leaves("b", record, cleanup=4), rescue=says("never"))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(2)
        assert "requested" == (await run.cancel()).outcome
        assert CANCELLED is (await run.result()).status
        assert 0 == runtime.statistics().restarts
    assert [("b", 5)] == record
    assert ["cancel -> CANCELLING", "end -> CANCELLED"] == (await trail(shelf, "r"))[-2:]


@both
@stores
async def test_a_deadline_while_siblings_are_leaving(autojump_clock, dispatch, store):
    """9.7: as above, where the run's time is over meanwhile."""
    record: list = []
    graph = fan(fails("a", 1), leaves("b", record, cleanup=4), rescue=says("never"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally(), deadline=2)).result()
        await settled()
        assert 0 == runtime.statistics().restarts
    assert (FAILED, "deadline_exceeded", [("b", 5)]) == (result.status, result.code, record)


@both
async def test_a_caller_that_is_cancelled_cancels_branches(autojump_clock, dispatch):
    """9.3: `terzetto.run` leaves nothing behind."""
    record: list = []
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.move_on_after(1) as scope:
        await terzetto.run(fan(leaves("a", record), leaves("b", record, cleanup=2)), Tally())
    assert scope.cancelled_caught
    assert [("a", 1), ("b", 3)] == record
    assert tasks == trio.lowlevel.current_statistics().tasks_living


@both
@stores
async def test_a_deadline_ends_branches(autojump_clock, dispatch, store):
    """9.7: the run's deadline; 9.1: its branches have left when it has failed."""
    record: list = []
    graph = fan(leaves("a", record), leaves("b", record, cleanup=2), "ask", rescue=says("never"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), deadline=3)
        result = await run.result()
        assert [] == await run.barriers()
    assert (FAILED, "deadline_exceeded") == (result.status, result.code)
    assert [("a", 3), ("b", 5)] == [(name, round(at, 3)) for name, at in record]
