"""Subgraphs through a runtime, and what people decide inside of subgraphs and branches (SEMANTICS 5.6, 6)."""

import weakref

import attrs
import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Choose, Confirm, Fail, Reject, Retry
from terzetto_protocol.events import BarrierOpened, BarrierResolved, NodeFinished
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import effect_key
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .runtimes import (
    AWAITING,
    CANCELLED,
    FAILED,
    INTERRUPTED,
    MUTATIONS,
    RUNNING,
    SUCCEEDED,
    Add,
    Held,
    Say,
    Tally,
    both,
    chain,
    function,
    opened,
    parked,
    says,
    settled,
    stores,
    told,
)
from .stores import trail

LEVELS = 20


@attrs.define
class Order:
    """A state of another type, for the outside of a subgraph."""

    number: int = 0
    notes: list[str] = attrs.Factory(list)


@attrs.frozen
class Note:
    text: str

    def apply(self, order: Order) -> None:
        order.notes.append(self.text)


def bare(name: str = "outer", **options) -> Graph[Tally]:
    return Graph(name, state=Tally, mutations=MUTATIONS, **options)


def around(inner: Graph, *, name: str = "outer", **options) -> Graph[Tally]:
    """A graph whose only place is the subgraph `inner`."""
    graph = bare(name)
    graph.start(graph.subgraph("inner", inner, **options))
    return graph


def nested(inner: Graph[Tally], levels: int = LEVELS) -> Graph[Tally]:
    """The graph, as deep inside of others."""
    for level in reversed(range(levels)):
        outer = bare(f"level-{level}")
        outer.start(outer.subgraph(f"s{level}", inner))
        inner = outer
    return inner


def asking(*names: str, timeout: float | None = None, on_timeout=None, **options) -> Graph[Tally]:
    """In `fan`, a barrier in each branch, with what was decided said after it."""
    graph = bare("asking")
    barriers = [graph.barrier(name, timeout=timeout, on_timeout=on_timeout) for name in names]
    for barrier in barriers:
        for way in ("approved", "rejected"):
            graph.edge(barrier.exit(way), graph.node(name=f"{barrier.name}-{way}")(says(f"{barrier.name} {way}")))
    graph.start(graph.parallel("fan", barriers, **{"merge": "replay"} | options))
    return graph


def extend(outer: Tally, inner: Tally) -> None:
    """What an inner state does to the outer one, beside others."""
    outer.trail.extend(inner.trail)


async def fails(ctx):
    await trio.sleep(1)
    raise ValueError("bad")


def pausing_after(seconds: float):
    async def pauses(ctx):
        await trio.sleep(seconds)
        ctx.pause()

    return pauses


# -- states and failures -------------------------------------------------------------------------------------


@both
@stores
async def test_a_subgraph_works_through_its_lens(autojump_clock, dispatch, store):
    """5.6: a state of its own; its success is one outer commit."""
    inner = chain(says("first"), says("second"), name="inner")
    graph = Graph("orders", state=Order, mutations=[Note])

    async def before(ctx):
        ctx.record(Note("before"))

    def put(order: Order, tally: Tally) -> None:
        order.notes.extend(tally.trail)

    first = graph.node(before)
    below = graph.subgraph("below", inner, get=lambda order: Tally(trail=[f"for {order.number}"]), put=put)
    graph.start(first)
    graph.edge(first, below)
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Order(7), run_id="r")
        assert ["before", "for 7", "first", "second"] == (await run.result()).state.notes
        finished = [event.node for event in await told(run) if isinstance(event, NodeFinished)]
    assert ["before", "below/first", "below/second", "below"] == finished
    assert ["join below@2 SUCCEEDED -> SUCCEEDED"] == (await trail(shelf, "r"))[-1:]


@both
@stores
async def test_a_failed_subgraph_leaves_the_outer_state(autojump_clock, dispatch, store):
    """5.6: a failed subgraph leaves the outer state untouched; its failure leads on outside."""
    graph = bare()
    below = graph.subgraph("below", chain(says("never"), fails, name="inner"))
    graph.start(below)
    graph.edge(below, graph.node(name="rescued")(says("rescued")), on_error=True)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (SUCCEEDED, ["rescued"]) == (result.status, result.state.trail)


