"""Dataflows through a runtime: values, errors, dataflows inside, stops (SEMANTICS 5.7)."""

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow, Output
from terzetto_protocol.errors import InvalidInput, InvalidRequest, NonDeterministicOutput, RunFailed
from terzetto_protocol.events import NodeFailed, NodeFinished, OutputSent, TextChunk
from terzetto_protocol.flow_state import FlowState, Out
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import RunStatus, VisitStatus

from .runtimes import CANCELLED, FAILED, INTERRUPTED, SUCCEEDED, both, opened, settled, stores, told
from .stores import FaultyStore, trail

Ctx = terzetto.FlowContext


def single(fn: Any, *outputs: str, inputs: dict[str, Any] | None = None, **options: Any) -> Dataflow[Any]:
    """One node `n` with this function; its inputs are those of the whole, and what it sends comes out under its name.

    What goes wrong comes out as `error`.
    """
    made: Dataflow[Any] = Dataflow("single", **{key: options.pop(key) for key in ("deps", "limit") if key in options})
    node = made.node(name="n", **{"outputs": outputs or ["out"], **options})(fn)
    for name in dict(made.nodes)["n"].inputs:
        made.link(made.input(name, default=(inputs or {}).get(name)), node, name)
    for output in (*(outputs or ["out"]), "error"):
        made.output(output, node.out(output))
    return made


async def outcome(
    made: Dataflow[Any], dispatch: str = "direct", store: Any = MemoryStore, **inputs: Any
) -> dict[str, Any]:
    """What comes out of a run of it that goes well."""
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin(inputs))
        result = await run.result()
        assert result.status is SUCCEEDED, result.message
        assert (await run.replay()).holds
        return result.state.outputs


# -- functions of every kind -------------------------------------------------------------------------------------------


@both
@stores
async def test_a_coroutine_sends_while_it_works(autojump_clock, dispatch, store):
    order = []

    async def fetch(ctx: Ctx, url: str) -> None:
        for number in range(3):
            await ctx.send("page", f"{url}/{number}")
            order.append(f"sent {number}")
            await trio.sleep(1)
        order.append("done")

    async def read(ctx: Ctx, page: str) -> None:
        order.append(f"read {page}")
        await ctx.send("size", len(page))

    made: Dataflow[None] = Dataflow("pages")
    fetched, sized = made.node(outputs="page")(fetch), made.node(outputs="size")(read)
    made.link(made.input("url", str), fetched, "url")
    made.link(fetched.out("page"), sized, "page")
    made.output("sizes", sized.out("size"), int)

    assert await outcome(made, dispatch, store, url="a") == {"sizes": [3, 3, 3]}
    assert [each for each in order if "read" not in each] == ["sent 0", "sent 1", "sent 2", "done"]
    assert order.index("read a/0") < order.index("sent 1"), "what is sent goes on at once"


@both
@stores
async def test_a_generator_yields_what_it_sends(autojump_clock, dispatch, store):
    """5.7: async generators are accepted through an adapter."""

    async def count(ctx: Ctx, n: int):
        for number in range(n):
            yield "out", number
            await trio.sleep(0.1)

    assert await outcome(single(count), dispatch, store, n=4) == {"out": [0, 1, 2, 3]}


@both
async def test_a_generator_knows_that_a_value_is_durable_when_it_goes_on(autojump_clock, dispatch):
    """D3."""
    stored = []
    store = MemoryStore()

    async def count(ctx: Ctx):
        for number in range(3):
            yield "out", number
            stored.append([line for line in await trail(store, ctx.run_id) if line.startswith("send")])

    made = single(count)
    async with opened(store, made, dispatch=dispatch) as runtime:
        await runtime.run(made, made.begin())
    assert [len(each) for each in stored] == [1, 2, 3]


@both
async def test_a_coroutine_may_return_what_it_sends_last(dispatch):
    async def work(ctx: Ctx) -> dict[str, Any]:
        await ctx.send("a", 1)
        return {"b": 2, "a": 3}

    assert await outcome(single(work, "a", "b"), dispatch) == {"a": [1, 3], "b": [2]}


@both
async def test_a_node_may_send_nothing(dispatch):
    async def work(ctx: Ctx) -> None: ...
    async def nothing(ctx: Ctx):
        return
        yield

    assert await outcome(single(work), dispatch) == {}
    assert await outcome(single(nothing), dispatch) == {}


