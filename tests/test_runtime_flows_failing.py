"""Nodes of dataflows that fail, take too long, or are tried again (SEMANTICS 5.7, 9.7, 9.8)."""

import pytest
import trio
import trio.testing

from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow, Output
from terzetto_protocol.retry import RetryPolicy

from .running_flows import Ctx, outcome, single
from .runtimes import FAILED, both, opened, stores
from .stores import FaultyStore

# -- errors --------------------------------------------------------------------------------------------------------


@both
@stores
async def test_an_error_goes_where_it_is_taken(dispatch, store):
    async def fail(ctx: Ctx) -> None:
        await ctx.send("out", 1)
        raise OSError("no")

    async def mend(ctx: Ctx, why: str) -> dict[str, str]:
        return {"out": f"mended {why}"}

    made: Dataflow[None] = Dataflow("errors", on_node_error="fail")
    failing, mending = made.node(outputs="out")(fail), made.node(outputs="out")(mend)
    made.link(failing.out("error"), mending, "why")
    for node in (failing, mending):
        made.output("out", node.out("out"))

    assert await outcome(made, dispatch, store) == {"out": [1, "mended OSError: no"]}


@both
@stores
async def test_a_failure_that_nobody_takes_ends_the_others_first(autojump_clock, dispatch, store):
    order = []

    async def fail(ctx: Ctx) -> None:
        await trio.sleep(1)
        order.append("fails")
        raise OSError("no")

    async def wait(ctx: Ctx) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            order.append("left")

    made: Dataflow[None] = Dataflow("errors", on_node_error="fail")
    made.node()(fail)
    made.node()(wait)
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        result = await run.result()
        order.append(result.status)
        again = await run.retry()
        assert (await again.result()).status is FAILED
    assert order[:3] == ["fails", "left", FAILED]
    assert (result.code, result.message) == ("node_error", "node 'fail': OSError: no")
    assert order.count("fails") == 2, "what failed is tried again"


@both
async def test_system_exit_is_the_nodes_error_and_a_group_is_its_leaves(dispatch):
    """9.4."""

    async def leave(ctx: Ctx) -> None:
        raise SystemExit(3)

    async def group(ctx: Ctx):
        yield "out", 1
        raise ExceptionGroup("two", [OSError("a"), ExceptionGroup("inner", [KeyError("b")])])

    assert await outcome(single(leave), dispatch) == {"error": ["SystemExit: 3"]}
    assert await outcome(single(group), dispatch) == {"out": [1], "error": ["OSError: a; KeyError: 'b'"]}


@both
async def test_too_many_steps_fail_the_run(autojump_clock, dispatch):
    async def round_and_round(ctx: Ctx, n: int):
        yield "n", n + 1

    made: Dataflow[None] = Dataflow("endless", max_steps=20)
    node = made.node(name="n", outputs="n")(round_and_round)
    made.link(made.input("n", int), node, "n")
    made.link(node.out("n"), node, "n")
    async with opened(MemoryStore(), made, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(made, made.begin({"n": 0}))).result()
    assert (result.status, result.code) == (FAILED, "steps_exceeded")


# -- timeouts, attempts --------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("kind", ["send", "yield"])
async def test_a_value_sent_is_a_sign_of_life(autojump_clock, dispatch, kind):
    """9.7: `idle_timeout` is moved by whatever a node does that somebody could see."""

    async def sends(ctx: Ctx) -> None:
        for number in range(5):
            await trio.sleep(0.8)
            await ctx.send("out", number)
        await trio.sleep(3)

    async def yields(ctx: Ctx):
        for number in range(5):
            await trio.sleep(0.8)
            yield "out", number
        await trio.sleep(3)

    said = await outcome(single(sends if kind == "send" else yields, idle_timeout=1.0), dispatch)
    assert said == {"out": [0, 1, 2, 3, 4], "error": ["NodeTimeout: its idle_timeout of 1 s has passed"]}


async def test_a_store_that_is_slow_with_a_value_does_not_count_against_who_sent_it(autojump_clock):
    """9.7: until it answers, nothing is expected of the node."""
    store = FaultyStore()
    store.latency = 5

    async def work(ctx: Ctx) -> None:
        for number in range(3):
            await ctx.send("out", number)

    made = single(work, idle_timeout=1.0)
    async with opened(store, made, limit=100) as runtime:
        assert (await runtime.run(made, made.begin())).outputs == {"out": [0, 1, 2]}


@both
@stores
async def test_an_attempt_is_made_again_and_repeats_nothing(autojump_clock, dispatch, store):
    """9.8."""
    attempts, read = [], []

    async def work(ctx: Ctx):
        attempts.append(ctx.visit.attempt)
        for number in range(len(attempts) + 1):
            yield "out", number
        if len(attempts) < 3:
            raise OSError("try again")

    async def take(ctx: Ctx, value: int) -> None:
        read.append(value)

    made = single(work, retry=RetryPolicy(initial=1.0))
    taker = made.node(name="take")(take)
    made.link(Output("n", "out"), taker, "value")

    assert await outcome(made, dispatch, store) == {"out": [0, 1, 2, 3]}
    assert (attempts, sorted(read)) == ([1, 2, 3], [0, 1, 2, 3])


async def test_another_value_in_an_attempt_is_the_nodes_error_and_the_last_attempt(autojump_clock):
    """5.7: a re-run would meet the same durable value."""
    attempts = []

    async def work(ctx: Ctx):
        attempts.append(1)
        yield "out", len(attempts)
        raise OSError("try again")

    said = await outcome(single(work, retry=RetryPolicy(initial=1.0, max_attempts=5)))
    assert said["out"] == [1]
    assert said["error"][0].startswith("NonDeterministicOutput: run")
    assert len(attempts) == 2


async def test_what_chance_decides_may_be_kept_as_an_effect(autojump_clock):
    """As `NonDeterministicOutput` says."""
    attempts = []

    async def work(ctx: Ctx) -> None:
        attempts.append(1)

        async def draw(key: str) -> int:
            return len(attempts) * 7

        await ctx.send("out", await ctx.effect("draw", draw, result=int))
        if len(attempts) == 1:
            raise OSError("try again")

    assert await outcome(single(work, retry=RetryPolicy(initial=1.0))) == {"out": [7]}


@both
async def test_tasks_of_one_visit_may_send_side_by_side(autojump_clock, dispatch):
    """Numbers are given where values are committed, whichever task comes first."""
    attempts = []

    async def work(ctx: Ctx) -> None:
        attempts.append(1)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ctx.send, "out", number)
        if len(attempts) == 1:
            ctx.send("out", "never awaited").close()  # type: ignore[attr-defined]  # it is a coroutine

    said = await outcome(single(work), dispatch)
    assert sorted(said["out"]) == list(range(20))
