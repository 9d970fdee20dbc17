"""`terzetto_protocol.machine`: branches that wait for people (SEMANTICS 5.5)."""

from itertools import permutations
from typing import Any

import pytest

from terzetto_protocol.decisions import Approve, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import BarrierStatus, FailureCode, RunStatus

from .branches import fan, gates, nested, recover, rows, running
from .machines import Driver, claimed, refused
from .sketches import Say

_R = RunStatus


# -- barriers -------------------------------------------------------------------------------------------------------


def test_the_run_awaits_input_only_when_all_that_is_left_waits():
    """2: a run with open barriers *and* runnable branches is RUNNING with `open_barriers > 0`."""
    driver = Driver(fan("g:barrier x h:barrier", "g.approved>g2 x>i", "g2 i:barrier")).claim()
    assert (driver.status, driver.machine.fold.waiting) == (_R.RUNNING, 2)
    driver.finish(node="x")
    assert (driver.status, driver.machine.fold.waiting) == (_R.AWAITING_INPUT, 3)
    assert driver.finishes[-1].status is _R.AWAITING_INPUT
    driver.decide(barrier="fan/h/h@4")
    assert driver.status is _R.AWAITING_INPUT
    driver.decide(barrier="fan/g/g@2")
    assert (driver.status, running(driver)) == (_R.RUNNING, ["fan/g/g2"])
    driver.finish()
    assert driver.status is _R.AWAITING_INPUT
    driver.decide(Reject(), barrier="fan/x/i@5")

    assert driver.started == ["x", "g2", "end"]
    driver.settle()
    assert driver.status is _R.SUCCEEDED


def test_what_waits_in_branches_that_are_dropped_waits_no_more():
    """2: AWAITING_INPUT, in the commit after which all that is left waits; a failed fan-out leaves nobody waiting."""
    graph = nested("h:barrier i:barrier", "p>i", outer={"errors": "collect"})
    graph.edge("q", "h")
    driver = Driver(graph).claim()
    driver.finish(node="p")
    driver.finish(node="q")
    assert (driver.status, driver.machine.fold.waiting) == (_R.RUNNING, 2)
    driver.fail(node="o")

    assert (driver.status, driver.machine.fold.waiting) == (_R.AWAITING_INPUT, 1)
    assert driver.disk.records[-1].kind is Kind.JOIN, "and not by another commit"
    driver.settle()


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("empty", [False, True])
def test_branches_that_have_still_to_be_joined_do_not_wait_for_a_person(empty, keep):
    """2: AWAITING_INPUT is left to its people over a restart: there may be nothing else that is still to be done."""
    graph = fan("g:barrier x", "x>in in>x2", "p x2")
    graph.map("in", "p", over=lambda tally: range(0 if empty else 1), item=int, merge="replay")
    driver = claimed(graph)
    driver.finish(node="x")
    if not empty:
        driver.ack()
        driver.finish(node="p")
    else:
        driver.ack(1)
    driver.crash(keep)
    if driver.status is _R.RUNNING:
        driver.claim()
    driver.decide(barrier="fan/g/g@2")
    driver.settle()

    assert driver.status is _R.SUCCEEDED
    assert driver.started[-2:] == ["x2", "end"]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("order", ["".join(names) for names in permutations("ghi")])
def test_barriers_of_branches_are_decided_one_by_one_in_any_order(order, crash):
    """6.1: Id = (run, path, visit, name, k); 6.5: a decision for another id never disturbs a wait."""
    graph = gates("g h i", decided=lambda decision: [Say(decision.exit)])
    driver = Driver(graph).claim()
    ids = {"g": "fan/g/g@2", "h": "fan/h/h@3", "i": "fan/i/i@4"}
    assert sorted(driver.disk.open_barriers()) == sorted(ids.values())
    for number, name in enumerate(order):
        if crash:
            driver.crash()
        driver.decide(Reject() if name == "h" else Approve(), f"d{number}", barrier=ids[name])
        assert driver.receipts[f"d{number}"][0].barrier == ids[name]
    if crash and driver.status is not _R.RUNNING:
        driver.claim()

    assert driver.state.trail == ["approved", "rejected", "approved"]
    assert driver.started == ["end"]
    driver.settle()


def test_branches_are_decided_also_while_the_run_waits_for_a_slot():
    """2: AWAITING_INPUT -> QUEUED (decided, waits for a slot); what is decided then counts as well."""
    driver = Driver(gates("g h i", "g.approved>x", "x")).claim()
    driver.decide(barrier="fan/g/g@2", slot=False)
    assert (driver.status, driver.started) == (_R.QUEUED, [])
    driver.decide(command="d", barrier="fan/h/h@3", slot=False)
    driver.decide(barrier="fan/i/i@4")
    assert driver.status is _R.QUEUED
    driver.settle()
    recover(driver)
    driver.finish(node="x")

    assert driver.started == ["x", "end"]


