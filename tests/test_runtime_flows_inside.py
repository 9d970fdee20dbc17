"""Dataflows inside of dataflows, and their past (SEMANTICS 5.7)."""

from pathlib import Path
from typing import Any

import pytest

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.events import NodeFailed, NodeFinished, OutputSent
from terzetto_protocol.statuses import VisitStatus

from .running_flows import Ctx, around, outcome, squares, waiting
from .runtimes import CANCELLED, SUCCEEDED, both, opened, settled, stores, told
from .stores import trail

# -- dataflows inside ----------------------------------------------------------------------------------------------


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
