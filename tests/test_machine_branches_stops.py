"""`terzetto_protocol.machine`: branches of runs that are paused, cancelled, halted or lost (SEMANTICS 5.5)."""

import pytest

from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import BarrierStatus, FailureCode, RunStatus

from .branches import fan, gates, recover, rows, running
from .machines import Driver, claimed, refused
from .sketches import Add, Tally

_R = RunStatus


# -- pause, cancel, halt, fence -------------------------------------------------------------------------------------


def test_a_pause_in_a_branch_parks_the_run_once_its_siblings_visits_have_ended():
    """6.2: taken at the commit boundary; 6.6: a parked run holds no slot and no task."""
    driver = Driver(fan("x y", "x>x2 y>y2", "x2 y2")).claim()
    driver.finish(Add(1), node="x", pause=True)
    assert (driver.status, running(driver), driver.leaving) == (_R.RUNNING, ["fan/y/y"], set())
    driver.finish(Add(1), node="y")
    assert (driver.status, driver.started) == (_R.PAUSED, ["x", "y"])
    driver.settle()
    driver.resume()
    recover(driver)
    assert sorted(running(driver)) == ["fan/x/x2", "fan/y/y2"]
    driver.finish()
    driver.finish()

    assert (driver.started[-1], driver.state.count) == ("end", 2)


@pytest.mark.parametrize("ending", ["fail", "leave"])
def test_a_pause_waits_also_for_siblings_that_do_not_succeed(ending):
    """6.2, law 5: the run rests, however they end."""
    driver = Driver(fan("x y", "x>x2", "x2", errors="collect")).claim()
    driver.finish(node="x", pause=True)
    getattr(driver, ending)(node="y")

    assert driver.status is (_R.PAUSED if ending == "fail" else _R.INTERRUPTED)
    driver.settle()


def test_a_pause_in_the_last_visit_of_all_branches_parks_the_run_behind_them():
    """6.2: a run parks after a visit that called `ctx.pause()`."""
    driver = Driver(fan("x y")).claim()
    driver.finish(node="x")
    driver.finish(node="y", pause=True)
    assert (driver.status, driver.started) == (_R.PAUSED, ["x", "y"])
    driver.resume()
    driver.claim()

    assert driver.started == ["x", "y", "end"]


@pytest.mark.parametrize("last", [False, True])
def test_a_pause_beside_a_barrier_parks_the_run_and_gives_the_barrier_back(last):
    """6.2, 6.7, law 5: a resumed run of which nothing is left but waiting waits for its people."""
    driver = Driver(fan("x g:barrier", "" if last else "x>x2", "x2")).claim()
    driver.finish(node="x", pause=True)
    assert driver.status is _R.PAUSED
    assert "PAUSED" in refused(driver.decide)
    driver.resume()
    driver.claim()
    if not last:
        driver.finish(node="x2")
    assert driver.status is _R.AWAITING_INPUT
    driver.settle()
    driver.decide()

    assert driver.started[-1] == "end"


def test_a_pause_in_a_branch_is_not_forgotten_when_the_process_dies():
    """6.2: a run parks after a visit that called `ctx.pause()`: that visit is durable, and does not ask again."""
    driver = Driver(fan("x y", "x>x2", "x2")).claim()
    driver.finish(node="x", pause=True)
    recover(driver)
    while driver.running and driver.status is _R.RUNNING:
        driver.finish()

    assert "end" not in driver.started
    assert driver.status is _R.PAUSED


def test_a_cancel_waits_for_all_bodies():
    """9.1: Cancel: children first; CANCELLED only after all have left."""
    driver = Driver(fan("x y z", "z>z2", "z2:once")).claim()
    driver.finish(node="z")
    driver.cancel("c1")
    assert driver.leaving == {2, 3, 5}
    driver.leave("x")
    driver.finish(Add(1), node="y")
    assert driver.status is _R.CANCELLING
    driver.fail(node="z2")

    assert driver.status is _R.CANCELLED
    assert driver.machine.fold.image.unknown == ("fan/z/z2@5",)
    assert driver.state == Tally()
    driver.settle()


def test_a_cancel_drops_what_waits_in_branches():
    """9.1: receipts `requested`, `stopped`; 6: a run that is over lists no barrier."""
    driver = Driver(fan("x g:barrier h:barrier")).claim()
    driver.cancel("c1")
    driver.leave()
    other = Driver(gates("g h")).claim()
    other.cancel("c1")

    for one_of_them, outcome in ((driver, "requested"), (other, "stopped")):
        assert one_of_them.status is _R.CANCELLED
        assert one_of_them.receipts["c1"][0].outcome == outcome
        assert set(rows(one_of_them).values()) == {BarrierStatus.DROPPED}
        one_of_them.settle()