@both
@pytest.mark.parametrize(
    "returned, said",
    [
        (5, "InvalidRequest: a node of a dataflow returns a mapping of outputs to values, or nothing, and not int"),
        (
            [("a", 1)],
            "InvalidRequest: a node of a dataflow returns a mapping of outputs to values, or nothing, and not list",
        ),
        ({"nope": 1}, "InvalidRequest: node 'n' has no output 'nope'; it has out"),
        ({"out": object()}, "NotStorable: what 'n' sends as 'out' cannot be stored"),
    ],
)
async def test_what_is_returned_wrongly_is_the_nodes_error(dispatch, returned, said):
    async def work(ctx: Ctx) -> Any:
        return returned

    (error,) = (await outcome(single(work), dispatch))["error"]
    assert error.startswith(said)


@both
@pytest.mark.parametrize(
    "made, said",
    [
        (5, "InvalidRequest: a node of a dataflow yields (output, value), and not 5"),
        (("out",), "InvalidRequest: a node of a dataflow yields (output, value), and not ('out',)"),
        ((1, 2), "InvalidRequest: a node of a dataflow yields (output, value), and 1 names no output"),
        (("nope", 2), "InvalidRequest: node 'n' has no output 'nope'; it has out"),
    ],
)
async def test_what_is_yielded_wrongly_is_raised_at_the_yield(dispatch, made, said):
    places = []

    async def work(ctx: Ctx):
        yield "out", 1
        try:
            yield made
        except InvalidRequest:
            places.append("yield")
            raise

    result = await outcome(single(work), dispatch)
    assert result["error"][0].startswith(said)
    assert (result["out"], places) == ([1], ["yield"])


async def test_a_generator_may_go_on_after_what_was_wrong():
    async def work(ctx: Ctx):
        try:
            yield "nope", 1
        except InvalidRequest:
            yield "out", "instead"

    assert await outcome(single(work)) == {"out": ["instead"]}


# -- generators and scopes -----------------------------------------------------------------------------------------


@both
async def test_a_generator_that_raises_has_sent_what_it_yielded_before(dispatch):
    async def work(ctx: Ctx):
        yield "out", 1
        yield "out", 2
        raise OSError("no more")

    assert await outcome(single(work), dispatch) == {"out": [1, 2], "error": ["OSError: no more"]}


@both
async def test_a_cancel_scope_inside_of_a_generator_is_the_generators(autojump_clock, dispatch):
    """It may be entered before a yield and left after it, as in any function."""

    async def work(ctx: Ctx):
        with trio.move_on_after(1) as scope:
            for number in range(5):
                yield "out", number
                await trio.sleep(0.4)
        yield "out", f"cut {scope.cancelled_caught}"

    assert await outcome(single(work), dispatch) == {"out": [0, 1, 2, "cut True"]}


@both
async def test_a_timeout_of_a_generators_own_may_pass_while_it_waits_for_the_store(autojump_clock, dispatch):
    """The wait at a yield is within the scope around it; what was yielded has been sent all the same."""
    store, seen = FaultyStore(), []

    async def work(ctx: Ctx):
        store.latency = 5
        with trio.move_on_after(1) as scope:
            yield "out", 1
            seen.append("after")
        store.latency = 0
        yield "out", f"cut {scope.cancelled_caught}"

    made = single(work)
    async with opened(store, made, dispatch=dispatch, limit=50) as runtime:
        result = await runtime.run(made, made.begin())
    assert (result.outputs, seen) == ({"out": [1, "cut True"]}, [])


@both
async def test_a_nursery_inside_of_a_generator_lives_as_long_as_it(autojump_clock, dispatch):
    async def work(ctx: Ctx):
        sending, receiving = trio.open_memory_channel[int](0)

        async def produce(number: int) -> None:
            await trio.sleep(number)
            await sending.send(number)

        async with trio.open_nursery() as nursery:
            for number in (3, 1, 2):
                nursery.start_soon(produce, number)
            for _ in range(3):
                yield "out", await receiving.receive()

    assert await outcome(single(work), dispatch) == {"out": [1, 2, 3]}


@both
async def test_a_task_of_a_generators_nursery_that_fails_ends_it(autojump_clock, dispatch):
    closed = []

    async def work(ctx: Ctx):
        async def fail() -> None:
            await trio.sleep(1.5)
            raise OSError("in the nursery")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                for number in range(10):
                    yield "out", number
                    await trio.sleep(1)
        finally:
            closed.append(True)

    assert await outcome(single(work), dispatch) == {"out": [0, 1], "error": ["OSError: in the nursery"]}
    assert closed == [True]


