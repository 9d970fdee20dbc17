"""Branches through a runtime: one fails, and what becomes of the others (SEMANTICS 5.5)."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.graph import Graph

from .fans import bare, fails, fan, leaves, line, naps, place
from .runtimes import FAILED, SUCCEEDED, Body, Held, Say, Tally, both, opened, says, stores, told
from .stores import FaultyStore, trail


@both
@stores
async def test_siblings_have_left_before_the_join_is_told(autojump_clock, dispatch, store):
    """5.5: `fail_fast` cancels the siblings and waits for their cleanup, also where it is shielded."""
    record: list = []
    graph = fan(leaves("a", record, cleanup=2), fails("b", 1), leaves("c", record))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        async with run.events() as events:
            async for event in events:
                record += [(event.node, trio.current_time())] if line(event) == "NodeFailed fan" else []
        result = await run.result()
    assert [("c", 1), ("a", 3), ("fan", 3)] == record
    assert (FAILED, "node_error", ("ValueError: bad",)) == (result.status, result.code, result.failure.errors)


@both
@stores
@pytest.mark.parametrize("way", ["leaves", "swallows it", "raises"])
async def test_failure_leads_on_however_a_sibling_leaves(autojump_clock, dispatch, store, way):
    """5.5: `on_error` edges of the place lead on; 9.4: what a cancelled node raises instead is no failure."""

    async def sibling(ctx):
        ctx.record(Say("never"))
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            if way == "raises":
                raise LookupError("cleanup failed") from None
            if way == "leaves":
                raise

    graph = fan(fails("a", 1), sibling, rescue=says("rescued"))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally(), run_id="r")).result()
    assert (SUCCEEDED, ["rescued"]) == (result.status, result.state.trail)
    assert ["join fan@1 FAILED -> RUNNING", "visit rescued@4 SUCCEEDED -> SUCCEEDED"] == (await trail(shelf, "r"))[-2:]


@both
@stores
async def test_what_siblings_committed_is_dropped(autojump_clock, dispatch, store):
    """5.5: drops what they committed (`BranchDiscarded`)."""
    graph = bare()
    first, second = place(graph, naps("first", 1)), place(graph, naps("second", 5))
    graph.edge(first, second)
    start = graph.parallel("fan", [first, place(graph, fails("b", 2)), place(graph, Held())], merge="replay")
    graph.start(start)
    graph.edge(start, place(graph, says("rescued")), on_error=True)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        assert ["rescued"] == (await run.result()).state.trail
        events = [event for event in await told(run) if event.durable]
    assert [
        "BranchesStarted fan 3",
        "NodeFinished fan/first/first",
        "NodeFailed fan/b/b",
        "NodeFailed fan",
        "BranchDiscarded fan/first",
        "NodeFinished rescued",
        "RunEnded",
    ] == [line(event) for event in events[2:]]


@both
async def test_a_sibling_that_has_not_begun_yet_is_ended_too(autojump_clock, dispatch):
    """5.5: `fail_fast` cancels the siblings, also one whose task has not had its first turn."""
    for _ in range(8):  # Trio starts tasks of one moment in any order
        begun: list[str] = []

        async def either(ctx, begun=begun):
            begun.append(ctx.visit.node)
            if len(begun) == 1:
                raise ValueError("bad")
            await trio.sleep_forever()

        graph = bare()
        inner = graph.parallel("inner", [graph.node(name=name)(either) for name in "ab"])
        graph.start(graph.parallel("outer", [place(graph, naps("x", 1)), inner]))
        async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
            run = await runtime.submit(graph, Tally())
            with trio.move_on_after(5) as hung:
                assert FAILED is (await run.result()).status
            if hung.cancelled_caught:
                await run.cancel()
        assert not hung.cancelled_caught, f"{begun} were left alone"


def rescued_inside(body: Body, *, beside) -> Graph[Tally]:
    """outer: (beside -> body) and inner, which fails after 1 s, has left after 3 s, and leads on to `rescued`."""
    graph, record = bare(), []
    inner = graph.parallel("inner", [place(graph, fails("a", 1)), place(graph, leaves("b", record, cleanup=2))])
    graph.edge(inner, place(graph, says("rescued")), on_error=True)
    first, second = place(graph, beside), place(graph, body)
    graph.edge(first.approved if isinstance(beside, str) else first, second)
    graph.start(graph.parallel("outer", [first, inner], merge="replay"))
    return graph


@both
@stores
@pytest.mark.parametrize("beside", ["decided", "committed"])
async def test_who_begins_while_a_fork_beside_it_fails_is_left_alone(autojump_clock, dispatch, store, beside):
    """5.5: only branches of the place that failed are cancelled, whoever begins beside them meanwhile."""
    shelf = store()
    graph = rescued_inside(naps("y", 2), beside="ask" if beside == "decided" else naps("x", 2))
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        if beside == "decided":
            await trio.sleep(2)
            await run.decide("ask", terzetto.Approve())
        result = await run.result()
        assert 4 == trio.current_time()
    first = [] if beside == "decided" else ["x"]
    assert (SUCCEEDED, [*first, "y", "rescued"]) == (result.status, result.state.trail)
    assert not [told for told in await trail(shelf, "r") if told.startswith("interrupt")]


@both
async def test_who_waits_for_the_store_while_a_fork_beside_it_fails_is_left_alone(autojump_clock, dispatch):
    """5.5, as above: at the moment of the failure the next node beside it waits for its predecessor's commit."""
    store, graph = FaultyStore(), rescued_inside(naps("y", 1), beside=naps("x", 0.95))
    store.latency = 0.125
    async with opened(store, graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally(), run_id="r")).result()
    assert (SUCCEEDED, ["x", "y", "rescued"]) == (result.status, result.state.trail)


