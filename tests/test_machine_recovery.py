"""`terzetto_protocol.machine`: owners that die, effects that nobody saw end, stores that refuse (SEMANTICS 7 and 9)."""

import pytest
from terzetto_protocol.decisions import Approve, Confirm, Fail, Reject, Retry
from terzetto_protocol.errors import IllegalTransition, Refused
from terzetto_protocol.inputs import CommitDurable, Halted
from terzetto_protocol.limits import CLAIMS
from terzetto_protocol.records import Kind, Note
from terzetto_protocol.statuses import FailureCode, RunStatus

from .machines import Add, Driver, Say, Tally, sketch

_R = RunStatus


def lost(graph, *, claim: bool = True, **options) -> Driver:
    """A run whose process died in the body of its first node."""
    driver = Driver(graph, **options).claim()
    driver.crash()
    return driver.claim() if claim else driver


# -- claims --------------------------------------------------------------------------------------------------------


def test_every_claim_raises_the_epoch():
    """1: epoch: how often a run has been claimed by an owner."""
    driver = Driver(sketch("a", "a>a"))
    for epoch in (1, 2, 3):
        driver.claim()
        assert driver.disk.writes[-1].epoch == epoch
        driver.finish()
        driver.crash()
    assert [write.expect for write in driver.disk.writes if write.expect != write.epoch] == [0, 1, 2]


def test_a_run_that_lost_its_owner_is_interrupted_and_goes_on():
    """2: INTERRUPTED -> RUNNING; 7: commit durable => not re-run."""
    driver = Driver(sketch("a b c", "a>b>c")).claim()
    driver.finish(Add(1))
    driver.crash()
    assert driver.status is _R.RUNNING
    driver.claim()

    assert [record.kind for record in driver.disk.records[-2:]] == [Kind.INTERRUPT, Kind.CLAIM]
    assert driver.started == ["a", "b", "b"]
    driver.finish(Say("b"))
    driver.finish()
    assert driver.state == Tally(1, ["b"])
    assert driver.status is _R.SUCCEEDED


def test_nobody_claims_a_run_that_has_an_owner_or_an_end():
    driver = Driver(sketch("a gate:barrier", "a>gate")).claim()
    for act in (lambda: None, driver.finish, driver.decide):
        act()
        with pytest.raises(IllegalTransition):
            driver.claim()


def test_three_claims_without_a_commit_are_enough():
    """2: FAILED(recovery_exhausted: 3 claims without a new commit; a claim is durable before its user code)."""
    driver = Driver(sketch("a"))
    for _ in range(CLAIMS):
        driver.claim()
        assert driver.running
        driver.crash()
    driver.claim()

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.RECOVERY_EXHAUSTED
    assert driver.started == ["a"] * CLAIMS
    driver.settle()


def test_a_commit_forgives_the_claims_before_it():
    driver = Driver(sketch("a", "a>a"))
    for _ in range(3 * CLAIMS):
        driver.claim()
        driver.finish()
        driver.crash()
    assert driver.status is _R.RUNNING


def test_an_owner_that_says_goodbye_gives_its_claim_back():
    """9.6: then INTERRUPTED (resumable): restarts in good order never exhaust a run."""
    driver = Driver(sketch("a"))
    for _ in range(3 * CLAIMS):
        driver.claim()
        driver.halt(hard=True)
        driver.leave()
        driver.crash()
    driver.claim()
    driver.finish()
    assert driver.status is _R.SUCCEEDED


def test_recovery_finishes_a_cancel_and_starts_no_node():
    """2: CANCELLING -> CANCELLED only, also after a crash: recovery finishes the cancel and starts no node."""
    driver = Driver(sketch("a")).claim()
    driver.cancel()
    driver.crash()
    assert driver.status is _R.CANCELLING
    driver.claim()

    assert driver.status is _R.CANCELLED
    assert driver.started == ["a"]
    assert isinstance(driver.disk.records[-1].detail, Note)
    driver.settle()


def test_a_cancel_of_a_run_that_was_found_cancelling_finishes_it():
    """9.1, law 5: nothing runs here that could still unwind."""
    driver = Driver(sketch("a")).claim()
    driver.cancel("c1")
    driver.crash()
    driver.cancel("c2")

    assert driver.status is _R.CANCELLED
    assert driver.receipts["c2"][0].outcome == "stopped"
    driver.settle()


# -- effects that nobody saw end -----------------------------------------------------------------------------------


