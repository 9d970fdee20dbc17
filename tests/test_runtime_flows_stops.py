"""Dataflows that are cancelled, shut down or out of time, or have much to do (SEMANTICS 5.7, 9)."""

import trio
import trio.testing

import terzetto
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.events import OutputSent

from .running_flows import Ctx, outcome, waiting
from .runtimes import CANCELLED, FAILED, INTERRUPTED, SUCCEEDED, both, opened, settled, stores, told

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


# -- stops ---------------------------------------------------------------------------------------------------------


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