@both
@stores
@pytest.mark.parametrize("rescue", [None, says("rescued")], ids=["", "rescued"])
async def test_collect_lets_them_end(autojump_clock, dispatch, store, rescue):
    """5.5: `collect` folds the successes, then raises `BranchesFailed`."""
    graph = fan(naps("a", 3), fails("b", 1), naps("c", 2), fails("d"), errors="collect", rescue=rescue)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
        assert 3 == trio.current_time()
    if rescue is not None:
        assert (SUCCEEDED, ["a", "c", "rescued"]) == (result.status, result.state.trail)
        return
    assert (FAILED, ["a", "c"], "node_error") == (result.status, result.state.trail, result.code)
    assert ("ValueError: bad", "ValueError: bad") == result.failure.errors
    assert (
        "2 of 4 branches of 'fan' failed: "
        "fan/b: node 'fan/b/b': ValueError: bad; fan/d: node 'fan/d/d': ValueError: bad"
    ) == result.message


@both
@stores
async def test_a_conflict_says_what_and_whose(autojump_clock, dispatch, store):
    """5.5: two branches changed the same field => `MergeConflict` naming field and branches."""
    graph = fan(naps("a", 2), says("b"), merge="strict")
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    text = (
        "field 'trail' was changed by fan/a and fan/b: mark it Annotated[..., terzetto.replayed], "
        "or give 'fan' merge=\"replay\" or a function of its own"
    )
    assert (FAILED, "node_error", []) == (result.status, result.code, result.state.trail)
    assert (text, (f"MergeConflict: {text}",)) == (result.message, result.failure.errors)


@both
async def test_a_failure_deep_inside_names_the_whole_path(autojump_clock, dispatch):
    """5.5, 9.4: the path of the node that failed, and the leaves of what it raised."""
    graph = bare()
    inner = graph.parallel("inner", [place(graph, fails("node", 1)), place(graph, Held())])
    graph.start(graph.map("outer", inner, over=lambda _: "xyz", item=str))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
        with pytest.raises(terzetto.RunFailed, match="ValueError: bad"):
            await runtime.run(graph, Tally())
    assert result.message.endswith("/inner/node/node': ValueError: bad")
    assert result.message.startswith("node 'outer/")
    assert ("ValueError: bad",) == result.failure.errors
