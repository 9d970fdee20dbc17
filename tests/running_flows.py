"""Dataflows with bodies, and what comes of a run of them, for tests of the actors."""

from typing import Any

import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow

from .runtimes import SUCCEEDED, opened

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
