"""`terzetto.run` with barriers inside of subgraphs and branches (SEMANTICS 6.7)."""

import pytest
import trio

import terzetto
from terzetto_protocol.decisions import Approve, Choose

from .runtimes import Tally, chain
from .subgraphs import bare, deep_in, fails, nested


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
