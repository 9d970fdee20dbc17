"""What a decision may do beside leaving by an exit, and decisions that come early (SEMANTICS 6.3, 6.5)."""

import pytest
import trio
import trio.testing

from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Confirm, Modify, Reject, Reroute
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import BarrierResolved
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import AlreadyResolved, DecisionKept, DecisionTaken, DecisionWithdrawn

from .runtimes import (
    AWAITING,
    MUTATIONS,
    SUCCEEDED,
    Held,
    Say,
    Tally,
    chain,
    opened,
    parked,
    says,
    settled,
    stores,
    told,
)


def approval():
    """work -> gate; approved: done, rejected: work again."""
    graph = Graph("approval", state=Tally, mutations=MUTATIONS)
    work, done = graph.node(name="work")(says("work")), graph.node(name="done")(says("done"))
    graph.node(name="aside")(says("aside"))
    gate = graph.barrier("gate")
    graph.start(work)
    graph.edge(work, gate)
    graph.edge(gate.approved, done)
    graph.edge(gate.rejected, work)
    return graph


# -- Modify --------------------------------------------------------------------------------------------------


@stores
async def test_a_decision_may_change_the_state(autojump_clock, store):
    """6.3: Modify; 4.4: it goes through the log."""
    graph = approval()
    async with opened(store(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("", Modify({"count": 7, "trail": ["edited"]}))
        result = await run.result()
    assert (SUCCEEDED, Tally(7, ["edited", "done"])) == (result.status, result.state)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"count": "seven"}, "field count"),
        ({"cuont": 7}, "no field 'cuont'.*did you mean 'count'"),
        ({"count": float("nan")}, "NaN"),
    ],
)
async def test_a_change_is_checked_when_it_is_decided(autojump_clock, changes, words):
    """6.3: Modify is checked against the state type at decide time; the barrier keeps waiting."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(Exception, match=words):
            await run.decide("", Modify(changes))
        assert (AWAITING, 1) == (await run.status(), len(await run.barriers()))


async def test_what_becomes_of_a_decision_afterwards_changes_nothing(autojump_clock):
    """4.5: whoever decides may go on with the object that he decided with."""
    graph = chain(held := Held(), "gate")
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        changes = {"trail": ["decided"]}
        await run.decide("gate", Modify(changes), keep="once")
        changes["trail"].append("afterwards")
        held.go.set()
        assert ["decided"] == (await run.result()).state.trail


# -- Reroute -------------------------------------------------------------------------------------------------


async def test_a_decision_may_skip_the_edges(autojump_clock):
    """6.3: Reroute skips the edges."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("", Reroute("aside"))
        assert ["work", "aside"] == (await run.result()).state.trail


async def test_an_unknown_target_is_refused(autojump_clock):
    """6.3: an unknown target is refused at decide time and the barrier keeps waiting."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(Refused, match=r"keeps waiting: no place 'asied'.*aside"):
            await run.decide("", Reroute("asied"))
        assert AWAITING is await run.status()


# -- early decisions -----------------------------------------------------------------------------------------


@stores
async def test_an_early_decision_waits_for_its_barrier(autojump_clock, store):
    """6.5: an early decision waits for its barrier."""
    graph, go = Graph("slow", state=Tally, mutations=MUTATIONS), trio.Event()

    async def work(ctx):
        await go.wait()

    gate = graph.barrier("gate")
    graph.start(first := graph.node(name="work")(work))
    graph.edge(first, gate)
    graph.edge(gate.rejected, graph.node(name="no")(says("no")))
    async with opened(store(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        receipt = await run.decide("gate", Reject("never"), source="ann", keep="once")
        assert isinstance(receipt, DecisionKept)
        go.set()
        assert ["no"] == (await run.result()).state.trail
        (resolved,) = [event for event in await told(run) if isinstance(event, BarrierResolved)]
        assert ("ann", Reject("never")) == (resolved.source, resolved.decision)


async def test_an_early_decision_is_used_up(autojump_clock):
    """6.5: it is for the next occurrence; the one after waits for its own."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("gate@4", Reject(), keep="once")
        assert isinstance(await run.decide("gate@2", Reject()), DecisionTaken)
        await settled()
        assert ["gate@6"] == [row.barrier for row in await run.barriers()]