def test_a_once_node_whose_process_died_waits_for_a_person():
    """7: intent durable, body began: visit UNKNOWN, run AWAITING_INPUT with a reconcile barrier."""
    driver = lost(sketch("a:once b", "a>b"))

    assert driver.status is _R.AWAITING_INPUT
    assert driver.started == ["a"]
    assert driver.disk.open_barriers() == ["a@1"]
    assert driver.disk.barriers["a@1"].reconcile
    assert driver.events[-1] == "BarrierOpened"
    driver.settle()
    for decision in (Approve(), Reject()):
        with pytest.raises(Refused, match="confirm, retry or fail"):
            driver.decide(decision)


def test_a_person_may_confirm_the_effect_with_its_result():
    """7: confirm(result), retry, fail."""
    driver = lost(sketch("a:once b", "a>b"))
    driver.decide(Confirm(tuple(driver.batch(Add(5)))), "d1")

    assert driver.state.count == 5
    assert driver.started == ["a", "b"]
    assert driver.receipts["d1"]


def test_a_person_may_let_it_start_again_once():
    """3: a `once` body is started once, plus once per explicit retry."""
    driver = lost(sketch("a:once"))
    driver.decide(Retry(), "d1")
    assert [(start.visit, start.attempt) for start in driver.witness.starts] == [(1, 1), (1, 2)]
    driver.crash()
    driver.claim()
    assert driver.status is _R.AWAITING_INPUT, "the second attempt is as unknown as the first"
    driver.decide(Retry(), "d2")
    driver.finish(Add(1))

    assert driver.status is _R.SUCCEEDED
    assert len(driver.started) == 3
    assert (len(driver.receipts["d1"]), len(driver.receipts["d2"])) == (1, 1)


@pytest.mark.xfail(reason="both questions have the id a@1: its k never rises", raises=AssertionError)
def test_an_answer_to_the_first_question_is_no_answer_to_the_second():
    """6.1: Id = (run, path, visit, name, k); 6.5: a decision for another id never disturbs a wait."""
    driver = lost(sketch("a:once"))
    first = driver.barrier
    driver.decide(Retry())
    driver.crash()
    driver.claim()

    assert driver.barrier != first


def test_a_retry_may_have_to_wait_for_a_slot():
    driver = lost(sketch("a:once"))
    driver.decide(Retry(), slot=False)
    assert driver.status is _R.QUEUED
    driver.crash()
    driver.claim()

    assert driver.started == ["a", "a"]


def test_a_person_may_give_the_effect_up():
    driver = lost(sketch("a:once"))
    driver.decide(Fail("it is gone"))
    assert driver.status is _R.FAILED
    assert "it is gone" in driver.failure.message
    driver.settle()

    graph = sketch("a:once b")
    graph.edge("a", "b", on_error=True)
    driver = lost(graph)
    driver.decide(Fail())
    assert driver.started == ["a", "b"]