@both
@stores
async def test_twenty_levels_deep(autojump_clock, dispatch, store):
    """5.6: what is done at the bottom arrives at the top, one commit for each level."""
    graph = nested(chain(says("bottom"), name="inner"))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        assert ["bottom"] == (await runtime.run(graph, Tally(), run_id="r")).trail
    assert LEVELS == sum(line.startswith("join ") for line in await trail(shelf, "r"))
    assert ["bottom"] == (await terzetto.run(graph, Tally())).trail


@both
async def test_a_failure_twenty_levels_deep_names_the_whole_path(autojump_clock, dispatch):
    """9.4: the failure of the run names the path of the node that failed, once."""
    graph = nested(chain(fails, name="inner"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    path = "/".join([*(f"s{level}" for level in range(LEVELS)), "fails"])
    assert (FAILED, f"node '{path}': ValueError: bad") == (result.status, result.message)
    assert ("ValueError: bad",) == result.failure.errors


@both
@stores
async def test_a_cancel_twenty_levels_deep(autojump_clock, dispatch, store):
    """5.6, 9.1: cancellation is inherited; children first."""
    held = Held(cleanup=2)
    graph = nested(chain(held, name="inner"))
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        await run.cancel()
        assert CANCELLED is (await run.result()).status
    assert (["cancelled", "cleaned up"], 2) == (held.ends, trio.current_time())
    assert tasks == trio.lowlevel.current_statistics().tasks_living


@both
@stores
async def test_a_subgraph_goes_on_where_it_was(autojump_clock, dispatch, store):
    """5.6: resumable from inside: no finished visit of it runs again."""
    ran, held = [], Held()

    async def first(ctx):
        ran.append("first")
        ctx.record(Say("first"))

    graph = nested(chain(first, held, name="inner"), levels=3)
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    assert INTERRUPTED is (await shelf.run("r")).status
    held.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        assert ["first", "held"] == (await runtime.get("r").result()).state.trail
    assert ["first"] == ran


async def test_an_inner_graph_that_changed_leaves_the_run_as_it_is(autojump_clock):
    """2: every pending node is still declared, inside of subgraphs too; otherwise it stays as it is with a reason."""
    store, held = MemoryStore(), Held()
    graph = around(chain(says("first"), held, name="inner"))
    async with opened(store, graph, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    before = await store.run("r")
    other = around(chain(says("first"), name="inner"))
    other.node(name="held")(says("not this one"))
    async with opened(store, other) as runtime:
        with pytest.raises(terzetto.Refused, match=r"no node \S*held\S* any more; it stays as it is"):
            await runtime.get("r").result()
    assert before == await store.run("r")


async def test_a_long_subgraph_without_a_store_keeps_no_history(autojump_clock):
    """Law 3: `terzetto.run` needs as much memory for a thousand visits as for ten, inside of subgraphs too."""

    class Known(Add, frozen=True, weakref=True):
        """A mutation that can be looked for."""

    inner = Graph("inner", state=Tally, mutations=[Known], max_steps=5_000)
    made: list[weakref.ref[Known]] = []
    kept = 0

    @inner.node
    async def work(ctx: terzetto.NodeContext[Tally]) -> None:
        nonlocal kept
        mutation = Known()
        made.append(weakref.ref(mutation))
        ctx.record(mutation)
        if len(made) == 2_000:
            kept = sum(ref() is not None for ref in made)
            ctx.end()

    inner.start(work)
    inner.edge(work, work)
    assert 2_000 == (await terzetto.run(around(inner), Tally(), max_steps=5_000)).count
    assert kept < 600


# -- what nodes see ------------------------------------------------------------------------------------------


class Clients:
    def __init__(self, name: str) -> None:
        self.name = name


def introduced(inner_type: type) -> Graph:
    inner = Graph("inner", state=Tally, mutations=MUTATIONS, deps=inner_type)

    @inner.node
    async def leaf(ctx: terzetto.LeafContext[Tally, object]) -> None:
        assert type(ctx) is terzetto.LeafContext
        ctx.record(Say(f"leaf {getattr(ctx.deps, 'name', ctx.deps)}"))

    @inner.node
    async def full(ctx: terzetto.NodeContext[Tally, object]) -> None:
        ctx.record(Say(f"full {getattr(ctx.deps, 'name', ctx.deps)}"))

    inner.start(leaf)
    inner.edge(leaf, full)
    return inner


@both
@stores
@pytest.mark.parametrize("mapped", [False, True])
async def test_deps_inside(autojump_clock, dispatch, store, mapped):
    """The inner nodes get the outer deps, or what `deps=` makes of them, at every level."""
    middle = Graph("middle", state=Tally, mutations=MUTATIONS, deps=Clients)
    deps = (lambda clients: clients.name.upper()) if mapped else None
    middle.start(middle.subgraph("inner", introduced(str if mapped else Clients), deps=deps))
    graph = Graph("outer", state=Tally, mutations=MUTATIONS, deps=Clients)
    graph.start(graph.subgraph("middle", middle))
    bound = terzetto.bind(graph, Clients("ann"))
    name = "ANN" if mapped else "ann"
    async with opened(store(), bound, dispatch=dispatch) as runtime:
        assert [f"leaf {name}", f"full {name}"] == (await runtime.run(graph, Tally())).trail
    assert [f"leaf {name}", f"full {name}"] == (await terzetto.run(bound, Tally())).trail


@both
@stores
async def test_deps_that_cannot_be_made_fail_the_node(autojump_clock, dispatch, store):
    """1: a user's function may raise: that is the failure of the node that wanted it, and nobody else's."""

    def deps(_):
        raise LookupError("no client")

    graph = around(introduced(str), deps=deps)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
        assert 0 == runtime.statistics().restarts
    assert (FAILED, "node 'inner/leaf': LookupError: no client") == (result.status, result.message)


@both
@stores
async def test_a_probe_that_cannot_get_its_deps_leaves_it_to_a_person(autojump_clock, dispatch, store):
    """7: what may have happened is never taken for what did not: where the probe cannot be asked, a person is."""
    held, broken = Held("pay"), []

    def deps(_):
        if broken:
            raise LookupError("no client")
        return "client"

    async def probe(ctx):
        raise AssertionError("it was not asked")

    inner = Graph("inner", state=Tally, mutations=MUTATIONS, deps=str)
    inner.start(inner.node(name="pay", effects="once", probe=probe)(function(held)))
    graph = around(inner, deps=deps)
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    broken.append(True)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await settled()
        assert AWAITING is await runtime.get("r").status()
        await runtime.get("r").decide("inner/pay@2", Confirm())
        assert SUCCEEDED is (await runtime.get("r").result()).status


@both
@stores
async def test_an_item_reaches_the_nodes_inside(autojump_clock, dispatch, store):
    """5.5: each branch sees its own item, through parallel branches and subgraphs below, the innermost first."""
    inner, seen = bare("inner"), []

    @inner.node
    async def deep(ctx: terzetto.ItemContext[Tally, str]) -> None:
        seen.append((ctx.visit.path, ctx.item, ctx.index, ctx.run_id))

    @inner.node
    async def number(ctx: terzetto.ItemContext[Tally, int]) -> None:
        seen.append((ctx.visit.path, ctx.item, ctx.index, ctx.run_id))

    inner.start(inner.parallel("fan", [deep, inner.map("few", number, over=lambda _: [7])]))
    graph = bare()
    each = graph.map("each", graph.subgraph("below", inner), over=lambda _: ["a", "b"], item=str, merge="replay")
    graph.start(each)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        await runtime.run(graph, Tally(), run_id="r")
    expected = [
        found
        for index, item in enumerate("ab")
        for found in (
            (f"each/{index}/below/fan/deep", item, index, "r"),
            (f"each/{index}/below/fan/few/few/0", 7, 0, "r"),
        )
    ]
    assert expected == sorted(seen)


async def test_an_item_context_outside_of_a_map_is_the_nodes_failure(autojump_clock):
    graph = bare()

    @graph.node
    async def lost(ctx: terzetto.ItemContext[Tally, str]) -> None:
        raise AssertionError("never")

    graph.start(lost)
    async with opened(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, "node 'lost': InvalidRequest: it wants an item, and only a branch of a map has one") == (
        result.status,
        result.message,
    )


@both
@stores
async def test_keys_and_fences(autojump_clock, dispatch, store):
    """7.2, 7.7: the key is the visit's own and the same after a restart; the fence rises with the claim."""
    seen: list[tuple[str, str, int]] = []

    async def work(ctx):
        assert effect_key("r", ctx.visit.path, ctx.visit.visit) == ctx.key
        seen.append((f"{ctx.visit.path}/{ctx.visit.node}", ctx.key, ctx.fence))
        await trio.sleep(1 if ctx.fence == 2 else 10)

    inner, graph = bare("inner"), bare()
    inner.start(inner.node(name="deep")(work))
    places = [graph.node(name=name)(work) for name in "ab"]
    graph.start(graph.parallel("fan", [*places, graph.subgraph("below", inner)]))
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(1)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await runtime.get("r").result()
    first, second = sorted(seen[:3]), sorted(seen[3:])
    assert ["fan/a/a", "fan/b/b", "fan/below/below/deep"] == [path for path, _, _ in first]
    assert [(path, key, 1) for path, key, _ in second] == first
    assert [2, 2, 2] == [fence for _, _, fence in second]
    assert 3 == len({key for _, key, _ in first})


# -- deciding inside -----------------------------------------------------------------------------------------


@both
@stores
async def test_several_barriers_are_open_at_once(autojump_clock, dispatch, store):
    """6.1, 6.5: listed with their paths; decided by id, or by a name that is unambiguous; each goes on by itself."""
    graph = asking("left", "right")
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        assert AWAITING is await run.status()
        assert [("fan/left/left@2", "left"), ("fan/right/right@3", "right")] == [
            (row.barrier, row.name) for row in await run.barriers()
        ]
        with pytest.raises(terzetto.Refused, match=r"several.*fan/left/left@2, fan/right/right@3"):
            await run.decide("", Approve())
        assert DecisionTaken("r", "fan/right/right@3", runtime.store.durable) == await run.decide("right", Approve())
        await settled()
        assert ["fan/left/left@2"] == [row.barrier for row in await run.barriers()]
        assert AWAITING is await run.status()
        assert 0 == runtime.statistics().supervisor.live
        channel = run.decisions("fan/left/left@2", source="ann")
        assert isinstance(await channel.decide(Reject("no")), DecisionTaken)
        assert ["left rejected", "right approved"] == (await run.result()).state.trail
        resolved = [event for event in await told(run) if isinstance(event, BarrierResolved)]
    assert [("fan/right/right@3", ""), ("fan/left/left@2", "ann")] == [(each.barrier, each.source) for each in resolved]


@both
@stores
async def test_a_name_that_several_have_is_refused(autojump_clock, dispatch, store):
    """6.5: a decision without an id is refused when more than one barrier is open; nothing changed."""
    graph = bare()
    ask = graph.barrier("ask")
    graph.edge(ask.approved, graph.node(name="said")(says("said")))
    graph.start(graph.map("each", ask, over=lambda _: [1, 2, 3], item=int, merge="replay"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        for asked in ("ask", ask, ""):
            with pytest.raises(terzetto.Refused, match="several"):
                await run.decide(asked, Approve())
        for row in (await run.barriers())[:2]:
            await run.decide(row.barrier, Approve())
        await settled()
        assert isinstance(await run.decide(ask, Approve()), DecisionTaken)
        assert ["said"] * 3 == (await run.result()).state.trail


@both
@stores
@pytest.mark.parametrize("place", ["branch", "subgraph"])
async def test_the_second_is_told_the_winner(autojump_clock, dispatch, store, place):
    """6.4: by id and by name, while the run goes on, after its end, and in another process."""
    if place == "branch":
        graph, barrier = asking("ask"), "fan/ask/ask@2"
    else:
        graph, barrier = around(chain("ask", says("said"), name="inner")), "inner/ask@2"
    late = AlreadyResolved("r", barrier, "approve", "ann")
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("ask", Approve(), source="ann")
        assert [late, late] == [await run.decide(asked, Approve(), source="bob") for asked in (barrier, "ask")]
        await run.result()
        assert [late, late] == [await run.decide(asked, Approve(), source="bob") for asked in (barrier, "ask")]
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        for asked in (barrier, "ask"):
            assert late == await runtime.get("r").decide(asked, Approve(), source="bob")


@both
@stores
async def test_a_barrier_waits_while_a_branch_beside_it_works(autojump_clock, dispatch, store):
    """2: a run with open barriers *and* runnable branches is RUNNING; 6.1: the decided branch goes on beside it."""
    graph, held = bare(), Held()
    ask = graph.barrier("ask")
    graph.edge(ask.approved, graph.node(name="said")(says("said")))
    graph.start(graph.parallel("fan", [ask, graph.node(name="held")(function(held))], merge="replay"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        assert (RUNNING, 1) == (await run.status(), len(await run.barriers()))
        await run.decide("ask", Approve())
        await settled()
        nodes = [event.node for event in await told(run, until=NodeFinished) if isinstance(event, NodeFinished)]
        assert ["fan/ask/said"] == nodes
        held.go.set()
        assert ["said", "held"] == (await run.result()).state.trail


def deep_in(where: str) -> Graph[Tally]:
    """Two barriers in places of each kind."""
    inner = chain(says("before"), "ask", says("after"), name="inner")
    if where == "levels":
        return nested(inner, levels=3)
    graph = bare()
    if where == "subgraphs":
        places = [graph.subgraph(name, inner, put=extend) for name in ("one", "two")]
        graph.start(graph.parallel("fan", places, merge="replay"))
        return graph
    if where == "map":
        before, ask = graph.node(name="before")(says("before")), graph.barrier("ask")
        graph.edge(before, ask)
        graph.edge(ask.approved, graph.node(name="after")(says("after")))
        graph.start(graph.map("each", before, over=lambda _: [1, 2], item=int, merge="replay"))
        return graph
    below = graph.subgraph("below", inner, put=extend)
    graph.start(graph.map("each", below, over=lambda _: [1, 2, 3], item=int, merge="replay"))
    return graph


@both
@stores
@pytest.mark.parametrize("where", ["levels", "subgraphs", "map", "subgraphs of a map"])
async def test_parked_inside_over_restarts(autojump_clock, dispatch, store, where):
    """6.1, 6.6: open barriers survive every restart; each is decided in a process of its own, and nothing before it
    runs again."""
    graph, finished = deep_in(where), []
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        before = [row.barrier for row in await run.barriers()]
    for number, barrier in enumerate(before):
        async with opened(shelf, graph, dispatch=dispatch) as runtime:
            run = runtime.get("r")
            assert before[number:] == [row.barrier for row in await run.barriers()]
            assert AWAITING is await run.status()
            assert 0 == runtime.statistics().supervisor.live
            await run.decide(barrier, Approve())
            await settled()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        result = await runtime.get("r").result()
        finished = [event.node for event in await told(runtime.get("r")) if isinstance(event, NodeFinished)]
    assert SUCCEEDED is result.status
    assert len(before) == sum(node.endswith("before") for node in finished)
    assert len(before) == sum("before" in text for text in result.state.trail)


@both
@stores
@pytest.mark.parametrize("how", ["parked", "a branch works"])
async def test_timeouts_inside(autojump_clock, dispatch, store, how):
    """6.4: each barrier decides by itself when its own time has passed, whether the run is parked or not."""
    graph = bare()
    inner = bare("inner")
    slow, fast = inner.barrier("slow", timeout=10), graph.barrier("fast", timeout=5, on_timeout=Approve())
    inner.start(slow)
    inner.edge(slow.rejected, inner.node(name="late")(says("late")))
    graph.edge(fast.approved, graph.node(name="soon")(says("soon")))
    places = [fast, graph.subgraph("below", inner)]
    if how == "a branch works":

        async def works(ctx):
            await trio.sleep(12)

        places.append(graph.node(works))
    graph.start(graph.parallel("fan", places, merge="replay"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        assert (how == "parked") == (runtime.statistics().supervisor.timers == 1)
        opened_at = {row.name: row.opened for row in await run.barriers()}
        await run.result()
        resolved = [event for event in await told(run) if isinstance(event, BarrierResolved)]
    assert [("fast", 5, "timeout"), ("slow", 10, "timeout")] == [
        (event.name, round(event.at - opened_at[event.name], 3), event.source) for event in resolved
    ]


@both
@stores
async def test_timeouts_inside_over_restarts(autojump_clock, dispatch, store):
    """6.4: the absolute deadline is stored with the barrier; what passed while nobody was there passes at once."""
    graph = around(asking("a", "b", timeout=60))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        await parked(runtime, graph, "r")
    await trio.sleep(40)
    async with opened(shelf, graph, dispatch=dispatch, limit=100) as runtime:
        assert 1 == runtime.statistics().supervisor.timers
        assert ["a rejected", "b rejected"] == (await runtime.get("r").result()).state.trail
        assert 60 == pytest.approx(trio.current_time(), abs=1e-3)


@both
@stores
@pytest.mark.parametrize("slots", ["free", "taken"])
@pytest.mark.parametrize("on_timeout", [Reject(), Fail("too slow")], ids=["reject", "fail"])
async def test_two_timeouts_at_once(autojump_clock, dispatch, store, slots, on_timeout):
    """6.4, 6.6: timeouts of one moment in one run; what they decided waits for a slot like everything else."""
    graph, hold = asking("a", "b", timeout=5, on_timeout=on_timeout), Held("hold")
    busy = chain(hold, name="busy")
    async with opened(store(), graph, busy, dispatch=dispatch, pool_size=1) as runtime:
        run = await parked(runtime, graph, "r")
        if slots == "taken":
            await runtime.submit(busy, Tally())
            await trio.sleep(8)
            assert RunStatus.QUEUED is await run.status()
        hold.go.set()
        result = await run.result()
        assert [] == await run.barriers()
        assert 0 == runtime.statistics().restarts
    if isinstance(on_timeout, Fail):
        assert (FAILED, "barrier_timeout") == (result.status, result.code)
    else:
        assert ["a rejected", "b rejected"] == result.state.trail


@both
@stores
async def test_a_barrier_is_dropped_with_its_branch(autojump_clock, dispatch, store):
    """5.5: `fail_fast` ends a branch that waits for a person too; 6.4: who decides then is told."""
    graph = bare()
    ask = graph.barrier("ask", timeout=10)
    fan = graph.parallel("fan", [ask, graph.node(fails)])
    graph.start(fan)
    graph.edge(fan, graph.barrier("what-now"), on_error=True)
    async with opened(shelf := store(), graph, dispatch=dispatch, limit=100) as runtime:
        run = await parked(runtime, graph, "r")
        await trio.sleep(2)
        assert ["what-now@4"] == [row.barrier for row in await run.barriers()]
        rows = {row.name: row.status for row in await shelf.barriers("r", only_open=False)}
        assert {"ask": BarrierStatus.DROPPED, "what-now": BarrierStatus.OPEN} == rows
        await trio.sleep(20)
        assert AWAITING is await run.status()
        assert 0 == runtime.statistics().supervisor.timers
        late = await run.decide("fan/ask/ask@2", Approve())
        assert (AlreadyResolved, "none") == (type(late), late.decision)
        assert late.source != "the run ended"
        assert isinstance(await run.decide("", Approve()), DecisionTaken)
        assert SUCCEEDED is (await run.result()).status


@both
@stores
async def test_everything_inside_is_approved(autojump_clock, dispatch, store):
    """6.7: `auto_approve=True` on the run approves, wherever the barrier is."""
    graph = deep_in("subgraphs of a map")
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), auto_approve=True)
        assert 3 == (await run.result()).state.trail.count("after")
    assert 3 == (await terzetto.run(graph, Tally(), auto_approve=True)).trail.count("after")


@both
@stores
async def test_a_pause_inside_a_branch(autojump_clock, dispatch, store):
    """6.2: taken at the commit boundary: visits beside it end first, and nothing begins until the run is resumed."""
    graph = bare()
    first, second = graph.node(name="stop")(pausing_after(1)), graph.node(name="goes_on")(says("goes on"))
    beside = graph.node(name="beside")(pausing_after(3))
    graph.edge(first, second)
    graph.start(graph.parallel("fan", [first, beside], merge="replay"))
    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.RunPaused)
        await settled()
        assert (RunStatus.PAUSED, 3) == (await run.status(), trio.current_time())
        assert 0 == runtime.statistics().supervisor.carried
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        await runtime.get("r").resume()
        assert ["goes on"] == (await runtime.get("r").result()).state.trail


@both
@stores
async def test_a_resumed_run_with_nothing_but_barriers_parks(autojump_clock, dispatch, store):
    """6.6: a run that only waits for people holds neither a slot nor a task, also after a pause."""
    graph = bare()
    graph.start(graph.parallel("fan", [graph.barrier("ask"), graph.node(name="stop")(pausing_after(1))]))
    async with opened(store(), graph, dispatch=dispatch, pool_size=1) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.RunPaused)
        await settled()
        await run.resume()
        await settled()
        assert AWAITING is await run.status()
        said = runtime.statistics().supervisor
        assert (0, 0) == (said.live, said.carried)
        await run.decide("ask", Approve())
        assert SUCCEEDED is (await run.result()).status


@both
async def test_a_paused_run_rests_while_an_attempt_is_due(autojump_clock, dispatch):
    """6.6, 9.8: a run that is paused is left alone, also when another attempt in it would begin by itself."""
    graph, store, begun = bare(), Read(), []

    async def tries(ctx):
        begun.append(trio.current_time())
        if len(begun) == 1:
            raise OSError("down")

    again = graph.node(name="tries", retry=RetryPolicy(max_attempts=2, initial=5, jitter=0))(tries)
    graph.start(graph.parallel("fan", [again, graph.node(name="stop")(pausing_after(1))]))
    async with opened(store, graph, dispatch=dispatch, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.RunPaused)
        with store.limited(20) as spinning:
            await trio.sleep(20)
        assert not spinning.cancelled_caught, "it was read again and again"
        await run.resume()
        assert SUCCEEDED is (await run.result()).status
    assert [0, 21] == begun


class Read(MemoryStore):
    """Cuts off whoever waits while a run is read too often: time would stand still for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._left, self._scope = 0, trio.CancelScope()

    def limited(self, reads: int) -> trio.CancelScope:
        self._left, self._scope = reads, trio.CancelScope()
        return self._scope

    async def snapshot(self, *args, **options) -> tuple[int, bytes] | None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()
        return await super().snapshot(*args, **options)


# -- unknown effects -----------------------------------------------------------------------------------------


@both
@stores
@pytest.mark.parametrize("answer", ["confirm", "retry", "fail"])
async def test_unknown_effects_inside_are_asked_about(autojump_clock, dispatch, store, answer):
    """7.4: after a restart a reconcile barrier for each, with its path, while the branches beside go on."""
    one, two, ran = Held("one"), Held("two"), []

    async def beside(ctx):
        ran.append("beside")
        await trio.sleep(1 if len(ran) > 1 else 10)
        ctx.record(Say("beside"))

    inner, graph = bare("inner"), bare()
    inner.start(inner.node(name="two", effects="once")(function(two)))
    places = [graph.node(name="one", effects="once")(function(one)), graph.subgraph("below", inner, put=extend)]
    graph.start(graph.parallel("fan", [*places, graph.node(beside)], merge="replay", errors="collect"))
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await one.begun.wait()
        await two.begun.wait()
        await trio.sleep(1)
    one.go.set()
    two.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = runtime.get("r")
        await trio.sleep(2)
        assert AWAITING is await run.status()
        assert {"fan/one/one@2": True, "fan/below/below/two@5": True} == {
            row.barrier: row.reconcile for row in await run.barriers()
        }
        for row in await run.barriers():
            said = {"confirm": graph.confirm(Say(f"{row.name} happened")), "retry": Retry(), "fail": Fail("no")}
            await run.decide(row.barrier, said[answer])
        result = await run.result()
    expected = {
        "confirm": ["one happened", "two happened", "beside"],
        "retry": ["one", "two", "beside"],
        "fail": ["beside"],
    }
    assert (FAILED if answer == "fail" else SUCCEEDED, expected[answer]) == (result.status, result.state.trail)


@both
@stores
async def test_a_once_sibling_that_was_cancelled_is_unknown(autojump_clock, dispatch, store):
    """7: a `once` visit ended by a fail-fast sibling while its body ran is listed in the run's result."""
    held, graph = Held("pay"), bare()
    pay = graph.node(name="pay", effects="once")(function(held))
    fan = graph.parallel("fan", [pay, graph.node(fails)])
    graph.start(fan)
    graph.edge(fan, graph.node(name="rescued")(says("rescued")), on_error=True)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (SUCCEEDED, ("fan/pay/pay@2",), ["rescued"]) == (result.status, result.unknown, result.state.trail)
    assert ["cancelled"] == held.ends


@both
@stores
async def test_a_once_body_that_took_too_long_is_asked_about(autojump_clock, dispatch, store):
    """7: a `once` visit ended by a timeout is UNKNOWN: a person is asked, while the branch beside it works on."""
    graph = bare()
    pay = graph.node(name="pay", effects="once", run_timeout=2)(function(Held("pay")))
    graph.start(graph.parallel("fan", [pay, graph.node(name="beside")(pausing_after(0))], merge="replay"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        asked = (await told(run, until=BarrierOpened))[-1]
        assert ("fan/pay/pay@2", True) == (asked.barrier, asked.reconcile)


# -- mutations that fail late --------------------------------------------------------------------------------


class Refusing(Say, frozen=True):
    """A mutation that no state takes."""

    def apply(self, tally: Tally) -> None:
        raise ArithmeticError("not today")


@both
@stores
@pytest.mark.parametrize("restart", [False, True])
async def test_a_mutation_that_cannot_be_folded_fails_the_run(autojump_clock, dispatch, store, restart):
    """4.6: an `apply` that raises fails the run, and a restart between its commit and the join changes nothing."""
    graph = Graph("refusing", state=Tally, mutations=[*MUTATIONS, Refusing])

    async def refuses(ctx):
        ctx.record(Refusing("this"))

    graph.start(graph.parallel("fan", [graph.node(refuses), graph.barrier("ask")], merge="replay"))

    async def decided(runtime: terzetto.Runtime) -> terzetto.Result[Tally]:
        await runtime.get("r").decide("ask", Approve())
        return await runtime.get("r").result()

    async with opened(shelf := store(), graph, dispatch=dispatch) as runtime:
        await parked(runtime, graph, "r")
        result = None if restart else await decided(runtime)
    if restart:
        async with opened(shelf, graph, dispatch=dispatch) as runtime:
            result = await decided(runtime)
    assert (FAILED, "node_error") == (result.status, result.code)
    assert "Refusing could not be applied: ArithmeticError: not today" in result.message


@both
@stores
async def test_a_branch_that_failed_while_the_run_waits_for_a_slot(autojump_clock, dispatch, store):
    """5.5: `fail_fast` drops what the siblings committed, also what was decided about them meanwhile."""
    graph, hold = bare(), Held("hold")
    slow = graph.barrier("slow", timeout=5, on_timeout=Fail("too slow"))
    other = graph.barrier("other", decided=lambda decision: [Say("other")])
    graph.start(graph.parallel("fan", [slow, other], merge="replay"))
    busy = chain(hold, name="busy")
    async with opened(store(), graph, busy, dispatch=dispatch, pool_size=1) as runtime:
        run = await parked(runtime, graph, "r")
        await runtime.submit(busy, Tally())
        await trio.sleep(8)
        await run.decide("other", Approve())
        hold.go.set()
        result = await run.result()
    assert (FAILED, "barrier_timeout", []) == (result.status, result.code, result.state.trail)


# -- without a runtime ---------------------------------------------------------------------------------------


async def test_a_barrier_inside_needs_somebody_to_decide():
    """6.7: `terzetto.run` refuses a graph with barriers, also inside of its subgraphs, before anything has run."""
    began = []

    async def write(ctx):
        began.append("write")

    with pytest.raises(terzetto.InvalidRequest, match="barriers"):
        await terzetto.run(nested(chain(write, "ask", name="inner"), levels=2), Tally())
    assert [] == began


@pytest.mark.parametrize("seconds", [0, 2])
async def test_a_decider_goes_on_after_what_was_dropped(autojump_clock, seconds):
    """6.7: `decider=` answers each barrier that waits; an answer for one that was dropped by then disturbs nothing."""
    graph, asked = bare(), []
    fan = graph.parallel("fan", [graph.barrier("ask"), graph.barrier("other"), graph.node(fails)])
    graph.start(fan)
    graph.edge(fan, graph.barrier("what-now"), on_error=True)

    async def decide(event):
        asked.append((event.name, trio.current_time()))
        await trio.sleep(seconds)
        return Choose("approved")

    with trio.fail_after(20):
        await terzetto.run(graph, Tally(), decider=decide)
    assert "what-now" == asked[-1][0]
    assert not [(name, at) for name, at in asked[:-1] if at >= 1], "they were dropped by then"


async def test_a_decider_is_asked_about_every_branch(autojump_clock):
    graph, asked = deep_in("subgraphs of a map"), []

    async def decide(event):
        asked.append(event.barrier)
        return Approve()

    with trio.fail_after(5):
        state = await terzetto.run(graph, Tally(), decider=decide)
    assert 3 == state.trail.count("after")
    assert ["each/0/below/ask", "each/1/below/ask", "each/2/below/ask"] == sorted(b.partition("@")[0] for b in asked)
