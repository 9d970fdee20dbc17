"""`terzetto demo`: killed at any moment and started again, it goes on, and writes the report once."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .commands import LIMIT, SHOP, events, run, started
from .lives import KILLED
from .pages import ROOT

FILES = 40


def plant(folder, files):
    """A tree of Python source with a few things to find in it."""
    for number in range(files):
        package = folder / f"package_{number % 7}"
        package.mkdir(parents=True, exist_ok=True)
        body = "".join(f"    if a > {n}:\n        a += {n}\n" for n in range(number % 5))
        (package / f"module_{number}.py").write_text(f"def function_{number}(a):\n{body}    return a\n")
    (folder / "package_0" / "module_0.py").write_text("def broken(:\n")
    (folder / "package_1" / "module_1.py").write_bytes(b"\xff\xfe not text")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty current folder, beside a tree of source."""
    plant(tmp_path / "tree", FILES)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("TERZETTO_STORE", raising=False)
    return tmp_path / "here"


@pytest.fixture
def listed(call):
    """The runs of the store, newest first, each whole."""

    def listed():
        lines = json.loads(call("runs", "--json")[1])["runs"]
        return [json.loads(call("show", line["run_id"], "--json")[1]) for line in lines]

    return listed


@pytest.fixture
def expected(tmp_path, call, monkeypatch):
    """The report of a run that nobody killed."""
    (tmp_path / "there").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "there")
        assert 0 == call("demo", "../tree", "--approve")[0]
    return (tmp_path / "there" / "audit.json").read_bytes()


def proves(view):
    """Issue 2: the history has no hole, its end is last, and the report was written by one visit."""
    commits = view["commits"]
    ids = [event["id"] for commit in commits for event in commit["events"]]

    assert list(range(1, len(commits) + 1)) == [commit["seq"] for commit in commits]
    assert sorted(set(ids)) == ids
    assert "RunEnded" == commits[-1]["events"][-1]["type"]
    assert 1 == sum(commit["place"] == "publish" and commit["outcome"] == "SUCCEEDED" for commit in commits)
    assert FILES == sum(commit["place"] == "scan" and commit["outcome"] == "SUCCEEDED" for commit in commits)
    return True


# -- from beginning to end


def test_an_approved_audit_writes_its_report(place, call, listed):
    code, output, errors = call("demo", "../tree", "--approve")

    assert (0, "") == (code, errors)
    assert f"{FILES} of {FILES} files" in output
    assert re.search(rf"^  Files +{FILES}$", output, re.MULTILINE)
    assert re.search(r"^  Problems +2  files that could not be read or parsed$", output, re.MULTILINE)
    assert "sign-off@43 decided: approve by " in output
    assert f"report  {(place / 'audit.html').as_uri()}" in output
    report = json.loads((place / "audit.json").read_bytes())
    assert (FILES, FILES) == (len(report["files"]), report["summary"]["files"])
    assert "<html" in (place / "audit.html").read_text()
    (view,) = listed()
    assert proves(view)


def test_a_rejected_audit_writes_nothing_and_was_answered(place, call):
    code, output, _ = call("demo", "../tree", "--reject", "too long")

    assert 0 == code
    assert "rejected: too long: no report was written" in output
    assert not (place / "audit.json").exists()

    code, output, _ = call("demo", "../tree")
    assert 0 == code
    assert "rejected: too long: no report was written" in output


def test_machines_get_events_and_a_report(place, call):
    code, output, _ = call("demo", "../tree", "--approve", "--json", "--out", "reports/new")
    said = events(output)

    assert 0 == code
    assert "NodeFinished" in {each["type"] for each in said}
    assert ["RunEnded", "Report"] == [each["type"] for each in said[-2:]]
    assert ("SUCCEEDED", "approved", FILES) == (
        said[-1]["status"], said[-1]["verdict"], said[-1]["summary"]["files"],
    )  # fmt: skip
    assert str(place / "reports" / "new" / "audit.html") == said[-1]["html"]
    assert Path(said[-1]["json"]).exists()

    again = json.loads(call("demo", "../tree", "--json", "--out", "reports/new")[1])
    assert said[-1] == again


