"""Strict runtimes: nodes that change what they are lent, wherever they run (SEMANTICS 4.5)."""

import itertools

import pytest
import trio
from attrs import frozen

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import Refused, RunFailed
from terzetto_protocol.graph import Graph
from terzetto_protocol.retry import RetryPolicy

from .runtimes import (
    FAILED,
    MUTATIONS,
    SUCCEEDED,
    Say,
    Step,
    Tally,
    both,
    chain,
    counts,
    once,
    opened,
    parked,
    says,
    stores,
)

_numbers = itertools.count(1)


async def scribble(ctx):
    """Changes the state itself, beside what it records."""
    ctx.record(Say("recorded"))
    ctx.state.trail.append("scribbled")


def scribble_in_thread(ctx):
    ctx.state.count += 1


async def scribble_and_fail(ctx):
    ctx.state.count += 1
    raise OSError("gone")


async def outcome(store, graph, **options):
    async with opened(store(), graph, **options) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        return await run.result()


@both
@stores
async def test_a_node_that_mutates_its_input_fails(store, dispatch):
    """4.5: strict mode reports a node that mutates its input: InputMutated names run, node and fields."""
    result = await outcome(store, chain(says("before"), scribble, says("after")), dispatch=dispatch)

    assert FAILED is result.status
    assert "InputMutated: node 'scribble' in run 'r' changed the state that it was lent, in trail (" in result.message
    assert ["before"] == result.state.trail
    assert result.failure.final


@both
async def test_other_runtimes_do_not_look(dispatch):
    assert SUCCEEDED is (await outcome(MemoryStore, chain(scribble), dispatch=dispatch, strict=False)).status


@pytest.mark.parametrize("options", [{}, {"thread": False}, {"on_cancel": "abandon"}], ids=str)
async def test_a_plain_function_is_watched_too(options):
    with pytest.raises(RunFailed, match=r"InputMutated: node 'scribble_in_thread' in run .* in count "):
        await terzetto.run(chain(Step(scribble_in_thread, options)), Tally(), strict=True)


async def test_a_node_that_fails_as_well_is_not_tried_again():
    """What it raised is told too; neither another attempt nor an `on_error` edge follows."""
    graph = Graph("failing", state=Tally, mutations=MUTATIONS)
    first = graph.node(retry=RetryPolicy(max_attempts=3, initial=1))(scribble_and_fail)
    graph.start(first)
    graph.edge(first, graph.node(says("after")), on_error=True)
    with pytest.raises(RunFailed, match="OSError: gone; and InputMutated") as caught:
        await terzetto.run(graph, Tally(), strict=True)

    assert "node_error" == caught.value.code


async def hangs(ctx):
    await trio.sleep_forever()


@pytest.mark.parametrize("says", [True, False, None])
async def test_a_probe_that_mutates_its_input_is_named(autojump_clock, says):
    """4.5: it reads, as a node does; whatever it says, nobody is asked and nothing begins again."""

    async def probe(ctx):
        ctx.state.trail.append("probed")
        return says

    result = await outcome(MemoryStore, chain(once(hangs, run_timeout=1, probe=probe)))
    assert (FAILED, []) == (result.status, result.state.trail)
    assert "the probe of node 'hangs' in run 'r' changed the state that it was lent, in trail (" in result.message


async def test_a_once_node_that_is_cut_off_is_named_too(autojump_clock):
    """4.5: before anybody is asked what became of it."""

    async def scribbles(ctx):
        ctx.state.trail.append("scribbled")
        await trio.sleep_forever()

    result = await outcome(MemoryStore, chain(once(scribbles, run_timeout=1)))
    assert (FAILED, True) == (result.status, "NodeTimeout: its run_timeout of 1 s has passed" in result.message)
    assert "and InputMutated: node 'scribbles' in run 'r' changed the state" in result.message


async def test_of_two_branches_the_one_that_did_it_is_named():
    """What branches share is lent to each in a copy."""
    graph = Graph("wide", state=Tally, mutations=MUTATIONS)
    late = trio.Event()

    async def honest(ctx):
        await late.wait()
        assert ctx.state.trail == []

    async def sly(ctx):
        ctx.state.trail.append("sly")
        late.set()
        await trio.lowlevel.checkpoint()

    graph.start(graph.parallel("both", [graph.node(honest), graph.node(sly)]))
    with pytest.raises(RunFailed, match="node 'both/sly/sly': InputMutated"):
        await terzetto.run(graph, Tally(), strict=True)


@frozen
class Stamp:
    """Different each time."""

    def apply(self, tally: Tally) -> None:
        tally.count = next(_numbers)


async def stamp(ctx):
    ctx.record(Stamp())


@stores
async def test_a_mutation_that_is_not_deterministic_fails_its_visit(store):
    """4.5: a mutation that is not deterministic: the failure names run, node, mutation and fields."""
    graph = Graph("stamping", state=Tally, mutations=[Stamp])
    graph.start(graph.node(stamp))
    async with opened(store(), graph) as runtime:
        with pytest.raises(RunFailed, match=r"run 'r' ended FAILED .*node 'stamp': NonDeterministicMutation") as caught:
            await runtime.run(graph, Tally(), run_id="r")

    assert "mutation Stamp is not deterministic: applied twice to the same state it made two" in str(caught.value)


async def test_a_run_whose_log_does_not_make_its_snapshot_is_not_carried_on():
    """4.3, 4.5: the state's digest is checked against the log, also when a strict runtime reads a run of another."""
    store, graph = MemoryStore(), chain(says("one"), scribble, "gate", says("two"))
    async with opened(store, graph, strict=False) as runtime:
        await parked(runtime, graph, "r")
    async with opened(store, graph) as runtime:
        with pytest.raises(Refused, match="folding its log does not make the snapshot of commit 4"):
            await runtime.decide("r", "gate@3", Approve())


async def test_a_run_that_holds_is_carried_on():
    store, graph = MemoryStore(), chain(says("one"), counts(), "gate", says("two"))
    async with opened(store, graph, strict=False) as runtime:
        await parked(runtime, graph, "r")
    async with opened(store, graph) as runtime:
        await runtime.decide("r", "gate@3", Approve())
        assert ["one", "two"] == (await runtime.get("r").result()).state.trail


async def test_what_comes_of_another_run_is_strict_too():
    """Fork and rerun make runs of this runtime."""
    store, graph = MemoryStore(), chain("gate", scribble)
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "r")
        fork, again = await runtime.fork("r"), await runtime.rerun("r", "scribble")
        await runtime.decide(fork.run_id, "gate@1", Approve())
        for run in (fork, again):
            assert "InputMutated" in (await run.result()).message
