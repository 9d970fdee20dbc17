"""`terzetto_protocol.machine`: visits of dataflows that fail, or are tried again (SEMANTICS 5.7, 9.8)."""

import pytest

from terzetto_protocol.errors import NonDeterministicOutput
from terzetto_protocol.events import NodeFailed, NodeFinished
from terzetto_protocol.inputs import Again, NodeFailed as Ended
from terzetto_protocol.limits import ERROR_LENGTH
from terzetto_protocol.records import Failure, Sent
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import FailureCode, RunStatus

from .flows import called, flow, out, reads_the_same, recover, running, started
from .machines import Driver, refused

_R = RunStatus


def sent(driver: Driver) -> list[tuple[str, int, str]]:
    """Sends that are in the log: node, number and output."""
    return [(each.place, each.detail.number, each.detail.output) for each in driver.disk.records if kind(each)]


def kind(record) -> bool:
    return isinstance(record.detail, Sent)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_failed_visit_sends_its_error():
    """5.7: every node has an `error` output: a failed visit commits it."""
    driver = started(flow(".x>a.v", "a.error>b.why", "a.out>c.v", "b.out>.r"))
    driver.send(1)
    driver.fail("ValueError: no", node="a")
    assert called(driver, "b") == {"why": "ValueError: no"}
    assert running(driver) == ["c", "b"], "what it had sent has gone on"
    driver.finish(node="c")
    driver.finish(node="b")

    assert driver.status is _R.SUCCEEDED
    failed = [event for event in driver.witness.seen if isinstance(event, NodeFailed)]
    assert [(each.node, each.failure.message) for each in failed] == [("a", "ValueError: no")]
    driver.settle()


def test_the_leaves_of_an_error_are_one_text():
    driver = started(flow(".x>a.v", "a.error>.r"))
    visit = driver._end("a")
    driver.feed(Ended(visit, Failure("node_error", "2 errors", ("ValueError: a", "OSError: b")), 0.0))

    assert out(driver) == {"r": ["ValueError: a; OSError: b"]}


def test_a_long_error_is_cut():
    """Bad input never crashes an actor: an error may have any number of leaves."""
    driver = started(flow(".x>a.v", "a.error>.r"))
    leaves = tuple("x" * ERROR_LENGTH for _ in range(300))
    driver.feed(Ended(driver._end("a"), Failure("node_error", "300 errors", leaves), 0.0))

    (text,) = out(driver)["r"]
    assert text.startswith("xxx")
    assert len(text) < ERROR_LENGTH + 50


def test_without_a_taker_the_run_goes_on_or_fails():
    """5.7: otherwise the graph's `on_node_error` decides (continue | fail)."""
    for goes_on, status in (("continue", _R.SUCCEEDED), ("fail", _R.FAILED)):
        driver = started(flow(".x>a.v", on_node_error=goes_on))
        driver.fail()
        assert driver.status is status
        driver.settle()
    assert driver.failure.message == "ValueError: no"


def test_a_failure_that_somebody_takes_fails_nothing():
    """5.7: with links leaving it the run goes on."""
    driver = started(flow(".x>a.v", "a.error>.r", on_node_error="fail"))
    driver.fail()

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": ["ValueError: no"]})


def test_the_others_are_cancelled_before_the_run_fails():
    driver = started(flow("a.out>d.v", alone="a b c", on_node_error="fail"))
    driver.send(1, node="a")
    driver.fail(node="b")
    assert (driver.status, len(driver.leaving)) == (_R.RUNNING, 3)
    assert "is over" in refused(driver.send, 2, node="a")
    driver.leave("a")
    driver.leave("c")
    assert driver.status is _R.RUNNING
    driver.finish(node="d")

    assert (driver.status, driver.failure.message) == (_R.FAILED, "ValueError: no")
    assert [event.node for event in driver.witness.seen if isinstance(event, NodeFinished)] == ["inputs"]
    driver.settle()


def test_a_run_whose_process_died_before_the_others_had_left_is_failed_by_the_next_owner():
    driver = started(flow(alone="a b", on_node_error="fail"))
    driver.fail(node="a")
    driver.crash()
    assert driver.machine.fold.image.doomed is not None
    driver.claim()

    assert (driver.status, driver.failure.message) == (_R.FAILED, "ValueError: no")
    assert driver.started == ["inputs", "a", "b"], "nothing begins again"
    driver.settle()
    reads_the_same(driver)


@pytest.mark.parametrize("keep", [0, 1])
def test_a_process_that_dies_with_the_failure_on_its_way_has_not_decided_anything(keep):
    driver = started(flow(alone="a b", on_node_error="fail"), acks="later")
    driver.fail(node="a")
    recover(driver, keep)

    assert driver.status is (_R.FAILED if keep else _R.RUNNING)
    assert running(driver) == ([] if keep else ["a", "b"])


