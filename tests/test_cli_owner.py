"""Commands beside the process that owns the store: watch, decide, cancel, resume."""

import json
import re
import signal
import subprocess
import sys

import pytest

from terzetto._cli._exits import Stop
from terzetto._cli._output import Output
from terzetto._cli._watch import _Watcher
from terzetto.stores import MemoryStore

from .commands import LIMIT, events, started


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
    for seen_before in (events(rest)[-1]["id"], 10**15):
        assert (0, "", "") == call("watch", "s", "--from", str(seen_before))


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


async def test_a_watch_of_a_run_that_was_deleted_says_so():
    """3.5: nothing of it is left that could end."""
    async with MemoryStore() as store:
        with pytest.raises(Stop, match="run 'gone' was deleted meanwhile"):
            await _Watcher(store, "gone", 0, Output()).follow()
