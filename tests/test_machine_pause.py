"""`terzetto_protocol.machine`: runs that somebody pauses from outside (SEMANTICS 2.8)."""

from typing import Any

import pytest

from terzetto_protocol.decisions import Approve, Fail
from terzetto_protocol.errors import IllegalTransition
from terzetto_protocol.graph import Graph
from terzetto_protocol.inputs import Again
from terzetto_protocol.receipts import DecisionTaken, PauseReceipt
from terzetto_protocol.records import Kind
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.travel import as_was

from .branches import fan, recover, running
from .machines import Driver, claimed, refused
from .sketches import Add, Tally, body, sketch

_R = RunStatus

STORES = pytest.mark.parametrize("acks", ["now", "settled"])


def pauses(driver: Driver) -> list[RunStatus]:
    """The statuses that the commits of pauses have left the run in."""
    return [record.status for record in driver.disk.records if record.kind is Kind.PAUSE]


def retried() -> Driver:
    """A run whose only visit rests between two attempts."""
    graph = sketch("a")
    graph.node(name="b", retry=RetryPolicy(max_attempts=2, initial=5, jitter=0))(body)
    graph.edge("a", "b")
    driver = Driver(graph).claim()
    driver.finish()
    driver.fail("OSError: down", again=Again(0.5))
    return driver


@STORES
def test_a_pause_lets_the_node_commit_and_begins_no_other(acks):
    """2.8: durable that it will pause; what runs commits first."""
    driver = Driver(sketch("a b", "a>b"), acks=acks).claim()
    driver.pause("p")
    assert (driver.status, driver.leaving) == (_R.RUNNING, set())
    assert driver.receipts["p"] == [PauseReceipt("r", "requested", durable=True)]
    driver.finish(Add(2))

    assert (driver.status, driver.started, driver.state.count) == (_R.PAUSED, ["a"], 2)
    assert driver.events[-2:] == ["NodeFinished", "RunPaused"]
    driver.settle()
    driver.resume()
    driver.claim()
    assert driver.started == ["a", "b"]


def test_the_receipt_waits_for_the_mark():
    """3, D3: nothing outside the process may depend on a commit that is not durable yet (a receipt)."""
    driver = claimed(sketch("a b", "a>b"))
    driver.pause("p")
    assert driver.receipts == {}
    driver.ack()

    assert driver.receipts["p"][0].outcome == "requested"


def test_a_node_that_fails_fails_the_run_all_the_same():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.pause()
    driver.fail()

    assert driver.status is _R.FAILED
    driver.settle()


def test_a_node_that_was_the_last_ends_the_run_all_the_same():
    driver = Driver(sketch("a")).claim()
    driver.pause()
    driver.finish()

    assert driver.status is _R.SUCCEEDED


def test_a_pause_between_two_nodes_is_at_once():
    """2.8: RUNNING, while nothing of it is live: what waits at the gate does not begin."""
    driver = claimed(sketch("a b", "a>b"))
    driver.finish()
    driver.pause("p")
    driver.ack()

    assert (driver.status, driver.started) == (_R.PAUSED, ["a"])
    assert driver.receipts["p"] == [PauseReceipt("r", "paused", durable=True)]
    driver.settle()


def test_nodes_that_run_ahead_stop_at_the_pause():
    driver = claimed(sketch("a:pure b:pure c:pure", "a>b>c"))
    driver.finish(Add(1))
    assert driver.started == ["a", "b"]
    driver.pause()
    driver.finish(Add(1))
    driver.ack()

    assert (driver.status, driver.started, driver.state.count) == (_R.PAUSED, ["a", "b"], 2)
    driver.settle()


