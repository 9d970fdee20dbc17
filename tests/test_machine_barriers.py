"""`terzetto_protocol.machine`: runs that wait for a decision (SEMANTICS 6)."""

import msgspec
import pytest
from msgspec import Raw

from terzetto_protocol.decisions import Approve, Choose, Confirm, Fail, Reject, Retry
from terzetto_protocol.events import BarrierOpened, BarrierResolved
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import BarrierStatus, FailureCode, RunStatus

from .machines import Driver, refused
from .sketches import Add, Burst, Say, Spoil, Tally, gated, sketch

_R = RunStatus


def waiting(graph=None, **options) -> Driver:
    driver = Driver(graph or gated(), **options).claim()
    driver.finish(Add(1))
    return driver


def waiting_later() -> Driver:
    """The same, and the opening is not durable yet."""
    driver = Driver(gated(), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish()
    return driver


# -- opening and deciding ------------------------------------------------------------------------------------------


def test_a_visit_and_the_barrier_behind_it_are_one_commit():
    """6.1: node commits and the barrier opens in one transaction -> `BarrierOpened` event -> wait."""
    driver = waiting()

    assert driver.status is _R.AWAITING_INPUT
    assert driver.disk.records[-1].kind is Kind.VISIT
    assert driver.disk.open_barriers() == ["gate@2"]
    assert driver.events[-2:] == ["NodeFinished", "BarrierOpened"]
    assert driver.finishes[-1].status is _R.AWAITING_INPUT
    assert driver.running == {}
    driver.settle()


@pytest.mark.parametrize("decision, follower", [(Approve(), "yes"), (Reject("hm"), "no"), (Choose("rejected"), "no")])
def test_a_decision_leads_through_its_exit(decision, follower):
    """6.3: a barrier has exits that edges start from; 3 D5: acknowledged => durable and its barrier closed."""
    driver = waiting()
    driver.decide(decision, "d1")

    assert driver.receipts["d1"] == [DecisionTaken("r", "gate@2", durable=True)]
    assert driver.started == ["a", follower]
    (resolved,) = (event for event in driver.witness.seen if isinstance(event, BarrierResolved))
    assert (resolved.barrier, resolved.decision, resolved.source) == ("gate@2", decision, "ann")
    assert driver.disk.barriers["gate@2"].status is BarrierStatus.RESOLVED
    driver.finish()
    assert driver.status is _R.SUCCEEDED


def test_nothing_before_the_barrier_runs_again_because_of_it():
    """6.1: nothing before the barrier runs again because of it; 2: a restart leaves AWAITING_INPUT untouched."""
    driver = waiting()
    before = driver.disk.seq
    driver.crash()
    assert (driver.status, driver.disk.seq) == (_R.AWAITING_INPUT, before)
    driver.decide()
    driver.finish()

    assert driver.started == ["a", "yes"]
    assert driver.state.count == 1


def test_a_graph_may_begin_and_end_with_a_barrier():
    """2: AWAITING_INPUT -> SUCCEEDED (the decision was the last step)."""
    driver = Driver(sketch("gate:barrier")).claim()
    assert driver.status is _R.AWAITING_INPUT
    driver.decide(command="d1")

    assert driver.status is _R.SUCCEEDED
    assert driver.receipts["d1"] == [DecisionTaken("r", "gate@1", durable=True)]
    assert driver.started == []
    driver.settle()


def test_barriers_may_follow_each_other():
    driver = Driver(sketch("one:barrier two:barrier", "one.approved>two")).claim()
    driver.decide()
    assert driver.status is _R.AWAITING_INPUT
    assert driver.disk.open_barriers() == ["two@2"]
    driver.decide()

    assert driver.status is _R.SUCCEEDED


def test_a_decided_run_may_have_to_wait_for_a_slot():
    """2: AWAITING_INPUT -> QUEUED (decided, waits for a slot)."""
    driver = waiting()
    driver.decide(command="d1", slot=False)
    assert driver.status is _R.QUEUED
    assert driver.receipts["d1"]
    assert driver.finishes[-1].status is _R.QUEUED
    driver.settle()
    driver.crash()
    driver.claim()

    assert driver.started == ["a", "yes"]


@pytest.mark.parametrize("decision", [Confirm(), Retry(), Fail(), Choose("elsewhere")])
def test_a_barrier_refuses_what_it_does_not_take_and_keeps_waiting(decision):
    """6.3: an unknown target is refused at decide time and the barrier keeps waiting."""
    driver = waiting()
    message = refused(driver.decide, decision, "d1")

    assert "approved" in message
    assert driver.status is _R.AWAITING_INPUT
    assert driver.receipts == {}


def test_declared_exits_replace_the_usual_ones():
    graph = gated(exits=["approved", "later"])
    driver = waiting(graph)
    assert "later" in refused(driver.decide, Reject())
    driver.decide(Choose("later"))

    assert driver.status is _R.SUCCEEDED, "nothing leads on from there"


def test_a_decision_for_another_id_never_disturbs_a_wait():
    """6.5: a decision for another id never disturbs a wait."""
    driver = waiting()
    for stranger in ("gate@1", "gate@3", "gate", "", "a@1", "other/gate@2"):
        assert repr(stranger) in refused(driver.decide, barrier=stranger, command="d")
    driver.decide()

    assert driver.started == ["a", "yes"]


def test_the_second_decider_hears_who_won():
    """6.4: exactly one wins; the others get `already_resolved` with the winner."""
    driver = waiting()
    driver.decide(Reject("no"), "d1")
    driver.decide(Approve(), "d2", barrier="gate@2")

    assert driver.receipts["d2"] == [AlreadyResolved("r", "gate@2", "reject", "ann")]
    assert driver.started == ["a", "no"]
    driver.finish()
    driver.decide(Approve(), "d3", barrier="gate@2")
    assert driver.receipts["d3"] == driver.receipts["d2"]


def test_the_loser_hears_it_only_when_the_winner_is_durable():
    """3 D3: nothing outside the process (a receipt) may depend on a commit that is not durable yet."""
    driver = waiting_later()
    driver.ack()
    driver.decide(Reject(), "d1")
    driver.decide(Approve(), "d2", barrier="gate@2")
    assert driver.receipts == {}
    driver.ack()

    assert [list(driver.receipts), driver.receipts["d2"][0].decision] == [["d1", "d2"], "reject"]


def test_a_decision_may_come_before_the_opening_is_durable():
    """6.5, 9.6: the run goes on, and nobody is told that it rests while it runs."""
    driver = waiting_later()
    driver.decide(command="d1")
    assert driver.status is _R.RUNNING
    driver.ack()

    assert driver.started == ["a", "yes"]
    assert [finish.status for finish in driver.finishes] == [_R.QUEUED]
    driver.finish()
    driver.settle()


def test_a_cancel_may_come_before_the_opening_is_durable():
    """6.4: ready together: cancel > decision > timeout."""
    driver = waiting_later()
    driver.cancel("c1")
    assert "CANCELLED" in refused(driver.decide, barrier="gate@2")
    driver.ack()

    assert driver.status is _R.CANCELLED
    assert driver.finishes[-1].status is _R.CANCELLED
    driver.settle()


# -- what a person is shown, and what a decision amounts to --------------------------------------------------------


def test_the_payload_is_made_of_the_state_behind_the_commit():
    driver = waiting(gated(payload=lambda tally: {"count": tally.count}))
    (opened,) = (event for event in driver.witness.seen if isinstance(event, BarrierOpened))

    assert msgspec.msgpack.decode(opened.payload) == {"count": 1}
    assert driver.disk.barriers["gate@2"].payload == bytes(opened.payload)


@pytest.mark.parametrize(
    "payload",
    [
        lambda tally: 1 // 0,
        lambda tally: object(),
        lambda tally: "\ud800",
        lambda tally: float("nan"),
        lambda tally: exec("raise SystemExit(3)"),
    ],
    ids=["raises", "no data", "surrogate", "nan", "exits"],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_payload_that_cannot_be_made_fails_the_run(payload, first):
    """4.7: what cannot be stored faithfully is a typed error; the visit before it stands."""
    graph = gated(payload=payload)
    if first:
        graph.starts[:] = ["gate"]
        driver = Driver(graph).claim()
    else:
        driver = waiting(graph)

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.NODE_ERROR
    assert "gate" in driver.failure.message
    assert driver.state.count == (0 if first else 1)
    assert driver.disk.open_barriers() == []
    driver.settle()


def test_what_a_decision_amounts_to_is_committed_with_it():
    """6.3: may declare how a decision becomes mutations."""
    driver = waiting(gated(decided=lambda decision: [Say(decision.exit), Add(10)]))
    driver.decide(Reject())

    assert (driver.state.trail, driver.state.count) == (["rejected"], 11)
    assert len(driver.disk.records[-1].mutations) == 2


@pytest.mark.parametrize(
    "decided",
    [
        lambda decision: [Add(1), Burst()],
        lambda decision: 1 // 0,
        lambda decision: [object()],
        lambda decision: [Add(1), Spoil()],
        lambda decision: exec("raise SystemExit(3)"),
    ],
    ids=["apply raises", "raises", "unlisted", "state not storable", "exits"],
)
def test_a_decision_that_cannot_be_carried_out_is_refused_and_the_barrier_keeps_waiting(decided):
    driver = waiting(gated(decided=decided))
    assert "gate" in refused(driver.decide, command="d1")

    assert driver.status is _R.AWAITING_INPUT
    assert driver.state == Tally(1)
    driver.settle()


def test_a_question_that_its_body_did_not_wait_for_is_over_with_the_visit():
    """6.2: `await ctx.decision(...)` waits inside a node; nobody is asked for one that has returned."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.ask(AskDecision("decision:q", "q", 0, Raw(b"\xc0"), 60.0))
    assert driver.disk.open_barriers() == ["q@1"]
    driver.finish()

    assert driver.disk.open_barriers() == []
    assert not driver.machine.fold.timed
    assert "is not open" in refused(driver.decide, barrier="q@1")
    driver.settle()
