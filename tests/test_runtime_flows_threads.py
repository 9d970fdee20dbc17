"""Plain functions as nodes of dataflows: in threads, which may send from there (SEMANTICS 5.7, 5.8)."""

import threading
from typing import Any

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.errors import InvalidRequest, Refused
from terzetto_protocol.events import OutputSent

from .blocking import HARD, TIMEOUT, jumping, limited
from .runtimes import CANCELLED, SUCCEEDED, both, stores, told

Ctx = terzetto.FlowContext
clock = pytest.fixture(jumping)
abandoning = pytest.mark.parametrize("on_cancel", [None, "wait", "abandon"])


def single(fn: Any, **options: Any) -> Dataflow[Any]:
    """One node `n`, and what it sends as `out` and `error`."""
    made: Dataflow[Any] = Dataflow("single")
    node = made.node(name="n", outputs="out", **options)(fn)
    for name in dict(made.nodes)["n"].inputs:
        made.link(made.input(name, default=None), node, name)
    for output in ("out", "error"):
        made.output(output, node.out(output))
    return made


async def outcome(
    made: Dataflow[Any], store: Any = MemoryStore, dispatch: str = "direct", **inputs: Any
) -> dict[str, Any]:
    async with limited(store(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin(inputs))
        result = await run.result()
        assert result.status is SUCCEEDED, result.message
        return result.state.outputs


@both
@stores
@abandoning
async def test_what_a_function_returns_is_sent(dispatch, store, on_cancel):
    threads = []

    def double(ctx: Ctx, n: int) -> dict[str, int]:
        threads.append(threading.current_thread())
        return {"out": 2 * n}

    assert await outcome(single(double, on_cancel=on_cancel), store, dispatch, n=4) == {"out": [8]}
    assert threads != [threading.main_thread()]


@abandoning
@pytest.mark.parametrize(
    "returned, said",
    [
        (None, None),
        (7, "InvalidRequest: a node of a dataflow returns a mapping of outputs to values, or nothing, and not int"),
        ({"nope": 1}, "InvalidRequest: node 'n' has no output 'nope'; it has out"),
    ],
)
async def test_what_it_returns_wrongly_is_its_error(on_cancel, returned, said):
    said_by = await outcome(single(lambda ctx: returned, on_cancel=on_cancel))

    assert said_by == ({} if said is None else {"error": [said]})


async def test_a_function_that_only_begins_something_is_told_so():
    """Its coroutine is closed; nobody hears of one that was never awaited."""

    async def inner() -> None: ...

    (error,) = (await outcome(single(lambda ctx: inner())))["error"]
    assert error.endswith("and not coroutine")


@abandoning
async def test_what_it_raises_is_its_error(on_cancel):
    def fail(ctx: Ctx) -> None:
        raise OSError("no")

    assert await outcome(single(fail, on_cancel=on_cancel)) == {"error": ["OSError: no"]}


@both
@stores
async def test_a_function_may_send_from_its_thread(dispatch, store):
    def work(ctx: Ctx) -> dict[str, int]:
        for number in range(3):
            trio.from_thread.run(ctx.send, "out", number)
        try:
            trio.from_thread.run(ctx.send, "nope", 0)
        except InvalidRequest:
            return {"out": 3}
        return {}

    assert await outcome(single(work), store, dispatch) == {"out": [0, 1, 2, 3]}


async def test_one_that_may_be_abandoned_sends_only_what_it_returns():
    """5.8: nobody could tell it whether what it sent is durable."""

    def work(ctx: Ctx) -> None:
        trio.from_thread.run(ctx.send, "out", 1)

    (error,) = (await outcome(single(work, on_cancel="abandon")))["error"]
    assert error == 'InvalidRequest: a function that may be abandoned cannot wait for an answer: say on_cancel="wait"'


@both
@pytest.mark.parametrize("on_cancel", ["wait", "abandon"])
async def test_a_cancel_counts_for_functions_in_threads_too(dispatch, on_cancel):
    token, begun, go, over = trio.lowlevel.current_trio_token(), trio.Event(), threading.Event(), trio.Event()

    def work(ctx: Ctx) -> dict[str, int]:
        token.run_sync_soon(begun.set)
        assert go.wait(HARD)
        token.run_sync_soon(over.set)
        return {"out": 1}

    made = single(work, on_cancel=on_cancel)
    async with limited(MemoryStore(), made, dispatch=dispatch) as runtime:
        run = await runtime.submit(made, made.begin())
        await begun.wait()
        await run.cancel()
        if on_cancel == "wait":
            go.set()
        result = await run.result()
        go.set()
        await over.wait()
    assert (result.status, result.state.outputs) == (CANCELLED, {})


@pytest.mark.parametrize("on_cancel", ["wait", "abandon"])
async def test_a_timeout_of_a_function_is_its_error(clock, on_cancel):
    token, begun, go = trio.lowlevel.current_trio_token(), trio.Event(), threading.Event()

    def work(ctx: Ctx) -> dict[str, int]:
        token.run_sync_soon(begun.set)
        assert go.wait(HARD)
        return {"out": 1}

    made = single(work, on_cancel=on_cancel, run_timeout=TIMEOUT)
    async with limited(MemoryStore(), made, limit=TIMEOUT + HARD) as runtime:
        run = await runtime.submit(made, made.begin())
        await begun.wait()
        clock.jump(TIMEOUT)
        if on_cancel == "wait":
            go.set()
        result = await run.result()
        go.set()
    assert result.state.outputs == {"error": [f"NodeTimeout: its run_timeout of {TIMEOUT} s has passed"]}


async def test_a_value_sent_from_a_thread_is_a_sign_of_life(clock):
    def work(ctx: Ctx) -> None:
        for number in range(3):
            trio.from_thread.run_sync(clock.jump, 0.8 * TIMEOUT)
            trio.from_thread.run(ctx.send, "out", number)

    made = single(work, idle_timeout=TIMEOUT)
    async with limited(MemoryStore(), made, limit=4 * TIMEOUT + HARD) as runtime:
        assert (await runtime.run(made, made.begin())).outputs == {"out": [0, 1, 2]}


async def test_a_visit_that_is_over_sends_nothing_more():
    contexts: list[Any] = []

    def work(ctx: Ctx) -> None:
        contexts.append(ctx)

    made = single(work)
    async with limited(MemoryStore(), made) as runtime:
        run = await runtime.submit(made, made.begin())
        await run.result()
        with pytest.raises(Refused):
            await contexts[0].send("out", 1)
        assert not [event for event in await told(run) if isinstance(event, OutputSent)]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_context_of_an_earlier_attempt_sends_nothing_in_a_later_one(kind):
    """What a body left behind, in a task of somebody else's, speaks for a visit that goes on without it."""
    contexts: list[Any] = []
    said = []

    async def work(ctx: Ctx) -> None:
        contexts.append(ctx)
        if len(contexts) == 1:
            raise OSError("try again")
        try:
            await contexts[0].send("out", "stale")
        except Refused as error:
            said.append(str(error))
        await ctx.send("out", "fresh")

    def plain(ctx: Ctx) -> None:
        contexts.append(ctx)
        if len(contexts) == 1:
            raise OSError("try again")
        try:
            trio.from_thread.run(contexts[0].send, "out", "stale")
        except Refused as error:
            said.append(str(error))
        trio.from_thread.run(ctx.send, "out", "fresh")

    made = single(work if kind == "async" else plain, retry=terzetto.RetryPolicy(initial=0.01))
    assert await outcome(made) == {"out": ["fresh"]}
    assert len(said) == 1