def test_an_effect_whose_intent_is_written_begins_and_commits():
    """3, D2: a body that is due begins, so that nobody has to ask what became of it."""
    driver = Driver(sketch("a:once b", "a>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack(1)
    assert driver.machine.waits.begun() == [1]
    driver.pause("p")
    driver.ack()
    assert driver.receipts["p"][0].outcome == "requested"
    driver.finish(Add(1))
    driver.ack()

    assert (driver.status, driver.started) == (_R.PAUSED, ["a"])


def test_a_paused_run_rests_between_two_attempts():
    """2.8, 9.8: the moment of the next attempt is stored."""
    driver = retried()
    driver.pause("p")
    assert driver.status is _R.PAUSED
    driver.now = 60.0
    driver.wake()
    assert driver.started == ["a", "b"]
    driver.settle()
    driver.resume()
    driver.claim()
    driver.wake()

    assert driver.started == ["a", "b", "b"]


def test_a_run_that_waits_for_people_is_paused_and_waits_again_later():
    """2: AWAITING_INPUT -> PAUSED; the barrier keeps waiting, and nobody decides it meanwhile."""
    driver = Driver(sketch("gate:barrier end", "gate.approved>end")).claim()
    driver.pause("p")
    assert driver.status is _R.PAUSED
    assert "PAUSED" in refused(driver.decide)
    assert driver.disk.open_barriers() == ["gate@1"]
    driver.resume()
    driver.claim()
    assert driver.status is _R.AWAITING_INPUT
    driver.decide(Approve())

    assert driver.started == ["end"]


def test_a_barrier_that_opens_after_the_request_is_not_approved_by_itself():
    """2.8: also a run that approves by itself stops first."""
    driver = Driver(sketch("a gate:barrier end", "a>gate gate.approved>end"), auto_approve=True).claim()
    driver.pause()
    driver.finish()
    assert (driver.status, driver.started) == (_R.PAUSED, ["a"])
    driver.resume()
    driver.claim()

    assert driver.started == ["a", "end"]


@pytest.mark.parametrize("status", [_R.QUEUED, _R.INTERRUPTED])
def test_a_run_that_waits_for_a_claim_is_paused_by_it(status):
    """2: QUEUED and INTERRUPTED do not go to PAUSED; the claim does, and starts no node."""
    driver = Driver(sketch("a"))
    if status is _R.INTERRUPTED:
        driver.claim()
        driver.leave()
    before = len(driver.started)
    driver.pause("p")
    assert driver.status is status
    assert driver.receipts["p"] == [PauseReceipt("r", "requested", durable=True)]
    driver.claim()

    assert (driver.status, len(driver.started)) == (_R.PAUSED, before)
    driver.settle()


@pytest.mark.parametrize("keep", [0, 1])
def test_a_crash_after_the_request_forgets_it_only_where_it_was_not_stored(keep):
    """2.8: a crash between the request and the pause: recovery finishes it."""
    driver = claimed(sketch("a b", "a>b"))
    driver.pause("p")
    driver.crash(keep)
    driver.claim()
    driver.ack()

    assert (driver.status, running(driver)) == ((_R.PAUSED, []) if keep else (_R.RUNNING, ["a"]))
    assert driver.receipts == {}


def test_a_run_that_was_lost_in_its_node_is_paused_without_a_claim():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.crash()
    driver.pause("p")

    assert (driver.status, driver.machine.fold.image.epoch) == (_R.PAUSED, 2)
    driver.settle()
    driver.resume()
    driver.claim()
    assert driver.started == ["a", "a"]


def test_branches_end_their_visits_and_begin_no_other():
    """2.8, 5.5: visits beside it end first."""
    driver = Driver(fan("x y", "x>x2 y>y2", "x2 y2")).claim()
    driver.finish(node="x")
    driver.pause("p")
    assert (driver.status, sorted(running(driver))) == (_R.RUNNING, ["fan/x/x2", "fan/y/y"])
    driver.finish(Add(1), node="y")
    assert running(driver) == ["fan/x/x2"]
    driver.finish(Add(1), node="x2")
    assert driver.status is _R.PAUSED
    driver.settle()
    driver.resume()
    recover(driver)
    assert running(driver) == ["fan/y/y2"]
    driver.finish()

    assert (driver.started[-1], driver.state.count) == ("end", 2)


def test_the_same_twice_is_one_pause():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.pause("p1")
    driver.pause("p2")
    driver.finish()
    driver.pause("p3")

    assert [driver.receipts[name][0].outcome for name in ("p1", "p2", "p3")] == ["requested", "requested", "paused"]
    assert pauses(driver) == [_R.RUNNING, _R.PAUSED]


def test_a_cancel_takes_a_pause_along():
    for waits in (False, True):
        driver = Driver(sketch("a b", "a>b")).claim()
        driver.pause()
        if waits:
            driver.finish()
        driver.cancel("c")
        if not waits:
            driver.leave()

        assert driver.status is _R.CANCELLED
        driver.settle()


@pytest.mark.parametrize("status", [_R.SUCCEEDED, _R.CANCELLING, _R.CANCELLED])
def test_what_ends_is_not_paused(status):
    """2: terminal statuses are immutable; the refusal names the status."""
    driver = Driver(sketch("a")).claim()
    if status is _R.SUCCEEDED:
        driver.finish()
    else:
        driver.cancel()
        if status is _R.CANCELLED:
            driver.leave()

    assert status in refused(driver.pause, error=IllegalTransition)


def test_a_fork_of_a_run_that_is_to_be_paused_goes_on():
    """2.8: a pause is the run's own."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.pause()
    snapshot = as_was(driver.machine.fold)

    assert driver.machine.parking
    assert not snapshot.image.parking


@STORES
def test_a_last_decision_that_comes_while_the_run_waits_for_a_slot_ends_it_when_it_gets_one(acks):
    """2, 6.4: the decision is taken, and the run does not go on for ever with nothing to do."""
    driver = Driver(gated(), acks=acks).claim()
    driver.pause()
    driver.resume()
    driver.decide(Approve(), "d")
    assert (driver.status, driver.frontier) == (_R.QUEUED, {})
    assert [type(receipt) for receipt in driver.receipts["d"]] == [DecisionTaken]
    driver.crash()
    driver.claim()

    assert (driver.status, driver.failure) == (_R.SUCCEEDED, None)
    driver.settle()


@STORES
def test_a_time_limit_that_passed_while_the_run_was_paused_fails_it_when_it_is_claimed(acks):
    """2, 6.4: FAILED with the limit's own code."""
    driver = Driver(gated(timeout=5.0, on_timeout=Fail("too late")), acks=acks).claim()
    driver.pause()
    driver.now = 10.0
    driver.resume()
    driver.fire()
    assert (driver.status, driver.frontier) == (_R.QUEUED, {})
    driver.claim()

    assert (driver.status, driver.failure.code) == (_R.FAILED, "barrier_timeout")
    assert "too late" in driver.failure.message
    driver.settle()


def gated(**options: Any) -> Graph[Tally]:
    """A graph of nothing but a barrier."""
    graph = Graph("gated", state=Tally)
    graph.start(graph.barrier("gate", **options))
    return graph