def test_a_finished_audit_is_shown_and_made_anew_only_when_asked(place, call, listed):
    call("demo", "../tree", "--approve")
    code, output, _ = call("demo", "../tree")

    assert 0 == code
    assert "was audited before" in output
    assert f"report  {(place / 'audit.html').as_uri()}" in output
    assert 1 == len(listed())

    assert 0 == call("demo", "../tree", "--fresh", "--approve")[0]
    assert 0 == call("demo", "../tree", "--fresh", "--approve")[0]
    names = [view["run_id"] for view in listed()]
    assert [f"{names[2]}-3", f"{names[2]}-2"] == names[:2]
    assert names[0] in call("demo", "../tree")[1]


def test_audits_of_other_folders_are_other_runs(place, call, listed):
    plant(place / "other", 3)

    assert 0 == call("demo", "../tree", "--approve", "--out", "one")[0]
    assert 0 == call("demo", "other", "--approve", "--out", "two")[0]
    assert 0 == call("demo", "other", "--approve", "--out", "one")[0]
    assert 3 == len(listed())


def test_an_empty_folder_is_audited_too(place, call):
    (place / "empty").mkdir()
    code, output, _ = call("demo", "empty", "--approve")

    assert 0 == code
    assert re.search(r"^  Files +0$", output, re.MULTILINE)


def test_a_folder_whose_name_is_not_unicode_is_refused_in_a_sentence(place, call):
    name = os.fsdecode(b"caf\xe9")
    Path(name).mkdir()
    code, _, errors = call("demo", name, "--approve")

    assert (2, 1) == (code, errors.count("\n"))
    assert "surrogate" in errors


def test_the_graph_of_the_demo_may_be_drawn(place, call):
    assert "sign-off" in call("graph", "terzetto.demo:audit", "--mermaid")[1]


# -- killed


@pytest.mark.parametrize(
    "point",
    [
        "submit_durable:1",
        "commit_durable:2",
        "commit_durable:20",
        f"mutation_recorded:{FILES}",
        "decision_durable:1",
        "intent_durable:1",
        f"effect_done:{FILES + 2}",
        "event_published:9",
    ],
)
def test_a_killed_audit_goes_on_and_writes_the_same_report(forks, place, call, listed, expected, point):
    """Issue 2: killed and started again, `audit.json` is byte-identical to an unkilled run's."""
    environ = {"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": point}
    life = forks.live("-m", "terzetto", "demo", "../tree", "--approve", **environ)

    assert KILLED == life.code, life.out + life.errors
    assert point == f"effect_done:{FILES + 2}" or not (place / "audit.json").exists()

    (view,) = listed()
    done = sum(commit["place"] == "scan" for commit in view["commits"])
    skipped = {0: None, FILES: "all files"}.get(done, f"{done} of {FILES} files")
    code, output, errors = call("demo", "../tree", "--approve")

    assert (0, "") == (code, errors)
    assert expected == (place / "audit.json").read_bytes()
    (view,) = listed()
    assert proves(view)
    assert ([] if skipped is None else [f"{skipped} were done before, going on"]) == [
        line for line in output.splitlines() if "done before" in line
    ]


def test_an_audit_that_is_killed_before_its_store_is_made_goes_on(place, call):
    """Killed at any moment and started again, it continues: the file was there, and nothing in it yet."""
    (place / "terzetto.db").touch()
    assert 0 == call("demo", "../tree", "--approve")[0]
    assert (place / "audit.json").exists()


def test_an_audit_that_is_killed_from_outside_goes_on(place, call, tmp_path):
    plant(tmp_path / "large", 2000)
    with started(place, "demo", "../large", "--approve") as demo:
        demo.until(" of 2,000 files")
        demo.process.kill()
        assert -signal.SIGKILL == demo.end()[0]

    code, output, _ = call("demo", "../large", "--approve")
    assert 0 == code
    done = re.search(r"^([\d,]+) of 2,000 files were done before, going on$", output, re.MULTILINE)
    assert 0 < int(done[1].replace(",", "")) < 2000


