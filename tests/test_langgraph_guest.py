"""LangGraph as a guest: its streams are events, its interrupts are barriers, and a cancel reaches its nodes."""

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from attrs import define, field, frozen
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

import terzetto
import terzetto.langgraph
from terzetto.executors import ExecutionContext, ExecutionStatus, UnifiedExecutor, executions
from terzetto.langgraph import GraphStopped, Guest, guest_graph, open_loop, run_graph
from terzetto.testing import assert_no_leaks

from .asyncio_guests import Log, chain, side_by_side
from .pages import ROOT


async def one(state):
    return {"log": ["one"]}


async def two(state):
    return {"log": ["two"]}


def asks(state):
    return {"log": [interrupt({"question": "go on?"})]}


async def ended(runtime, guest, *decisions, inputs=None, **options):
    """The result of a run whose barriers are decided in this order, and everything that it told."""
    run, told, left = await runtime.submit(guest, Guest(inputs or {"log": []}), **options), [], list(decisions)
    with trio.fail_after(20):
        async with run.events() as events:
            async for event in events:
                told.append(event)
                if isinstance(event, terzetto.BarrierOpened) and left:
                    await run.decide(event.barrier, left.pop(0))
        return await run.result(), told


async def alone(graph, *decisions, inputs=None, **options):
    guest = guest_graph(graph, **options)
    async with terzetto.open_runtime("memory:", [guest]) as runtime:
        return await ended(runtime, guest, *decisions, inputs=inputs)


def shown(told, mode):
    return [
        terzetto.payload_of(event)
        for event in told
        if isinstance(event, terzetto.CustomChunk) and event.name == f"langgraph.{mode}"
    ]


# -- running -----------------------------------------------------------------------------------------------------


async def test_a_whole_run_returns_what_the_graph_returns():
    result, _ = await alone(chain(one, two))

    assert {"log": ["one", "two"]} == result.unwrap().output


async def test_a_graph_is_one_node_of_another_graph():
    @define
    class State:
        words: list[str] = field(factory=list)

    @frozen
    class Said:
        words: list[str]

        def apply(self, state):
            state.words += self.words

    outer, inner = terzetto.Graph("outer", state=State, mutations=[Said]), chain(one, two)

    @outer.node
    async def begin(ctx: terzetto.NodeContext[State]) -> None:
        ctx.record(Said(["zero"]))

    @outer.node
    async def guest(ctx: terzetto.NodeContext[State]) -> None:
        output = await run_graph(ctx, inner, {"log": ctx.state.words})
        ctx.record(Said(output["log"][1:]))

    outer.start(begin)
    outer.edge(begin, guest)

    assert ["zero", "one", "two"] == (await terzetto.run(outer, State())).words


async def test_a_graph_runs_in_a_thread_that_is_gone_with_its_visit():
    found = []

    async def where(state):
        asyncio.get_running_loop()
        found.append(threading.current_thread().name)

    await alone(chain(where))

    assert ["node guest"] == found
    assert "node guest" not in [thread.name for thread in threading.enumerate()]


async def test_nothing_of_it_is_left_whatever_its_end():
    """SEMANTICS 14.1; law 3"""

    async def fails(state):
        raise ValueError("not today")

    def blocks(state):
        time.sleep(0.05)

    await alone(chain(one))  # what is loaded once stays
    with assert_no_leaks():
        for graph in (chain(one, two), chain(fails), chain(blocks)):
            await alone(graph)
        begun = threading.Event()

        async def long(state):
            begun.set()
            await asyncio.sleep(100)

        await cancelled(chain(long), begun)


async def test_context_variables_reach_it():
    color = contextvars.ContextVar("color", default="none")

    async def looks(state):
        return {"log": [color.get()]}

    def looks_in_a_thread(state):
        return {"log": [color.get()]}

    @define
    class State:
        pass

    graph, found = terzetto.Graph("colors", state=State), []

    @graph.node
    async def guest(ctx: terzetto.NodeContext[State]) -> None:
        color.set("red")
        found.extend((await run_graph(ctx, chain(looks, looks_in_a_thread), {"log": []}))["log"])

    graph.start(guest)
    await terzetto.run(graph, State())

    assert ["red", "red"] == found


