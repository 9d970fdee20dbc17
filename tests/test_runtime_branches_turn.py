"""Branches that are plain functions: what they do in one turn is brought to the disk at once (SEMANTICS 5.5)."""

from terzetto_protocol.graph import Graph
from terzetto_protocol.records import Kind

from .runtimes import MUTATIONS, SUCCEEDED, Say, Tally, both, opened
from .stores import FaultyStore


@both
async def test_what_plain_functions_do_in_one_turn_shares_one_transaction(autojump_clock, dispatch):
    """5.5: plain `def` branches that run in one turn share one transaction with their join."""

    def said(name):
        def body(ctx):
            ctx.record(Say(name))

        return body

    graph, store = Graph("fan", state=Tally, mutations=MUTATIONS), FaultyStore()
    branches = [graph.node(name=name, thread=False)(said(name)) for name in "abcd"]
    graph.start(graph.parallel("fan", branches, merge="replay"))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally(), run_id="r")).result()
    assert (SUCCEEDED, list("abcd")) == (result.status, result.state.trail)
    kinds = [[write.kind for write in group] for group in store.groups]
    assert [Kind.VISIT, Kind.VISIT, Kind.VISIT, Kind.VISIT, Kind.JOIN] == kinds[-1]
