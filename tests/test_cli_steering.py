"""The command line steers: `undo`, `fork`, `retry`, `rerun`, `pause` and `withdraw`, here and through an owner.

SEMANTICS 2 and 2.8; 11: commands of others wait in an inbox that the owner notices.
"""

import json
import re

import pytest
import trio

from terzetto import Approve, DecisionKept
from terzetto._cli._stores import guest, post
from terzetto_protocol.commands import Decide

from .commands import started


@pytest.fixture
def stops(told):
    """`stops(run)`: where a run has been by now, with its status and its parent."""

    def stops(name):
        view = told("show", name)
        return view["status"], view["state"]["stops"][1:], view["parent"]

    return stops


TOWNS = ["town 1", "town 2"]


# -- in this process, where nobody owns the store


def test_a_fork_is_carried_on_here(folder, call, stops):
    """2: a fork is a new run that names its parent, which stays as it is."""
    call("run", "trip:graph", "--run-id", "monday")
    code, output, errors = call("fork", "monday", "--at", "5", "--id", "tuesday", "--graph", "trip:graph")

    assert (3, "") == (code, errors)
    assert "run tuesday goes on from commit 5 of monday" == output.splitlines()[0]
    assert "towns/1/visit@4 started" in output
    assert "visit@3" not in output
    assert ("AWAITING_INPUT", TOWNS, "monday@5") == stops("tuesday")
    assert ("AWAITING_INPUT", TOWNS, "") == stops("monday")


def test_a_run_that_failed_is_tried_again(folder, call, stops):
    """2: a retry is a new run; what was finished does not run again."""
    (folder / "snow").touch()
    call("run", "trip:graph", "--run-id", "monday")
    call("decide", "monday", "--choose", "hills")
    assert 1 == call("resume", "monday", "trip:graph")[0]
    (folder / "snow").unlink()
    code, output, _ = call("retry", "monday", "--graph", "trip:graph")

    assert 0 == code
    new = re.match(r"run (monday-[0-9a-f]{6}) tries monday again\n", output)
    assert new
    assert ("SUCCEEDED", [*TOWNS, "hills"]) == stops(new[1])[:2]
    assert "FAILED" == stops("monday")[0]


def test_a_rerun_begins_at_a_place_with_an_edited_state(folder, call, stops):
    call("run", "trip:graph", "--run-id", "monday")
    (folder / "state.json").write_text('{"stops": ["home", "edited"]}')
    words = ["rerun", "monday", "coast", "--state", "@state.json", "--id", "new", "--graph", "trip:graph"]
    code, output, _ = call(*words)

    assert (0, "run new begins at coast, from monday") == (code, output.splitlines()[0])
    assert ("SUCCEEDED", ["edited", "coast"], "monday@7") == stops("new")
    assert "run new was there before, and begins at coast, from monday" in call(*words)[1]


def test_an_undo_goes_on_here(folder, call, stops):
    call("run", "trip:graph", "--run-id", "monday")
    code, output, _ = call("undo", "monday", "2", "--graph", "trip:graph")

    assert (3, "run monday goes on from commit 5") == (code, output.splitlines()[0])
    assert "towns/1/visit@7 started" in output
    assert ("AWAITING_INPUT", TOWNS) == stops("monday")[:2]


def test_effects_are_not_repeated_by_accident(folder, call):
    """3: undo and fork across a `once` visit need `repeat_effects=True`."""
    call("run", "trip:paid", "--run-id", "p")
    for words in (["undo", "p"], ["fork", "p", "--at", "2"], ["rerun", "p", "pay"]):
        code, output, errors = call(*words, "--graph", "trip:paid")

        assert (2, "") == (code, output), words
        assert "effects of pay@1 may happen again: say repeat_effects=True (--repeat-effects)" in errors
        assert 1 == errors.count("\n")
    assert 3 == call("undo", "p", "--graph", "trip:paid", "--repeat-effects")[0]
    assert "paid\npaid\n" == (folder / "bills").read_text()


