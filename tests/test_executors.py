"""`terzetto.executors`: whatever is executed is a run, with its statuses, limits, cancel and log."""

import subprocess
import sys

import msgspec
import pytest
import trio
from attrs import define, frozen

import terzetto
from terzetto.executors import (
    ExecutionContext,
    ExecutionMode,
    ExecutionResult,
    ExecutionStatus,
    ExecutorBackend,
    FlowExecutor,
    GraphExecutor,
    UnifiedExecutor,
    executions,
)
from terzetto_protocol.commands import Submit


@define
class Sum:
    total: int = 0


@frozen
class Added:
    by: int

    def apply(self, sum_: Sum) -> None:
        sum_.total += self.by


def adding(name="adding"):
    graph = terzetto.Graph(name, state=Sum, mutations=[Added])

    @graph.node
    async def add(ctx: terzetto.NodeContext[Sum]) -> None:
        ctx.record(Added(3))

    graph.start(add)
    return graph


class Arun:
    async def arun(self, inputs, context):
        await trio.lowlevel.checkpoint()
        return ["arun", inputs, context.run_id]


class RunAsync:
    async def run_async(self, inputs, context):
        return ["run_async", inputs, context.thread_id]


class ExecuteAsync:
    async def execute_async(self, inputs, context):
        return ["execute_async", inputs, context.mode]


class Run:
    def run(self, inputs, context):
        trio.from_thread.check_cancelled()  # an error on the loop
        return ["run", inputs]


class Ainvoke:
    async def ainvoke(self, inputs, config):
        return ["ainvoke", inputs, config]


class Uncompiled:
    def compile(self, **options):
        return Compiled(options)


class Compiled(Ainvoke):
    def __init__(self, options):
        self.options = options

    async def ainvoke(self, inputs, config):
        return self.options


async def echo(inputs, config):
    return inputs


async def long(inputs, config):
    await trio.sleep(100)


def fails(inputs, config):
    raise ValueError("not today")


def known(**ids):
    return ExecutionContext(run_id="r-1", thread_id="t-1", **ids)


# -- routes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target, backend, output",
    [
        (Arun(), "flow", ["arun", {"n": 1}, "r-1"]),
        (RunAsync(), "flow", ["run_async", {"n": 1}, "t-1"]),
        (ExecuteAsync(), "flow", ["execute_async", {"n": 1}, "local"]),
        (Run(), "flow", ["run", {"n": 1}]),
        (Run(), "graph", ["run", {"n": 1}]),
        (Ainvoke(), "graph", ["ainvoke", {"n": 1}, {"configurable": {"thread_id": "t-1", "lang": "de"}}]),
        (lambda inputs, config: config, "graph", {"configurable": {"thread_id": "t-1", "lang": "de"}}),
        (lambda inputs, context: context.config, "flow", {"lang": "de"}),
        (lambda *given: echo(*given), "graph", {"n": 1}),  # noqa: PLW0108 - a plain function that returns a coroutine
        (echo, "graph", {"n": 1}),
    ],
)
async def test_a_target_is_called_as_what_it_is(target, backend, output):
    context = known(config={"lang": "de"})

    result = await UnifiedExecutor().execute(target, {"n": 1}, backend=backend, context=context)

    assert (ExecutionStatus.SUCCEEDED, output, None) == (result.status, result.output, result.error)


async def test_a_graph_of_terzettos_own_is_submitted_as_it_is():
    result = await UnifiedExecutor().execute(adding(), {"total": 4}, backend="graph")

    assert Sum(7) == result.output


async def test_what_can_be_compiled_is_compiled_first():
    executor = GraphExecutor(compile_options={"debug": True})

    assert {"debug": True} == (await executor.execute(Uncompiled(), {}, ExecutionContext())).output


