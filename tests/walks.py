"""Runs that go step by step to a barrier, for tests of what is left of them."""

from msgspec import Struct

import terzetto
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve
from terzetto_protocol.graph import Graph

from .runtimes import MUTATIONS, Tally, says, told

ROUNDS = 5


class Went(Struct, frozen=True):
    to: str

    def apply(self, tally):
        tally.trail.append(self.to)
        tally.count += 1


def walk(rounds: int = ROUNDS, effects: str = "repeatable", **options):
    """`step` again and again, then `gate`, then `home`; commit 2 + n is the n-th step's."""
    graph = Graph("walk", state=Tally, mutations=[*MUTATIONS, Went], **options)

    @graph.node(effects=effects)
    async def step(ctx):
        ctx.record(Went(f"to {ctx.state.count + 1}"))

    gate, home = graph.barrier("gate"), graph.node(name="home")(says("home"))
    graph.start(step)
    graph.edge(step, step, when=lambda tally: tally.count < rounds)
    graph.edge(step, gate, fallback=True)
    graph.edge(gate.approved, home)
    return graph


EVERY = CheckpointPolicy(every=2)


async def at_gate(runtime, graph, run_id="r", **options):
    run = await runtime.submit(graph, Tally(), run_id=run_id, **options)
    await told(run, until=terzetto.BarrierOpened)
    return run


async def finished(runtime, graph, run_id="r"):
    run = await at_gate(runtime, graph, run_id)
    await run.decide("", Approve())
    await run.result()
    return run
