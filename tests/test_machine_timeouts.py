"""`terzetto_protocol.machine`: barriers that nobody decides (SEMANTICS 6.4 and 6.7)."""

from msgspec import Raw

from terzetto_protocol.decisions import Approve, Confirm, Fail, Recorded
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.receipts import AlreadyResolved
from terzetto_protocol.statuses import FailureCode, RunStatus

from .machines import Driver, refused
from .sketches import Add, gated, sketch

_R = RunStatus


def waiting(graph=None, **options) -> Driver:
    driver = Driver(graph or gated(), **options).claim()
    driver.finish(Add(1))
    return driver


# -- timeouts ------------------------------------------------------------------------------------------------------


def test_the_deadline_is_stored_and_counts_from_the_opening():
    """6.4: the absolute deadline is stored with the barrier."""
    driver = Driver(gated(timeout=60)).claim()
    driver.now = 1000.0
    driver.finish()
    driver.crash()

    assert driver.disk.row.timer == driver.disk.barriers["gate@2"].deadline == 1060.0
    driver.now = 1059.9
    assert "not due" in refused(driver.fire)
    driver.now = 1060.0
    driver.fire()
    assert driver.started == ["a", "no"], "Reject unless said otherwise"
    assert driver.disk.barriers["gate@2"].source == "timeout"
    assert driver.disk.row.timer is None


def test_a_barrier_may_approve_by_itself():
    driver = waiting(gated(timeout=5, on_timeout=Approve()))
    driver.now = 9.0
    driver.fire(slot=False)
    assert driver.status is _R.QUEUED
    driver.claim()

    assert driver.started == ["a", "yes"]


def test_a_barrier_may_fail_its_run_when_nobody_decides():
    """6.4: Timeout: `on_timeout=` a decision or `Fail()`; `source=timeout`."""
    driver = waiting(gated(timeout=5, on_timeout=Fail("too late")))
    driver.now = 9.0
    driver.fire()

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.BARRIER_TIMEOUT
    assert "too late" in driver.failure.message
    assert "gate@2" in driver.failure.message
    assert driver.disk.writes[-1].code == "barrier_timeout"
    driver.settle()
    driver.crash()
    assert driver.failure.code == FailureCode.BARRIER_TIMEOUT, "also for who reads the log"


def test_the_first_of_decision_and_timeout_wins():
    """6.4: ready together: cancel > decision > timeout. Exactly one wins."""
    driver = waiting(gated(timeout=5))
    driver.now = 9.0
    driver.decide()
    assert "not open" in refused(driver.fire, "gate@2")
    other = waiting(gated(timeout=5))
    other.now = 9.0
    other.fire()
    other.decide(command="d1", barrier="gate@2")

    assert driver.started == ["a", "yes"]
    assert other.started == ["a", "no"]
    assert other.receipts["d1"] == [AlreadyResolved("r", "gate@2", "reject", "timeout")]


def test_a_barrier_without_a_timeout_never_times_out():
    driver = waiting()
    driver.now = 1e12
    refused(driver.fire)


# -- nobody to decide ----------------------------------------------------------------------------------------------


def test_a_run_may_approve_everything_by_itself():
    """6.7: `auto_approve=True` on the run approves."""
    driver = Driver(sketch("one:barrier a two:barrier", "one.approved>a>two"), auto_approve=True).claim()
    driver.finish()

    assert driver.status is _R.SUCCEEDED
    assert [row.source for row in driver.disk.barriers.values()] == ["auto", "auto"]
    driver.settle()


def test_auto_approve_outlives_the_process_that_opened_the_barrier():
    """6.7: `auto_approve=True` on the run approves, whoever carries it."""
    driver = Driver(sketch("gate:barrier"), acks="later", auto_approve=True)
    driver.ack()
    driver.claim()
    opening = next(number for number, write in enumerate(driver.sent) if write.barriers)
    driver.crash(keep=opening + 1)
    driver.fire()

    assert driver.status is not _R.AWAITING_INPUT


def test_auto_approve_waits_where_nothing_can_be_approved():
    driver = waiting(gated(exits=["left", "right"]), auto_approve=True)
    assert driver.status is _R.AWAITING_INPUT
    driver.settle()


def test_auto_approve_that_cannot_be_carried_out_leaves_the_barrier_waiting():
    """6.7: nobody to decide: the barrier waits and is listed; the node's own commit is not refused for it."""
    driver = waiting(gated(decided=lambda decision: 1 // 0), auto_approve=True)

    assert driver.status is _R.AWAITING_INPUT
    assert driver.disk.open_barriers() == ["gate@2"]
    driver.settle()


def test_a_circle_of_barriers_ends_at_the_limit_of_steps():
    """5.3: max_steps N (default 10,000) allows exactly N visits."""
    driver = Driver(sketch("gate:barrier", "gate.approved>gate"), auto_approve=True, max_steps=1500, watch=False)
    driver.claim()

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert driver.disk.seq == 2 + 1 + 1500


def test_a_confirmed_mutation_is_checked_when_it_is_said():
    """6.3: checked at decide time."""
    driver = Driver(sketch("a:once")).claim()
    driver.crash()
    driver.claim()
    for stored in (Recorded("Nothing", Raw(b"\x80")), Recorded("Add", Raw(b"\xc1")), Recorded("Burst", Raw(b"\x80"))):
        refused(driver.decide, Confirm((stored,)))
    driver.decide(Confirm(tuple(driver.batch(Add(5)))))

    assert driver.state.count == 5
    assert driver.status is _R.SUCCEEDED


def test_a_question_in_the_log_that_no_timeout_can_decide_fails_in_time():
    """6.4: exactly one wins; nobody is there to be told, and a barrier that stays due is looked at without a pause."""
    driver = Driver(sketch("a")).claim()
    driver.ask(AskDecision("decision:way", "way", 0, Raw(b"\xc0"), 5.0, exits=("post", "pickup")))
    driver.now = 6.0
    driver.fire("way@1")

    assert driver.answers[1, "decision:way"].decision == Fail(
        "its exits are post, pickup, and 'rejected' is none of them"
    )
    assert driver.disk.open_barriers() == []
    driver.finish()
    driver.settle()
