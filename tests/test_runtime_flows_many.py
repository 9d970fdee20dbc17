"""Dataflows with many values: the work grows with their number, and with nothing else (SEMANTICS 5.7)."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.state import StateForm

from .runtimes import SUCCEEDED, opened

Ctx = terzetto.FlowContext


async def count(ctx: Ctx, n: int):
    for number in range(n):
        yield "n", number


async def add(ctx: Ctx, n: int) -> dict[str, int]:
    return {"n": n + 1}


async def fail(ctx: Ctx, n: int) -> None:
    raise OSError("no")


def counting(**options: Any) -> tuple[Dataflow[Any], Any]:
    """A dataflow that counts to its input `n`, and the output that does."""
    made: Dataflow[Any] = Dataflow("many", max_steps=10**6, **options)
    node = made.node(outputs="n")(count)
    made.link(made.input("n", int), node, "n")
    return made, node.out("n")


def chain(length: int = 3) -> Dataflow[Any]:
    made, source = counting()
    for number in range(length):
        node = made.node(name=f"add{number}", outputs="n")(add)
        made.link(source, node, "n")
        source = node.out("n")
    made.output("n", source)
    return made


def alone() -> Dataflow[Any]:
    made, source = counting()
    made.output("n", source)
    return made


def failing() -> Dataflow[Any]:
    made, source = counting()
    node = made.node()(fail)
    made.link(source, node, "n")
    made.output("error", node.out("error"))
    return made


def inside() -> Dataflow[Any]:
    made, source = counting()
    inner: Dataflow[Any] = Dataflow("inner")
    node = inner.node(outputs="n")(add)
    inner.link(inner.input("n", int), node, "n")
    inner.output("n", node.out("n"))
    sub = made.subflow("sub", inner)
    made.link(source, sub, "n")
    made.output("n", sub.out("n"))
    return made


def paired() -> Dataflow[Any]:
    """All the first values wait until the second ones come."""
    made: Dataflow[Any] = Dataflow("paired", max_steps=10**6)

    async def twice(ctx: Ctx, n: int):
        for output in ("a", "b"):
            for number in range(n):
                yield output, number

    async def join(ctx: Ctx, a: int, b: int) -> dict[str, bool]:
        return {"same": a == b}

    both, joined = made.node(outputs=["a", "b"])(twice), made.node(outputs="same")(join)
    made.link(made.input("n", int), both, "n")
    for name in ("a", "b"):
        made.link(both.out(name), joined, name)
    made.output("same", joined.out("same"))
    return made


def backlog() -> Dataflow[Any]:
    """The second node takes its first value when all have been sent: the others wait in line."""
    made: Dataflow[Any] = Dataflow("backlog", max_steps=10**6, limit=2)
    all_sent = trio.Event()

    async def fast(ctx: Ctx, n: int) -> None:
        for number in range(n):
            await ctx.send("n", number)
        all_sent.set()

    async def slow(ctx: Ctx, n: int) -> dict[str, int]:
        await all_sent.wait()
        return {"n": n}

    source, sink = made.node(outputs="n")(fast), made.node(outputs="n")(slow)
    made.link(made.input("n", int), source, "n")
    made.link(source.out("n"), sink, "n")
    made.output("n", sink.out("n"))
    return made


SHAPES: list[Callable[[], Dataflow[Any]]] = [chain, alone, failing, inside, paired, backlog]


@pytest.fixture
def bytes_of_states(monkeypatch):
    """How many bytes of whole states were encoded or decoded."""
    counts: Counter[str] = Counter()

    def counted(name: str, size: Callable[[Any, Any], int]) -> None:
        was = getattr(StateForm, name)

        def call(self: Any, given: Any) -> Any:
            made = was(self, given)
            counts["bytes"] += size(given, made)
            return made

        monkeypatch.setattr(StateForm, name, call)

    counted("pack", lambda given, made: len(made))
    counted("unpack", lambda given, made: len(given))
    return counts


async def work(made: Dataflow[Any], n: int) -> terzetto.Result[Any]:
    async with opened(MemoryStore(), made, limit=100, strict=False) as runtime:
        result = await (await runtime.submit(made, made.begin({"n": n}))).result()
        assert result.status is SUCCEEDED, result.message
        return result


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_work_grows_with_the_number_of_values(bytes_of_states, shape):
    """Snapshots are taken when what was sent since outweighs them, and no state is read for less than that."""
    spent = []
    for n in (300, 1200):
        bytes_of_states.clear()
        await work(shape(), n)
        spent.append(bytes_of_states["bytes"])
    assert spent[1] < 10 * spent[0], "four times as many values, which would cost sixteen times as much"


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_value_arrives(shape):
    result = await work(shape(), 300)
    (came,) = result.state.outputs.values()

    assert len(came) == 300
    assert (result.state.tasks, result.state.waiting) == ({}, {})
    if shape is not failing:
        assert sorted(came) == sorted(
            [{chain: n + 3, alone: n, inside: n + 1, paired: True, backlog: n}[shape] for n in range(300)]
        )


async def test_what_is_done_with_is_let_go(autojump_clock):
    """Memory: what a run still holds of values that have gone on is nothing."""
    made = chain()
    made.outputs.clear()
    made.links[:] = [link for link in made.links if link.sink != "outputs"]
    async with opened(MemoryStore(), made, limit=100, strict=False) as runtime:
        run = await runtime.submit(made, made.begin({"n": 500}))
        state = (await run.result()).state
        assert (state.sent, state.tasks, state.waiting, state.lasting) == ([], {}, {}, {})
        assert state.issued == 1501


@pytest.mark.slow
async def test_ten_thousand_values_that_wait_in_line():
    """12: a producer is not held up; what waits costs its size, in memory and in snapshots, and nothing else."""
    result = await work(backlog(), 10_000)

    assert sorted(result.state.outputs["n"]) == list(range(10_000))


@pytest.mark.slow
async def test_ten_thousand_values_through_a_chain():
    result = await work(chain(), 10_000)

    assert sorted(result.state.outputs["n"]) == [n + 3 for n in range(10_000)]