def test_without_an_owner_and_a_graph_a_command_is_recorded(folder, call, told, stops):
    """11: without an owner they are recorded and the next owner goes on."""
    call("run", "trip:graph", "--run-id", "monday")
    document = told("fork", "monday", "--at", "5")
    new = document["new_run_id"]
    assert (True, None, "monday") == (document["recorded"], document["receipt"], document["run_id"])
    assert "recorded: no process owns the store now" in call("pause", "monday")[1]
    assert f"run {new}x begins then" in call("fork", "monday", "--id", f"{new}x")[1]
    assert 3 == call("resume", "monday", "trip:graph")[0]

    assert "PAUSED" == stops("monday")[0]
    assert [("AWAITING_INPUT", "monday@5"), ("AWAITING_INPUT", "monday@7")] == [
        stops(name)[::2] for name in (new, f"{new}x")
    ]
    assert "is paused; `terzetto resume monday` lets it go on" in call("pause", "monday")[1]
    assert "paused" == told("pause", "monday")["receipt"]["outcome"]


def test_for_machines_a_run_that_is_carried_here_is_a_stream(folder, call):
    call("run", "trip:graph", "--run-id", "monday")
    code, output, errors = call("rerun", "monday", "coast", "--id", "new", "--graph", "trip:graph", "--json")
    said = [json.loads(line) for line in output.splitlines()]

    assert (0, "") == (code, errors)
    assert ("RunQueued", "Result", {"new"}) == (
        said[0]["type"],
        said[-1]["type"],
        {each["run_id"] for each in said if "run_id" in each},
    )


WRONG = {
    ("undo", "mondya"): "did you mean monday?",
    ("undo", "monday", "0"): "'0' is not a whole number of 1 or more",
    ("undo", "monday", "--graph", "trip:slow"): "is of graph 'trip', and trip:slow is graph 'slow'",
    ("undo", "monday", "99", "--graph", "trip:graph"): "has no 99 visits, decisions or joins to undo",
    ("undo", "done"): "has ended CANCELLED, and stays so: fork it from one of its commits",
    ("fork", "monday", "--at", "99"): "has commits 1 to 7, and no 99",
    ("fork", "monday", "--id", "a/b"): "'a/b' is not a run id",
    ("fork", "monday", "--id", "done", "--graph", "trip:graph"): "belongs to a run of graph 'trip' with another input",
    ("fork", "done"): "say from which commit to go on, --at SEQ",
    ("retry", "monday"): "only one that has ended is tried again",
    ("rerun", "monday"): "required: PLACE",
    ("rerun", "monday", "nowhere", "--graph", "trip:graph"): "no place 'nowhere'",
    ("rerun", "monday", "coast", "--state", "{"): "--state takes JSON, and this is none",
    ("rerun", "monday", "coast", "--state", '{"stops": 1}', "--graph", "trip:graph"): "$.stops",
    ("rerun", "monday", "coast", "--state", "@nofile"): "nofile: No such file",
    ("pause", "done"): "has ended CANCELLED already",
    ("pause", "nobody"): "no run 'nobody'",
    ("withdraw", "monday"): "required: BARRIER",
    ("withdraw", "done", "where"): "keeps no decision: it has ended CANCELLED",
}


def test_what_is_wrong_is_said_in_one_sentence(folder, call, told):
    """Issue 2, face: one helpful sentence, exit 2, no traceback; 1: refused means that nothing changed."""
    call("run", "trip:graph", "--run-id", "monday")
    call("run", "trip:graph", "--run-id", "done")
    call("cancel", "done")
    assert 4 == call("resume", "done", "trip:graph")[0]
    before = [(each["run_id"], each["seq"]) for each in told("runs")["runs"]]
    for words, fragment in WRONG.items():
        code, output, errors = call(*words)

        assert (2, "") == (code, output), words
        assert fragment in errors, words
        assert errors.startswith("terzetto: "), words
        assert 1 == errors.count("\n"), words
    assert before == [(each["run_id"], each["seq"]) for each in told("runs")["runs"]]


# -- beside an owner


