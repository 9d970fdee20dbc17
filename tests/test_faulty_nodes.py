"""Visits under a fault plan: before a body, after it, at the dispatcher; for every kind of body."""

import threading

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto.testing import FaultPlan
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import RunStatus

from .running_flows import Ctx, outcome, single
from .runtimes import SUCCEEDED, Add, Say, Step, Tally, both, chain, once, opened, says

ERROR = ConnectionError("gone")


def bodies():
    """The same body as a coroutine function, in a thread, and on the loop; with what it was run as."""

    async def task(ctx):
        ctx.record(Say("ran"))

    def thread(ctx):
        ctx.record(Say("ran"))

    return {"task": Step(task, {}), "thread": Step(thread, {}), "loop": Step(thread, {"thread": False})}


def graph_of(kind):
    step = bodies()[kind]
    graph = chain(name="kinds")
    graph.start(graph.node(name="body", **step.options)(step.fn))
    return graph


kinds = pytest.mark.parametrize("kind", ["task", "thread", "loop"])


@both
@kinds
async def test_an_error_before_or_after_a_body_is_its_failure(dispatch, kind):
    graph = graph_of(kind)
    for plan in (FaultPlan().on_node("body").raises(ERROR), FaultPlan().after_node("body").raises(ERROR)):
        with plan:
            async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
                result = await (await runtime.submit(graph, Tally())).result()

        assert (RunStatus.FAILED, "node_error", []) == (result.status, result.code, result.state.trail)
        assert "ConnectionError: gone" in result.message
        assert [] == plan.unused


@both
@kinds
async def test_a_body_that_is_doubled_counts_once(dispatch, kind):
    """7: a body that is not `once` may run again, and what the first one recorded is dropped."""
    graph = graph_of(kind)
    with FaultPlan().on_node().duplicates() as plan:
        async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
            assert ["ran"] == (await runtime.run(graph, Tally())).trail

    assert ["node body #1: duplicates"] == [*map(str, plan.done)]


async def test_a_doubled_body_has_the_same_key_and_asks_the_same(autojump_clock):
    """7: the key is the same for every attempt, and what `ctx.effect` keeps is not made twice."""
    keys, made = [], []

    async def pay(ctx):
        async def effect(key):
            made.append(1)
            return 7

        keys.append(ctx.key)
        ctx.record(Add(await ctx.effect("charge", effect)))

    graph = chain(pay)
    with FaultPlan().on_node("pay").duplicates():
        async with opened(MemoryStore(), graph) as runtime:
            assert 7 == (await runtime.run(graph, Tally())).count

    assert 2 == len(keys)
    assert 1 == len(set(keys)) == len(made)


async def test_a_once_body_is_never_doubled(autojump_clock):
    """3, D2: and the plan says that its rule did not apply."""
    ran = []

    async def pay(ctx):
        ran.append(1)

    graph = chain(once(pay))
    with FaultPlan().on_node("pay").duplicates() as plan:
        async with opened(MemoryStore(), graph) as runtime:
            await runtime.run(graph, Tally())

    assert [1] == ran
    assert ["on_node('pay').duplicates()"] == plan.unused


async def test_a_delay_counts_for_the_nodes_own_limit(autojump_clock):
    graph = chain(Step(says("slow"), {"run_timeout": 2.0}))
    with FaultPlan().on_node("slow").delays(5):
        async with opened(MemoryStore(), graph) as runtime:
            result = await (await runtime.submit(graph, Tally())).result()

    assert "its run_timeout of 2 s has passed" in result.message


async def test_a_delay_of_the_dispatcher_does_not(autojump_clock):
    graph = chain(Step(says("slow"), {"run_timeout": 2.0}))
    with FaultPlan().on_dispatch("slow").delays(5):
        async with opened(MemoryStore(), graph) as runtime:
            assert ["slow"] == (await runtime.run(graph, Tally())).trail

    assert 5 <= trio.current_time()


async def test_a_node_fails_as_often_as_it_is_told_and_is_retried(autojump_clock):
    graph = chain(Step(says("flaky"), {"retry": RetryPolicy(max_attempts=3)}))
    with FaultPlan().on_node("flaky").first(2).raises(ERROR) as plan:
        async with opened(MemoryStore(), graph) as runtime:
            assert ["flaky"] == (await runtime.run(graph, Tally())).trail

    assert 3 == plan.passed.count("node flaky")


