"""Attempts that are made again, timeouts of nodes and deadlines of runs, on virtual time (SEMANTICS 9.7, 9.8)."""

from itertools import pairwise

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve
from terzetto_protocol.events import NodeFailed, NodeStarted, RetryScheduled
from terzetto_protocol.graph import Graph
from terzetto_protocol.mistakes import find_mistakes
from terzetto_protocol.retry import RetryAfter, RetryPolicy
from terzetto_protocol.statuses import RunStatus

from .runtimes import CANCELLED, FAILED, MUTATIONS, SUCCEEDED, Say, Tally, both, opened, settled, stores, told

PATIENT = RetryPolicy(max_attempts=4, initial=1, factor=2)


def graph_of(body, **options):
    graph = Graph("tried", state=Tally, mutations=MUTATIONS)
    graph.start(graph.node(name="work", **options)(body))
    return graph


def failing(times, error=None):
    """A body that fails so often, and the times at which it was started."""
    began = []

    async def body(ctx):
        began.append(trio.current_time())
        ctx.record(Say(f"attempt {len(began)}"))
        if len(began) <= times:
            raise error or OSError("down")

    return body, began


# -- attempts ------------------------------------------------------------------------------------------------


@both
@stores
async def test_a_failed_attempt_is_made_again_with_growing_delays(autojump_clock, dispatch, store):
    """9.8: max_attempts (total), initial, factor; a failed attempt's mutations are gone."""
    body, began = failing(3)
    graph = graph_of(body, retry=PATIENT)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        events = await told(run)
    assert (SUCCEEDED, ["attempt 4"]) == (result.status, result.state.trail)
    assert [1, 2, 4] == [round(after - before) for before, after in pairwise(began)]
    assert [1, 2, 3, 4] == [event.attempt for event in events if isinstance(event, NodeStarted)]
    retries = [event for event in events if isinstance(event, RetryScheduled)]
    assert [(1, "OSError: down"), (2, "OSError: down"), (3, "OSError: down")] == [
        (event.attempt, event.failure.errors[0]) for event in retries
    ]
    assert [1, 2, 4] == [round(event.due - event.at) for event in retries]


@both
async def test_the_last_attempt_fails_the_visit(autojump_clock, dispatch):
    """9.8: max_attempts counts the first one too."""
    body, began = failing(99)
    graph = graph_of(body, retry=RetryPolicy(max_attempts=2))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, "node_error", 2, []) == (result.status, result.code, len(began), result.state.trail)


@pytest.mark.parametrize("error", [ValueError("wrong input"), ExceptionGroup("two", [OSError("a"), ValueError("b")])])
async def test_user_errors_are_not_tried_again(autojump_clock, error):
    """9.8: user errors (ValueError by default) are not retried."""
    body, began = failing(99, error)
    graph = graph_of(body, retry=PATIENT)
    async with opened(MemoryStore(), graph) as runtime:
        assert FAILED is (await (await runtime.submit(graph, Tally())).result()).status
    assert 1 == len(began)


async def test_a_server_that_asks_for_time_gets_it(autojump_clock):
    """9.8: Retry-After is kept as a minimum."""
    body, began = failing(1, RetryAfter(7))
    graph = graph_of(body, retry=PATIENT)
    async with opened(MemoryStore(), graph) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
    assert 7 == round(began[1] - began[0])


def test_a_once_node_has_no_retry():
    """9.8: `once` nodes are not retried."""
    body, _ = failing(0)
    assert ["nodes.work.retry"] == [
        mistake.partition(":")[0] for mistake in find_mistakes(graph_of(body, effects="once", retry=RetryPolicy()))
    ]


@both
@stores
async def test_a_cancel_ends_the_rest_between_attempts_at_once(autojump_clock, dispatch, store):
    """9.8: backoff ends at once on cancel."""
    body, began = failing(99)
    graph = graph_of(body, retry=RetryPolicy(initial=1000, longest=1000))
    async with opened(store(), graph, dispatch=dispatch, limit=100) as runtime:
        run = await runtime.submit(graph, Tally())
        await settled()
        before = trio.current_time()
        await run.cancel()
        assert (CANCELLED, 1) == ((await run.result()).status, len(began))
        assert 1 > trio.current_time() - before


@both
async def test_the_rest_between_attempts_survives_the_process(autojump_clock, dispatch):
    """9.8 and 2: WAITING_RETRY is durable, with the moment at which the next attempt begins."""
    body, began = failing(1)
    graph, store = graph_of(body, retry=RetryPolicy(initial=8)), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    await trio.sleep(3)
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert SUCCEEDED is (await runtime.get("r").result()).status
        events = await told(runtime.get("r"))
    assert 8 == round(began[1] - began[0])
    assert [2] == [event.attempt for event in events if isinstance(event, NodeStarted)][-1:]


async def test_retries_work_without_a_runtime(autojump_clock):
    body, began = failing(2)
    state = await terzetto.run(graph_of(body, retry=PATIENT), Tally())
    assert (["attempt 3"], 3) == (state.trail, round(began[2] - began[0]))


# -- timeouts ------------------------------------------------------------------------------------------------


@both
async def test_an_attempt_that_takes_too_long_has_failed(autojump_clock, dispatch):
    """9.7: node `run_timeout` (never refreshed), per attempt."""
    cleaned = []

    async def slow(ctx):
        try:
            for _ in range(100):
                await trio.sleep(1)
                ctx.emit_text("still here")
        finally:
            cleaned.append(trio.current_time())

    graph = graph_of(slow, run_timeout=5, retry=RetryPolicy(max_attempts=2, initial=1))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, "node_error", True) == (result.status, result.code, "run_timeout of 5 s" in result.message)
    assert [6] == [round(after - before) for before, after in pairwise(cleaned)]


