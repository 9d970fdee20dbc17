"""Commands that only look: `runs`, `show`, `watch`, `graph --check` and `doctor`."""

import re

import apsw
import pytest
import trio

from terzetto.stores import open_store

from .commands import started


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
    assert "nobody carries it" in advice["s"][0]
    assert "resume s MODULE:GRAPH" in advice["s"][1]
    assert "integrity: checked, and whole" in call("doctor", "--deep")[1]


@pytest.mark.parametrize(
    "damage, problem",
    [
        (
            "update commits set body = x'c1' where last = 3",
            "run 'a': commit 3: its bytes are not those that were stored\n",
        ),
        (
            "update commits set body = x'c1', crc = null where last = 3",
            "run 'a', behind commit 2: commit is malformed",
        ),
        (
            "update snapshots set body = x'c1', crc = null where seq = 3",
            "run 'a', at commit 3: snapshot is malformed",
        ),
        (
            "update commits set body = (select body from commits where last = 1), crc = null where last = 3",
            "run 'a': commit 1 comes after commit 2",
        ),
        (
            "update runs set status = 'PAUSED', crc = null",
            "run 'a': its row has status PAUSED instead of AWAITING_INPUT\n",
        ),
    ],
)
def test_doctor_reads_all_that_is_stored(shop, call, damage, problem):
    """What SQLite cannot know: each commit and snapshot can be decoded."""
    call("run", "shop:asking", "--run-id", "a")
    connection = apsw.Connection("terzetto.db")
    connection.execute(damage)
    connection.close()

    assert 0 == call("doctor")[0]
    code, output, _ = call("doctor", "--deep")
    assert (5, True) == (code, f"problem: {problem}" in output)


def test_a_damaged_run_is_listed_and_the_others_are_shown(shop, call, told):
    """2.7: it is there, and nothing of it is believed."""
    call("run", "shop:asking", "--run-id", "a")
    call("run", "shop:asking", "--run-id", "b")
    connection = apsw.Connection("terzetto.db")
    connection.execute("update runs set message = 'all is well' where id = 'a'")
    connection.close()

    code, output, _ = call("runs")
    assert (0, True) == (code, "damaged: its row: its bytes are not those that were stored" in output)
    assert ["a"] == [line["run_id"] for line in told("runs")["runs"] if line["damaged"]]
    code, output, _ = call("doctor")
    assert (5, True) == (code, "problem: run 'a': its row: its bytes are not those that were stored\n" in output)
    code, _, errors = call("show", "a")
    assert (5, True) == (code, "run 'a': its row in store" in errors)
    assert 0 == call("show", "b")[0]


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


def test_what_is_left_of_a_pruned_run_is_shown(shop, call, told):
    """3.2: commits, state, history, and the picture."""
    call("run", "shop:asking", "--run-id", "a")

    async def prune():
        async with open_store("sqlite:terzetto.db") as store:
            assert 1 == await store.prune("a", 3, epoch=1, keep=(1,))

    trio.run(prune)
    view = told("show", "a")
    assert (3, [1, 3], 3) == (view["first"], [commit["seq"] for commit in view["commits"]], view["seq"])
    assert "... commits before 3 were pruned" in call("show", "a")[1]
    assert "earlier" not in call("show", "a", "--commits", "1")[1]
    assert "release" in call("graph", "shop:asking", "--svg", "--run", "a")[1]
    states = told("history", "a", "--state", "--graph", "shop:asking")["commits"]
    assert [(3, 1), (1, 0)] == [(each["seq"], each["state"]["paid"]) for each in states]
    assert "older" not in call("history", "a")[1]
    assert 0 == told("show", "a", "--at", "1")["state"]["paid"]
    for words in (["--graph", "shop:asking"], []):
        code, _, errors = call("show", "a", "--at", "2", *words)
        assert 2 == code
        assert "commit 2 was pruned: all commits from 3 on are left" in errors
    assert told("replay", "a", "--graph", "shop:asking")["holds"]
    assert 0 == call("decide", "a", "--approve")[0]
    assert 0 == call("resume", "a", "shop:asking")[0]
    assert "commits before 3 were pruned, and what they told with them" in call("watch", "a")[2]
    assert "pruned" not in call("watch", "a", "--from", str(told("show", "a")["event_id"] - 1))[2]
