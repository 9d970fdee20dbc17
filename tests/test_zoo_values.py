"""Results that no store can give back, and values that change behind its back (SEMANTICS 4): see `zoo_values.py`."""

import pytest

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import describe
from terzetto_protocol.graph import Graph

from .cages import SHELVES, kept, shelves
from .running_flows import single
from .runtimes import FAILED, both
from .zoo_values import VALUES, Box, Compute, Grow, Put, Stranger, boxed

ITEMS = list(enumerate(VALUES.items()))


def records(graph: Graph[Box], *makes, name: str = "animal"):
    """A node that records these."""

    async def body(ctx):
        for make in makes:
            ctx.record(make())

    return graph.node(name=name)(body)


def alone(name: str, *makes) -> Graph[Box]:
    """A good node, and the animal."""
    graph = boxed(name)
    before, animal = records(graph, lambda: Put("before"), name="before"), records(graph, *makes)
    graph.start(before)
    graph.edge(before, animal)
    return graph


@both
@shelves
async def test_what_cannot_be_stored_is_an_error_of_its_node(dispatch, shelf, tmp_path):
    """4.7: a typed error of *that node*; no fallback codec, and nothing recorded with it is left."""
    graphs = {name: alone(f"g-{n}", lambda: Put("good"), lambda m=m: Put(m())) for n, (name, (m, _)) in ITEMS}
    async with kept(SHELVES[shelf](tmp_path), *graphs.values(), dispatch=dispatch) as runtime:
        runs = {name: await runtime.submit(graph, Box()) for name, graph in graphs.items()}
        for name, run in runs.items():
            result = await run.result()
            assert (FAILED, "node_error", "before") == (result.status, result.code, result.state.value)
            assert result.message.startswith("node 'animal': NotStorable: mutation Put cannot be stored: ")
            assert VALUES[name][1] in result.message
            assert (await run.replay()).holds


@both
@shelves
async def test_what_cannot_be_sent_is_an_error_of_its_node(dispatch, shelf, tmp_path):
    """5.7: it comes out of the node's `error` output."""

    now = []

    async def sends(ctx: terzetto.FlowContext[None]):
        yield "out", 1
        yield "out", now[0]()

    flow = single(sends, "out")
    async with kept(SHELVES[shelf](tmp_path), flow, dispatch=dispatch) as runtime:
        for name, (make, text) in VALUES.items():
            now[:] = [make]
            run = await runtime.submit(flow, flow.begin())
            outputs = (await run.result()).state.outputs
            assert [1] == outputs["out"], name
            assert outputs["error"][0].startswith("NotStorable: what 'n' sends as 'out' cannot be stored: ")
            assert text in outputs["error"][0]
            assert (await run.replay()).holds


@both
async def test_a_hundred_megabytes(dispatch):
    """4.7, 12: over the size limit; its own text is bounded."""
    async with kept(MemoryStore(), graph := alone("g", lambda: Put("x" * 100_000_000)), dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Box())).result()
        assert "it has 100000012 bytes, and the limit is 1048576" in result.message


@both
@pytest.mark.parametrize(
    "mutation, text",
    [(Compute(), "NaN"), (Grow(20_000_000), "the limit is 16777216"), (Stranger(), "it is no mutation"), (42, "int")],
)
async def test_what_a_mutation_makes_of_the_state(mutation, text, dispatch):
    """4.7: where recorded values are fine and an `apply` computes such a state, it is found at the next snapshot."""
    async with kept(MemoryStore(), graph := alone("g", lambda: mutation), dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Box())
        result = await run.result()
        assert FAILED is result.status
        assert text in result.message
        assert (await run.replay()).holds


@both
async def test_what_happens_to_an_object_after_it_was_recorded_changes_nothing(dispatch):
    """4.5: no aliasing."""

    async def animal(ctx):
        held = {"a": [1]}
        ctx.record(Put(held))
        held["a"].append(print)
        held["b"] = held

    graph = boxed("g")
    graph.start(graph.node(animal))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, state := Box())
        state.trail.append("too late")
        result = await run.result()
        assert Box({"a": [1]}) == result.state
        result.state.trail.append("mine alone")
        assert Box({"a": [1]}) == await run.state()
        assert (await run.replay()).holds


@both
@pytest.mark.parametrize("ending", ["raises", "returns"])
async def test_what_a_body_does_to_its_input(ending, dispatch):
    """4.3, 4.5: its batch is dropped and the state rebuilt; a strict run says so also of one that returned."""

    async def animal(ctx):
        ctx.state.trail.append(ctx.state)
        ctx.state.value = print
        if ending == "raises":
            raise ValueError("v")

    graph = boxed("g")
    before, bad = records(graph, lambda: Put("before"), name="before"), graph.node(animal)
    graph.start(before)
    graph.edge(before, bad)
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Box())
        result = await run.result()
        assert (FAILED, Box("before")) == (result.status, result.state)
        assert "InputMutated: node 'animal' in run " in result.message
        assert (await run.replay()).holds
    async with kept(MemoryStore(), graph, dispatch=dispatch, strict=False) as runtime:
        run = await runtime.submit(graph, Box())
        result = await run.result()
        assert FAILED is result.status
        if ending == "raises":
            assert Box("before") == result.state


SAYINGS = {
    "emit_text": lambda ctx: ctx.emit_text(42),
    "emit_thinking": lambda ctx: ctx.emit_thinking("\ud800"),
    "emit_tool": lambda ctx: ctx.emit_tool("id", "tool", "dancing"),
    "emit": lambda ctx: ctx.emit("name", float("nan")),
    "emit_name": lambda ctx: ctx.emit(42),
    "goto": lambda ctx: ctx.goto("after"),
    "report": lambda ctx: ctx.report("a", level="loud"),
    "report_text": lambda ctx: ctx.report("\ud800"),
    "checkpoint": lambda ctx: ctx.checkpoint(42),
    "record": lambda ctx: ctx.record(Put),
}


@both
@pytest.mark.parametrize("name", SAYINGS)
async def test_what_a_context_does_not_take(name, dispatch):
    """9.4: refused where it is said, by an error of the node's own, and nothing has changed."""
    told = []

    async def animal(ctx):
        try:
            SAYINGS[name](ctx)
        except Exception as error:
            told.append(describe(error))
            raise

    graph = boxed("g")
    graph.start(graph.node(animal))
    async with kept(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Box())
        result = await run.result()
        assert (FAILED, Box()) == (result.status, result.state)
        assert f"node 'animal': {told[0]}" == result.message
        assert (await run.replay()).holds
