"""What people decide inside of subgraphs and branches (SEMANTICS 6)."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Fail, Reject
from terzetto_protocol.events import BarrierResolved, NodeFinished
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .runtimes import (
    AWAITING,
    FAILED,
    RUNNING,
    SUCCEEDED,
    Held,
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
from .subgraphs import around, asking, bare, deep_in, fails, pausing_after


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
