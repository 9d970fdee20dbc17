"""Metaflow as a guest: a flow's file is a node's work; it streams, is cancelled without orphans, and is resumed."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import attrs
import msgspec
import pytest
import trio

import terzetto
from terzetto.executors import ExecutionContext, ExecutionStatus, FlowExecutor
from terzetto.metaflow import FlowFailed, FlowRun, flow_graph, run_flow
from terzetto.metaflow._lines import Line, Progress, line_of
from terzetto.testing import assert_no_leaks, context, emissions, reported
from terzetto_protocol.limits import FLOW_LINE

from .pages import ROOT

FLOW = ROOT / "tests" / "flows_of_metaflow" / "steps.py"


@attrs.frozen
class Words:
    total: int
    loud: bool


@pytest.fixture
def mark(monkeypatch):
    """A variable in the environment of whatever is started from here."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("TERZETTO_TEST_MARK", mark)
    return mark


def processes(mark):
    """Ids of the processes with the mark, ourselves left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TERZETTO_TEST_MARK={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it has gone, or is nobody's
            continue
    return [each for each in found if each != os.getpid()]


def ran(folder):
    return (folder / "ran.txt").read_text().split() if (folder / "ran.txt").exists() else []


async def run(ctx, folder, **options):
    parameters = {"folder": str(folder), **options.pop("parameters", {})}
    with trio.fail_after(60):
        return await run_flow(ctx, FLOW, parameters=parameters, root=folder, **options)


def told(ctx, name):
    return [msgspec.msgpack.decode(each.data) for each in emissions(ctx) if each.name == name]


async def until(condition):
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - processes tell nobody
            await trio.sleep(0.02)


# -- running -----------------------------------------------------------------------------------------------------


async def test_a_flow_runs_streams_and_gives_its_artifacts_as_what_they_were_declared_to_be(tmp_path, mark):
    ctx = context(None)
    before = time.monotonic()

    result = await run(
        ctx, tmp_path, parameters={"numbers": [3, 4], "loud": True}, artifacts={"words": Words, "total": int}
    )

    assert ("Steps", "") == (result.flow, result.origin)
    assert {"words": Words(7, True), "total": 7} == result.artifacts
    steps = [(each["step"], each["status"]) for each in told(ctx, "metaflow.step")]
    assert [(name, how) for name in ("start", "work", "end") for how in ("started", "finished")] == steps
    assert {"run": result.run_id, "step": "start", "task": "1", "text": "starting, loud"} in told(ctx, "metaflow.log")
    assert 3 == told(ctx, "metaflow.step")[-1]["finished"]
    assert [] == processes(mark)
    assert (tmp_path / ".metaflow" / "Steps" / result.run_id).is_dir()
    assert time.monotonic() - before < 30

    again = context(None)  # as after a crash between the flow's end and the commit
    assert result.run_id == (await run(again, tmp_path, artifacts=["total"])).run_id
    assert ["start", "work", "end"] == ran(tmp_path)

    with pytest.raises(FlowFailed, match=r"artifact 'odd' cannot be read: TypeError"):
        await run(context(None), tmp_path, artifacts=["odd"])
    with pytest.raises(FlowFailed, match=r"artifact 'nothing' cannot be read: AttributeError"):
        await run(context(None), tmp_path, artifacts=["nothing"])
    with pytest.raises(terzetto.Malformed, match="artifact 'total'"):
        await run(context(None), tmp_path, artifacts={"total": str})


async def test_a_flow_that_failed_is_resumed_by_the_next_attempt(tmp_path):
    (tmp_path / "fails").touch()
    guest = flow_graph(FLOW, root=tmp_path, artifacts=["words"])
    retrying = terzetto.Graph("retrying", state=FlowRun, mutations=guest.mutations)

    @retrying.node(retry=terzetto.RetryPolicy(max_attempts=2, initial=0.01))
    async def flow(ctx: terzetto.NodeContext[FlowRun]) -> None:
        result = await run_flow(ctx, FLOW, parameters=ctx.state.parameters, root=tmp_path)
        origins.append(result.origin)

    origins: list[str] = []
    retrying.start(flow)
    async with terzetto.open_runtime("memory:", [retrying]) as runtime:
        with trio.fail_after(60):
            submitted = await runtime.submit(retrying, FlowRun({"folder": str(tmp_path)}))
            result = await submitted.result()

    assert "SUCCEEDED" == result.status
    assert ["start", "work", "work", "end"] == ran(tmp_path)
    assert 1 == len(origins)
    assert origins[0]
    assert "step work of flow Steps failed" in result.observed[0].message


async def test_a_failed_flow_names_its_run_and_another_run_resumes_it(tmp_path):
    (tmp_path / "fails").touch()
    ctx = context(None)

    with pytest.raises(FlowFailed, match="ValueError: not today") as failed:
        await run(ctx, tmp_path)
    result = await run(context(None, run_id="other"), tmp_path, origin=failed.value.run_id, artifacts=["total"])

    assert "Steps" == failed.value.flow
    assert failed.value.run_id.isdigit()
    assert ["step work of flow Steps failed"] == [error.message.partition(" (")[0] for error in reported(ctx)]
    assert (failed.value.run_id, {"total": 3}) == (result.origin, result.artifacts)
    assert ["start", "work", "work", "end"] == ran(tmp_path)


# -- the end of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_cancel_leaves_no_process_behind(tmp_path, mark, deaf):
    """SEMANTICS 14.4; also of steps that ignore SIGINT, and of what they have started."""
    (tmp_path / "waits").touch()
    if deaf:
        (tmp_path / "deaf").touch()
    guest = flow_graph(FLOW, root=tmp_path, grace=0.5)
    async with terzetto.open_runtime("memory:", [guest]) as runtime:
        submitted = await runtime.submit(guest, FlowRun({"folder": str(tmp_path)}))
        await until(lambda: "work" in ran(tmp_path) and len(processes(mark)) >= 4)
        await submitted.cancel()
        with trio.fail_after(10):
            result = await submitted.result()
        left = processes(mark)

    assert "CANCELLED" == result.status
    assert [] == left


async def begun(folder):
    command = [sys.executable, "-m", "tests.flow_child", str(folder)]
    return await trio.lowlevel.open_process(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


async def test_a_flow_ends_with_its_program_and_the_next_program_resumes_it(tmp_path, mark):
    """SEMANTICS 14.4, with `kill -9`."""
    (tmp_path / "waits").touch()
    life = await begun(tmp_path)
    await until(lambda: "work" in ran(tmp_path) and len(processes(mark)) >= 5)
    life.kill()
    with trio.fail_after(10):
        await life.wait()
        await life.stdout.aclose()
        await life.stderr.aclose()
        await until(lambda: not processes(mark))
    (tmp_path / "waits").unlink()

    command = [sys.executable, "-m", "tests.flow_child", str(tmp_path)]
    with trio.fail_after(60):
        done = await trio.run_process(command, cwd=ROOT, capture_stdout=True, capture_stderr=True, check=False)

    assert b"begun\nSUCCEEDED {'words': {'total': 3, 'loud': False}}\n" == done.stdout, done.stderr
    assert ["start", "work", "work", "end"] == ran(tmp_path)
    assert [] == processes(mark)


@pytest.mark.slow
async def test_the_example_runs_watches_cancels_and_resumes_a_flow(tmp_path, mark):
    program = ROOT / "examples" / "metaflow" / "squares.py"
    with trio.fail_after(90):
        done = await trio.run_process([sys.executable, str(program), str(tmp_path)], capture_stdout=True)

    before, _, after = done.stdout.decode().partition("CANCELLED\n")
    assert before.endswith("check started\n")
    assert "start finished" in before
    assert "start finished" not in after
    assert "square started" not in after
    assert after.endswith("end finished\n{'total': 14}\n")
    assert [] == processes(mark)


# -- what it is told ---------------------------------------------------------------------------------------------


FAKE = """#!{python}
import json, os, subprocess, sys, time
from pathlib import Path
words = sys.argv[1:]
folder = Path({folder!r})
if words[0].endswith("_reader.py"):
    if (folder / "unreadable").exists():
        sys.exit("no such thing")
    print(json.dumps({{"successful": True, "resumable": True, "artifacts": {{}}, "errors": {{}}}}))
