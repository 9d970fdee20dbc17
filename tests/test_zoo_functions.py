"""Functions of a user that a run calls: whatever they raise ends that run alone (SEMANTICS 4.6, 5.2, 9.4)."""

from itertools import pairwise
from typing import Any

import pytest

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import Refused

from .cages import kept
from .fans import bare
from .runtimes import FAILED, Say, Tally, both, parked, says
from .zoo import ERRORS, Own


def function(make):
    def animal(*args: Any) -> Any:
        raise make()

    return animal


def chained(graph, *places):
    graph.start(places[0])
    for one, other in pairwise(places):
        graph.edge(one, other)
    return graph


def node(graph, name, **options):
    return graph.node(name=name, **options)(says(name))


def predicate(graph, animal):
    one, other = node(graph, "one"), node(graph, "other")
    graph.start(one)
    graph.edge(one, other, when=animal)


def over(graph, animal):
    chained(graph, graph.map("each", node(graph, "one"), over=animal, item=int))


def merge(graph, animal):
    chained(graph, graph.parallel("fan", [node(graph, "one"), node(graph, "other")], merge=animal))


def inner(graph):
    made = bare("inner")
    return chained(made, node(made, "one"))


def get(graph, animal):
    chained(graph, graph.subgraph("inner", inner(graph), get=animal))


def put(graph, animal):
    chained(graph, graph.subgraph("inner", inner(graph), put=animal))


def payload(graph, animal):
    chained(graph, node(graph, "one"), graph.barrier("ask", payload=animal))


PLACES = [predicate, over, merge, get, put, payload]
SOME = [
    "of its own",
    "leaves the program",
    "cancelled elsewhere",
    "panics while it is shown",
    "no name",
    "deep",
    "wide",
]


@both
@pytest.mark.parametrize("name", SOME)
async def test_a_function_that_raises_ends_its_run_alone(name, dispatch):
    """9.4: in every place in which a graph takes one; the failure tells of what."""
    make, text = ERRORS[name]
    graphs = []
    for place in PLACES:
        graphs.append(bare(place.__name__))
        place(graphs[-1], function(make))
    async with kept(MemoryStore(), *graphs, dispatch=dispatch) as runtime:
        runs = [await runtime.submit(graph, Tally()) for graph in graphs]
        for run in runs:
            result = await run.result()
            assert (FAILED, "node_error") == (result.status, result.code)
            assert text.split(": ")[-1] in result.message or name in {"deep", "wide"}
            assert (await run.replay()).holds


class Bitten(Say, frozen=True):
    def apply(self, tally):
        raise Own(self.text)


@both
async def test_a_mutation_that_raises_fails_its_node(dispatch):
    """4.6: apply that raises fails the run at the previous commit, naming run, node, mutation."""
    graph = terzetto.Graph("bites", state=Tally, mutations=[Say, Bitten])

    async def bites(ctx):
        ctx.record(Say("kept?"))
        ctx.record(Bitten("bitten"))

    chained(graph, node(graph, "one"), graph.node(bites))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        assert (FAILED, ["one"]) == (result.status, result.state.trail)
        assert "bites" in result.message
        assert "mutation Bitten could not be applied: Own: bitten" in result.message
        assert (await run.replay()).holds


@both
async def test_a_decision_that_cannot_be_made_one_is_refused(dispatch):
    """6.3: the barrier keeps waiting."""
    graph = bare("asks")
    ask = graph.barrier("ask", decided=function(lambda: Own("no")))
    graph.start(ask)
    graph.edge(ask.approved, node(graph, "after"))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(Refused, match="its `decided` raised Own: no"):
            await run.decide("ask", Approve())
        assert 1 == len(await run.barriers())


@both
async def test_a_sink_that_raises_is_counted(dispatch, caplog):
    """8.7: it never fails a run."""

    class Sink:
        async def emit(self, event):
            raise Own("a sink")

    graph = bare("heard")
    chained(graph, node(graph, "one"))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), sinks=[Sink()])
        assert ["one"] == (await run.result()).state.trail