async def test_a_target_without_an_entry_point_has_failed_and_says_why():
    result = await UnifiedExecutor().execute(7, backend="graph")

    assert ExecutionStatus.FAILED is result.status
    assert "int" in result.error
    assert "no entry point" in result.error
    assert "arun" in result.error


async def test_coroutines_of_asyncio_run_in_a_thread_of_their_own():
    async def in_asyncio(inputs, config):
        import asyncio

        await asyncio.sleep(0)
        return inputs

    result = await GraphExecutor(loop="asyncio").execute(in_asyncio, {"n": 1}, ExecutionContext())

    assert {"n": 1} == result.output


@pytest.mark.parametrize("backend", ["graph", ExecutorBackend.GRAPH])
async def test_a_backend_is_named_by_its_text_or_itself(backend):
    assert ExecutorBackend.GRAPH is (await UnifiedExecutor().execute(echo, backend=backend)).backend


async def test_an_unknown_backend_is_a_value_error_naming_the_known_ones():
    with pytest.raises(ValueError, match=r"'grahp' is none of graph, flow"):
        await UnifiedExecutor().execute(echo, backend="grahp")


async def test_injected_executors_are_used_as_they_are():
    class Mine:
        async def execute(self, target, inputs, context):
            return target, inputs, context

    mine = Mine()
    executor, context = UnifiedExecutor(flow_executor=mine), known()

    assert mine is executor.flow
    assert isinstance(executor.graph, GraphExecutor)
    assert ("it", {}, context) == await executor.execute("it", backend="flow", context=context)


# -- what is told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, error",
    [
        ({"timeout_seconds": 0}, ValueError),
        ({"timeout_seconds": -1.0}, ValueError),
        ({"run_id": "a b"}, ValueError),
        ({"thread_id": ""}, ValueError),
        ({"mode": "somewhere"}, ValueError),
        ({"metadata": {"deep": {}}}, ValueError),
        ({"config": []}, ValueError),
        ({"color": "red"}, TypeError),
    ],
)
def test_a_context_is_checked_where_it_is_made(fields, error):
    with pytest.raises(error):
        ExecutionContext(**fields)


def test_a_context_has_ids_of_its_own_and_takes_a_mode_by_its_text():
    one, other = ExecutionContext(mode="batch"), ExecutionContext()

    assert ExecutionMode.BATCH is one.mode
    assert one.run_id != other.run_id
    assert len("run-") + 12 == len(one.run_id)
    assert one.thread_id != other.thread_id
    assert len("thread-") + 12 == len(one.thread_id)


def test_a_result_knows_how_long_it_took_once_it_has_ended():
    result = ExecutionResult(run_id="r", backend=ExecutorBackend.GRAPH, status=ExecutionStatus.RUNNING, started_at=2.0)

    assert result.duration_seconds is None
    assert 1.5 == msgspec.structs.replace(result, finished_at=3.5).duration_seconds


@pytest.mark.parametrize("target, status", [(echo, "succeeded"), (fails, "failed"), (long, "failed")])
async def test_metadata_are_there_whatever_the_outcome(target, status, autojump_clock):
    context = known(metadata={"team": "ops"}, timeout_seconds=5)

    result = await UnifiedExecutor().execute(target, backend="graph", context=context)

    told = {name: result.metadata[name] for name in ("team", "thread_id", "backend", "mode")}
    assert (status, "r-1") == (result.status, result.run_id)
    assert {"team": "ops", "thread_id": "t-1", "backend": "graph", "mode": "local"} == told


async def test_a_failure_is_told_with_its_type_and_where_it_came_from():
    result = await UnifiedExecutor().execute(fails, backend="graph")

    assert (ExecutionStatus.FAILED, "ValueError: not today") == (result.status, result.error)
    assert "node_error" == result.metadata["code"]
    assert "in fails" in result.metadata["trace"][-1]