async def test_a_rule_may_be_about_one_run(autojump_clock):
    graph = chain(says("a"))
    with FaultPlan().on_node("a").when(lambda ctx: ctx.run_id == "second").raises(ERROR):
        async with opened(MemoryStore(), graph) as runtime:
            found = [
                (await (await runtime.submit(graph, Tally(), run_id=name)).result()).status
                for name in ("first", "second")
            ]

    assert [RunStatus.SUCCEEDED, RunStatus.FAILED] == found


@both
async def test_what_hangs_is_cancelled_with_its_run(autojump_clock, dispatch):
    graph = chain(says("a"))
    for plan in (FaultPlan().on_node("a").hangs(), FaultPlan().on_dispatch("a").hangs()):
        with plan:
            async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
                run = await runtime.submit(graph, Tally())
                await trio.sleep(3)
                await run.cancel()
                assert RunStatus.CANCELLED == (await run.result()).status


async def test_a_function_that_hangs_in_its_thread_is_cancelled_too():
    graph, begun = graph_of("thread"), trio.Event()
    with FaultPlan().on_node("body").when(lambda ctx: begun.set() is None).hangs():
        async with opened(MemoryStore(), graph) as runtime:
            run = await runtime.submit(graph, Tally())
            await begun.wait()
            await run.cancel()

    assert not [each for each in threading.enumerate() if each.name.startswith("node ")]


async def test_a_body_waits_for_what_the_test_says(autojump_clock):
    order, go = [], trio.Event()

    async def a(ctx):
        order.append("a")

    graph = chain(a)
    with FaultPlan().on_node("a").waits_for(go):
        async with opened(MemoryStore(), graph) as runtime:
            run = await runtime.submit(graph, Tally())
            await trio.testing.wait_all_tasks_blocked()
            order.append("test")
            go.set()
            await run.result()

    assert ["test", "a"] == order


async def test_the_dispatcher_may_start_one_last(autojump_clock):
    order = []
    graph = terzetto.Graph("fan", state=Tally, mutations=[])

    def branch(name):
        async def body(ctx):
            order.append(name)

        return graph.node(name=name)(body)

    graph.start(graph.parallel("all", [branch(name) for name in "abc"]))
    with FaultPlan().on_dispatch("a").reorders():
        async with opened(MemoryStore(), graph) as runtime:
            await runtime.run(graph, Tally())

    assert "a" == order[-1]
    assert {"b", "c"} == set(order[:2])


@both
async def test_a_run_whose_task_dies_is_begun_again_where_its_log_ends(autojump_clock, dispatch):
    """9: it breaks off alone, and no other run hears of it."""
    graph = chain(says("a"), says("b"), says("c"))
    with FaultPlan().on_dispatch("b").on_pass(1).raises(ERROR) as plan:
        async with opened(MemoryStore(), graph, dispatch=dispatch, limit=200) as runtime:
            result = await (await runtime.submit(graph, Tally())).result()
            restarts = runtime.statistics().restarts

    assert (SUCCEEDED, ["a", "b", "c"], 0) == (result.status, result.state.trail, restarts)
    assert [1, 2, 1] == [plan.passed.count(f"dispatch {name}") for name in "abc"]


# -- dataflows -------------------------------------------------------------------------------------------------


@both
async def test_a_generator_of_a_dataflow_is_one_still(autojump_clock, dispatch):
    """What ends its yields arrives there, as without a plan."""

    async def work(ctx: Ctx):
        with trio.move_on_after(1) as scope:
            for number in range(5):
                yield "out", number
                await trio.sleep(0.4)
        yield "out", f"cut {scope.cancelled_caught}"

    with FaultPlan().on_node("n").delays(2).after_node("n").delays(3) as plan:
        assert await outcome(single(work), dispatch) == {"out": [0, 1, 2, "cut True"]}

    assert 6 <= trio.current_time()
    assert [] == plan.unused


@both
async def test_a_generator_that_is_made_to_fail_has_sent_what_it_has_sent(autojump_clock, dispatch):
    async def work(ctx: Ctx):
        yield "out", 1

    with FaultPlan().after_node("n").raises(ERROR):
        assert await outcome(single(work), dispatch) == {"out": [1], "error": ["ConnectionError: gone"]}


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_nothing_of_a_dataflow_is_doubled(kind):
    """A second body would send on where the first has stopped."""
    ran = []

    async def coroutine(ctx: Ctx):
        ran.append(1)
        return {"out": 1}

    def function(ctx: Ctx):
        ran.append(1)
        return {"out": 1}

    with FaultPlan().on_node("n").duplicates().after_node("n").delays(0) as plan:
        assert await outcome(single({"coroutine": coroutine, "function": function}[kind])) == {"out": [1]}

    assert [1] == ran
    assert ["on_node('n').duplicates()"] == plan.unused
