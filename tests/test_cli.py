"""The command line: exit codes, sentences instead of tracebacks, and runs that go on from anywhere."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from terzetto._cli import main
from terzetto._cli._exits import MEANINGS

LIMIT = 60
"""Seconds that any one command may take."""
ROOT = Path(__file__).resolve().parent.parent

SHOP = """
import os
import signal
from pathlib import Path

import terzetto
import trio
from attrs import define, frozen


@define
class Order:
    item: str = "tea"
    amount: int = 1
    paid: int = 0


@frozen
class Paid:
    sum: int

    def apply(self, order):
        order.paid += self.sum


def declare(name, **options):
    return terzetto.Graph(name, state=Order, mutations=[Paid], **options)


good = declare("good")


@good.node
async def pay(ctx):
    ctx.emit_text("counting ")
    ctx.emit_text("coins")
    ctx.record(Paid(ctx.state.amount))


good.start(pay)

bad = declare("bad")


@bad.node
async def explode(ctx):
    raise RuntimeError("the till is \\x1b[31mempty")


bad.start(explode)

asking = declare("asking")


@asking.node
async def price(ctx):
    ctx.record(Paid(ctx.state.amount))


release = asking.barrier("release", payload=lambda order: {"item": order.item})
asking.start(price)
asking.edge(price, release)

choosing = declare("choosing")
way = choosing.barrier("way", exits=["post", "pickup"])
choosing.start(way)

pausing = declare("pausing")


@pausing.node
async def rest(ctx):
    ctx.record(Paid(1))
    ctx.pause()


@pausing.node
async def after(ctx):
    ctx.record(Paid(1))


pausing.start(rest)
pausing.edge(rest, after)

slow = declare("slow")


@slow.node
async def tick(ctx):
    ctx.record(Paid(1))


@slow.node
async def hold(ctx):
    while not Path("go").exists():
        await trio.sleep(0.01)


slow.start(tick)
slow.edge(tick, tick, when=lambda order: order.paid < 5)
slow.edge(tick, hold)

once = declare("once")


@once.node(effects="once")
async def charge(ctx):
    if not Path("charged").exists():
        Path("charged").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    ctx.record(Paid(7))


once.start(charge)


class Clients:
    pass


needy = terzetto.Graph("needy", state=Order, mutations=[Paid], deps=Clients)


@needy.node
async def use(ctx):
    ctx.record(Paid(9))


needy.start(use)
bound = terzetto.bind(needy, Clients())

broken = declare("broken")
broken.start("nowhere")
number = 3
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with the module `shop` in it, which is the current folder of the test."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "failing.py").write_text("raise ValueError('not today')\n")
    (tmp_path / "lone.py").write_text("from shop import good\n")
    monkeypatch.chdir(tmp_path)
    for name in ("TERZETTO_STORE", "UV_RUN_RECURSION_DEPTH"):
        monkeypatch.delenv(name, raising=False)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name in ("shop", "failing", "lone"):
            del sys.modules[name]


@pytest.fixture
def call(capsys):
    """`call(*words)`: the exit code, standard output and standard error of a command in this process."""

    def call(*words):
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def told(call):
    """`told(*words)`: the JSON document of a command that is fine."""

    def told(*words):
        code, output, errors = call(*words, "--json")
        assert (0, "") == (code, errors)
        return json.loads(output)

    return told