async def test_what_a_node_raises_fails_the_run():
    async def fails(state):
        raise ValueError("not today")

    result, _ = await alone(chain(one, fails))

    assert ("FAILED", "node_error") == (result.status, result.code)
    assert "ValueError: not today" in result.message


async def test_a_graph_that_is_not_compiled_is_refused():
    result, _ = await alone(StateGraph(Log))

    assert "compile it first" in result.message


async def test_a_retry_goes_on_where_the_thread_is():
    saver, ran = InMemorySaver(), []

    async def first(state):
        ran.append("first")

    async def flaky(state):
        ran.append("flaky")
        if len(ran) < 3:
            raise ConnectionError("once")
        return {"log": ["done"]}

    @define
    class State:
        pass

    graph, inner = terzetto.Graph("again", state=State), chain(first, flaky, checkpointer=saver)

    @graph.node(retry=terzetto.RetryPolicy(max_attempts=2, initial=0.01))
    async def guest(ctx: terzetto.NodeContext[State]) -> None:
        await run_graph(ctx, inner, {"log": []})

    graph.start(guest)
    await terzetto.run(graph, State())

    assert ["first", "flaky", "flaky"] == ran


async def test_a_thread_is_a_conversation_that_the_next_run_continues():
    saver = InMemorySaver()
    guest = guest_graph(chain(one), checkpointer=saver, thread_id="talk")
    async with terzetto.open_runtime("memory:", [guest]) as runtime:
        await ended(runtime, guest)
        result, _ = await ended(runtime, guest, inputs={"log": ["and"]})

    assert {"log": ["one", "and", "one"]} == result.unwrap().output


# -- streams -----------------------------------------------------------------------------------------------------


async def test_its_stream_modes_become_events():
    async def writes(state):
        get_stream_writer()({"half": "done"})
        return {"log": ["written"]}

    modes = ["updates", "values", "custom", "tasks", "checkpoints"]
    result, told = await alone(chain(writes), stream_mode=modes, checkpointer=InMemorySaver())

    assert {"log": ["written"]} == result.unwrap().output
    assert [{"ns": [], "data": {"writes": {"log": ["written"]}}}] == shown(told, "updates")
    assert [{"ns": [], "data": {"half": "done"}}] == shown(told, "custom")
    assert [[], ["written"]] == [each["data"]["log"] for each in shown(told, "values")]
    assert ["writes", "writes"] == [each["data"]["name"] for each in shown(told, "tasks")]
    assert ["input", "loop", "loop"] == [each["data"]["metadata"]["source"] for each in shown(told, "checkpoints")]


async def test_messages_are_texts_too():
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langgraph.graph import MessagesState

    model = GenericFakeChatModel(messages=iter([AIMessage("hello there")]))

    async def answers(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node(answers)
    graph.add_edge(START, "answers")
    result, told = await alone(graph.compile(), inputs={"messages": [{"role": "user", "content": "hi"}]})

    assert "hello there" == "".join(event.text for event in told if isinstance(event, terzetto.TextChunk))
    assert "answers" == shown(told, "messages")[0]["data"][1]["langgraph_node"]
    assert [("human", "hi"), ("ai", "hello there")] == [
        (each["type"], each["content"]) for each in result.unwrap().output["messages"]
    ]


async def test_what_cannot_be_shown_is_described_and_ends_nothing():
    async def writes(state):
        get_stream_writer()(object())
        get_stream_writer()(float("nan"))

    result, told = await alone(chain(writes))

    assert "SUCCEEDED" == result.status
    assert ["unstorable", "unstorable"] == [name for each in shown(told, "custom") for name in each["data"]]


async def test_an_unknown_stream_mode_is_refused():
    result, _ = await alone(chain(one), stream_mode=["updaets"])

    assert "'updaets' is none of updates, values" in result.message


# -- interrupts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decision, resumed",
    [
        (terzetto.Approve(), True),
        (terzetto.Reject("no"), False),
        (terzetto.Modify({"resume": {"any": ["thing"]}}), {"any": ["thing"]}),
    ],
)
async def test_an_interrupt_opens_a_barrier_and_the_decision_resumes_it(decision, resumed):
    result, told = await alone(chain(one, asks), decision)

    opened = [event for event in told if isinstance(event, terzetto.BarrierOpened)]
    assert ["interrupt@1"] == [event.barrier for event in opened]
    assert {"interrupt": {"question": "go on?"}, "node": "asks", "resume": None} == terzetto.payload_of(opened[0])
    assert {"log": ["one", resumed]} == result.unwrap().output


