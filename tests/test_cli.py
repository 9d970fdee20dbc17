"""The command line: help, usage, and sentences instead of tracebacks."""

import json
import os
import re
import subprocess
import sys

import pytest

from terzetto._cli import main
from terzetto._cli._exits import MEANINGS

from .commands import LIMIT, run
from .pages import ROOT

# -- help and usage ----------------------------------------------------------------------------------------------


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
    modules = ["_arguments", "_errors", "_exits", "_output", "_parser"]

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
    ("watch", "r", "--from", "-1"): "'-1' is not a whole number of 0 or more",
    ("undo", "r", "0"): "'0' is not a whole number of 1 or more",
    ("undo", "r", "x"): "'x' is not a whole number of 1 or more",
    ("runs", "--limit", "9" * 40): "is larger than anything that is counted here",
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


# -- pipes -------------------------------------------------------------------------------------------------------


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