async def test_a_timeout_is_told_in_words(autojump_clock):
    """SEMANTICS 14.5; `str(TimeoutError())` says nothing."""
    result = await UnifiedExecutor().execute(long, backend="graph", context=known(timeout_seconds=5))

    assert (ExecutionStatus.FAILED, "timeout: it took longer than 5 s") == (result.status, result.error)
    assert 5 == pytest.approx(result.duration_seconds, abs=0.01)


# -- what is stored ----------------------------------------------------------------------------------------------


async def test_an_output_that_cannot_be_stored_is_given_to_its_caller_and_to_nobody_else():
    output = object()
    async with terzetto.open_runtime("memory:", [executions()]) as runtime:
        executor = UnifiedExecutor(runtime=runtime)

        result = await executor.execute(lambda inputs, config: output, backend="graph", context=known())
        later = await executor.graph.get("r-1")

    assert output is result.output
    assert later.output is None
    assert "object" in later.metadata["output"]


async def test_inputs_that_cannot_be_stored_are_refused():
    with pytest.raises(terzetto.NotStorable, match="the inputs"):
        await UnifiedExecutor().execute(echo, {"it": object()}, backend="graph")


async def test_inputs_that_are_no_state_of_the_graph_are_refused():
    with pytest.raises(terzetto.Malformed, match="total"):
        await UnifiedExecutor().execute(adding(), {"total": "many"}, backend="graph")


async def test_a_config_says_about_a_graph_what_submit_takes():
    executor, graph = UnifiedExecutor(), adding()

    result = await executor.execute(graph, backend="graph", context=known(config={"max_steps": 1}))
    with pytest.raises(terzetto.InvalidRequest, match="max_stepps"):
        await executor.execute(graph, backend="graph", context=known(config={"max_stepps": 1}))

    assert ExecutionStatus.SUCCEEDED is result.status


async def test_an_execution_is_a_run_with_events_and_a_log():
    async with terzetto.open_runtime("memory:", [executions()]) as runtime:
        await UnifiedExecutor(runtime=runtime).execute(echo, {"n": 1}, backend="graph", context=known())
        run, told = runtime.get("r-1"), []
        async with run.events() as events:
            async for event in events:
                told.append(type(event).__name__)  # noqa: PERF401 - one after the other, as they come
        row = await runtime.row("r-1")

    assert ["Cursor", "RunQueued", "RunStarted", "NodeFinished", "RunEnded"] == [
        name for name in told if name != "NodeStarted"
    ]
    assert {"backend": "graph", "thread_id": "t-1", "mode": "local"} == row.header.metadata


async def test_a_graph_of_ones_own_runs_on_the_thread_of_the_context():
    graph = adding()
    async with terzetto.open_runtime("memory:", [graph]) as runtime:
        await UnifiedExecutor(runtime=runtime).execute(graph, backend="graph", context=known())
        head = await runtime.thread("t-1").head()

    assert "r-1" == head.run_id


async def test_the_same_id_and_inputs_are_the_same_execution():
    calls = []
    async with terzetto.open_runtime("memory:", [executions()]) as runtime:
        executor = UnifiedExecutor(runtime=runtime)
        for _ in range(2):
            result = await executor.execute(
                lambda inputs, config: calls.append(inputs), {"n": 1}, backend="graph", context=known()
            )
        with pytest.raises(terzetto.RunConflict):
            await executor.execute(lambda inputs, config: None, {"n": 2}, backend="graph", context=known())

    assert [{"n": 1}] == calls
    assert ExecutionStatus.SUCCEEDED is result.status


async def test_a_runtime_that_knows_no_executions_is_refused():
    async with terzetto.open_runtime("memory:", [adding()]) as runtime:
        with pytest.raises(terzetto.InvalidRequest, match=r"executors\.executions\(\)"):
            await UnifiedExecutor(runtime=runtime).execute(echo, backend="graph")