async def test_several_interrupts_are_open_at_once_in_their_order():
    def left(state):
        return {"log": [interrupt("left")]}

    def right(state):
        return {"log": [interrupt("right")]}

    guest = guest_graph(side_by_side(left, right))
    async with terzetto.open_runtime("memory:", [guest]) as runtime:
        run = await runtime.submit(guest, Guest({"log": []}))
        with trio.fail_after(20):
            while len(rows := await run.barriers()) < 2:  # noqa: ASYNC110 - asked, as a person would
                await trio.sleep(0.01)
            await run.decide(rows[1].barrier, terzetto.Modify({"resume": 2}))
            await run.decide(rows[0].barrier, terzetto.Modify({"resume": 1}))
            result = await run.result()

    assert ["interrupt@1", "interrupt@1.1"] == [row.barrier for row in rows]
    assert {"log": [1, 2]} == result.unwrap().output


async def test_an_interrupt_in_a_subgraph_is_asked_and_answered():
    inner = chain(asks)
    graph = StateGraph(Log)
    graph.add_node("inner", inner)
    graph.add_edge(START, "inner")

    result, _ = await alone(graph.compile(), terzetto.Modify({"resume": "yes"}))

    assert {"log": ["yes"]} == result.unwrap().output


async def test_one_node_may_ask_again_and_again():
    def often(state):
        return {"log": [interrupt(number) for number in range(3)]}

    result, _ = await alone(chain(often), *(terzetto.Modify({"resume": word}) for word in "abc"))

    assert {"log": ["a", "b", "c"]} == result.unwrap().output


async def test_an_answer_that_the_graph_does_not_take_is_asked_for_again():
    from pydantic import BaseModel

    class Age(BaseModel):
        years: int

    def age(state):
        return {"log": [interrupt("how old?", response_schema=Age).years]}

    wrong, right = terzetto.Modify({"resume": {"years": "many"}}), terzetto.Modify({"resume": {"years": 7}})
    result, told = await alone(chain(age), wrong, right)

    opened = [terzetto.payload_of(event) for event in told if isinstance(event, terzetto.BarrierOpened)]
    assert {"log": [7]} == result.unwrap().output
    assert 2 == len(opened)
    assert "years" in opened[0]["schema"]["properties"]
    assert "years" in result.observed[0].message


@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
async def test_a_breakpoint_is_a_barrier(where):
    graph = chain(one, two, **{where: ["two" if where == "interrupt_before" else "one"]})

    approved, told = await alone(graph, terzetto.Approve())
    rejected, _ = await alone(graph, terzetto.Reject("not now"))

    assert [{"before": ["two"]}] == [terzetto.payload_of(e) for e in told if isinstance(e, terzetto.BarrierOpened)]
    assert {"log": ["one", "two"]} == approved.unwrap().output
    assert "FAILED" == rejected.status
    assert "before two, and was not to go on: not now" in rejected.message


def test_a_stop_that_was_rejected_is_one_of_our_errors():
    assert issubclass(GraphStopped, terzetto.TerzettoError)


async def test_an_interrupt_that_nobody_answers_times_out():
    result, _ = await alone(chain(asks), timeout=0.05, on_timeout=terzetto.Fail("nobody"))

    assert "FAILED" == result.status
    assert "DecisionTimeout" in result.message


