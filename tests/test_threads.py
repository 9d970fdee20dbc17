"""`terzetto._threads`: plain functions as nodes, in threads and on the loop (SEMANTICS 5.8, 9.4, 9.7)."""

import contextvars
import threading

import pytest
import trio
import trio.testing

import terzetto
from terzetto import _threads, testing
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import NodeFinished, NodeStarted, TextChunk
from terzetto_protocol.graph import Graph

from .blocking import HARD, TIMEOUT, Blocking, jumping, limited, outcome_of, single, work
from .runtimes import FAILED, MUTATIONS, SUCCEEDED, Add, Say, Tally, both, chain, says, stores, told
from .test_node import ERRORS

clock = pytest.fixture(jumping)


# -- where functions run -------------------------------------------------------------------------------------


@both
@stores
async def test_a_function_blocks_its_thread_and_not_the_loop(dispatch, store):
    """5.8: sync functions run in a worker thread."""
    blocking = Blocking(lambda ctx: ctx.record(Say(str(threading.get_ident() == loop))))
    loop, graph = threading.get_ident(), single(blocking)
    async with limited(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await blocking.begun.wait()  # the loop goes on while the function blocks
        assert 0 == trio.to_thread.current_default_thread_limiter().borrowed_tokens
        blocking.go.set()
        result = await run.result()
    assert (SUCCEEDED, ["blocking", "False", "after"]) == (result.status, result.state.trail)


async def test_a_tiny_function_runs_on_the_loop():
    """5.8: with `thread=False` it runs right on the event loop."""

    def tiny(ctx):
        ctx.record(Say(trio.lowlevel.current_task().name))
        ctx.end()

    with trio.fail_after(HARD):
        assert [trio.lowlevel.current_task().name] == (await terzetto.run(single(tiny, thread=False), Tally())).trail


async def test_functions_of_branches_run_at_once():
    """5.5, 5.8: each in a thread of its own; an item is seen in the thread."""
    together = threading.Barrier(3)
    graph = Graph("fan", state=Tally, mutations=MUTATIONS)

    @graph.node
    def meet(ctx: terzetto.ItemContext[Tally, int]) -> None:
        together.wait(HARD)
        ctx.record(Add(ctx.item))

    graph.start(graph.map("fan", meet, over=lambda tally: [1, 2, 4], merge="replay"))
    with trio.fail_after(HARD):
        assert 7 == (await terzetto.run(graph, Tally())).count


async def test_context_variables_are_seen_in_the_thread():
    tenant = contextvars.ContextVar("tenant", default="nobody")
    graph = single(lambda ctx: ctx.record(Say(tenant.get())))
    tenant.set("ann")
    with trio.fail_after(HARD):
        assert "ann" == (await terzetto.run(graph, Tally())).trail[0]


async def test_only_so_many_have_threads_at_once_and_the_others_wait(clock, monkeypatch):
    """5.8, 9.7: timeouts are per attempt, and one that waits for a thread has not begun."""
    monkeypatch.setattr(_threads, "THREADS", 1)
    first, second = Blocking(), Blocking()
    graphs = [chain(work(fn, **options), name=name) for name, fn, options in (
        ("first", first, {}), ("second", second, {"run_timeout": TIMEOUT, "idle_timeout": TIMEOUT}),
    )]  # fmt: skip
    async with limited(MemoryStore(), *graphs, limit=TIMEOUT + HARD) as runtime:
        runs = [await runtime.submit(graph, Tally()) for graph in graphs]
        await first.begun.wait()
        await told(runs[1], until=NodeStarted)
        clock.jump(TIMEOUT)
        await trio.testing.wait_all_tasks_blocked()
        assert (1, 0) == (first.calls, second.calls)
        second.go.set()
        first.go.set()
        assert [SUCCEEDED] * 2 == [(await run.result()).status for run in runs]


# -- what functions say --------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("thread", [True, False])
async def test_what_a_function_shows_is_seen_before_it_has_ended(dispatch, thread):
    """5.8: `emit` and `heartbeat` reach the loop."""

    def talk(ctx):
        for word in ("one", "two"):
            ctx.emit_text(word)
            ctx.heartbeat()

    graph = single(talk, thread=thread, idle_timeout=None if not thread else HARD)
    async with limited(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        events = await told(run, until=NodeFinished)
    assert ["one", "two"] == [event.text for event in events if isinstance(event, TextChunk)]


async def test_a_function_may_let_the_loop_do_something():
    """What it has the loop do may use its context too."""

    async def later(ctx):
        await trio.lowlevel.checkpoint()
        ctx.emit_text("from the loop")
        ctx.record(Say("from the loop"))

    graph = single(lambda ctx: trio.from_thread.run(later, ctx))
    async with limited(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        events = await told(run)
        assert ["from the loop", "after"] == (await run.result()).state.trail
    assert ["from the loop"] == [event.text for event in events if isinstance(event, TextChunk)]


async def test_threads_that_a_function_makes_may_speak_while_it_runs():
    ended, late = threading.Event(), []

    def helper(ctx):
        ctx.emit_text("help")
        late.append(ctx.is_cancelled())
        assert ended.wait(HARD)
        late.append(ctx.is_cancelled())
        try:
            ctx.emit_text("too late")
        except Refused as error:
            late.append(str(error))

    def delegate(ctx):
        threads.append(threading.Thread(target=helper, args=[ctx]))
        threads[0].start()
        while not late:
            threading.Event().wait(0.01)

    threads, graph = [], single(delegate)
    async with limited(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        events = await told(run)
        ended.set()
        await trio.to_thread.run_sync(threads[0].join)
    assert ["help"] == [event.text for event in events if isinstance(event, TextChunk)]
    assert [False, True, "run 'r': visit 1 of node 'work' is over: nobody listens any more"] == late


@pytest.mark.parametrize("thread", [True, False])
async def test_a_decorated_function_is_tested_by_calling_it(thread):
    graph = Graph("unit", state=Tally, mutations=MUTATIONS)

    @graph.node(thread=thread)
    def pay(ctx: terzetto.NodeContext[Tally]) -> None:
        """Pays."""
        ctx.record(Add(ctx.state.count))
        ctx.emit_text("paid")
        ctx.heartbeat()

    ctx = testing.context(Tally(3))
    assert pay(ctx) is None
    assert ([Add(3)], 1, "Pays.") == (testing.recorded(ctx), len(testing.emissions(ctx)), pay.__doc__)


# -- how functions end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("thread", [True, False])
@pytest.mark.parametrize("kind", ERRORS)
async def test_what_a_function_raises_is_its_failure(kind, thread):
    """9.4: as for an `async def`."""
    error, leaves = ERRORS[kind]

    def explode(ctx):
        ctx.record(Say("recorded"))
        raise error

    with trio.fail_after(HARD):
        result = await outcome_of(chain(work(explode, thread=thread)))
    assert (FAILED, "node_error", []) == (result.status, result.code, result.state.trail)
    assert (leaves if thread or kind != "stop iteration" else ("StopIteration",)) == result.failure.errors


@pytest.mark.parametrize("thread", [True, False])
async def test_keyboard_interrupt_is_raised_again(thread):
    """9.4: KeyboardInterrupt is re-raised."""

    def interrupt(ctx):
        raise KeyboardInterrupt

    with trio.fail_after(HARD), pytest.raises(KeyboardInterrupt):
        await terzetto.run(single(interrupt, thread=thread), Tally())


@pytest.mark.parametrize("thread", [True, False])
async def test_a_function_that_returns_something_to_await_has_failed(thread):
    def promises(ctx):
        return says("never")(ctx)

    with trio.fail_after(HARD):
        result = await outcome_of(single(promises, thread=thread))
    assert (FAILED, True) == (result.status, "make its function an `async def`" in result.message)


# -- the loop is watched -------------------------------------------------------------------------------------


@both
async def test_a_function_that_blocks_the_loop_is_named(dispatch, monkeypatch, tmp_path):
    """5.8: a blocked event loop is noticed within 1 s and the stack written."""
    path = tmp_path / "stacks"

    def lingers(ctx):
        for _ in range(HARD * 100):
            if " in lingers\n" in path.read_text():
                return
            threading.Event().wait(0.01)

    with path.open("w") as file:
        monkeypatch.setattr("sys.stderr", file)
        graph = single(lingers, thread=False)
        async with limited(MemoryStore(), graph, dispatch=dispatch, watchdog=True) as runtime:
            assert (True, 0) == ((said := runtime.statistics().watchdog).armed, said.blocks)
            assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status
            while not runtime.statistics().watchdog.blocks:  # noqa: ASYNC110 - statistics tell nobody
                await trio.sleep(0.01)
            assert 0.5 < runtime.statistics().watchdog.longest < HARD
    assert " in lingers\n" in path.read_text()
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}


async def test_nobody_watches_the_loop_unless_asked():
    graph = single(lambda ctx: None)
    async with limited(MemoryStore(), graph) as runtime:
        assert runtime.statistics().watchdog is None
        assert "watchdog" not in {thread.name for thread in threading.enumerate()}