async def test_a_name_that_stands_for_nothing_is_refused_naming_those_that_do():
    async with terzetto.open_runtime("memory:", [executions({"echo": echo})]) as runtime:
        executor = UnifiedExecutor(runtime=runtime)

        assert {"n": 1} == (await executor.execute("echo", {"n": 1}, backend="graph")).output
        with pytest.raises(terzetto.InvalidRequest, match="given echo"):
            await executor.execute("ehco", backend="graph")


# -- statuses ----------------------------------------------------------------------------------------------------


async def test_pending_and_running_are_really_seen(autojump_clock):
    async with terzetto.open_runtime("memory:", [executions()], pool_size=1) as runtime:
        executor = UnifiedExecutor(runtime=runtime)
        async with trio.open_nursery() as nursery:
            for name in ("first", "second"):
                context = ExecutionContext(run_id=name)
                nursery.start_soon(lambda context=context: executor.execute(long, backend="graph", context=context))
                await trio.sleep(1)
            seen = [(await executor.graph.get(name)).status for name in ("first", "second")]
            unfinished = await executor.graph.get("first")
        ended = await executor.graph.get("second")

    assert [ExecutionStatus.RUNNING, ExecutionStatus.PENDING] == seen
    assert unfinished.finished_at is None
    assert unfinished.error is None
    assert ExecutionStatus.SUCCEEDED is ended.status


async def test_an_execution_with_a_runtime_of_its_own_is_known_while_it_is_under_way(autojump_clock):
    executor = UnifiedExecutor()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: executor.execute(long, backend="graph", context=known()))
        await trio.sleep(1)
        assert ExecutionStatus.RUNNING is (await executor.get("r-1")).status
        with pytest.raises(terzetto.InvalidRequest, match="being executed"):
            await executor.execute(long, backend="graph", context=known())
    with pytest.raises(terzetto.UnknownRun):
        await executor.get("r-1")


async def test_whoever_is_cancelled_cancels_the_run_and_hears_of_it(autojump_clock):
    """SEMANTICS 14.5: a cancel is never an outcome that goes unsaid; it goes on, and it is stored."""
    async with terzetto.open_runtime("memory:", [executions()]) as runtime:
        executor = UnifiedExecutor(runtime=runtime)
        with trio.move_on_after(1) as scope:
            await executor.execute(long, backend="graph", context=known())
        result = await executor.graph.get("r-1")

    assert scope.cancelled_caught
    assert ExecutionStatus.CANCELLED is result.status
    assert "whoever executed it was cancelled" == result.error


async def test_what_asks_where_nobody_could_decide_is_cancelled_and_says_so():
    graph = terzetto.Graph("asking", state=Sum)
    graph.start(graph.barrier("sign-off"))

    with trio.fail_after(10):
        result = await UnifiedExecutor().execute(graph, backend="graph")
        approved = await UnifiedExecutor().execute(graph, backend="graph", context=known(config={"auto_approve": True}))

    assert ExecutionStatus.CANCELLED is result.status
    assert "sign-off@1 is open, and nobody could decide: give the executor a runtime" == result.error
    assert ExecutionStatus.SUCCEEDED is approved.status


async def test_a_barrier_that_decides_by_itself_is_waited_for(autojump_clock):
    graph = terzetto.Graph("patient", state=Sum)
    graph.start(graph.barrier("sign-off", timeout=60))

    assert ExecutionStatus.SUCCEEDED is (await UnifiedExecutor().execute(graph, backend="graph")).status