def run(folder, *words, stdin="", **environ):
    done = subprocess.run(
        [sys.executable, "-m", "terzetto", *words],
        cwd=folder, env=os.environ | environ, input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


class Started:
    """A command in a process of its own, which lives `LIMIT` seconds at most."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    def until(self, text):
        """Read lines up to one that has this text in it, and return that one."""
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came: {''.join(self.lines)}{self.process.stderr.read()}")

    def end(self):
        """The exit code, and what came on standard output (since the last look) and standard error."""
        output, errors = self.process.communicate()
        return self.process.returncode, output, errors


@contextmanager
def started(folder, *words, **environ):
    with subprocess.Popen(
        [sys.executable, "-m", "terzetto", *words],
        cwd=folder, env=os.environ | environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        alarm = threading.Timer(LIMIT, process.kill)
        alarm.start()
        try:
            yield Started(process)
        finally:
            alarm.cancel()
            process.kill()


def events(output):
    return [json.loads(line) for line in output.splitlines()]


# -- help and usage


def test_help_and_version_and_no_command_at_all(call):
    code, output, errors = call("--help")

    assert (0, "") == (code, errors)
    assert all(f"{code.value:>5}  {meaning[:30]}" in output for code, meaning in MEANINGS.items())
    assert (0, output, "") == call()
    assert (0, "terzetto 0.1.0\n", "") == call("--version")
    assert 0 == call("decide", "--help")[0]


def test_the_documented_exit_codes_are_those_of_the_program():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page.replace("\\|", "|"), re.MULTILINE))

    assert {str(code.value): meaning for code, meaning in MEANINGS.items()} == rows


def test_help_loads_no_command():
    program = (
        "import sys, json; from terzetto._cli import main; main(['--help']); "
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith(('terzetto._cli.', 'rich', 'apsw')))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=True)
    modules = ["_arguments", "_errors", "_exits", "_output", "_parser", "_words"]

    assert [f"terzetto._cli.{name}" for name in modules] == json.loads(done.stdout.splitlines()[-1])


WRONG = {
    ("rusn",): "did you mean run?",
    ("frobnicate",): "there is no command 'frobnicate'",
    ("runs", "--limit", "x"): "'x' is not a whole number",
    ("runs", "--bogus"): "unrecognized arguments: --bogus",
    ("runs", "--status", "RUNING"): "did you mean RUNNING?",
    ("runs", "--status", "purple"): "there are QUEUED",
    ("runs", "--before", "nobody"): "no run 'nobody'",
    ("runs", "--store", "runs.db"): "did you mean sqlite:runs.db?",
    ("runs", "--store", "mysql:x"): "is not a store URL",
    ("runs", "--store", "memory:"): "no guests",
    ("runs", "--store", "sqlite:nope.db"): "there is no store",
    ("watch", "r", "--from", "-1"): "'-1' is not a whole number",
    ("run", "shop:goood"): "did you mean shop:good?",
    ("run", "shop:zzz"): "has no graph 'zzz': there is shop:good",
    ("run", "shop:number"): "shop:number is a int, not a graph",
    ("run", "shop"): "several graphs",
    ("run", "shopp:good"): "did you mean shop?",
    ("run", "zzz.yyy:good"): "there is no module 'zzz.yyy'",
    ("run", "failing:graph"): "ValueError: not today",
    ("run", "shop.py:good"): "name the module, as in shop:good",
    ("run", "./lib/shop.py"): "as in lib.shop:graph",
    ("run", "shop good"): "is not MODULE:GRAPH",
    ("run", "json:good"): "has no graph at its top level",
    ("run", "shop:needy"): "terzetto.bind(needy, Clients(...))",
    ("run", "shop:good", "--input", "{"): "input is malformed",
    ("run", "shop:good", "--input", '{"amount": "x"}'): "$.amount",
    ("run", "shop:good", "--input", "@nofile"): "nofile: No such file",
    ("run", "shop:good", "--input", "[" * 100 + "]" * 100): "nested deeper",
    ("run", "shop:good", "--run-id", "a/b"): "'a/b' is not a run id",
    ("run", "shop:good", "--run-id", "kept"): "another input",
    ("show", "kepd"): "did you mean kept?",
    ("show", "zzz"): "no run 'zzz' in this store",
    ("decide", "kept"): "--approve --reject",
    ("decide", "kept", "--approve"): "has ended SUCCEEDED",
    ("decide", "kept", "--approve", "--retry"): "not allowed with",
    ("decide", "asked", "nope", "--approve"): "no barrier 'nope'; open: release@2",
    ("decide", "asked", "--confirm", "{"): "--confirm takes a list",
    ("decide", "asked", "--confirm", '[{"title": 1}]'): "--confirm takes a list",
    ("decide", "asked", "--approve", "--wait", "soon"): "'soon' is not a number of seconds",
    ("cancel", "kept"): "has ended SUCCEEDED already",
    ("resume", "kept"): "has ended SUCCEEDED",
    ("resume", "asked"): "say its graph",
    ("resume", "asked", "shop:good"): "of graph 'asking', and shop:good is graph 'good'",
    ("graph", "shop:gooood"): "did you mean shop:good?",
    ("demo", "no-such-folder"): "there is no folder",
    ("demo", "shop.py"): "is a file: give its folder",
    ("demo", "--out", "shop.py/x"): "is a file: --out takes a folder",
    ("demo", "--approve", "--reject"): "not allowed with",
}


def test_what_is_wrong_is_said_in_one_sentence(shop, call):
    """Issue 2, face: wrong module, graph, JSON, store URL or run id: one helpful sentence, exit 2, no traceback."""
    assert 0 == call("run", "shop:good", "--input", '{"amount": 2}', "--run-id", "kept")[0]
    assert 3 == call("run", "shop:asking", "--run-id", "asked")[0]
    for words, fragment in WRONG.items():
        code, output, errors = call(*words)

        assert (2, "") == (code, output), words
        assert fragment in errors, words
        assert errors.startswith("terzetto: "), words
        assert 1 == errors.count("\n"), words
        assert "Traceback" not in errors, words


def test_a_graph_with_several_mistakes_tells_them_all(shop, call):
    code, output, errors = call("run", "shop:broken")

    assert (2, "") == (code, output)
    assert "no node 'nowhere'" in errors
    assert "Traceback" not in errors


def test_a_refused_run_is_no_bug_even_in_a_process_of_its_own(shop):
    code, output, errors = run(shop, "run", "shop:good", "--run-id", "r", "--input", '{"amount": "x"}')

    assert (2, "", 1) == (code, output, errors.count("\n"))


def test_a_bug_shows_where_it_is(shop, monkeypatch):
    monkeypatch.setattr("terzetto._cli._list.runs", lambda args, output: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        main(["runs"])


# -- run


def test_run_tells_its_events_and_its_end(shop, call):
    code, output, errors = call("run", "shop:good", "--run-id", "r-1", "--input", '{"amount": 4}')
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in output.splitlines()]

    assert (0, "") == (code, errors)
    assert lines == [
        "run r-1 of graph good",
        "queued",
        "claimed (epoch 1)",
        "pay@1 started",
        "counting coins",
        "pay@1 finished, 1 mutation (commit 3)",
        "run r-1 SUCCEEDED",
        'state {"amount":4,"item":"tea","paid":4}',
    ]


def test_run_for_machines_is_one_object_a_line(shop, call):
    code, output, _ = call("run", "shop:good", "--run-id", "r-1", "--json")
    said = events(output)

    assert 0 == code
    assert [
        "RunQueued",
        "RunStarted",
        "NodeStarted",
        "TextChunk",
        "TextChunk",
        "NodeFinished",
        "RunEnded",
        "Result",
    ] == [each["type"] for each in said]
    assert "SUCCEEDED" == said[-1]["status"]
    assert {"item": "tea", "amount": 1, "paid": 1} == said[-1]["state"]


def test_the_same_run_again_is_the_same_run(shop, call):
    """SEMANTICS 10: the same id and input is one run; another input is a conflict (above)."""
    call("run", "shop:good", "--run-id", "r-1")
    code, output, _ = call("run", "shop:good", "--run-id", "r-1")

    assert 0 == code
    assert "run r-1 was there before (3 commits) and has ended SUCCEEDED" == output.splitlines()[0]

    call("run", "shop:good", "--key", "order-7")
    assert "was there before" in call("run", "shop:good", "--key", "order-7")[1]


def test_input_comes_from_the_line_a_file_or_standard_input(shop, call):
    (shop / "order.json").write_text('{"amount": 6}')

    assert '"paid":6' in call("run", "shop:good", "--input", "@order.json")[1]
    assert '"paid":8' in run(shop, "run", "lone", "--input", "@-", stdin='{"amount": 8}')[1]
    assert '"paid":9' in call("run", "shop:bound")[1]


def test_the_current_folder_is_looked_at_however_the_command_was_started(shop):
    words = [sys.executable, "-P", "-m", "terzetto", "run", "lone", "--run-id", "r"]
    done = subprocess.run(words, cwd=shop, capture_output=True, text=True, timeout=LIMIT, check=False)

    assert 0 == done.returncode, done.stderr


def test_exit_codes_tell_how_a_run_ended(shop, call):
    code, output, _ = call("run", "shop:bad", "--run-id", "b")

    assert 1 == code
    assert r"run b FAILED: node_error: node 'explode': RuntimeError: the till is \x1b[31mempty" in output
    assert "\x1b" not in output
    assert "shop.py" in output  # the frame where it happened

    assert 3 == call("run", "shop:asking", "--run-id", "a")[0]
    assert 0 == call("run", "shop:asking", "--run-id", "a2", "--auto-approve")[0]
    assert 0 == call("cancel", "a")[0]
    assert 4 == call("resume", "a", "shop:asking")[0]
    assert 4 == call("watch", "a")[0]
    assert 1 == call("watch", "b")[0]


def test_a_run_without_anybody_to_decide_says_how_and_goes_on_later(shop, call):
    code, output, _ = call("run", "shop:choosing", "--run-id", "c")

    assert 3 == code
    command = "terzetto decide c way@1 --choose post --store sqlite:"
    assert command in output
    assert "(or with --choose pickup)" in output

    code, output, _ = call("decide", "c", "--choose", "pickup", "--by", "ann")

    assert 0 == code
    assert output.startswith("recorded: no process owns the store now, and the next one carries it out")

    code, output, _ = call("resume", "c", "shop:choosing")

    assert 0 == code
    assert "way@1 decided: choose pickup by ann" in output

    assert (0, "way@1 of run c was decided already: choose by ann\n", "") == call(
        "decide", "c", "way", "--choose", "post"
    )
    assert 2 == call("decide", "c", "way@1", "--approve")[0]


def test_a_paused_run_goes_on_when_it_is_asked_to(shop, call):
    code, output, _ = call("run", "shop:pausing", "--run-id", "p")

    assert 3 == code
    assert "run p is paused; go on: " in output
    assert 0 == call("resume", "p")[0]
    assert 0 == call("resume", "p", "shop:pausing")[0]
    assert 3 == call("run", "shop:pausing", "--run-id", "p2")[0]
    assert 0 == call("resume", "p2", "shop:pausing")[0]


def test_what_a_killed_once_node_did_is_asked_and_answered(shop, call, told):
    """SEMANTICS 7: a `once` body whose process died is UNKNOWN, and a person says: confirm, retry, fail."""
    confirmed = ["--confirm", '[{"name": "Paid", "data": {"sum": 40}}]']
    for answer, paid in ((["--retry"], 7), (confirmed, 40), (["--fail", "lost"], 0)):
        name = answer[0].strip("-")
        (shop / "charged").unlink(missing_ok=True)
        assert -signal.SIGKILL == run(shop, "run", "shop:once", "--run-id", name)[0]
        code, output, _ = call("run", "shop:once", "--run-id", name)

        assert 3 == code
        assert "charge@1 asks what became of its effect" in output
        assert f"terzetto decide {name} charge@1 --confirm" in output
        assert ["charge@1"] == told("show", name)["unknown"]

        assert 0 == call("decide", name, *answer)[0]
        assert (1 if paid == 0 else 0) == call("resume", name, "shop:once")[0]
        assert paid == told("show", name)["state"]["paid"]
        assert [] == told("show", name)["unknown"]


# -- beside an owner


def test_commands_reach_the_run_through_its_owner(shop, call, told):
    """SEMANTICS 11: others may read, and put commands into an inbox that the owner notices."""
    with started(shop, "run", "shop:asking", "--run-id", "a", "--stay") as owner:
        command = owner.until("terzetto decide")

        code, output, errors = call("run", "shop:good")
        assert (5, "") == (code, output)
        assert f"owned by process {owner.process.pid}" in errors
        assert "stop that owner first" in errors

        assert "AWAITING_INPUT" in call("runs")[1]
        assert f"process {owner.process.pid} owns the store" in call("resume", "a", "shop:asking")[1]
        assert 2 == call("decide", "a", "--choose", "sideways")[0]
        assert 2 == call("decide", "a", "--retry")[0]

        receipt = told(*command.split()[3:], "--by", "ann")["receipt"]
        assert {"type": "decision_taken", "run_id": "a", "barrier": "release@2", "durable": True} == receipt
        code, output, _ = owner.end()

    assert 0 == code
    assert "release@2 decided: approve by ann" in output


def test_a_cancel_reaches_a_running_node(shop, call):
    with started(shop, "run", "shop:slow", "--run-id", "s") as owner:
        owner.until("hold@6 started")
        code, output, _ = call("cancel", "s", "--reason", "enough")
        ended, rest, _ = owner.end()

    assert (0, 4) == (code, ended)
    assert "run s" in output
    assert "cancel requested: enough" in rest
    assert 0 == call("cancel", "s")[0]


def test_watch_follows_a_run_until_it_ends(shop, call):
    with started(shop, "run", "shop:slow", "--run-id", "s") as owner:
        owner.until("hold@6 started")
        with started(shop, "watch", "s", "--json") as watcher:
            seen = [json.loads(watcher.until("NodeFinished")) for _ in range(5)]
            (shop / "go").touch()
            code, rest, _ = watcher.end()
        assert 0 == owner.end()[0]

    assert 0 == code
    assert ["NodeFinished", "RunEnded"] == [each["type"] for each in events(rest)]

    code, output, _ = call("watch", "s", "--from", str(seen[-1]["id"]), "--json")
    assert (0, rest) == (code, output)


def test_watch_that_is_interrupted_says_how_to_go_on(shop):
    with started(shop, "run", "shop:slow", "--run-id", "s") as owner:
        owner.until("hold@6 started")
        with started(shop, "watch", "s") as watcher:
            watcher.until("tick@5 finished")
            watcher.process.send_signal(signal.SIGINT)
            code, _, errors = watcher.end()
        (shop / "go").touch()
        owner.end()

    assert 130 == code
    assert re.search(r"watch s --from \d{10}", errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
def test_a_signal_leaves_in_good_order_and_the_run_goes_on(shop, call, first, second):
    """SEMANTICS 9.6: SIGTERM lets running work reach its commits until the deadline; a second signal is at once."""
    with started(shop, "run", "shop:slow", "--run-id", "s") as owner:
        owner.until("hold@6 started")
        owner.process.send_signal(first)
        owner.process.send_signal(second)
        code, _, errors = owner.end()

    assert 130 == code
    assert "Traceback" not in errors
    assert "terzetto resume s shop:slow" in errors
    assert "INTERRUPTED" in call("runs")[1]

    (shop / "go").touch()
    assert 0 == call("resume", "s", "shop:slow")[0]


def test_a_command_that_hangs_on_its_way_out_leaves_anyway(shop):
    """SEMANTICS 9.1: the command line leaves with `os._exit` after the shutdown deadline."""
    program = (
        "import time; from terzetto._cli._output import Output; from terzetto._cli._owner import LastResort; "
        "LastResort(Output(), 0.05).arm(); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False)

    assert 130 == done.returncode
    assert "leaving without it" in done.stderr


# -- looking


def test_show_proves_the_history(shop, call, told):
    """Issue 2: `show --json` proves the history: one commit after the other, the end last and once."""
    call("run", "shop:asking", "--run-id", "a", "--input", '{"amount": 5}')
    call("decide", "a", "--reject", "too dear", "--by", "ann")
    call("resume", "a", "shop:asking")
    view = told("show", "a")
    commits = view["commits"]
    ids = [event["id"] for commit in commits for event in commit["events"]]

    assert list(range(1, len(commits) + 1)) == [commit["seq"] for commit in commits]
    assert view["seq"] == len(commits) == view["state_seq"]
    assert sorted(set(ids)) == ids
    assert ["RunEnded"] == [each["type"] for each in commits[-1]["events"] if each["id"] == ids[-1]]
    assert 1 == sum(event["type"] == "RunEnded" for commit in commits for event in commit["events"])
    assert [{"name": "Paid", "data": {"sum": 5}}] == commits[2]["mutations"]
    assert {"type": "reject", "reason": "too dear"} == commits[-1]["detail"]["decision"]
    assert {"item": "tea", "amount": 5, "paid": 5} == view["state"]


def test_show_for_people(shop, call):
    call("run", "shop:asking", "--run-id", "a")
    code, output, _ = call("show", "a", "--commits", "2")

    assert 0 == code
    assert "run a AWAITING_INPUT" == output.splitlines()[0]
    assert "release@2 open since" in output
    assert "terzetto decide a release@2 --approve" in output
    assert "... 1 earlier commit (--commits all)" in output
    assert re.search(
        r"^3 +\d\d:\d\d:\d\d +1 +visit price@1 SUCCEEDED +Paid +NodeFinished, BarrierOpened", output, re.MULTILINE
    )
    assert "earlier" not in call("show", "a", "--commits", "all")[1]

    call("run", "shop:bad", "--run-id", "b")
    assert "node_error: node 'explode'" in call("show", "b")[1]


def test_runs_are_listed_newest_first_and_by_status(shop, call, told):
    for name in ("a", "b", "c"):
        call("run", "shop:asking" if name == "b" else "shop:good", "--run-id", name)

    assert ["c", "b", "a"] == [line["run_id"] for line in told("runs")["runs"]]
    assert ["b"] == [line["run_id"] for line in told("runs", "--status", "review")["runs"]]
    assert ["c", "a"] == [line["run_id"] for line in told("runs", "--status", "succeeded,failed")["runs"]]
    assert ["b", "a"] == [line["run_id"] for line in told("runs", "--before", "c")["runs"]]
    assert ["release@2"] == told("runs", "--status", "AWAITING-INPUT")["runs"][0]["open_barriers"]
    assert [] == told("runs", "--limit", "0")["runs"]

    output = call("runs", "--limit", "2")[1]
    assert "waits at release@2" in output
    assert "runs --before b" in output
    assert "no such runs\n" == call("runs", "--status", "FAILED")[1]


def test_graphs_are_drawn_and_checked(shop, call, told):
    assert call("graph", "shop:asking", "--mermaid")[1].startswith("flowchart TD\n")
    assert call("graph", "shop:asking", "--dot")[1].startswith('digraph "asking" {\n')
    assert "graph asking 1: 1 node, 1 barrier" in call("graph", "shop:asking")[1]

    checked = told("graph", "shop:slow", "--check")
    assert (["tick", "hold"], [], ["tick -> tick"], ["hold"]) == (
        checked["nodes"], checked["barriers"], checked["cycles"], checked["ends"],
    )  # fmt: skip
    assert (2, "") == call("graph", "shop:broken")[::2]
    assert "flowchart" in told("graph", "shop:bound", "--mermaid")["drawing"]


def test_doctor_says_what_waits_and_what_to_do(shop, call, told, monkeypatch):
    code, output, _ = call("doctor")
    assert 0 == code
    assert "file not made yet" in output

    call("run", "shop:asking", "--run-id", "a")
    call("run", "shop:pausing", "--run-id", "p")
    with started(shop, "run", "shop:slow", "--run-id", "s") as owner:
        owner.until("hold@6 started")
        assert owner.process.pid == told("doctor")["owner"]
        monkeypatch.setattr("terzetto._cli._doctor.STUCK", 0.0)
        assert f"is RUNNING in process {owner.process.pid}, without a commit" in call("doctor")[1]
        owner.process.kill()
        owner.end()
    call("decide", "a", "--approve")
    report = told("doctor", "--deep")

    assert (None, []) == (report["owner"], report["problems"])
    assert {"AWAITING_INPUT": 1, "PAUSED": 1, "RUNNING": 1} == report["runs"]
    advice = {found["run_id"]: (found["finding"], found["advice"]) for found in report["findings"]}
    assert "1 command without an answer" in advice[""][0]
    assert "waits for a decision at release@2" in advice["a"][0]
    assert "decide a release@2 --approve" in advice["a"][1]
    assert "terzetto resume p --store" in advice["p"][1]
    assert "nobody owns the store" in advice["s"][0]
    assert "resume s MODULE:GRAPH" in advice["s"][1]
    assert "integrity: checked, and whole" in call("doctor", "--deep")[1]


def test_doctor_of_a_file_that_is_no_store_says_so_and_ends_with_5(shop, call):
    (shop / "terzetto.db").write_bytes(b"not a database at all " * 100)
    code, output, _ = call("doctor")

    assert 5 == code
    assert "problem: " in output
    assert 5 == call("runs")[0]


def test_the_store_may_come_from_the_environment(shop, call, monkeypatch):
    monkeypatch.setenv("TERZETTO_STORE", "sqlite:other.db")
    call("run", "shop:good", "--run-id", "r")

    assert (shop / "other.db").exists()
    assert not (shop / "terzetto.db").exists()
    assert "SUCCEEDED" in call("runs")[1]


# -- pipes


def test_a_reader_that_went_away_is_no_error(shop):
    run(shop, "run", "shop:good", "--run-id", "r")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "terzetto", "runs"],
            cwd=shop, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)

    assert (141, "") == (done.returncode, done.stderr)


def test_no_standard_streams_at_all_are_no_error(shop):
    command = f"exec {sys.executable} -m terzetto run shop:good --run-id r"

    assert 0 == subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], cwd=shop, timeout=LIMIT, check=False).returncode
    assert "SUCCEEDED" in run(shop, "runs")[1]


def test_lines_in_a_pipe_are_plain(shop):
    code, output, _ = run(shop, "run", "shop:good", "--run-id", "r", FORCE_COLOR="1", PYTHONIOENCODING="ascii")

    assert 0 == code
    assert "\x1b" not in output