@both
async def test_a_node_that_shows_no_sign_of_life_has_failed(autojump_clock, dispatch):
    """9.7: `idle_timeout` (refreshed by record, emit, heartbeat)."""
    at = []

    async def quiet(ctx):
        at.append(trio.current_time())
        for sign in (lambda: ctx.record(Say("x")), lambda: ctx.emit_text("y"), ctx.heartbeat):
            await trio.sleep(4)
            sign()
        try:
            await trio.sleep(100)
        finally:
            at.append(trio.current_time())

    graph = graph_of(quiet, idle_timeout=5)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, True) == (result.status, "idle_timeout of 5 s" in result.message)
    assert 17 == round(at[1] - at[0])


@both
async def test_time_that_people_take_is_not_the_nodes(autojump_clock, dispatch):
    """9.7: waiting at a barrier does not count, for either timeout: neither one question nor two at once."""
    left = []

    async def asks(ctx):
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.decision, "one")
            await trio.sleep(0.5)
            await ctx.decision("two")
        await trio.sleep(1)
        left.append(trio.current_time())
        await trio.sleep(5)

    graph = graph_of(asks, run_timeout=5, idle_timeout=4)
    async with opened(MemoryStore(), graph, dispatch=dispatch, limit=300) as runtime:
        run = await runtime.submit(graph, Tally())
        for name in ("two", "one"):
            await trio.sleep(100)
            await run.decide(name, Approve())
        result = await run.result()
    assert [201] == [round(at) for at in left]
    assert "run_timeout of 5 s" in result.message


async def test_a_once_body_that_was_cut_off_is_unknown(autojump_clock):
    """7: a `once` visit ended by a timeout while its body ran is UNKNOWN."""

    async def slow(ctx):
        await trio.sleep(100)

    graph = graph_of(slow, effects="once", run_timeout=5)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await trio.sleep(6)
        (barrier,) = await run.barriers()
        assert (RunStatus.AWAITING_INPUT, True) == (await run.status(), barrier.reconcile)
        await run.decide("", graph.confirm(Say("it did")))
        assert ["it did"] == (await run.result()).state.trail


@both
@stores
async def test_a_run_has_so_long_and_no_longer(autojump_clock, dispatch, store):
    """9.7: run deadline; 2: FAILED(deadline_exceeded)."""
    cleaned = []

    async def slow(ctx):
        try:
            await trio.sleep(100)
        finally:
            cleaned.append(trio.current_time())

    graph = graph_of(slow)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        before = trio.current_time()
        result = await (await runtime.submit(graph, Tally(), deadline=5)).result()
        assert (FAILED, "deadline_exceeded") == (result.status, result.code)
        assert [5] == [round(each - before) for each in cleaned]


@pytest.mark.parametrize("counts", [False, True])
async def test_the_time_of_a_parked_run(autojump_clock, counts):
    """9.7: says whether parked time counts; default it does not. 2: AWAITING_INPUT -> FAILED."""

    async def slow(ctx):
        await trio.sleep(3)

    graph = Graph("asking", state=Tally, mutations=MUTATIONS)
    graph.start(ask := graph.barrier("ask"))
    graph.edge(ask.approved, graph.node(name="slow")(slow))
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), deadline=5, deadline_parked=counts)
        await trio.sleep(10)
        if counts:
            assert (FAILED, "deadline_exceeded") == ((result := await run.result()).status, result.code)
        else:
            await run.decide("", Approve())
            assert SUCCEEDED is (await run.result()).status


async def test_a_run_that_waits_for_a_slot_has_no_more_time_either(autojump_clock):
    """2: QUEUED -> FAILED."""

    async def slow(ctx):
        await trio.sleep(100)

    graph = graph_of(slow)
    async with opened(MemoryStore(), graph, pool_size=1, limit=200) as runtime:
        first = await runtime.submit(graph, Tally())
        second = await runtime.submit(graph, Tally(), deadline=5)
        result = await second.result()
        assert ("deadline_exceeded", RunStatus.RUNNING) == (result.code, await first.status())


async def test_a_failed_branch_does_not_wait_for_a_sibling_that_rests(autojump_clock):
    """5.5: fail_fast, beside 9.8: the attempts of siblings end with it."""
    body, began = failing(99)

    async def fails(ctx):
        await trio.sleep(2)
        raise LookupError("no")

    graph = Graph("both", state=Tally, mutations=MUTATIONS)
    tries = graph.node(name="tries", retry=RetryPolicy(initial=1000, longest=1000))(body)
    graph.start(graph.parallel("pair", [tries, graph.node(name="fails")(fails)]))
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        assert FAILED is (await run.result()).status
        failed = [event.node for event in await told(run) if isinstance(event, NodeFailed)]
    assert ["pair/fails/fails", "pair"] == failed
    assert 1 == len(began)


@both
async def test_a_barrier_in_a_branch_decides_by_itself_while_others_run(autojump_clock, dispatch):
    """6.4: the deadline also passes in a run that is RUNNING."""

    async def slow(ctx):
        await trio.sleep(9)
        ctx.record(Say("slow"))

    async def no(ctx):
        ctx.record(Say(f"rejected after {round(trio.current_time() - start)}"))

    graph = Graph("both", state=Tally, mutations=MUTATIONS)
    ask = graph.barrier("ask", timeout=4)
    graph.edge(ask.rejected, graph.node(name="no")(no))
    graph.start(graph.parallel("pair", [ask, graph.node(name="slow")(slow)], merge="replay"))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        start = trio.current_time()
        result = await (await runtime.submit(graph, Tally())).result()
    assert ["rejected after 4", "slow"] == result.state.trail