@both
@stores
async def test_a_generator_that_is_cancelled_is_closed(autojump_clock, dispatch, store):
    closed = []

    async def work(ctx: Ctx):
        try:
            yield "out", 1
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            closed.append(True)

    made = single(work)
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        await told(run, until=OutputSent)
        await run.cancel()
        assert (await run.result()).status is CANCELLED
    assert closed == [True]


@both
async def test_a_generator_that_takes_too_long_is_closed_and_its_error_is_sent(autojump_clock, dispatch):
    """9.7."""
    closed = []

    async def work(ctx: Ctx):
        try:
            for number in range(10):
                yield "out", number
                await trio.sleep(1)
        finally:
            closed.append(True)

    said = await outcome(single(work, run_timeout=2.5), dispatch)
    assert said == {"out": [0, 1, 2], "error": ["NodeTimeout: its run_timeout of 2.5 s has passed"]}
    assert closed == [True]


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


async def test_another_value_in_an_attempt_is_the_nodes_error(autojump_clock):
    attempts = []

    async def work(ctx: Ctx):
        attempts.append(1)
        yield "out", len(attempts)
        raise OSError("try again")

    said = await outcome(single(work, retry=RetryPolicy(initial=1.0, never_on=(NonDeterministicOutput,))))
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


# -- what nodes get ------------------------------------------------------------------------------------------------


@attrs.define
class Town:
    name: str
    people: int = 0


@both
async def test_inputs_have_their_types_and_are_copies(dispatch):
    seen = []

    async def take(ctx: Ctx, town: Town, more: list[int], plain: Any = "default") -> None:
        seen.append((town.name, list(more), plain))
        more.append(0)
        town.name = "changed"

    made: Dataflow[None] = Dataflow("types")
    first, second = made.node(name="first")(take), made.node(name="second")(take)
    for name in ("town", "more"):
        source = made.input(name, {"town": Town, "more": list[int]}[name])
        for node in (first, second):
            made.link(source, node, name)
        made.output(name, source)

    said = await outcome(made, dispatch, town=Town("Bonn", 3), more=[1])
    assert seen == [("Bonn", [1], "default")] * 2
    assert said == {"town": [{"name": "Bonn", "people": 3}], "more": [[1]]}


@both
async def test_what_does_not_fit_is_an_error_before_the_node_runs(dispatch):
    """5.7: validation before the node runs."""
    called = []

    async def take(ctx: Ctx, n: int) -> None:
        called.append(n)

    made: Dataflow[None] = Dataflow("types")
    node = made.node(name="n")(take)
    made.link(made.input("n"), node, "n")
    made.output("error", node.out("error"))

    (error,) = (await outcome(made, dispatch, n="three"))["error"]
    assert error == "InvalidInput: node 'n': input 'n': Expected `int`, got `str`"
    assert called == []


@both
async def test_masks_go_before_whatever_comes_in(dispatch):
    """5.7: per-run input masks."""

    async def take(ctx: Ctx, n: int, m: int = 0) -> dict[str, Any]:
        return {"out": [n, m]}

    made = single(take)
    async with opened(MemoryStore(), made, dispatch=dispatch) as runtime:
        state = await runtime.run(made, made.begin({"n": 1, "m": 1}, masks={"n": {"m": 5}}))
    assert state.outputs == {"out": [[1, 5]]}


