"""The command line and threads: `run --thread`, `runs --thread`, `show` and `cancel --rollback`."""

import re

from .commands import started


def test_a_thread_is_continued_shown_and_rolled_back(shop, call, told):
    """SEMANTICS 1, 9.2: a run on a thread begins with what its head ended with."""
    code, output, _ = call("run", "shop:good", "--run-id", "a", "--thread", "tea", "--input", '{"amount": 3}')
    assert (0, True) == (code, "run a of graph good on thread tea\n" in output)
    assert 0 == call("run", "shop:good", "--run-id", "b", "--thread", "tea")[0]
    assert {"item": "tea", "amount": 3, "paid": 6} == told("show", "b")["state"]
    assert 2 == call("run", "shop:good", "--thread", "coffee")[0], "there is nothing to begin with"
    call("run", "shop:bad", "--run-id", "x")

    assert ["b", "a"] == [line["run_id"] for line in told("runs", "--thread", "tea")["runs"]]
    assert {"b": "tea", "a": "tea", "x": ""} == {line["run_id"]: line["thread"] for line in told("runs")["runs"]}
    assert re.search(r"^b +SUCCEEDED +good +3 +tea ", call("runs")[1], re.MULTILINE)
    assert "runs --thread tea --before b" in call("runs", "--thread", "tea", "--limit", "1")[1]
    assert "no such runs\n" == call("runs", "--thread", "coffee")[1]
    assert "thread tea, from the beginning" in call("show", "a")[1]
    assert "thread tea, from the end of run a" in call("show", "b")[1]

    assert "recorded: no process owns the store" in call("cancel", "b", "--rollback")[1]
    assert 0 == call("run", "shop:good", "--run-id", "c", "--thread", "tea")[0]
    assert {"item": "tea", "amount": 3, "paid": 6} == told("show", "c")["state"], "from the end of a, as b did"


def test_what_is_new_is_recorded(shop, call, told):
    """10.3: onto what it begins with, and only what the graph lists."""
    new = '[{"name": "Paid", "data": {"sum": 4}}]'
    assert 0 == call("run", "shop:good", "--run-id", "a", "--thread", "tea", "--input", "{}", "--record", new)[0]
    before = told("show", "a")["state"]["paid"]
    assert 0 == call("run", "shop:good", "--run-id", "b", "--thread", "tea", "--record", new)[0]
    assert 2 * before == told("show", "b")["state"]["paid"]
    for wrong, said in (("[1]", "--record takes a list like"), ('[{"name": "Shot", "data": {}}]', "does not list it")):
        code, _, errors = call("run", "shop:good", "--thread", "tea", "--record", wrong)
        assert (2, True) == (code, said in errors)


def test_a_busy_thread_says_so_at_once(shop, call, told):
    """10.3: reject, enqueue and interrupt; a rollback that the owner answers."""
    call("run", "shop:good", "--run-id", "a", "--thread", "t", "--input", "{}")
    call("run", "shop:asking", "--run-id", "b", "--thread", "t")
    code, _, errors = call("run", "shop:good", "--run-id", "c", "--thread", "t")
    assert (2, True) == (code, "run 'b': thread 't' is busy with it (AWAITING_INPUT)" in errors)
    with started(shop, "run", "shop:asking", "--run-id", "d", "--thread", "t", "--busy", "enqueue", "--stay") as owner:
        assert "where it waits for its turn" in owner.until("run d")
        assert "thread t, waits for its turn" in call("show", "d")[1]
        assert "run b is cancelled" in call("cancel", "b")[1]
        owner.until("release@2 waits for a decision")
        assert 2 == call("cancel", "a", "--rollback")[0]
        assert "run d is cancelled" in call("cancel", "d", "--rollback")[1]
        owner.end()
    with started(shop, "run", "shop:asking", "--run-id", "e", "--stay") as owner:
        owner.until("release@2 waits for a decision")
        assert "the thread of run a goes on from its beginning again" in call("cancel", "a", "--rollback")[1]
    assert {"b": "CANCELLED", "d": "CANCELLED", "a": "SUCCEEDED"} == {
        line["run_id"]: line["status"] for line in told("runs", "--thread", "t")["runs"]
    }
