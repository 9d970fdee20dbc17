"""`terzetto_protocol.machine`: effects that nobody saw end (SEMANTICS 7)."""

import pytest

from terzetto_protocol.decisions import Approve, Confirm, Fail, Reject, Retry
from terzetto_protocol.errors import Refused
from terzetto_protocol.statuses import RunStatus

from .machines import Driver
from .sketches import Add, sketch

_R = RunStatus


def lost(graph) -> Driver:
    """A run whose process died in the body of its first node, and that was claimed again."""
    driver = Driver(graph).claim()
    driver.crash()
    return driver.claim()


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


def test_one_owner_may_ask_twice_about_a_visit():
    driver = lost(sketch("a:once"))
    driver.decide(Retry(), "d1")
    driver.halt(hard=True)
    driver.leave()
    driver.claim()
    assert driver.status is _R.AWAITING_INPUT
    driver.decide(Confirm(), "d2")

    assert [receipt.barrier for name in ("d1", "d2") for receipt in driver.receipts[name]] == ["a@1", "a@1.1"]
    assert driver.status is _R.SUCCEEDED


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


def test_an_effect_whose_body_never_began_is_known_not_to_have_happened():
    """7: no intent durable, or none begun: no effect can have happened, and nobody is asked about it."""
    driver = Driver(sketch("a:once"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack(1)  # the claim; the intent is on its way, and the body waits for it
    assert driver.started == []
    driver.cancel("c1")
    driver.ack()

    assert driver.status is _R.CANCELLED
    assert driver.machine.fold.image.unknown == ()
    driver.settle()
