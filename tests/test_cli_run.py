"""`terzetto run` and `resume`: exit codes, and runs that go on from anywhere."""

import re
import signal
import subprocess
import sys

from .commands import LIMIT, events, run


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


def test_a_command_to_copy_is_one_line_on_a_narrow_terminal(shop, call, monkeypatch):
    """A terminal breaks it at its edge, where it is still one line."""
    from rich.console import Console

    monkeypatch.setattr(
        "terzetto._cli._output.rich_console", lambda file: Console(file=file, width=40, force_terminal=False)
    )
    for words in (["run", "shop:choosing", "--run-id", "c"], ["decide", "c", "--choose", "post"]):
        output = call(*words)[1]
        (command,) = (line for line in output.splitlines() if "terzetto resume" in line)
        assert f"--store sqlite:{shop}/terzetto.db" in command
    for number in range(2):
        call("run", "shop:good", "--run-id", f"run-with-a-long-name-{number}")
    assert "(older ones: terzetto runs --before run-with-a-long-name-1)" in call("runs", "--limit", "1")[1].splitlines()
