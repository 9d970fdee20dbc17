"""What a caller gives that nothing could take is refused at the door, with what to say instead (SEMANTICS 1)."""

import asyncio
from functools import partial
from typing import Any

import pytest

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Modify, Reject, Reroute
from terzetto_protocol.errors import GraphError, InvalidRequest
from terzetto_protocol.graph import Graph

from .runtimes import AWAITING, MUTATIONS, Tally, chain, opened, parked, says

DECISIONS: list[tuple[Any, dict[str, Any], str]] = [
    ("yes", {}, "'yes' is no decision: they are Approve, Reject, Choose, Modify, Reroute, Confirm, Retry, Fail"),
    (True, {}, "True is no decision"),
    (Approve, {}, "class 'terzetto_protocol.decisions.Approve'> is no decision"),
    (Reroute(says("b")), {}, "a Reroute names its target"),  # type: ignore[arg-type]  # the mistake under test
    (Approve(), {"keep": "forever"}, "keep: 'forever' is none of , once, always"),
]


@pytest.mark.parametrize("decision, options, words", DECISIONS)
async def test_what_is_no_decision_is_refused_and_the_barrier_waits(autojump_clock, decision, options, words):
    """1, 6.3: a typed error that names the value, and nothing changed."""
    graph = chain("gate", says("b"))
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        before = await runtime.row("r")
        with pytest.raises(InvalidRequest, match=words):
            await run.decide("gate", decision, **options)
        assert (AWAITING, before) == (await run.status(), await runtime.row("r"))
        await run.decide("gate", Modify({}))
        await run.result()


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"checkpoints": "every"}, "checkpoints='every': say terzetto.CheckpointPolicy"),
    ({"sinks": print}, "sinks= takes a list, also of one sink"),
    ({"busy": "enqueue"}, "busy='enqueue' says what happens while a thread is busy, and none is given"),
    ({"deadline": "5s"}, "deadline: '5s' is not a number of seconds above 0"),
    ({"deadline": True}, "deadline: True is not a number of seconds above 0"),
]


@pytest.mark.parametrize("options, words", OPTIONS)
async def test_a_submit_with_a_wrong_option_submits_nothing(autojump_clock, options, words):
    """1: nothing changed."""
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        with pytest.raises(InvalidRequest, match=words):
            await runtime.submit(graph, Tally(), run_id="r", **options)
        with pytest.raises(InvalidRequest, match="mode: 'undo' is none of stop, rollback"):
            await runtime.get("r").cancel(mode="undo")  # type: ignore[arg-type]  # the mistake under test
        assert [] == await runtime.runs()


async def test_a_runtime_with_a_wrong_option_is_not_opened(autojump_clock):
    graph: Any = chain(says("a"))
    keep: Any = terzetto.Keep(latest=1)
    with pytest.raises(InvalidRequest, match=r"graphs= takes a list, also of one graph"):
        async with terzetto.open_runtime("memory:", graphs=graph):
            raise AssertionError("it was opened")
    with pytest.raises(InvalidRequest, match=r"retention=Keep\(.*say terzetto.Retention\("):
        async with terzetto.open_runtime("memory:", graphs=[graph], retention=keep):
            raise AssertionError("it was opened")


WRONG: list[tuple[Any, str]] = [
    (partial(terzetto.Retention, history=5), "history=5: say terzetto.Keep"),
    (partial(terzetto.Keep, max_age="1d"), "max_age: '1d' is not a number of seconds"),
    (partial(Graph, "g", state=Tally, checkpoints=5), "checkpoints=5: say terzetto.CheckpointPolicy"),
]


@pytest.mark.parametrize("make, words", WRONG)
def test_a_policy_that_is_none_is_refused(make, words):
    with pytest.raises(InvalidRequest, match=words):
        make()


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"retry": 3}, r"nodes.a.retry: 3 is no policy: say terzetto.RetryPolicy"),
    ({"run_timeout": "5s"}, "nodes.a.run_timeout: '5s' is not a number of seconds above 0"),
    ({"idle_timeout": True}, "nodes.a.idle_timeout: True is not a number of seconds above 0"),
]


@pytest.mark.parametrize("options, mistake", MISTAKES)
def test_an_option_of_another_type_is_one_mistake_among_others(options, mistake):
    """5.4: `build()` reports every mistake at once."""
    graph: Graph[Tally] = Graph("g", state=Tally, mutations=MUTATIONS)
    graph.start(graph.node(name="a", **options)(says("a")))
    late: Any = "reject"
    graph.barrier("b", timeout=5, on_timeout=late)
    with pytest.raises(GraphError, match=mistake) as caught:
        graph.build()
    assert (
        "barriers.b.on_timeout: 'reject' is neither a way out of it, as Reject(), nor Fail()" in caught.value.mistakes
    )


def test_a_function_that_is_no_node_is_said():
    graph: Graph[Tally] = Graph("g", state=Tally, mutations=MUTATIONS)
    with pytest.raises(TypeError, match=r"a name is wanted, not <function .* \(is it a @graph.node\?\)"):
        graph.start(says("a"))  # type: ignore[arg-type]  # the mistake under test


async def test_a_question_with_a_timeout_that_leads_nowhere_is_refused(autojump_clock):
    async def ask(ctx):
        await ctx.decision("way", timeout=5, on_timeout="reject")

    with pytest.raises(terzetto.RunFailed, match="decision 'way': on_timeout='reject' is neither a way out nor Fail"):
        await terzetto.run(chain(ask), Tally())


async def test_a_decider_is_async():
    def decider(event):
        return Reject()

    with pytest.raises(TypeError, match="the decider has to be an `async def`"):
        await terzetto.run(chain("gate"), Tally(), decider=decider)  # type: ignore[arg-type]  # the mistake under test


def test_under_asyncio_it_says_where_it_belongs():
    """Whoever comes from elsewhere begins like this."""
    graph = chain(says("a"))

    async def main() -> None:
        async with terzetto.open_runtime("sqlite:never.db", graphs=[graph]):
            raise AssertionError("it was opened")

    for begin in (main, partial(terzetto.run, graph, Tally())):
        with pytest.raises(RuntimeError, match=r"Terzetto runs on Trio: begin with trio.run\(main\)"):
            asyncio.run(begin())