def test_commands_reach_an_owner(folder, call, told, stops):
    """11: fork, retry, rerun, undo and withdraw are carried out by the process that owns the store."""
    (folder / "snow").touch()
    with started(folder, "run", "trip:graph", "--run-id", "monday", "--stay") as owner:
        owner.until("terzetto decide")

        document = told("fork", "monday", "--at", "5", "--id", "tuesday")
        assert {"type": "submitted", "run_id": "tuesday", "durable": True, "reused": False} == document["receipt"]
        assert ("tuesday", False) == (document["new_run_id"], document["recorded"])
        assert "run wednesday goes on from commit 7 of monday\n" == call("fork", "monday", "--id", "wednesday")[1]

        assert 0 == call("decide", "wednesday", "--choose", "hills", "--wait", "30")[0]
        assert 1 == call("watch", "wednesday")[0]
        (folder / "snow").unlink()
        assert "run thursday tries wednesday again\n" == call("retry", "wednesday", "--id", "thursday")[1]
        assert 0 == call("watch", "thursday")[0]
        assert ("SUCCEEDED", [*TOWNS, "hills"]) == stops("thursday")[:2]

        words = ["rerun", "monday", "coast", "--state", '{"stops": ["home"]}', "--id", "friday"]
        assert (0, "run friday begins at coast, from monday\n", "") == call(*words)
        assert 0 == call("watch", "friday")[0]
        assert ("SUCCEEDED", ["coast"], "monday@7") == stops("friday")

        assert (0, "run monday goes on from commit 6\n", "") == call("undo", "monday")
        owner.until("where@7 waits for a decision")
        assert (0, "no decision was kept for where of run monday\n", "") == call("withdraw", "monday", "where")
        assert {"type": "undone", "run_id": "monday", "to": 9, "durable": True} == told("undo", "monday")["receipt"]

        code, output, errors = call("rerun", "monday", "nowhere")
        assert (2, "") == (code, output)
        assert "no place 'nowhere'" in errors
        assert 1 == errors.count("\n")

        owner.until("where@9 waits for a decision")
        assert 0 == call("decide", "monday", "--choose", "coast")[0]
        assert 0 == owner.end()[0]
    assert ("SUCCEEDED", [*TOWNS, "coast"]) == stops("monday")[:2]


def test_a_decision_that_is_kept_is_withdrawn(folder, call, told):
    """6.5: until `run.withdraw(...)`."""
    command = Decide("k", "monday", "later", Approve(), "ann", "once")

    async def keep():
        async with guest("sqlite:terzetto.db") as store:
            return await post(store, command, "monday", 30)

    with started(folder, "run", "trip:graph", "--run-id", "monday", "--stay") as owner:
        owner.until("terzetto decide")
        assert isinstance(trio.run(keep), DecisionKept)
        assert "kept for later: approve by ann" in call("history", "monday")[1]
        assert (0, "1 decision for later of run monday withdrawn\n", "") == call("withdraw", "monday", "later")
        assert 0 == told("withdraw", "monday", "later")["receipt"]["count"]


def test_a_pause_reaches_a_running_node(folder, call, stops):
    """2.8: the node ends and commits, and the owner leaves with 3."""
    with started(folder, "run", "trip:slow", "--run-id", "s") as owner:
        owner.until("hold@1 started")
        assert (0, "the pause of run s is durable; its running steps end and commit first\n", "") == call("pause", "s")
        (folder / "go").touch()
        code, output, _ = owner.end()

    assert 3 == code
    assert "hold@1 finished, 1 mutation" in output
    assert "arrive" not in output
    assert "paused\n" in output
    assert "run s is paused; go on: " in output
    assert 0 == call("resume", "s", "trip:slow")[0]


def test_a_process_that_is_killed_between_the_request_and_the_pause_leaves_a_paused_run(folder, call, stops):
    """2.8: recovery finishes it; no node begins before the run is resumed."""
    with started(folder, "run", "trip:slow", "--run-id", "s") as owner:
        owner.until("hold@1 started")
        assert 0 == call("pause", "s")[0]
        owner.process.kill()
        owner.end()
    assert "RUNNING" == stops("s")[0]
    code, output, _ = call("run", "trip:slow", "--run-id", "s")

    assert (3, "PAUSED") == (code, stops("s")[0])
    assert "started" not in output
    (folder / "go").touch()
    assert 0 == call("resume", "s", "trip:slow")[0]