async def test_without_being_asked_to_nothing_is_kept(autojump_clock):
    """6.5: a decision for another id never disturbs a wait."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(Refused, match="not open"):
            await run.decide("gate@9", Approve())
        with pytest.raises(Refused, match="confirm"):
            await run.decide("gate@9", Confirm(), keep="once")
        assert ["gate@2"] == [row.barrier for row in await run.barriers()]


async def test_what_is_kept_survives_the_process(autojump_clock):
    graph, store = approval(), MemoryStore()
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("gate@4", Approve(), keep="once")
    async with opened(store, graph) as runtime:
        run = runtime.get("r")
        await run.decide("gate@2", Reject())
        assert ["work", "work", "done"] == (await run.result()).state.trail
        assert isinstance(await run.decide("gate@4", Approve()), AlreadyResolved)


# -- standing decisions --------------------------------------------------------------------------------------


async def test_a_standing_decision_holds_until_it_is_withdrawn(autojump_clock):
    """6.5: a standing decision (wildcard) for later occurrences until withdrawn."""
    graph, done = Graph("loop", state=Tally, mutations=MUTATIONS), []

    async def work(ctx):
        done.append(ctx.visit.visit)
        ctx.record(Say("work"))
        await trio.sleep(1)

    gate = graph.barrier("gate")
    graph.start(node := graph.node(name="work")(work))
    graph.edge(node, gate)
    graph.edge(gate.approved, node)
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("*", Approve(), keep="always", source="policy")
        await trio.sleep(3.5)
        assert 4 <= len(done)
        withdrawn = await run.withdraw("*")
        assert isinstance(withdrawn, DecisionWithdrawn)
        assert 1 == withdrawn.count
        await trio.sleep(3)
        assert AWAITING is await run.status()
        assert 0 == (await run.withdraw("*")).count


async def test_an_exact_decision_beats_a_standing_one(autojump_clock):
    """6.5: an exact one beats it."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.decide("gate@4", Approve(), keep="once")
        await run.decide("gate", Reject(), keep="always")
        assert ["work", "work", "done"] == (await run.result()).state.trail


async def test_which_of_several_kept_decisions_is_taken(autojump_clock):
    """6.5: one for an id goes before one for a name, and that before `"*"`; and first those that are used up."""
    graph, go = Graph("approval", state=Tally, mutations=MUTATIONS), trio.Event()

    async def work(ctx):
        await go.wait()

    gate = graph.barrier("gate")
    graph.start(node := graph.node(name="work")(work))
    graph.edge(node, gate)
    graph.edge(gate.rejected, node)
    kept = [
        ("*", "always"),
        ("gate", "always"),
        ("gate@10", "always"),
        ("*", "once"),
        ("gate", "once"),
        ("gate@4", "once"),
    ]
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        for barrier, keep in kept:
            said = Approve() if barrier == "gate@10" else Reject(f"{barrier} {keep}")
            assert isinstance(await run.decide(barrier, said, keep=keep), DecisionKept)
        go.set()
        await run.result()
        resolved = [event for event in await told(run) if isinstance(event, BarrierResolved)]
    assert [
        ("gate@2", Reject("gate once")),
        ("gate@4", Reject("gate@4 once")),
        ("gate@6", Reject("* once")),
        ("gate@8", Reject("gate always")),
        ("gate@10", Approve()),
    ] == [(event.barrier, event.decision) for event in resolved]


async def test_the_same_command_twice_is_kept_once(autojump_clock):
    """6.5: duplicate command id => the same receipt."""
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        receipts = [await runtime.decide("r", "gate@4", Approve(), keep="once", command_id="c") for _ in range(2)]
        assert receipts[0] == receipts[1]
        assert 1 == (await run.withdraw("gate@4")).count


async def test_a_run_that_has_ended_keeps_nothing(autojump_clock):
    graph = approval()
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.cancel()
        with pytest.raises(Refused, match="never open"):
            await run.decide("gate@9", Approve(), keep="once")