async def test_interrupts_may_be_returned_instead():
    @define
    class State:
        pass

    graph, found = terzetto.Graph("returning", state=State), []

    @graph.node
    async def guest(ctx: terzetto.NodeContext[State]) -> None:
        saver = InMemorySaver()
        found.append(await run_graph(ctx, chain(asks), {"log": []}, checkpointer=saver, interrupts="return"))

    graph.start(guest)
    await terzetto.run(graph, State())

    assert {"question": "go on?"} == found[0]["__interrupt__"][0].value


# -- cancel ------------------------------------------------------------------------------------------------------


async def cancelled(graph, begun, **options):
    """The result of a run that is cancelled once its node has begun, and how long the cancel took, seconds."""
    guest = guest_graph(graph)
    with trio.fail_after(20):
        async with terzetto.open_runtime("memory:", [guest], **options) as runtime:
            run = await runtime.submit(guest, Guest({"log": []}))
            await trio.to_thread.run_sync(begun.wait)
            since = time.monotonic()
            await run.cancel()
            return await run.result(), time.monotonic() - since


async def test_a_cancel_reaches_its_async_nodes():
    begun, told = threading.Event(), []

    async def long(state):
        begun.set()
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    result, seconds = await cancelled(chain(long), begun)

    assert "CANCELLED" == result.status
    assert ["cancelled"] == told
    assert seconds < 3


async def test_a_cancel_waits_for_functions_in_threads_of_the_guest():
    """SEMANTICS 14.3"""
    begun, told = threading.Event(), []

    def long(state):
        begun.set()
        time.sleep(0.5)
        told.append("worked")

    result, _ = await cancelled(chain(long), begun)

    assert "CANCELLED" == result.status
    assert ["worked"] == told


async def test_a_node_that_ignores_its_cancel_is_stuck_and_named(autojump_clock):
    """SEMANTICS 14.1: what outstays its grace is left behind, and listed until it returns."""
    begun, stuck = threading.Event(), []

    async def stubborn(state):
        begun.set()
        for _ in range(5):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)

    guest = guest_graph(chain(stubborn))
    async with terzetto.open_runtime("memory:", [guest], on_stuck=stuck.append) as runtime:
        run = await runtime.submit(guest, Guest({"log": []}))
        while not begun.is_set():  # noqa: ASYNC110 - told by another thread
            await trio.sleep(0.01)
        await run.cancel()
        result = await run.result()

    assert "CANCELLED" == result.status
    assert ["guest"] == [each.node for each in stuck]


async def test_a_cancel_while_a_person_is_asked_ends_the_run():
    guest = guest_graph(chain(asks))
    with trio.fail_after(20):
        async with terzetto.open_runtime("memory:", [guest]) as runtime:
            run = await runtime.submit(guest, Guest({"log": []}))
            while not await run.barriers():  # noqa: ASYNC110 - as above
                await trio.sleep(0.01)
            await run.cancel()

            assert "CANCELLED" == (await run.result()).status


# -- the next process --------------------------------------------------------------------------------------------


def life(folder, dies_at):
    command = [sys.executable, "-m", "tests.guest_child", str(folder), dies_at]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "moments",
    [
        ["shows one?", "shows two?"],
        ["asked two"],
        *(pytest.param([moment], marks=pytest.mark.slow) for moment in ("first", "asked one", "shows two?", "last")),
    ],
)
def test_a_guest_goes_on_after_kill_9(tmp_path, moments):
    """SEMANTICS 14.2: what has a checkpoint does not run again, and what was decided is not asked again."""
    for moment in moments:
        assert -9 == life(tmp_path, moment).returncode

    done = life(tmp_path, "")

    assert "{'log': ['first', 'one? yes', 'two? yes', 'last']}\n" == done.stdout, done.stderr
    ran = (tmp_path / "ran.txt").read_text().splitlines()
    assert 1 + ("first" in moments) == ran.count("first")  # it has no checkpoint before it returns


# -- savers and loops --------------------------------------------------------------------------------------------