def test_a_cancel_leaves_no_doubt_about_effects_whose_bodies_had_not_begun():
    """7: no effect can have happened where an intent was written and its body waited for it."""
    driver = claimed(fan("x y", "x>x2 y>y2", "x2:once y2:once"))
    driver.finish(node="x")
    driver.finish(node="y")
    driver.ack(2)
    assert [write.kind for write in driver.sent] == [Kind.INTENT, Kind.INTENT]
    driver.cancel("c1")
    driver.ack()

    assert driver.status is _R.CANCELLED
    assert driver.machine.fold.image.unknown == ()
    assert driver.receipts["c1"][0].outcome == "stopped"
    driver.settle()


def test_recovery_finishes_a_cancel_with_branches_and_starts_no_node():
    """2: CANCELLING -> CANCELLED only, also after a crash: recovery finishes the cancel and starts no node."""
    driver = Driver(fan("x y g:barrier", "x>x2", "x2")).claim()
    driver.finish(node="x")
    driver.cancel()
    recover(driver)

    assert driver.status is _R.CANCELLED
    assert driver.started == ["x", "y", "x2"]
    driver.settle()


def test_a_soft_halt_lets_every_branch_reach_its_commit():
    """9.6: let running work reach its commits until the deadline, then INTERRUPTED (resumable)."""
    driver = Driver(fan("x y", "x>x2 y>y2", "x2 y2")).claim()
    driver.halt()
    driver.finish(Add(1), node="x")
    assert (driver.status, driver.leaving) == (_R.RUNNING, set())
    driver.finish(Add(1), node="y")
    assert (driver.status, driver.started) == (_R.INTERRUPTED, ["x", "y"])
    recover(driver)

    assert sorted(running(driver)) == ["fan/x/x2", "fan/y/y2"]
    driver.settle()
    assert (driver.status, driver.state.count) == (_R.SUCCEEDED, 2)


def test_a_soft_halt_waits_for_bodies_whose_intents_are_under_way():
    """9.6: a halt leaves no effect in doubt."""
    driver = claimed(fan("x y", "x>x2", "x2:once"))
    driver.finish(node="x")
    driver.ack(1)
    driver.halt()
    driver.finish(node="y")
    assert driver.status is _R.RUNNING
    driver.ack()
    assert running(driver) == ["fan/x/x2"]
    driver.finish()
    driver.ack()

    assert driver.status is _R.INTERRUPTED
    driver.settle()


def test_a_hard_halt_cancels_all_bodies_which_run_again_later():
    """9.6; 3: no visit with a durable commit runs again by itself, and these have none."""
    driver = Driver(fan("x y z")).claim()
    driver.finish(Add(1), node="z")
    driver.halt(hard=True)
    assert driver.leaving == {2, 3}
    driver.leave("y")
    driver.leave("x")
    assert driver.status is _R.INTERRUPTED
    recover(driver)
    assert driver.started == ["x", "y", "z", "x", "y"]
    driver.settle()

    assert driver.state.count == 1


def test_a_deadline_ends_the_run_when_all_bodies_have_left():
    """9.7: Timeouts: run deadline; 5.5: whatever its branches had committed is not part of its state."""
    driver = Driver(fan("x y z g:barrier"), deadline=5.0).claim()
    driver.finish(Add(1), node="z")
    driver.now = 5.0
    driver.expire()
    assert driver.leaving == {2, 3}
    driver.leave("x")
    assert driver.status is _R.RUNNING
    driver.finish(Add(1), node="y")

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.DEADLINE_EXCEEDED)
    assert driver.state == Tally()
    assert set(rows(driver).values()) == {BarrierStatus.DROPPED}
    driver.settle()


def test_a_stale_owner_leaves_with_all_its_branches():
    """3 D8: a stale writer cancels its run scope and publishes nothing."""
    driver = claimed(fan("x y z"))
    driver.finish(node="x")
    seen = len(driver.events)
    driver.refuse("claimed again")
    assert driver.leaving == {3, 4}
    driver.finish(Add(1), node="y")
    driver.fail(node="z")

    assert len(driver.events) == seen
    assert driver.finishes[-1].fenced == "claimed again"
    driver.crash()
    driver.claim()
    driver.ack()
    assert sorted(running(driver)) == ["fan/x/x", "fan/y/y", "fan/z/z"]