def test_branches_are_decided_also_while_nobody_owns_the_run():
    """2, 6.3: an interrupted run waits at its barriers as any other."""
    driver = Driver(fan("g:barrier x", "g.approved>g2", "g2")).claim()
    driver.halt(hard=True)
    driver.leave()
    assert driver.status is _R.INTERRUPTED
    driver.decide()
    assert (driver.status, driver.started) == (_R.INTERRUPTED, ["x"])
    driver.settle()
    recover(driver)

    assert sorted(running(driver)) == ["fan/g/g2", "fan/x/x"]


@pytest.mark.parametrize("slot", [True, False])
def test_the_last_decision_joins_the_branches(slot):
    """2: AWAITING_INPUT -> QUEUED where there is no slot; 6.1: then the next node."""
    driver = Driver(gates("g h")).claim()
    driver.decide(barrier="fan/h/h@3", slot=slot)
    driver.decide(barrier="fan/g/g@2", slot=slot)
    if not slot:
        assert (driver.status, driver.started) == (_R.QUEUED, [])
        recover(driver)

    assert driver.started == ["end"]


def test_auto_approve_approves_in_branches():
    """6.7: `auto_approve=True` on the run approves."""
    graph = fan("g:barrier x h:barrier", "g.approved>i i.approved>g2", "i:barrier g2")
    driver = Driver(graph, auto_approve=True).claim()
    assert running(driver) == ["fan/x/x", "fan/g/g2"]
    assert {row.source for row in driver.disk.barriers.values()} == {"auto"}
    driver.finish()
    driver.finish()

    assert driver.started[-1] == "end"
    driver.settle()


def test_deadlines_of_branches_pass_one_after_the_other():
    """6.4: the absolute deadline is stored with the barrier, and the run's next one with the run."""
    driver = Driver(gates("g h", "x>h", "x", branches="g x", timeout=5.0)).claim()
    driver.now = 2.0
    driver.finish()
    assert (driver.status, driver.disk.row.timer) == (_R.AWAITING_INPUT, 5.0)
    driver.now = 6.0
    driver.fire("fan/g/g@2")
    assert (driver.status, driver.disk.row.timer) == (_R.AWAITING_INPUT, 7.0)
    assert "not due" in refused(driver.fire, "fan/x/h@4")
    driver.now = 7.0
    driver.fire("fan/x/h@4")

    assert driver.started == ["x", "end"]
    assert driver.disk.row.timer is None


@pytest.mark.parametrize("slot", [True, False])
def test_a_barrier_of_a_branch_may_fail_when_nobody_decides(slot):
    """6.4: or `Fail()`; 5.5: the first failure ends the other branches."""
    graph = gates("g h", more="mend", timeout=5.0, on_timeout=Fail("too late"))
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.now = 6.0
    driver.fire("fan/h/h@3", slot=slot)
    if not slot:
        assert driver.status is _R.QUEUED
        recover(driver)

    assert driver.started == ["mend"]
    assert rows(driver) == {"fan/g/g@2": BarrierStatus.DROPPED, "fan/h/h@3": BarrierStatus.RESOLVED}
    joined = next(record for record in driver.disk.records if record.kind is Kind.JOIN)
    assert joined.detail.failure.code == FailureCode.BARRIER_TIMEOUT


@pytest.mark.parametrize("status", [_R.AWAITING_INPUT, _R.QUEUED])
def test_a_timeout_that_cannot_be_carried_out_fails_the_run(status):
    """6.4: nobody is there to be told, and the deadline does not pass again; no `on_error` edge holds that up."""
    options: dict[str, Any] = {"timeout": 5.0, "decided": lambda decision: 1 // 0}
    graph = gates("g", "h.approved>x", "h:barrier x mend", branches="g h", **options)
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    if status is _R.QUEUED:
        driver.decide(barrier="fan/h/h@3", slot=False)
    assert driver.status is status
    driver.now = 6.0
    driver.fire("fan/g/g@2", slot=False)

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.BARRIER_TIMEOUT)
    assert "mend" not in driver.started
    driver.settle()


@pytest.mark.parametrize("decision", [Retry(), Confirm(), Fail("gone")])
def test_an_effect_of_a_branch_is_asked_about_while_the_others_go_on(decision: Decision):
    """7: intent durable, body began: visit UNKNOWN, a reconcile barrier; its siblings run on."""
    driver = Driver(fan("x:once y", "y>y2", "y2")).claim()
    recover(driver)
    assert (driver.status, rows(driver)) == (_R.RUNNING, {"fan/x/x@2": BarrierStatus.OPEN})
    driver.finish(node="y")
    driver.decide(decision, barrier="fan/x/x@2")
    driver.settle()

    assert driver.started.count("x") == (2 if isinstance(decision, Retry) else 1)
    assert driver.started.count("y") == 2
    assert driver.status is (_R.FAILED if isinstance(decision, Fail) else _R.SUCCEEDED)
