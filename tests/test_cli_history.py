"""The command line looks back: `history`, `show --at`, `diff` and `replay` (SEMANTICS 1, 4.4)."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from terzetto._cli import main

from .commands import LIMIT, run
from .trips import TRIP


@pytest.fixture
def call(capsys):
    """`call(*words)`: the exit code, standard output with the times left out, and standard error of a command."""

    def call(*words):
        code = main(words)
        said = capsys.readouterr()
        return code, re.sub(r"\b\d\d:\d\d:\d\d\b", "12:00:00", said.out), said.err

    return call


@pytest.fixture
def monday(folder, call):
    """A run that went to the coast."""
    call("run", "trip:graph", "--run-id", "monday")
    call("decide", "monday", "--choose", "coast", "--by", "ann")
    assert 0 == call("resume", "monday", "trip:graph")[0]


HISTORY = """\
SEQ  AT        WHAT                                  STATUS          MUTATIONS
9    12:00:00  coast@6 finished                      SUCCEEDED       Went
8    12:00:00  where@5 decided: choose coast by ann  RUNNING
7    12:00:00  towns@2 joined                        AWAITING_INPUT
6    12:00:00  towns/1/visit@4 finished              RUNNING         Went
5    12:00:00  towns/0/visit@3 finished              RUNNING         Went
4    12:00:00  towns@2 opened 2 branches             RUNNING
3    12:00:00  leave@1 finished                      RUNNING         Went
2    12:00:00  claimed (epoch 1)                     RUNNING
1    12:00:00  submitted                             QUEUED
"""


def test_the_history_is_newest_first(monday, call):
    assert (0, HISTORY, "") == call("history", "monday")


def test_the_history_of_a_state_shows_it_at_each_commit(monday, call):
    """4.4: folding the log gives the state after every commit."""
    code, output, _ = call("history", "monday", "--limit", "4", "--before", "7", "--state", "--graph", "trip:graph")

    assert 0 == code
    assert output == (
        "SEQ  AT        WHAT                       STATUS   MUTATIONS  STATE\n"
        '6    12:00:00  towns/1/visit@4 finished   RUNNING  Went       {"stops":[":warning: station"]}\n'
        '5    12:00:00  towns/0/visit@3 finished   RUNNING  Went       {"stops":[":warning: station"]}\n'
        '4    12:00:00  towns@2 opened 2 branches  RUNNING             {"stops":[":warning: station"]}\n'
        '3    12:00:00  leave@1 finished           RUNNING  Went       {"stops":[":warning: station"]}\n'
        f"(older ones: {terzetto()} history monday --before 3)\n"
    )


def terzetto():
    from terzetto._cli._words import program

    return program()


def test_the_history_for_machines(monday, told):
    document = told("history", "monday", "--limit", "2", "--state", "--graph", "trip:graph")

    assert ("monday", [9, 8]) == (document["run_id"], [commit["seq"] for commit in document["commits"]])
    assert "coast" == document["commits"][0]["state"]["stops"][-1]
    assert [{"name": "Went", "data": {"to": "coast"}}] == document["commits"][0]["mutations"]
    assert "state" not in told("history", "monday")["commits"][0]
    assert [] == told("history", "monday", "--limit", "0")["commits"]
    every = told("history", "monday", "--limit", "all")["commits"]
    assert list(range(9, 0, -1)) == [commit["seq"] for commit in every]


def test_what_commits_did_is_said_in_words(folder, call, told):
    """What a run can go through, as its history tells it."""
    (folder / "snow").touch()
    call("run", "trip:graph", "--run-id", "m")
    call("fork", "m", "--at", "3", "--id", "f", "--graph", "trip:graph")
    call("pause", "f")
    call("resume", "f", "trip:graph")
    call("resume", "f")
    call("undo", "f")
    call("resume", "f", "trip:graph")
    call("decide", "f", "--choose", "hills", "--by", "ann")
    assert 1 == call("resume", "f", "trip:graph")[0]
    lines = call("history", "f")[1].splitlines()[1:]

    assert [
        "hills@8 failed: node 'hills': ValueError: snow",
        "where@7 decided: choose hills by ann",
        "towns@6 joined",
        "claimed (epoch 6)",
        "undone: as after commit 5",
        "waits for people",
        "claimed (epoch 4)",
        "resumed",
        "paused",
        "towns@2 joined",
        "towns/1/visit@4 finished",
        "towns/0/visit@3 finished",
        "towns@2 opened 2 branches",
        "claimed (epoch 1)",
        "submitted: goes on from m@3",
    ] == [re.split(r" {2,}", line)[2] for line in lines]


def test_a_commit_is_shown_with_its_state(monday, call, told):
    code, output, errors = call("show", "monday", "--at", "7", "--graph", "trip:graph")

    assert (0, "") == (code, errors)
    assert output == (
        "run monday as of commit 7: AWAITING_INPUT\n"
        "12:00:00  towns@2 joined\n"
        '{\n  "stops": [\n    ":warning: station",\n    "town 1",\n    "town 2"\n  ]\n}\n'
    )
    assert call("show", "monday", "--at", "7") == (code, output, errors), "what is stored needs no code"
    document = told("show", "monday", "--at", "3", "--graph", "trip:graph")
    assert ("monday", 3, {"stops": [":warning: station"]}) == (document["run_id"], document["seq"], document["state"])
    assert "leave" == document["commit"]["place"]


def test_what_changed_between_two_commits(monday, call, told):
    assert (0, "+ stops[1]: 'town 1'\n+ stops[2]: 'town 2'\n", "") == call(
        "diff", "monday", "3", "7", "--graph", "trip:graph"
    )
    assert (0, "+ stops[3]: 'coast'\n", "") == call("diff", "monday", "7")
    assert (0, "nothing changed from commit 7 to 8\n", "") == call("diff", "monday", "7", "8", "--graph", "trip:graph")
    document = told("diff", "monday", "9", "7")
    assert {
        "run_id": "monday",
        "before": 9,
        "after": 7,
        "changes": [{"path": "stops[3]", "kind": "removed", "before": "coast", "after": None}],
    } == document


def test_a_replay_holds_or_says_where_it_does_not(monday, folder, call, told):
    """4.4: a mutation whose code has changed since is found."""
    code, output, errors = call("replay", "monday", "--graph", "trip:graph")
    assert (0, "the log of run monday holds: 9 commits, 2 snapshots compared\n", "") == (code, output, errors)
    assert {"run_id": "monday", "holds": True, "commits": 9, "checked": 2, "broken": []} == told(
        "replay", "monday", "--graph", "trip:graph"
    )

    (folder / "trip.py").write_text(TRIP.replace("append(self.to)", "append(self.to.upper())"))
    code, output, errors = run(folder, "replay", "monday", "--graph", "trip:graph")
    assert (1, "the log of run monday does not hold: another state is stored at commit 7, 9\n") == (code, output)
    code, output, _ = run(folder, "replay", "monday", "--graph", "trip:graph", "--json")
    assert (1, [7, 9]) == (code, json.loads(output)["broken"])

    (folder / "trip.py").write_text(TRIP.replace("append(self.to)", "insert(self.to)"))
    code, output, errors = run(folder, "replay", "monday", "--graph", "trip:graph")
    assert (1, "") == (code, output)
    assert "does not hold: mutation Went could not be applied" in errors


def test_a_long_replay_says_how_far_it_is(folder, call, monkeypatch):
    monkeypatch.setattr("terzetto._history._PAGE", 2)
    call("run", "trip:graph", "--run-id", "monday")
    code, output, _ = call("replay", "monday", "--graph", "trip:graph")

    assert (0, ["3 of 7 commits", "5 of 7 commits"]) == (code, output.splitlines()[:-1])


WRONG = {
    ("history", "mondaz"): "did you mean monday?",
    ("history", "monday", "--before", "x"): "'x' is not a whole number",
    ("history", "monday", "--state"): "is of graph 'trip': say where that is, --graph MODULE:GRAPH",
    ("show", "monday", "--at", "0"): "has commits 1 to 9, and no 0",
    ("show", "monday", "--at", "3"): "say where that is, --graph MODULE:GRAPH",
    ("show", "monday", "--at", "3", "--commits", "2"): "not allowed with",
    ("diff", "monday", "3", "99"): "has commits 1 to 9, and no 99",
    ("diff", "monday"): "required: A",
    ("diff", "monday", "1", "--graph", "trip:slow"): "is of graph 'trip', and trip:slow is graph 'slow'",
    ("replay", "monday", "--graph", "trip:later"): "is of version 1 of its graph, and trip:later is 2",
    ("replay", "monday", "--graph", "trip:grph"): "did you mean trip:graph?",
    ("replay", "monday"): "say where that is, --graph MODULE:GRAPH",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_is_wrong_is_said_in_one_sentence(monday, call, words):
    code, output, errors = call(*words)

    assert (2, "") == (code, output)
    assert WRONG[words] in errors
    assert errors.startswith("terzetto: ")
    assert 1 == errors.count("\n")


def test_an_audits_graph_is_known(folder, call):
    """The demo's graph is found by itself."""
    (folder / "tree").mkdir()
    (folder / "tree" / "one.py").write_text("x = 1\n")
    assert 3 == call("demo", "tree", "--no-wait")[0]
    run_id = json.loads(call("runs", "--json")[1])["runs"][0]["run_id"]

    assert 0 == call("replay", run_id)[0]
    assert "one.py" in call("show", run_id, "--at", "3")[1]


def test_names_between_colons_are_no_pictures_on_a_terminal(monday, folder):
    """What a node has written is shown as it is, by plain lines and by tables."""
    for words in (["diff", "monday", "1"], ["history", "monday", "--state"]):
        assert ":warning: station" in on_a_terminal(folder, *words, "--graph", "trip:graph"), words


def on_a_terminal(folder, *words, columns=400):
    """What a command writes to a terminal with colours, without what a terminal obeys."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": str(columns)}
    environ.pop("NO_COLOR", None)
    words = [sys.executable, "-m", "terzetto", *words]
    done = subprocess.run(words, cwd=folder, env=environ, stdin=theirs, stdout=theirs, timeout=LIMIT, check=False)
    assert 0 == done.returncode
    seen = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    os.close(ours)
    os.close(theirs)
    return re.sub(r"\x1b\[[\d;]*m", "", seen)


def test_a_history_fits_a_narrow_terminal(monday, folder):
    seen = on_a_terminal(folder, "history", "monday", columns=60)

    assert max(map(len, seen.splitlines())) <= 60
    assert "towns/1/visit@4" in seen
