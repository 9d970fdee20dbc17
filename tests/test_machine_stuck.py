"""`terzetto_protocol.machine`: bodies that ignore their cancel, and what is written without them (SEMANTICS 9.1)."""

import pytest

from terzetto_protocol.records import Kind, Note
from terzetto_protocol.statuses import RunStatus

from .branches import discarded, fan, reads_the_same, running
from .machines import Driver, refused
from .sketches import Add, Tally, sketch

_R = RunStatus
IGNORED = "ignored 5 s of cancellation, and may still run"


def test_a_cancelled_run_ends_without_a_body_that_stays():
    """9.1: the run's end is written without it: CANCELLED with a note."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.cancel("c")
    driver.stick()
    assert driver.status is _R.CANCELLED
    assert Note(f"a@1 {IGNORED}") == driver.disk.records[-1].detail
    driver.settle()


def test_what_comes_of_it_later_is_refused():
    """9.1: its late results are refused."""
    driver = Driver(sketch("a")).claim()
    start = driver.start_of()
    driver.cancel()
    driver.stick()
    driver.running[start.visit] = start
    assert "visit 1 is not running" in refused(driver.finish, Add(1))
    assert Tally() == driver.state


def test_a_once_visit_that_stays_is_listed_as_unknown():
    """7: ended by a cancel while its body ran: UNKNOWN, and listed in the run's result."""
    driver = Driver(sketch("a:once")).claim()
    driver.cancel()
    driver.stick()
    assert ("a@1",) == driver.machine.fold.image.unknown
    note = driver.disk.records[-1].detail.text
    assert f"a@1 {IGNORED}; nobody knows whether the effect of a@1 happened" == note


@pytest.mark.parametrize("kind", ["pure", "repeatable", "once"])
def test_a_timeout_that_is_ignored_fails_the_run(kind):
    """9.1: FAILED(stuck_node) where a timeout ended it; no other attempt begins beside the one that stays."""
    driver = Driver(sketch(f"a:{kind} b", "a>b")).claim()
    driver.stick(timeout="its run_timeout of 3 s has passed")
    assert (_R.FAILED, "stuck_node") == (driver.status, driver.failure.code)
    assert f"a@1: its run_timeout of 3 s has passed; a@1 {IGNORED}" == driver.failure.message
    assert ("node.py:1 in body",) == driver.failure.trace
    assert (("a@1",) if kind == "once" else ()) == driver.machine.fold.image.unknown
    driver.settle()


def test_a_deadline_that_is_ignored_fails_the_run():
    driver = Driver(sketch("a b", "a>b"), deadline=10).claim()
    driver.now = 10.0
    driver.expire()
    assert driver.status is _R.RUNNING
    driver.stick()
    assert (_R.FAILED, "stuck_node") == (driver.status, driver.failure.code)
    assert f"the 10 s that it had are over; a@1 {IGNORED}" == driver.failure.message
    assert ("node.py:1 in body",) == driver.failure.trace
    driver.settle()


def test_a_cancel_wins_over_a_timeout_of_its_own():
    """2: CANCELLING -> CANCELLED only (a node that would not stop is a note on it)."""
    driver = Driver(sketch("a")).claim()
    driver.cancel()
    driver.stick(timeout="its run_timeout of 3 s has passed")
    assert _R.CANCELLED is driver.status


def test_an_owner_that_stops_leaves_the_run_to_the_next():
    """9.6: then INTERRUPTED (resumable), without the body that stays."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.halt(hard=True)
    driver.stick()
    assert (_R.INTERRUPTED, Kind.INTERRUPT) == (driver.status, driver.disk.records[-1].kind)
    assert f"shutting down; a@1 {IGNORED}" == driver.disk.records[-1].detail.text
    driver.crash()
    driver.claim()
    driver.finish(Add(1))
    driver.settle()
    assert (_R.SUCCEEDED, 1) == (driver.status, driver.state.count)


def test_a_process_that_lost_the_run_writes_nothing():
    """3, D8: publishes nothing."""
    driver = Driver(sketch("a b", "a>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish()
    driver.ack()
    driver.cancel()
    driver.refuse()
    driver.stick()
    assert [] == driver.sent


def test_a_body_that_changes_what_it_was_lent_changes_nothing_of_the_run():
    """4.3: leaves no trace in the state, also after its run has ended."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(Add(2))
    lent = driver.state
    driver.cancel()
    driver.stick()
    lent.count = 77
    assert 2 == driver.state.count == driver.stored.count


# -- branches ------------------------------------------------------------------------------------------------


def test_a_failure_goes_on_without_a_sibling_that_stays():
    """9.1, 5.5: `fail_fast` waits for its siblings' cleanup, and for no more than their grace."""
    graph = fan("x y z", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Add(5), node="y")
    driver.fail(node="x")
    assert {4} == driver.leaving
    driver.stick("z")
    assert ["mend"] == running(driver)
    assert ["fan/y"] == discarded(driver)
    reads_the_same(driver)
    driver.settle()
    assert (_R.SUCCEEDED, 0) == (driver.status, driver.state.count)


def test_a_once_sibling_that_stays_is_listed_though_the_run_goes_on():
    graph = fan("x y:once", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")
    driver.stick("y")
    driver.finish(node="mend")
    assert (_R.SUCCEEDED, ("fan/y/y@3",)) == (driver.status, driver.machine.fold.image.unknown)


def test_what_stayed_in_a_branch_is_no_reason_for_a_later_end():
    """9.7: a deadline of a run whose bodies have left is a deadline."""
    graph = fan("x y", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph, deadline=10).claim()
    driver.fail(node="x")
    driver.stick("y")
    driver.now = 10.0
    driver.expire()
    driver.leave("mend")
    assert "deadline_exceeded" == driver.failure.code


def test_a_branch_that_ignores_its_timeout_takes_the_run_with_it():
    """9.1: FAILED(stuck_node): also where branches are collected, for the body may still be at work."""
    driver = Driver(fan("x y z", errors="collect")).claim()
    driver.stick("x", timeout="its idle_timeout of 3 s has passed")
    assert {3, 4} == driver.leaving
    driver.leave("y")
    assert _R.RUNNING is driver.status
    driver.stick("z")
    assert (_R.FAILED, "stuck_node") == (driver.status, driver.failure.code)
    assert f"fan/x/x@2: its idle_timeout of 3 s has passed; fan/x/x@2, fan/z/z@4 {IGNORED}" == driver.failure.message
    driver.settle()


def test_an_intent_whose_body_had_not_begun_is_not_unknown_when_a_time_is_over():
    """7: no intent durable: no effect can have happened."""
    driver = Driver(fan("x y:once"), acks="later", deadline=10)
    driver.ack()
    driver.claim()
    driver.ack(2)
    assert ["x"] == driver.started
    driver.now = 10.0
    driver.expire()
    driver.ack()
    driver.leave("x")
    driver.ack()
    assert ("deadline_exceeded", ()) == (driver.failure.code, driver.machine.fold.image.unknown)


def test_a_body_that_changes_its_parents_state_changes_nothing():
    driver = Driver(fan("x y")).claim()
    lent = driver.state
    driver.fail(node="x")
    driver.stick("y")
    lent.count = 77
    assert 0 == driver.state.count == driver.stored.count