async def test_a_run_that_somebody_else_cancels_is_an_outcome(autojump_clock):
    results = []
    async with terzetto.open_runtime("memory:", [executions()]) as runtime:
        executor = UnifiedExecutor(runtime=runtime)

        async def execute():
            results.append(await executor.execute(long, backend="graph", context=known()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(execute)
            await trio.sleep(1)
            await runtime.cancel("r-1", "enough")

    assert [(ExecutionStatus.CANCELLED, "enough")] == [(each.status, each.error) for each in results]


async def test_a_function_in_a_thread_is_left_behind():
    release = []

    def blocks(inputs, config):
        import time

        while not release:
            time.sleep(0.01)

    with trio.fail_after(4):  # less than the grace of a node that stays
        result = await UnifiedExecutor().execute(blocks, backend="graph", context=known(timeout_seconds=0.1))
    release.append(True)

    assert "timeout: it took longer than 0.1 s" == result.error


# -- the next process --------------------------------------------------------------------------------------------


LIFE = """
import os, sys, trio, terzetto
from terzetto.executors import ExecutionContext, UnifiedExecutor, executions

async def work(inputs, config):
    if sys.argv[1] == "dies":
        os.kill(os.getpid(), 9)
    return ["done", inputs]

async def main():
    named = {"work": work} if sys.argv[2] == "named" else {}
    async with terzetto.open_runtime("sqlite:runs.db", [executions(named)]) as runtime:
        context = ExecutionContext(run_id="r-1", thread_id="t-1")
        if sys.argv[1] == "dies":
            await UnifiedExecutor(runtime=runtime).execute(work, {"n": 1}, backend="graph", context=context)
        result = await runtime.get("r-1").result()
        print(result.status, result.state.output, result.message)

trio.run(main)
"""


def life(folder, *words):
    (folder / "life.py").write_text(LIFE)
    command = [sys.executable, "life.py", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_an_execution_of_a_named_target_goes_on_after_kill_9(tmp_path):
    """law 2"""
    assert -9 == life(tmp_path, "dies", "named").returncode

    assert "SUCCEEDED ['done', {'n': 1}] \n" == life(tmp_path, "goes on", "named").stdout


def test_an_execution_of_an_object_that_is_gone_fails_and_says_so(tmp_path):
    assert -9 == life(tmp_path, "dies", "unnamed").returncode

    told = life(tmp_path, "goes on", "unnamed").stdout
    assert told.startswith("FAILED")
    assert "was an object of another process" in told


def test_importing_the_executors_loads_no_library_that_they_route_to():
    program = "import terzetto.executors as e, sys; e.UnifiedExecutor, e.FlowExecutor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert set() == {"langgraph", "metaflow", "pydantic", "asyncio"} & set(loaded.stdout.split())


def test_a_mode_is_for_flows_of_metaflow():
    assert ExecutionMode.BATCH is FlowExecutor(mode="batch").mode
    with pytest.raises(ValueError, match="mode"):
        FlowExecutor(mode="cloud")


async def test_what_runs_here_has_no_other_mode():
    with pytest.raises(terzetto.InvalidRequest, match="flows of Metaflow"):
        await FlowExecutor(mode=ExecutionMode.BATCH).execute(Arun(), {}, ExecutionContext())


@pytest.mark.parametrize(
    "target, config, told",
    [
        ("{folder}/flow.py", {}, "nothing here has its name"),
        ("nightly", {"python": "/bin/sh"}, "config python"),
        ("nightly", {"root": "/", "environment": {"PATH": ""}}, "config environment, root"),
    ],
)
async def test_what_is_stored_says_neither_which_file_is_executed_nor_by_what(tmp_path, target, config, told):
    """SEMANTICS 14: whoever may submit from outside starts what the program has named, and nothing else."""
    (tmp_path / "flow.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    state = {
        "backend": "flow",
        "target": target.format(folder=tmp_path),
        "inputs": {},
        "thread_id": "t",
        "mode": "local",
        "config": config,
    }
    named = executions({"nightly": tmp_path / "flow.py"}, root=tmp_path)
    with trio.fail_after(20):
        async with terzetto.open_runtime("memory:", graphs=[named]) as runtime:
            await runtime.carry_out(Submit("c-1", "r", named.graph.name, msgspec.json.encode(state)))
            result = await runtime.get("r").result()

    assert "FAILED" == result.status
    assert told in str(result.failure)
    assert not (tmp_path / "ran").exists()
