"""`terzetto_protocol.machine`: owners that die, and stores that refuse (SEMANTICS 2 and 3)."""

import pytest
from msgspec import Raw

from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import IllegalTransition, Refused
from terzetto_protocol.inputs import CommitDurable, Decided, Halted, WithdrawRequested
from terzetto_protocol.limits import CLAIMS
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.records import Kind, Note
from terzetto_protocol.statuses import FailureCode, RunStatus

from .machines import Driver
from .sketches import Add, Say, Tally, sketch

_R = RunStatus


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


@pytest.mark.parametrize("what", ["decide", "keep", "withdraw", "pause"])
def test_a_command_that_finds_a_run_without_its_owner_leaves_it_to_be_claimed(what):
    """9.5, law 5: whoever speaks to it first does not own it."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.ask(AskDecision("decision:x", "x", 0, Raw(b"\xc0")))
    driver.feed(Decided("y", Approve(), "ann", 0.0, "k0", keep="always"))
    driver.crash()
    if what == "decide":
        driver.decide(barrier="x@1", command="k")
    elif what == "keep":
        driver.feed(Decided("z", Approve(), "ann", 0.0, "k", keep="always"))
    elif what == "withdraw":
        driver.feed(WithdrawRequested("y", 0.0, "k"))
    else:
        driver.pause("k")
        driver.resume()
    assert driver.status is (_R.QUEUED if what == "pause" else _R.INTERRUPTED)
    assert len(driver.receipts["k"]) == 1
    driver.settle()
    driver.claim()

    assert driver.started == ["a", "a"]


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
        assert "too large" == driver.machine.fold.image.note
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