def test_a_signal_leaves_an_audit_that_goes_on(place, call, tmp_path):
    """SEMANTICS 9.6: SIGTERM leaves in good order; the run goes on with the same command."""
    plant(tmp_path / "large", 2000)
    with started(place, "demo", "../large", "--approve") as demo:
        demo.until(" of 2,000 files")
        demo.process.terminate()
        code, _, errors = demo.end()

    assert 130 == code
    assert re.search(r"^interrupted after [\d,]+ of 2,000 files; the same command goes on$", errors, re.MULTILINE)
    assert "Traceback" not in errors
    assert 0 == call("demo", "../large", "--approve")[0]


# -- decided from elsewhere


def test_a_waiting_audit_is_decided_from_another_process(place, call):
    with started(place, "demo", "../tree") as demo:
        command = demo.until("terzetto decide").split()

        code, _, errors = call("demo", "../tree")
        assert 5 == code
        assert f"owned by process {demo.process.pid}" in errors
        assert "terzetto show audit-" in errors

        code, output, _ = call(*command[command.index("decide") :], "--by", "ann")
        assert 0 == code
        assert "is decided" in output
        code, output, errors = demo.end()

    assert (0, "") == (code, errors)
    assert "sign-off@43 decided: approve by ann" in output
    assert (place / "audit.html").exists()


def test_without_anybody_to_decide_it_may_leave(place, call):
    code, output, _ = call("demo", "../tree", "--no-wait")

    assert 3 == code
    command = re.search(r"decide (audit-\w+) sign-off@43 --approve --store (\S+)", output)
    assert "recorded: " in call("decide", command[1], "--approve")[1]
    code, output, _ = call("demo", "../tree", "--no-wait")
    assert 0 == code
    assert "all files were done before, going on" in output
    assert (place / "audit.html").exists()


# -- at a terminal


AT_TERMINAL = """
import fcntl, sys, termios
from terzetto._cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # signals come from it now, as under a shell
sys.exit(main())
"""


