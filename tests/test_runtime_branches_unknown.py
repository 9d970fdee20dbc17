"""Effects that nobody knows about, and mutations that fail late, inside of branches (SEMANTICS 4.6, 7)."""

import pytest
import trio

import terzetto
from terzetto_protocol.decisions import Approve, Fail, Retry
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.graph import Graph

from .runtimes import (
    AWAITING,
    FAILED,
    MUTATIONS,
    SUCCEEDED,
    Held,
    Say,
    Tally,
    both,
    chain,
    function,
    opened,
    parked,
    says,
    stores,
    told,
)
from .subgraphs import bare, extend, fails, pausing_after

# -- unknown effects ---------------------------------------------------------------------------------------------


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


# -- mutations that fail late ------------------------------------------------------------------------------------


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


@both
@stores
async def test_what_a_probe_lets_begin_is_carried_on(autojump_clock, dispatch, store, caplog):
    """7.4: the body begins when the probe has left, in the same branch, and so does what follows it there."""
    paying, tries = Held("paid"), []

    async def never(ctx):
        return False

    async def after(ctx):
        tries.append("again")
        if len(tries) == 1:
            raise OSError("not now")
        ctx.record(Say("after"))

    graph = bare()
    places = [graph.node(name="pay", effects="once", probe=never)(function(paying)), graph.node(says("beside"))]
    graph.start(graph.parallel("fan", places, merge="replay"))
    graph.edge(places[0], graph.node(retry=terzetto.RetryPolicy(initial=1))(after))
    async with opened(shelf := store(), graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await paying.begun.wait()
        await trio.sleep(1)
    paying.go.set()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        result = await runtime.get("r").result()
    assert (SUCCEEDED, ["paid", "after", "beside"]) == (result.status, result.state.trail)
    assert [] == caplog.messages
