"""Dataflows inside of graphs: as a place, and run by a node (SEMANTICS 5.6, 5.7)."""

from typing import Any

import pytest
import trio
from attrs import define, field, frozen

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.errors import SubgraphFailed
from terzetto_protocol.graph import Graph

from .runtimes import FAILED, INTERRUPTED, SUCCEEDED, both, opened, settled, stores

Ctx = terzetto.FlowContext


@define
class Notes:
    lines: list[Any] = field(factory=list)


@frozen
class Note:
    line: Any

    def apply(self, notes: Notes) -> None:
        notes.lines.append(self.line)


def squares(began: list[int] | None = None, **options: Any) -> Dataflow[Any]:
    """Sends the squares of some numbers, one visit for each: -1 fails, and 99 takes for ever."""
    made: Dataflow[Any] = Dataflow("squares", **options)

    async def each(ctx: Ctx, numbers: list[int]):
        for number in numbers:
            yield "n", number

    async def square(ctx: Ctx, n: int) -> dict[str, int]:
        if began is not None:
            began.append(n)
        if n == -1:
            raise OSError("minus one")
        if n == 99:
            await trio.sleep_forever()
        return {"square": n * n}

    every, squared = made.node(outputs={"n": int})(each), made.node(outputs={"square": int})(square)
    made.link(made.input("numbers", list[int]), every, "numbers")
    made.link(every.out("n"), squared, "n")
    made.output("square", squared.out("square"), int)
    return made


def graph() -> Graph[Notes]:
    return Graph("outer", state=Notes, mutations=[Note])


def placed(flow: Dataflow[Any], numbers: list[int]) -> Graph[Notes]:
    """The dataflow as a place; where it fails, that is noted."""
    made = graph()
    sub = made.subgraph(
        "sub",
        flow,
        get=lambda notes: flow.begin({"numbers": numbers}),
        put=lambda notes, end: notes.lines.extend(sorted(end.outputs.get("square", []))),
    )

    async def mend(ctx: terzetto.NodeContext[Notes]) -> None:
        ctx.record(Note("mended"))

    made.start(sub)
    made.edge(sub, made.node(mend), on_error=True)
    return made


def running(flow: Dataflow[Any], numbers: list[int]) -> Graph[Notes]:
    """A node that runs the dataflow, and notes what came of it."""
    made = graph()

    async def work(ctx: terzetto.NodeContext[Notes]) -> None:
        try:
            end = await ctx.run(flow, flow.begin({"numbers": numbers}))
        except SubgraphFailed:
            ctx.record(Note("mended"))
        else:
            for number in sorted(end.outputs.get("square", [])):
                ctx.record(Note(number))

    made.start(made.node(runs=[flow])(work))
    return made


ways = pytest.mark.parametrize("way", [placed, running])


async def lines(made: Graph[Notes], dispatch: str, store: Any) -> list[Any]:
    async with opened(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, Notes())
        result = await run.result()
        assert result.status is SUCCEEDED, result.message
        assert (await run.replay()).holds
        return result.state.lines


@both
@stores
@ways
async def test_what_comes_out_is_there_at_the_end(dispatch, store, way):
    assert await lines(way(squares(), [1, 2, 3]), dispatch, store) == [1, 4, 9]


@both
@stores
@ways
async def test_an_error_that_is_let_go_is_none_outside(dispatch, store, way):
    assert await lines(way(squares(), [1, -1, 3]), dispatch, store) == [1, 9]


@both
@stores
@ways
async def test_one_that_fails_cancels_its_others_and_fails_as_a_node_does(autojump_clock, dispatch, store, way):
    flow = squares(on_node_error="fail")

    assert await lines(way(flow, [1, 99, -1]), dispatch, store) == ["mended"]


@both
@ways
async def test_it_goes_on_inside_after_a_shutdown(autojump_clock, dispatch, way):
    """Law 2."""
    began: list[int] = []
    numbers = [1, 99, 3]
    store, made = MemoryStore(), way(squares(began), numbers)
    async with opened(store, made, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(made, Notes(), run_id="r")
        await settled()
    row = await store.run("r")
    assert row is not None
    assert row.status is INTERRUPTED
    assert sorted(began) == [1, 3, 99]
    async with opened(store, made, dispatch=dispatch) as runtime:
        run = runtime.get("r")
        await settled()
        assert sorted(began) == [1, 3, 99, 99], "only what had not ended"
        await run.cancel()
        assert (await run.result()).state.lines == []


@both
async def test_branches_may_each_run_one(dispatch):
    flow, made = squares(), graph()

    async def work(ctx: terzetto.ItemContext[Notes, int]) -> None:
        end = await ctx.run(flow, flow.begin({"numbers": list(range(ctx.item))}))
        ctx.record(Note(len(end.outputs["square"])))

    made.start(made.map("all", made.node(runs=[flow])(work), over=lambda notes: [1, 2, 3], merge="replay"))
    assert await lines(made, dispatch, MemoryStore) == [1, 2, 3]


@both
@ways
async def test_it_begins_with_what_begin_makes(dispatch, way):
    """Bad input never crashes an actor: the state of a run is none to begin with."""
    flow = squares()
    ended = await terzetto.run(flow, flow.begin({"numbers": [1]}))
    flow.begin = lambda *given, **masks: ended  # type: ignore[method-assign]
    made = way(flow, [1])
    async with opened(MemoryStore(), made, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(made, Notes())).result()
    said = (result.status, result.state.lines)
    assert said in [(SUCCEEDED, ["mended"]), (FAILED, [])]
    assert "begins with what `begin` makes" in result.message or way is placed
