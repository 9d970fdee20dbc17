"""Branches through a runtime: side by side, folded in order, failing together, watched, cancelled, and gone on with
after a restart between any two commits (SEMANTICS 5.5, 9)."""

import gc
import time
from collections import Counter
from copy import deepcopy
from itertools import pairwise, permutations

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.events import BranchesStarted, NodeFinished
from terzetto_protocol.graph import Graph
from terzetto_protocol.records import Kind, Stale
from terzetto_protocol.statuses import VisitStatus

from .runtimes import (
    CANCELLED,
    FAILED,
    INTERRUPTED,
    MUTATIONS,
    SUCCEEDED,
    Add,
    Body,
    Held,
    Say,
    Tally,
    both,
    chain,
    function,
    opened,
    says,
    settled,
    stores,
    told,
)
from .stores import FaultyStore, records, trail

# -- graphs --------------------------------------------------------------------------------------------------


def bare(name: str = "branches", **options) -> Graph[Tally]:
    return Graph(name, state=Tally, mutations=MUTATIONS, **options)


def place(graph: Graph[Tally], body: Body | str, **options):
    return graph.barrier(body) if isinstance(body, str) else graph.node(name=body.__name__, **options)(function(body))


def fan(*bodies: Body | str, after: Body | None = None, rescue: Body | None = None, **options) -> Graph[Tally]:
    """A graph that begins with the place `fan`, which has a branch for every body; `rescue` is where failure leads."""
    graph = bare()
    start = graph.parallel("fan", [place(graph, body) for body in bodies], **{"merge": "replay"} | options)
    graph.start(start)
    if after is not None:
        graph.edge(start, place(graph, after))
    if rescue is not None:
        graph.edge(start, place(graph, rescue), on_error=True)
    return graph


def each(body, count: int, after: Body | None = None, **options) -> Graph[Tally]:
    """A graph that begins with the place `each`, which has a branch for every number below `count`."""
    graph = bare(max_steps=2 * count + 100)
    start = graph.map(
        "each", graph.node(name="work")(body), over=lambda _: list(range(count)), **{"merge": "replay"} | options
    )
    graph.start(start)
    if after is not None:
        graph.edge(start, place(graph, after))
    return graph


Numbered = terzetto.ItemContext[Tally, int]


def naps(name: str, seconds: float, record: list | None = None) -> Body:
    """A body that takes its time, and tells when it ended."""

    async def body(ctx):
        await trio.sleep(seconds)
        if record is not None:
            record.append(name)
        ctx.record(Say(name))

    body.__name__ = name
    return body


def fails(name: str, seconds: float = 0) -> Body:
    async def body(ctx):
        await trio.sleep(seconds)
        raise ValueError("bad")

    body.__name__ = name
    return body


def leaves(name: str, record: list, cleanup: float = 0) -> Body:
    """A body that never ends by itself, and tells when it has left."""

    async def body(ctx):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleanup)
            record.append((name, trio.current_time()))

    body.__name__ = name
    return body


def line(event) -> str:
    """An event in short: its type, where, and how many."""
    words = (getattr(event, word, None) for word in ("node", "branch", "count"))
    return " ".join([type(event).__name__, *(str(word) for word in words if word is not None)])


# -- side by side --------------------------------------------------------------------------------------------


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


# -- one fails -----------------------------------------------------------------------------------------------


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


# -- readers -------------------------------------------------------------------------------------------------