def test_a_cancel_goes_before_a_failure_that_waits_for_the_others():
    driver = started(flow(alone="a b", on_node_error="fail"))
    driver.fail(node="a")
    driver.cancel("c")
    driver.leave("b")

    assert driver.status is _R.CANCELLED
    driver.settle()


def test_a_halt_does_not_save_a_run_that_fails():
    driver = started(flow(alone="a b", on_node_error="fail"))
    driver.fail(node="a")
    driver.halt(hard=True)
    driver.leave("b")

    assert driver.status is _R.FAILED
    driver.settle()


def test_an_input_that_does_not_fit_is_the_failure_of_its_visit():
    """5.7: an invalid visit commits its error. Validation before the node runs: the actor answers with the failure."""
    driver = started(flow(".x>a.v", "a.error>.r"), {"x": "text"})
    driver.fail("InvalidInput: node 'a': input 'v': Expected `int`, got `str`")

    assert out(driver)["r"][0].startswith("InvalidInput")


# -- attempts ---------------------------------------------------------------------------------------------------------


def tried(**options):
    return flow(".x>a.v", "a.out>b.v", "a.error>.r", a={"retry": RetryPolicy(max_attempts=2, initial=1.0)}, **options)


def again(driver: Driver) -> None:
    driver.fail(node="a", again=Again(0.0))


def test_an_attempt_that_is_made_again_passes_over_what_was_sent():
    driver = started(tried())
    driver.send(1, node="a")
    again(driver)
    assert running(driver) == ["b"]
    driver.now = 5.0
    driver.wake()
    driver.send(1, node="a")
    driver.send(2, node="a")
    driver.finish(node="a")

    assert sent(driver) == [("a", 0, "out"), ("a", 1, "out")]
    assert len(driver.answers) == 3, "who sends again is answered too"
    driver.settle()
    assert driver.started.count("b") == 2


def test_the_last_attempt_sends_its_error():
    driver = started(tried())
    again(driver)
    driver.now = 5.0
    driver.wake()
    again(driver)

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": ["ValueError: no"]})


def test_a_failure_that_leads_to_one_visit_too_many_keeps_its_words():
    """5.3, 5.7: the steps end the run, and what went wrong before is told with them."""
    driver = started(flow(".x>a.v", "a.error>b.why", max_steps=2))
    driver.fail("node 'a': OSError: no", node="a")

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.STEPS_EXCEEDED)
    assert driver.failure.message.startswith("node 'a': OSError: no; then 2 visits were made, the limit is 2, and")
    reads_the_same(driver)


def test_another_value_in_the_place_of_one_that_has_gone_on_is_refused():
    """5.7: another value there is `NonDeterministicOutput`."""
    driver = started(flow(".x>a.v", "a.out>b.v"))
    driver.send(1)
    driver.send(2)
    recover(driver)
    driver.send(1, node="a")
    for value, output in ((3, "out"), (2, "other")):
        with pytest.raises(NonDeterministicOutput) as caught:
            driver.send(value, output, node="a")
        assert (caught.value.run_id, caught.value.node, caught.value.number) == ("r", "a", 1)
    driver.send(2, node="a")
    driver.send(3, node="a")

    assert sent(driver) == [("a", 0, "out"), ("a", 1, "out"), ("a", 2, "out")]


def test_a_body_that_runs_again_may_send_less():
    """Nothing is taken back: what was sent has gone on."""
    driver = started(flow(".x>a.v", "a.out>.r"))
    driver.send(1)
    driver.send(2)
    recover(driver)
    driver.send(1)
    driver.finish()

    assert out(driver) == {"r": [1, 2]}


def test_what_is_durable_is_not_sent_again_and_what_is_not_never_was():
    """5.7: a re-run skips the k that are durable. 7: a crash at every point of a body that sends."""
    for stored in range(4):
        driver = started(flow(".x>a.v", "a.out>b.v"), acks="later")
        for number in range(3):
            driver.send(number, node="a")
        recover(driver, stored)
        assert [number for _, number, _ in sent(driver)] == list(range(stored))
        for number in range(3):
            driver.send(number, node="a")
            driver.ack()
        driver.finish(node="a")
        driver.settle()
        assert driver.started.count("b") == 3
        assert driver.status is _R.SUCCEEDED
        assert driver.machine.fold.image.visits == 5


def test_three_claims_without_anything_new_are_the_end_but_a_value_is_something_new():
    """2.6: whoever commits something between two deaths goes on."""
    driver = started(flow(".x>a.v", "a.out>.r"))
    for number in range(6):
        for value in range(number + 1):
            driver.send(value)
        recover(driver)
    assert driver.status is _R.RUNNING
    for _ in range(3):
        recover(driver)

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.RECOVERY_EXHAUSTED)
