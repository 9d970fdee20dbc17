"""`terzetto.testing.ScriptedDecider`: answers by name and in order, and says what is left."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto.testing import Later, ScriptedDecider, UnscriptedBarrier
from terzetto_protocol.decisions import Approve, Reject

from .runtimes import CANCELLED, SUCCEEDED, Tally, chain, opened, says

YES, NO = Approve(), Reject("again")


def looping():
    """A barrier that leads back when it is rejected, and one behind it."""
    graph = terzetto.Graph("looping", state=Tally, mutations=[])

    @graph.node
    async def write(ctx):
        pass

    sign_off, budget = graph.barrier("sign-off"), graph.barrier("budget")
    graph.start(write)
    graph.edge(write, sign_off)
    graph.edge(sign_off.rejected, write)
    graph.edge(sign_off.approved, budget)
    return graph


def decider():
    return ScriptedDecider({"sign-off": [NO, Later(30, YES), NO], "budget": [YES]})


ANSWERED = [("sign-off@2", NO), ("sign-off@4", YES), ("budget@5", YES)]


async def test_it_decides_without_a_runtime(autojump_clock):
    script = decider()
    await terzetto.run(looping(), Tally(), decider=script)

    assert ANSWERED == script.given
    assert {"sign-off": [NO]} == script.left
    assert 30 == trio.current_time()


async def test_it_attends_to_a_run(autojump_clock):
    script, graph = decider(), looping()
    async with opened(MemoryStore(), graph, limit=60) as runtime:
        run = await runtime.submit(graph, Tally())
        await script.attend(run)

        assert SUCCEEDED == (await run.result()).status

    assert ANSWERED == script.given
    assert {"sign-off": [NO]} == script.left
    assert 30 <= trio.current_time() < 31


async def test_a_question_inside_of_a_body_is_answered_by_its_name(autojump_clock):
    async def ask(ctx):
        assert await ctx.decision("really") == YES

    graph, script = chain(ask), ScriptedDecider({"really": [YES]})
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await script.attend(run)

        assert SUCCEEDED == (await run.result()).status
    assert {} == script.left


async def test_an_unknown_barrier_ends_the_script(autojump_clock):
    graph, script = chain(says("a"), "sign-off"), ScriptedDecider({"budget": [YES, NO], "empty": []})
    message = r"run 'r': the script has no answer for 'sign-off@2' \(answers left: 2 for 'budget'\)"
    with pytest.raises(UnscriptedBarrier, match=message) as caught:
        await terzetto.run(graph, Tally(), decider=script, run_id="r")
    assert {"budget": 2} == caught.value.left

    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        with pytest.RaisesGroup(pytest.RaisesExc(UnscriptedBarrier, match=message)):
            await script.attend(run)


async def test_somebody_else_may_be_faster(autojump_clock):
    graph, script = chain("sign-off", says("a")), ScriptedDecider({"sign-off": [Later(5, NO)]})
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(script.attend, run)
            await trio.sleep(1)
            await run.decide("sign-off", YES)

        assert ["a"] == (await run.state()).trail
    assert [] == script.given


async def test_it_leaves_when_its_run_has_ended(autojump_clock):
    graph, script = chain("sign-off"), ScriptedDecider({"sign-off": [Later(500, YES)]})
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(script.attend, run)
            await trio.sleep(1)
            await run.cancel()

        assert CANCELLED == await run.status()