@both
@stores
async def test_what_a_reader_sees(autojump_clock, dispatch, store):
    """8.1, 3 D4: starts and ends with their paths, in the order in which the run made them; ids rise strictly."""
    graph = fan(naps("a", 2), naps("b", 1), after=says("end"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        events = await told(await runtime.submit(graph, Tally()))
    assert [
        "RunQueued",
        "RunStarted",
        "BranchesStarted fan 2",
        "NodeStarted fan/a/a",
        "NodeStarted fan/b/b",
        "NodeFinished fan/b/b",
        "NodeFinished fan/a/a",
        "NodeFinished fan",
        "NodeStarted end",
        "NodeFinished end",
        "RunEnded",
    ] == [line(event) for event in events]
    assert all(before.id < after.id for before, after in pairwise(events))


@stores
async def test_the_progress_of_a_map_can_be_counted(autojump_clock, store):
    """8: how many of how many, from events alone."""

    async def work(ctx: Numbered) -> None:
        await trio.sleep(ctx.item % 3)

    graph, progress = each(work, 20, limit=4), []
    async with opened(store(), graph) as runtime:
        run, total, ended = await runtime.submit(graph, Tally()), 0, 0
        async with run.events() as events:
            async for event in events:
                if isinstance(event, BranchesStarted):
                    total = event.count
                ended += isinstance(event, NodeFinished) and event.node.startswith("each/")
                progress.append(f"{ended}/{total}")
    assert "20/20" == progress[-1]
    assert {f"{count}/20" for count in range(21)} <= set(progress)


@both
@stores
@pytest.mark.parametrize("restart", [False, True])
async def test_reading_on_in_the_middle_of_a_map(autojump_clock, dispatch, store, restart):
    """8.2, 3 D4: a reader resumes from its id without a gap and without a duplicate, also after a restart."""

    async def work(ctx: Numbered) -> None:
        await trio.sleep(1 + ctx.item % 2)
        ctx.record(Say(str(ctx.item)))

    shelf, graph = store(), each(work, 12, limit=3)

    async def read(runtime: terzetto.Runtime, last=None, count=None) -> list:
        seen: list = []
        async with runtime.get("r").events(last_event_id=last) as events:
            async for event in events:
                seen.append(event)
                if sum(isinstance(each, NodeFinished) for each in seen) == count:
                    break
        # what a dead process only showed (that a node began) is gone, and counted: of durable events none may be
        assert seen[0].how == ("fresh" if last is None else "evicted" if restart else "resumed")
        return seen[1:]

    async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        seen = await read(runtime, count=5)
        if not restart:
            seen += await read(runtime, seen[-1].id, count=4)
            seen += await read(runtime, seen[-1].id)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        seen += await read(runtime, seen[-1].id) if restart else []
        whole = await told(runtime.get("r"))
        assert [str(number) for number in range(12)] == (await runtime.get("r").result()).state.trail
    durable = [event for event in seen if event.durable]
    assert [event for event in whole if event.durable] == durable
    assert Counter({f"each/{n}/work": 1 for n in range(12)} | {"each": 1}) == Counter(
        event.node for event in durable if isinstance(event, NodeFinished)
    )


@both
async def test_chunks_of_branches_name_their_paths(autojump_clock, dispatch):
    """8.5: every chunk says which node of which branch it comes from."""

    async def work(ctx: Numbered) -> None:
        for number in range(3):
            await trio.sleep(1 + ctx.index / 10)
            ctx.emit_text(str(number))

    graph = each(work, 2)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        events = await told(await runtime.submit(graph, Tally()))
    chunks = [(event.node, event.text) for event in events if isinstance(event, terzetto.TextChunk)]
    assert [(f"each/{index}/work", str(number)) for number in range(3) for index in range(2)] == chunks


# -- maps ----------------------------------------------------------------------------------------------------


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


async def spread(count: int, store: MemoryStore | None) -> tuple[float, int, int]:
    """A map over so many items, 100 at once: seconds of processor time, most states in memory, most live at once."""
    live, most_live, most_states = 0, 0, 0

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
    assert count == state.count
    return time.process_time() - since, most_states, most_live


@pytest.mark.parametrize("kind", [MemoryStore, None], ids=["stored", "inline"])
async def test_ten_thousand_items(autojump_clock, kind):
    """5.5: never more than the limit live; no state for a branch that waits or has ended, and time that is linear."""
    known = states()
    short, few, live = await spread(2_000, None if kind is None else kind())
    assert 100 == live
    long, many, live = await spread(10_000, None if kind is None else kind())
    assert 100 == live
    assert max(few, many) - known <= 110
    assert long < 12 * short, "five times the items took more than twelve times as long"


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

    short, long = await seconds(300), await seconds(1_800)
    assert long < 10 * short, "six times the items took more than ten times as long"


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


# -- cancel --------------------------------------------------------------------------------------------------


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
    graph = fan(fails("a", 1), leaves("b", record, cleanup=5), rescue=says("never"))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(2)
        assert "requested" == (await run.cancel()).outcome
        assert CANCELLED is (await run.result()).status
        assert 0 == runtime.statistics().restarts
    assert [("b", 6)] == record
    assert ["cancel -> CANCELLING", "end -> CANCELLED"] == (await trail(shelf, "r"))[-2:]


@both
@stores
async def test_a_deadline_while_siblings_are_leaving(autojump_clock, dispatch, store):
    """9.7: as above, where the run's time is over meanwhile."""
    record: list = []
    graph = fan(fails("a", 1), leaves("b", record, cleanup=5), rescue=says("never"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally(), deadline=2)).result()
        await settled()
        assert 0 == runtime.statistics().restarts
    assert (FAILED, "deadline_exceeded", [("b", 6)]) == (result.status, result.code, record)


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


# -- restarts ------------------------------------------------------------------------------------------------


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


# -- statistics ----------------------------------------------------------------------------------------------


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