else:
    Path({folder!r}, "words").write_text(json.dumps(words))
    Path({folder!r}, "variables").write_text(json.dumps(dict(os.environ)))
    Path(words[words.index("--run-id-file") + 1]).write_text("7")
    if (folder / "says").exists():
        sys.stdout.buffer.write((folder / "says").read_bytes())
    if (folder / "escapes").exists():
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        (folder / "escaped").touch()
    while (folder / "waits").exists():
        time.sleep(0.01)
    sys.exit((folder / "fails").exists())
"""


@pytest.fixture
def fake(tmp_path):
    """What stands for Python, and tells what it was started with."""
    path = tmp_path / "python"
    path.write_text(FAKE.format(python=sys.executable, folder=str(tmp_path)))
    path.chmod(0o755)
    return str(path)


async def test_nothing_of_a_flow_is_left_whatever_its_end(tmp_path, fake, mark):
    """SEMANTICS 14.1; law 3"""
    with assert_no_leaks(), trio.fail_after(20):
        await run_flow(context(None), FLOW, root=tmp_path, python=fake)
        (tmp_path / "fails").touch()
        with pytest.raises(FlowFailed):
            await run_flow(context(None, run_id="fails"), FLOW, root=tmp_path, python=fake)
        (tmp_path / "fails").unlink()
        (tmp_path / "waits").touch()
        with trio.move_on_after(0.5) as scope:
            await run_flow(context(None, run_id="waits"), FLOW, root=tmp_path, python=fake)

    assert scope.cancelled_caught
    assert [] == processes(mark)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_a_flow_puts_into_a_session_of_its_own_ends_with_it(tmp_path, fake, mark, is_cancelled):
    """SEMANTICS 14.4."""
    (tmp_path / "escapes").touch()
    if is_cancelled:
        (tmp_path / "waits").touch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(context(None), tmp_path, python=fake, grace=0.2))
        await until((tmp_path / "escaped").exists)
        if is_cancelled:
            nursery.cancel_scope.cancel()

    try:
        assert [] == processes(mark)
    finally:
        for each in processes(mark):
            os.kill(each, signal.SIGKILL)


async def test_long_lines_are_cut_and_odd_ones_are_told(tmp_path, fake):
    (tmp_path / "says").write_bytes(b"a\r\n" + b"x" * (3 * FLOW_LINE) + b"\n\xff\nlast")
    ctx = context(None)

    with trio.fail_after(20):
        await run_flow(ctx, FLOW, root=tmp_path, python=fake)

    texts = [each["text"] for each in told(ctx, "metaflow.log")]
    assert ["a", "x" * FLOW_LINE, "\N{REPLACEMENT CHARACTER}", "last"] == texts


async def test_artifacts_that_nobody_can_read_fail_the_flow(tmp_path, fake):
    (tmp_path / "unreadable").touch()

    with trio.fail_after(20), pytest.raises(FlowFailed, match="its artifacts cannot be read: no such thing"):
        await run_flow(context(None), FLOW, root=tmp_path, python=fake)


@pytest.mark.parametrize("mode, decorator", [("local", []), ("batch", ["batch"]), ("remote", ["kubernetes"])])
async def test_modes_are_metaflows_own(tmp_path, fake, mode, decorator):
    with trio.fail_after(20):
        await run_flow(
            context(None), FLOW, parameters={"numbers": [1], "n": None}, root=tmp_path, mode=mode, python=fake
        )
    words = json.loads((tmp_path / "words").read_text())
    variables = json.loads((tmp_path / "variables").read_text())

    assert [str(FLOW), "--no-pylint", "run", "--numbers=[1]"] == words[:4]
    assert decorator == [words[at + 1] for at, word in enumerate(words) if word == "--with"]
    assert (mode == "local") == ("METAFLOW_DATASTORE_SYSROOT_LOCAL" in variables)


async def test_an_executor_of_flows_takes_a_file_and_a_mode(tmp_path, fake):
    config = {"python": fake, "root": str(tmp_path)}

    with trio.fail_after(20):
        result = await FlowExecutor(mode="batch").execute(FLOW, {"n": 3}, ExecutionContext(config=config))

    assert (ExecutionStatus.SUCCEEDED, {"run_id": "7", "artifacts": {}}) == (result.status, result.output)
    assert "batch" == result.metadata["mode"]
    assert "--with" in json.loads((tmp_path / "words").read_text())


async def test_an_executor_of_flows_takes_a_class(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import trio, steps\n"
        "from terzetto.executors import UnifiedExecutor, FlowExecutor, ExecutionContext\n"
        "context = ExecutionContext(config={'artifacts': ['total']})\n"
        "flows = FlowExecutor(root=sys.argv[2])\n"
        "done = trio.run(flows.execute, steps.Steps, {'folder': sys.argv[2]}, context)\n"
        "print(done.status, done.output['artifacts'], done.error)\n"
    )
    with trio.fail_after(60):
        done = await trio.run_process(
            [sys.executable, "-c", program, str(FLOW.parent), str(tmp_path)], capture_stdout=True, cwd=tmp_path
        )

    assert b"succeeded {'total': 3} None\n" == done.stdout


@pytest.mark.parametrize(
    "options, text",
    [
        ({"parameters": {"with": "batch"}}, "'with' is no name of a parameter"),
        ({"parameters": {"run-id-file": "x"}}, "'run-id-file' is no name of a parameter"),
        ({"parameters": {"n": object()}}, "cannot be given to a flow"),
        ({"mode": "cloud"}, "none of local, batch, remote"),
        ({"artifacts": "total"}, "give a list of names"),
        ({"artifacts": ["a b"]}, "no name of an artifact"),
        ({"grace": 0}, "grace"),
    ],
)
async def test_what_no_flow_could_be_told_is_refused(tmp_path, options, text):
    with pytest.raises(terzetto.InvalidRequest, match=text):
        await run_flow(context(None), FLOW, root=tmp_path, **options)


async def test_a_flow_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(terzetto.InvalidRequest, match="there is no flow"):
        await run_flow(context(None), tmp_path / "none.py")


DATE = b"2026-11-22 02:52:18.678 "


# -- lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw, line",
    [
        (DATE + b"[17/start/1 (pid 2)] Task is starting.\n", Line("Task is starting.", "17", "start", "1")),
        (DATE + b"Workflow starting (run-id 17):\r\n", Line("Workflow starting (run-id 17):")),
        (DATE + b"[17/end/1] Cloning it", Line("Cloning it", "17", "end", "1")),
        (b"[1, 2] is a list\xff", Line("[1, 2] is a list\N{REPLACEMENT CHARACTER}")),
        (b"", Line("")),
    ],
)  # fmt: skip
def test_a_line_says_whose_it_is(raw, line):
    assert line == line_of(raw)


def test_lines_tell_how_far_a_flow_is():
    progress, said = (
        Progress(),
        ["Task is starting.", "anything", "Task failed.", "Task is starting.", "Task finished successfully."],
    )

    told = [progress.note(Line(text, "17", "work", "2")) for text in said]

    assert [None] == [each for each in told if each is None]
    assert {"started": 2, "finished": 1, "failed": 1, "cloned": 0}.items() <= told[-1].items()
    assert progress.note(Line("Task is starting.")) is None


def test_importing_the_package_loads_no_metaflow():
    program = "import terzetto.metaflow as t, sys; t.run_flow, t.FlowFailed; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert "metaflow" not in loaded.stdout.split()