@both
@stores
async def test_nodes_have_the_other_means_of_a_node(autojump_clock, dispatch, store):
    """`ctx.decision`, `ctx.effect`, `ctx.emit_text`, `ctx.key` and `ctx.deps` are those of every node."""
    done = []

    async def work(ctx: terzetto.FlowContext[list[str]]) -> None:
        ctx.emit_text("thinking")
        ctx.deps.append(ctx.key)

        async def act(key: str) -> str:
            done.append(key)
            return "acted"

        made = await ctx.effect("act", act)
        said = await ctx.decision("allow", payload={"of": made})
        await ctx.send("out", [made, type(said).__name__])

    deps: list[str] = []
    made = single(work, deps=list)
    async with opened(store(), terzetto.bind(made, deps), dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        await told(run, until=terzetto.BarrierOpened)
        await run.decide("allow", terzetto.Approve())
        result = await run.result()
        assert result.state.outputs == {"out": [["acted", "Approve"]]}
        seen = await told(run)
    assert (len(done), len(deps)) == (1, 1)
    assert "thinking" in [event.text for event in seen if isinstance(event, TextChunk)] or store is not MemoryStore


# -- many values ---------------------------------------------------------------------------------------------------


async def test_no_more_run_at_once_than_the_limit_says(autojump_clock):
    now, most = 0, 0

    async def work(ctx: Ctx, n: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await trio.sleep(1)
        now -= 1

    async def many(ctx: Ctx):
        for number in range(20):
            yield "n", number

    made: Dataflow[None] = Dataflow("many", limit=5)
    made.link(made.node(outputs="n")(many).out("n"), made.node(name="work")(work), "n")
    await outcome(made)
    assert most == 5


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


# -- what a run begins with ----------------------------------------------------------------------------------------


@both
async def test_what_a_run_is_given_is_checked_at_the_door(dispatch):
    async def take(ctx: Ctx, n: int) -> None: ...

    made: Dataflow[None] = Dataflow("door")
    made.link(made.input("n", int), made.node(name="n")(take), "n")
    async with opened(MemoryStore(), made, dispatch=dispatch) as runtime:
        for wrong in (FlowState(), FlowState({"n": "x"}), FlowState({"n": 1}, {"nobody": {}})):
            with pytest.raises(InvalidInput):
                await runtime.submit(made, wrong)
        for used in (FlowState({"n": 1}, issued=2), FlowState({"n": 1}, sent=[Out("o", 1)])):
            with pytest.raises(InvalidRequest, match="begins with what `begin` makes"):
                await runtime.submit(made, used)
        final = await runtime.run(made, made.begin({"n": 1}))
        with pytest.raises(InvalidRequest):
            await runtime.submit(made, final)
        assert await runtime.runs(statuses=[RunStatus.QUEUED]) == []


async def test_the_same_inputs_under_the_same_id_are_the_same_run():
    """10.2."""

    async def take(ctx: Ctx, n: int) -> None: ...

    made = single(take)
    async with opened(MemoryStore(), made) as runtime:
        await runtime.submit(made, made.begin({"n": 1}), run_id="r")
        assert (await runtime.submit(made, made.begin({"n": 1}), run_id="r")).reused
        with pytest.raises(terzetto.RunConflict):
            await runtime.submit(made, made.begin({"n": 2}), run_id="r")


@both
async def test_without_a_runtime_it_is_the_same(dispatch):
    async def count(ctx: Ctx, n: int):
        for number in range(n):
            yield "out", number

    made = single(count)
    state = await terzetto.run(made, made.begin({"n": 400}))
    assert state.outputs == {"out": list(range(400))}

    async def fail(ctx: Ctx) -> None:
        raise OSError("no")

    failing: Dataflow[None] = Dataflow("failing", on_node_error="fail")
    failing.node()(fail)
    with pytest.raises(RunFailed, match="OSError: no"):
        await terzetto.run(failing, failing.begin())
    with pytest.raises(InvalidInput):
        await terzetto.run(made, made.begin({"m": 1}))


# -- stops ---------------------------------------------------------------------------------------------------------


def waiting(began: list[Any]) -> Dataflow[Any]:
    """`many` sends five values, each to a visit of `wait`, which waits for ever."""

    async def many(ctx: Ctx):
        for number in range(5):
            yield "n", number
        await trio.sleep_forever()

    async def wait(ctx: Ctx, n: int) -> None:
        began.append(n)
        await trio.sleep_forever()

    made: Dataflow[Any] = Dataflow("waiting")
    made.link(made.node(outputs="n")(many).out("n"), made.node(name="wait")(wait), "n")
    return made


@both
@stores
async def test_a_cancel_reaches_every_visit(autojump_clock, dispatch, store):
    began: list[int] = []
    made = waiting(began)
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        await settled()
        assert len(began) == 5
        await run.cancel()
        assert (await run.result()).status is CANCELLED
        await settled()
        assert runtime.statistics().supervisor.live == 0


@both
@stores
async def test_a_deadline_reaches_every_visit(autojump_clock, dispatch, store):
    made = waiting([])
    async with opened(store(), made, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(made, made.begin(), deadline=3)).result()
    assert (result.status, result.code) == (FAILED, "deadline_exceeded")


@both
@stores
async def test_a_shutdown_interrupts_and_the_next_owner_goes_on(autojump_clock, dispatch, store):
    """9.6, law 2."""
    kept, read, lives = store(), [], []

    async def many(ctx: Ctx):
        lives.append(ctx.visit.fence)
        for number in range(4):
            yield "n", number
            if number == 1 and len(lives) == 1:
                await trio.sleep_forever()

    async def take(ctx: Ctx, n: int) -> None:
        read.append(n)

    made: Dataflow[None] = Dataflow("halted")
    made.link(made.node(outputs="n")(many).out("n"), made.node(name="take")(take), "n")
    async with opened(kept, made, dispatch=dispatch, shutdown_deadline=1) as runtime:
        run = await runtime.submit(made, made.begin(), run_id="r")
        await settled()
        assert sorted(read) == [0, 1]
    assert (await kept.run("r")).status is INTERRUPTED
    async with opened(kept, made, dispatch=dispatch) as runtime:
        run = runtime.get("r")
        assert (await run.result()).status is SUCCEEDED
        assert (await run.replay()).holds
        sent = [event.number for event in await told(run) if isinstance(event, OutputSent)]
    assert (sorted(read), lives, sent) == ([0, 1, 2, 3], [1, 2], [0, 1, 2, 3])


async def test_the_callers_own_cancel_ends_a_run_without_a_runtime(autojump_clock):
    began: list[int] = []
    made = waiting(began)
    with trio.move_on_after(1) as scope:
        await terzetto.run(made, made.begin())
    assert (scope.cancelled_caught, len(began)) == (True, 5)


# -- dataflows inside ----------------------------------------------------------------------------------------------


def squares(ended: list[int] | None = None, **options: Any) -> Dataflow[Any]:
    """Sends the squares of a list, one visit for each; a negative number fails."""
    made: Dataflow[Any] = Dataflow("squares", **options)

    async def each(ctx: Ctx, numbers: list[int]):
        for number in numbers:
            yield "n", number

    async def square(ctx: terzetto.FlowContext[Any], n: int, plus: int = 0) -> dict[str, Any]:
        if n < 0:
            raise OSError(f"{n} is negative")
        await trio.lowlevel.checkpoint()
        if ended is not None:
            ended.append(n)
        return {"square": n * n + plus}

    every, squared = made.node(outputs={"n": int})(each), made.node(outputs={"square": int})(square)
    made.link(made.input("numbers", list[int]), every, "numbers")
    made.link(every.out("n"), squared, "n")
    made.output("square", squared.out("square"), int)
    return made


def around(inner: Dataflow[Any], **options: Any) -> Dataflow[Any]:
    """Runs `inner` for each of some lists."""
    made: Dataflow[Any] = Dataflow("around", **options)

    async def lists(ctx: terzetto.FlowContext[Any], count: int):
        for number in range(count):
            yield "numbers", list(range(number + 1))

    some, sub = made.node(outputs="numbers")(lists), made.subflow("squares", inner)
    made.link(made.input("count", int), some, "count")
    made.link(some.out("numbers"), sub, "numbers")
    made.output("square", sub.out("square"), int)
    made.output("error", sub.out("error"), str)
    return made


@both
@stores
async def test_visits_of_one_inside_run_side_by_side(dispatch, store):
    said = await outcome(around(squares()), dispatch, store, count=4)
    assert sorted(said["square"]) == sorted([0, 0, 1, 0, 1, 4, 0, 1, 4, 9])


@both
@stores
async def test_its_outputs_come_out_at_its_end(autojump_clock, dispatch, store):
    """5.7: the outputs of a dataflow inside come out when it has ended well."""
    made = around(squares())
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin({"count": 2}))
        await run.result()
        seen = [event for event in await told(run) if isinstance(event, OutputSent | NodeFinished)]
    nodes = [event.node for event in seen]
    assert sorted(nodes).count("squares.2/square") == 2, "sent and finished"
    assert nodes.count("squares") == 2
    assert (await trail(runtime.store, run.run_id))[-1].endswith("SUCCEEDED")


@both
@stores
async def test_its_failure_is_the_error_of_its_visit(dispatch, store):
    inner = squares(on_node_error="fail")
    made: Dataflow[Any] = Dataflow("around", on_node_error="fail")
    sub = made.subflow("squares", inner)
    made.link(made.input("numbers", list[int]), sub, "numbers")
    made.output("square", sub.out("square"))
    made.output("error", sub.out("error"))

    assert await outcome(made, dispatch, store, numbers=[1, 2, -3]) == {"error": ["OSError: -3 is negative"]}
    assert await outcome(around(inner), dispatch, store, count=1) == {"square": [0]}


@both
async def test_masks_for_a_node_inside(dispatch):
    """5.7: per-run input masks, also for nested paths."""
    made = around(squares())
    async with opened(MemoryStore(), made, dispatch=dispatch) as runtime:
        state = await runtime.run(made, made.begin({"count": 1}, masks={"squares/square": {"plus": 100}}))
    assert state.outputs == {"square": [100]}


@both
async def test_deps_of_one_inside_are_made_of_those_outside(dispatch):
    seen = []
    inner: Dataflow[str] = Dataflow("inner", deps=str)

    @inner.node()
    async def look(ctx: terzetto.FlowContext[str]) -> None:
        seen.append(ctx.deps)

    made: Dataflow[list[str]] = Dataflow("outer", deps=list[str])
    made.subflow("first", inner, deps=lambda names: names[0])
    made.subflow("same", inner)
    async with opened(MemoryStore(), terzetto.bind(made, ["ann"]), dispatch=dispatch) as runtime:
        await runtime.run(made, made.begin())
    assert sorted(map(str, seen)) == ["['ann']", "ann"]


@both
async def test_one_that_runs_itself(dispatch):
    """A sum by halves."""
    made: Dataflow[None] = Dataflow("sum")

    async def split(ctx: Ctx, numbers: list[int]):
        if len(numbers) < 2:
            yield "sum", sum(numbers)
        else:
            yield "left", numbers[: len(numbers) // 2]
            yield "right", numbers[len(numbers) // 2 :]

    async def add(ctx: Ctx, a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    splitting = made.node(outputs=["sum", "left", "right"])(split)
    left, right, added = made.subflow("left", made), made.subflow("right", made), made.node(outputs="sum")(add)
    made.link(made.input("numbers", list[int]), splitting, "numbers")
    for side, pin in ((left, "a"), (right, "b")):
        made.link(splitting.out(side.name), side, "numbers")
        made.link(side.out("sum"), added, pin)
    for node in (splitting, added):
        made.output("sum", node.out("sum"))

    assert await outcome(made, dispatch, numbers=list(range(20))) == {"sum": [190]}


@both
@stores
async def test_a_cancel_reaches_the_innermost(autojump_clock, dispatch, store):
    made: Dataflow[Any] = Dataflow("outer")
    made.subflow("sub", waiting(began := []))
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        await settled()
        assert len(began) == 5
        await run.cancel()
        assert (await run.result()).status is CANCELLED


# -- looking back --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def anywhere(request, tmp_path: Path):
    """A store of each kind; one that works in threads needs real time."""
    return MemoryStore() if request.param == "memory" else f"sqlite:{tmp_path / 'runs.db'}"


@both
async def test_a_run_is_forked_retried_and_run_again(dispatch, anywhere):
    """Law 1: from every commit a run goes on to the same end."""
    made = around(squares())
    async with opened(anywhere, made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin({"count": 3}), run_id="r")
        whole = sorted((await run.result()).state.outputs["square"])
        last = (await runtime.row("r")).seq
        for seq in range(1, last):
            result = await (await run.fork(at=seq)).result()
            assert (result.status, sorted(result.state.outputs["square"])) == (SUCCEEDED, whole), seq
        again = await run.rerun("inputs")
        assert sorted((await again.result()).state.outputs["square"]) == whole
        other = await run.rerun("inputs", made.begin({"count": 1}))
        assert (await other.result()).state.outputs == {"square": [0]}
        with pytest.raises(InvalidRequest, match="only values say where a dataflow goes on"):
            await run.rerun("lists")
        assert (await run.replay()).holds
        assert (await run.state(at=1)).outputs == {}
        assert len(await run.history()) == last


@both
async def test_progress_of_a_run_is_told_by_place(autojump_clock, dispatch):
    made = around(squares())
    async with opened(MemoryStore(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin({"count": 3}))
        await run.result()
        shown = await run.progress()
    assert {name: (each.status, each.visits) for name, each in shown.items()} == {
        "inputs": (VisitStatus.SUCCEEDED, 1),
        "lists": (VisitStatus.SUCCEEDED, 1),
        "squares": (VisitStatus.SUCCEEDED, 3),
    }
    assert "×3" in made.svg(shown)


async def test_failed_visits_are_told_with_their_failure(autojump_clock):
    made = squares()
    async with opened(MemoryStore(), made) as runtime:
        run = await runtime.submit(made, made.begin({"numbers": [1, -2]}))
        assert (await run.result()).status is SUCCEEDED
        failed = [event for event in await told(run) if isinstance(event, NodeFailed)]
    assert [(each.node, each.failure.message) for each in failed] == [
        ("square", "node 'square': OSError: -2 is negative")
    ]
    assert failed[0].failure.trace