def test_an_intent_that_is_not_durable_never_was():
    """7: node start, no intent durable: runs (no effect can have happened)."""
    driver = Driver(sketch("a:once"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack(1)
    assert (driver.started, len(driver.sent)) == ([], 1)
    driver.crash()
    driver.claim()
    driver.ack()

    assert driver.started == ["a"]
    assert driver.status is _R.RUNNING


def test_a_stored_intent_is_asked_about_even_if_its_body_never_began():
    """7: intent durable: whether the body began, nobody can know."""
    driver = Driver(sketch("a:once"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack(1)
    driver.crash(keep=1)
    driver.claim()
    driver.ack()

    assert driver.started == []
    assert driver.status is _R.AWAITING_INPUT


def test_a_finished_once_visit_is_not_asked_about():
    """7: commit durable => not re-run, once or not."""
    driver = Driver(sketch("a:once b", "a>b")).claim()
    driver.finish()
    driver.crash()
    driver.claim()

    assert driver.started == ["a", "b", "b"]


def test_a_probe_that_knows_makes_the_result():
    """7: or the node's `probe(key)` decides."""
    driver = lost(sketch("a:probed b", "a>b"))
    assert driver.started == ["a", "a?"]
    assert driver.events.count("NodeStarted") == 1, "a probe is not a body"
    driver.probed(True, Add(3))

    assert driver.state.count == 3
    assert driver.started == ["a", "a?", "b"]


def test_a_probe_that_says_no_lets_the_body_start_again():
    driver = lost(sketch("a:probed"))
    driver.probed(False, Add(99))
    assert driver.started == ["a", "a?", "a"]
    assert driver.witness.starts[-1].attempt == 2
    driver.finish(Add(1))

    assert driver.state.count == 1
    assert driver.status is _R.SUCCEEDED


def test_a_probe_that_cannot_tell_asks_a_person():
    driver = lost(sketch("a:probed"))
    driver.probed(None)

    assert driver.status is _R.AWAITING_INPUT
    driver.settle()


def test_a_probe_that_raises_is_the_nodes_failure():
    driver = lost(sketch("a:probed"))
    driver.fail("OSError: gone")
    assert driver.status is _R.FAILED


def test_a_process_that_dies_in_a_probe_probes_again():
    driver = lost(sketch("a:probed"))
    driver.crash()
    driver.claim()
    assert driver.started == ["a", "a?", "a?"]


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("happened", [True, False, None])
def test_a_probe_may_end_while_the_owner_stops(happened, hard):
    """9.6, law 5: whatever the probe says, the run comes to rest."""
    driver = lost(sketch("a:probed b", "a>b"))
    driver.halt(hard=hard)
    driver.probed(happened)
    assert driver.running == {}
    driver.settle()
    expected = {True: _R.INTERRUPTED, False: _R.INTERRUPTED, None: _R.AWAITING_INPUT}
    assert driver.status is expected[happened]

    driver.crash()
    if happened is not None:
        driver.claim()
        assert driver.running


@pytest.mark.parametrize("decision", [Retry(), Confirm(), Fail()])
def test_a_decision_may_come_while_the_owner_stops(decision):
    """Law 5: the run rests, and its next owner goes on."""
    driver = lost(sketch("a:probed b", "a>b"))
    driver.halt()
    driver.probed(None)
    driver.decide(decision)
    driver.settle()


def test_an_intent_under_way_is_carried_out_when_the_owner_stops():
    """9.6: an intent that is written belongs to a body that begins: a halt leaves no effect in doubt."""
    driver = Driver(sketch("a:once b", "a>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack(1)
    driver.halt()
    driver.ack()
    assert driver.started == ["a"]
    driver.finish()
    driver.settle()

    assert driver.status is _R.INTERRUPTED
    assert driver.started == ["a"]


def test_a_once_visit_that_was_cancelled_is_listed_as_unknown():
    """7: a `once` visit ended by a cancel while its body ran is UNKNOWN too, and listed in the run's result."""
    driver = Driver(sketch("a:once")).claim()
    driver.cancel()
    driver.leave()

    assert driver.status is _R.CANCELLED
    assert driver.machine.fold.image.unknown == ("a@1",)
    assert "a@1" in driver.disk.writes[-1].message
    driver.settle()


def test_a_once_visit_cancelled_by_a_hard_halt_is_unknown_to_the_next_owner():
    driver = Driver(sketch("a:once")).claim()
    driver.halt(hard=True)
    driver.leave()
    assert driver.status is _R.INTERRUPTED
    driver.claim()

    assert driver.status is _R.AWAITING_INPUT
    assert driver.started == ["a"]


# -- stores that refuse --------------------------------------------------------------------------------------------


def test_a_refused_write_takes_the_run_from_this_process():
    """3 D8: a stale writer gets `StaleEpoch`, cancels its run scope and publishes nothing."""
    driver = Driver(sketch("a:pure b:pure", "a>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish()
    seen = len(driver.events)
    driver.refuse("claimed again")

    assert driver.leaving, "the node that ran ahead is told to leave"
    assert driver.finishes[-1].fenced == "claimed again"
    driver.leave()
    driver.feed(CommitDurable(3, 0.0))
    driver.feed(Halted("bye", 0.0))
    assert len(driver.events) == seen
    for act in (driver.claim, driver.cancel, driver.resume, driver.give_up):
        with pytest.raises(Refused, match="claimed again"):
            act()


@pytest.mark.parametrize("when", ["QUEUED", "RUNNING", "AWAITING_INPUT", "PAUSED", "INTERRUPTED", "CANCELLING"])
def test_a_run_that_can_never_be_stored_ends(when):
    """2: FAILED(store_rejected), and CANCELLED for one that was being cancelled."""
    driver = Driver(sketch("a gate:barrier", "a>gate"))
    if when != "QUEUED":
        driver.claim()
    if when in ("AWAITING_INPUT", "PAUSED"):
        driver.finish(pause=when == "PAUSED")
    elif when == "CANCELLING":
        driver.cancel()
    elif when == "INTERRUPTED":
        driver.leave()
    driver.crash()
    assert driver.status == when
    driver.give_up()

    if when == "CANCELLING":
        assert driver.status is _R.CANCELLED
    else:
        assert driver.status is _R.FAILED
        assert driver.failure.code == FailureCode.STORE_REJECTED
    driver.settle()
    with pytest.raises(IllegalTransition):
        driver.give_up()


def test_a_run_whose_node_still_runs_here_is_not_given_up():
    """9.1: it has to be loaded anew, by which its nodes have left."""
    driver = Driver(sketch("a")).claim()
    with pytest.raises(Refused, match="loaded anew"):
        driver.give_up()
    driver.finish()
    assert driver.status is _R.SUCCEEDED
