"""Dataflows through a runtime: functions of every kind, what they get, and what a run begins with (SEMANTICS 5.7)."""

from typing import Any

import attrs
import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.errors import InvalidInput, InvalidRequest, RunFailed
from terzetto_protocol.events import TextChunk
from terzetto_protocol.flow_state import FlowState, Out
from terzetto_protocol.statuses import RunStatus

from .running_flows import Ctx, outcome, single
from .runtimes import both, opened, stores, told
from .stores import trail

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