async def test_a_saver_is_opened_in_the_guests_own_loop():
    opened = []

    @asynccontextmanager
    async def saver():
        opened.append(asyncio.get_running_loop())
        yield InMemorySaver()
        opened.append("closed")

    result, _ = await alone(chain(one), checkpointer=saver)

    assert "SUCCEEDED" == result.status
    assert "closed" == opened[-1]


async def test_a_url_opens_terzettos_own_checkpointer(monkeypatch):
    opened = []

    class Checkpointer:
        @classmethod
        @asynccontextmanager
        async def open(cls, url):
            opened.append(url)
            yield InMemorySaver()

    monkeypatch.setattr(terzetto.langgraph, "Checkpointer", Checkpointer, raising=False)
    await alone(chain(one), checkpointer="memory:")

    assert {"memory:"} == set(opened)


async def test_a_compiled_graph_stays_what_it_is():
    graph = chain(one)

    await alone(graph, checkpointer=InMemorySaver())

    assert graph.checkpointer is None


async def test_two_calls_in_one_node_have_threads_of_their_own():
    @define
    class State:
        pass

    graph, saver, found = terzetto.Graph("twice", state=State), InMemorySaver(), []

    @graph.node
    async def guest(ctx: terzetto.NodeContext[State]) -> None:
        for _ in range(2):
            found.append(await run_graph(ctx, chain(one), {"log": []}, checkpointer=saver))  # noqa: PERF401 - in turn

    graph.start(guest)
    await terzetto.run(graph, State())

    assert [{"log": ["one"]}] * 2 == found


async def test_a_graph_whose_state_no_saver_could_encode_runs_without_one():
    async def holds(state):
        return {"log": [threading.Lock()]}

    @define
    class State:
        pass

    graph, found = terzetto.Graph("odd", state=State), []

    @graph.node
    async def guest(ctx: terzetto.NodeContext[State]) -> None:
        found.append(await run_graph(ctx, chain(holds), {"log": []}, checkpointer=False))

    graph.start(guest)
    await terzetto.run(graph, State())
    executed = await UnifiedExecutor().execute(chain(holds), {"log": []}, backend="graph")

    assert 1 == len(found[0]["log"])
    assert 1 == len(executed.output["log"])


async def test_guests_may_share_a_loop():
    loops = []

    async def where(state):
        loops.append(asyncio.get_running_loop())

    async with open_loop() as loop:
        for _ in range(2):
            await alone(chain(where), loop=loop)

    assert loops[0] is loops[1]


# -- executors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
async def test_executors_take_graphs_of_langgraph(compiled):
    graph = StateGraph(Log)
    graph.add_node(one)
    graph.add_edge(START, "one")

    target = graph.compile() if compiled else graph
    result = await UnifiedExecutor().execute(target, {"log": ["zero"]}, backend="graph")

    assert (ExecutionStatus.SUCCEEDED, {"log": ["zero", "one"]}) == (result.status, result.output)


async def test_an_executed_graph_asks_where_somebody_could_decide():
    graph, context = chain(asks, checkpointer=InMemorySaver()), ExecutionContext(run_id="r-1")
    async with terzetto.open_runtime("memory:", [executions()]) as runtime:
        executor = UnifiedExecutor(runtime=runtime)

        async def decide():
            while not (await runtime.runs() and await runtime.get("r-1").barriers()):  # noqa: ASYNC110 - as above
                await trio.sleep(0.01)
            await runtime.decide("r-1", "", terzetto.Modify({"resume": "yes"}))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(decide)
                result = await executor.execute(graph, {"log": []}, backend="graph", context=context)

    assert {"log": ["yes"]} == result.output


async def test_an_executed_graph_of_nobody_elses_returns_its_interrupts():
    result = await UnifiedExecutor().execute(chain(asks, checkpointer=InMemorySaver()), {"log": []}, backend="graph")

    assert "go on?" == result.output["__interrupt__"][0].value["question"]


def test_the_package_loads_no_langgraph():
    program = "import terzetto.langgraph as t, sys; t.run_graph, t.guest_graph; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert set() == {"langgraph", "langchain_core"} & set(loaded.stdout.split())