class Terminal:
    """A command at a terminal of its own, and what is on it."""

    def __init__(self, folder, *words, **environ):
        self.fd, theirs = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, *words],
            cwd=folder, env=os.environ | environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.alarm = threading.Timer(LIMIT, self.process.kill)
        self.alarm.start()

    def until(self, text):
        """Read up to this text, and return what came before."""
        while text not in self.text:
            piece = self._read()
            assert piece, f"{text!r} never came: {self.text}"
            self.text += piece
        before, _, self.text = self.text.partition(text)
        return before

    def _read(self):
        with contextlib.suppress(OSError):  # Linux says so when nobody holds the other side any more
            return os.read(self.fd, 65536).decode()
        return ""

    def types(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        while piece := self._read():
            self.text += piece
        return self.process.wait(), self.text

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.alarm.cancel()
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


PROMPT = "[a]pprove / [r]eject:"
FANCY = {"TERM": "xterm-256color", "NO_COLOR": ""}


@pytest.mark.parametrize("words, environ", [((), FANCY), (("--plain",), FANCY), ((), {"NO_COLOR": "1"})])
def test_a_person_at_the_terminal_is_asked(place, words, environ):
    with Terminal(place, "demo", "../tree", *words, **environ) as terminal:
        seen = terminal.until(PROMPT)
        terminal.types("x\n")
        seen += terminal.until(PROMPT)
        terminal.types("re\n")
        terminal.until("reason (may be empty):")
        terminal.types("not yet\n")
        code, rest = terminal.end()

    assert 0 == code
    assert "rejected: not yet: no report was written" in rest
    assert ("\x1b" in seen) == (environ is FANCY and not words)
    assert not (place / "audit.json").exists()


def test_what_was_typed_before_the_question_is_no_answer(place):
    with Terminal(place, "demo", "../tree", "--plain") as terminal:
        terminal.types("a\n")
        terminal.until(PROMPT)
        terminal.types("r\n")
        terminal.until("reason (may be empty):")
        terminal.types("\n")
        code, rest = terminal.end()

    assert 0 == code
    assert "rejected: no report was written" in rest


def test_a_decision_from_elsewhere_ends_the_question(place, call):
    with Terminal(place, "demo", "../tree", "--plain") as terminal:
        terminal.until(PROMPT)
        (line,) = json.loads(call("runs", "--json")[1])["runs"]
        assert 0 == call("decide", line["run_id"], "--approve", "--by", "ann")[0]
        code, rest = terminal.end()

    assert 0 == code
    assert "\r\nsign-off@43 decided: approve by ann\r\n" in rest
    assert (place / "audit.json").exists()


def test_ctrl_c_at_the_question_leaves_it_open(place, call, listed):
    with Terminal(place, "demo", "../tree", **FANCY) as terminal:
        terminal.until(PROMPT)
        terminal.types("\x03")
        code, rest = terminal.end()

    assert 130 == code
    assert "interrupted before the sign-off; the same command goes on" in rest
    assert "Traceback" not in rest
    (view,) = listed()
    assert "AWAITING_INPUT" == view["status"]

    with Terminal(place, "demo", "../tree", "--plain") as terminal:
        assert "all files were done before, going on" in terminal.until(PROMPT)
        terminal.types("a\n")
        assert 0 == terminal.end()[0]


def test_ctrl_d_at_the_question_says_how_to_answer_and_waits(place, call):
    with Terminal(place, "demo", "../tree", "--plain") as terminal:
        terminal.until(PROMPT)
        terminal.types("\x04")
        terminal.until("terzetto decide ")
        run_id = terminal.until(" ")
        assert 0 == call("decide", run_id, "--approve")[0]
        assert 0 == terminal.end()[0]


def test_progress_is_a_bar_on_a_terminal(place, tmp_path):
    plant(tmp_path / "large", 1000)
    with Terminal(place, "demo", "../large", "--approve", **FANCY) as terminal:
        terminal.until(" of 1,000 files")
        assert "package_" in terminal.until("report  file://")
        assert 0 == terminal.end()[0]


def test_lists_have_colours_on_a_terminal(place, call):
    call("demo", "../tree", "--no-wait")
    (line,) = json.loads(call("runs", "--json")[1])["runs"]
    for words in (["runs"], ["show", line["run_id"]], ["doctor"]):
        with Terminal(place, *words, **FANCY) as terminal:
            code, output = terminal.end()
        assert 0 == code
        assert "\x1b[33m" in output
        assert line["run_id"] in output


def test_a_person_is_asked_what_became_of_an_effect(place):
    """SEMANTICS 7: an UNKNOWN visit is confirmed, retried or failed by a person."""
    (place / "shop.py").write_text(SHOP)
    assert -signal.SIGKILL == run(place, "run", "shop:once", "--run-id", "o")[0]
    with Terminal(place, "run", "shop:once", "--run-id", "o", "--plain") as terminal:
        assert "charge@1 asks what became of its effect" in terminal.until("[c]onfirm / [r]etry / [f]ail:")
        terminal.types("fail\n")
        terminal.until("reason (may be empty):")
        terminal.types("lost\n")
        code, rest = terminal.end()

    assert 1 == code
    assert "run o FAILED" in rest


def test_an_exit_of_its_own_is_chosen_by_its_first_letters(place):
    (place / "shop.py").write_text(SHOP)
    with Terminal(place, "run", "shop:choosing", "--run-id", "c", "--plain") as terminal:
        terminal.until("[po]st / [pi]ckup:")
        terminal.types("p\n")
        terminal.until("[po]st / [pi]ckup:")
        terminal.types("pi\n")
        code, rest = terminal.end()

    assert 0 == code
    assert "way@1 decided: choose pickup by" in rest


# -- the example


def test_the_example_asks_and_does_what_is_said(place, call):
    words = [sys.executable, str(ROOT / "examples" / "audit.py"), "../tree"]
    killed = subprocess.run(words, cwd=place, timeout=LIMIT, capture_output=True, text=True, check=False, input="n\n")

    assert 0 == killed.returncode, killed.stderr
    assert "sign-off@43: sign off? [y/n] " in killed.stdout
    assert "SUCCEEDED: 40 files, rejected: not good enough, see audit.html" in killed.stdout
    (line,) = json.loads(call("runs", "--json", "--store", "sqlite:audit.db")[1])["runs"]
    assert "audit-1" == line["run_id"]
