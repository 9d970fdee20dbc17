"""`terzetto_protocol.machine`: graphs inside of graphs that wait for people (SEMANTICS 5.6, 6)."""

import msgspec
import pytest

from terzetto_protocol.decisions import Approve, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.ids import effect_key
from terzetto_protocol.statuses import BarrierStatus

from .branches import recover, running
from .insides import _R, LENS, Word, Words, around, speech, told, view
from .machines import Driver, refused
from .sketches import Add, Say, Tally, body, gated, sketch


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("decision, follower", [(Approve(), "yes"), (Reject("hm"), "no")])
def test_a_barrier_inside_is_decided_by_its_id_with_the_path(decision, follower, crash):
    """5.6: barriers are inherited; 6.1: Id = (run, path, visit, name, k), stable over restarts."""
    inner = gated(payload=lambda tally: tally.count, decided=lambda decision: [Say(decision.exit)])
    driver = Driver(around(inner, "gate:barrier"), Tally(4)).claim()
    driver.finish(Add(1))
    assert (driver.status, driver.barrier) == (_R.AWAITING_INPUT, "sub/gate@3")
    (opened,) = told(driver, BarrierOpened)
    assert (opened.barrier, opened.name, msgspec.msgpack.decode(opened.payload)) == ("sub/gate@3", "gate", 5)
    for stranger in ("gate@3", "sub/gate@2", "sub/sub/gate@3"):
        assert repr(stranger) in refused(driver.decide, barrier=stranger)
    if crash:
        driver.crash()
    driver.decide(decision, "d1")

    assert driver.receipts["d1"][0].barrier == "sub/gate@3"
    assert running(driver) == [f"sub/{follower}"]
    driver.finish()
    assert driver.state == Tally(5, [decision.exit])
    assert driver.disk.barriers["sub/gate@3"].status is BarrierStatus.RESOLVED
    driver.settle()


@pytest.mark.parametrize("slot", [True, False])
def test_a_decision_may_end_the_inner_graph(slot):
    """2: AWAITING_INPUT -> QUEUED where there is no slot: the exit of the subgraph is left to the next owner."""
    driver = Driver(around(sketch("gate:barrier"))).claim()
    driver.decide(slot=slot)
    if not slot:
        assert (driver.status, driver.started) == (_R.QUEUED, [])
        recover(driver)

    assert driver.started == ["end"]


def test_a_timeout_inside_passes_as_outside():
    """6.4: the absolute deadline is stored with the barrier; `source=timeout`."""
    driver = Driver(around(gated(timeout=5.0))).claim()
    driver.finish()
    assert driver.disk.row.timer == 5.0
    driver.now = 6.0
    driver.fire()

    assert running(driver) == ["sub/no"]
    assert driver.disk.barriers["sub/gate@3"].source == "timeout"


def test_auto_approve_approves_inside():
    """6.7: `auto_approve=True` on the run approves."""
    driver = Driver(around(gated()), auto_approve=True).claim()
    driver.finish()

    assert running(driver) == ["sub/yes"]


def test_keys_of_effects_differ_from_path_to_path_and_stay_what_they_are():
    """7: Key = hash(run, path, visit): the same for every attempt, epoch and process."""
    graph = around(sketch("a end", "a>end"), "a", "a>sub", first="a")
    driver = Driver(graph).claim()
    while driver.running:
        recover(driver)
        driver.finish()

    keys = {}
    for start in driver.witness.starts:
        keys.setdefault((start.path, start.node), set()).add(effect_key("r", start.path, start.visit))
    assert list(keys) == [("", "a"), ("sub", "a"), ("sub", "end"), ("", "end")]
    assert [len(one) for one in keys.values()] == [1, 1, 1, 1]
    assert len(set.union(*keys.values())) == 4
    assert effect_key("r", "sub", 3) != effect_key("r", "", 3) != effect_key("r", "sub/sub", 3)


@pytest.mark.parametrize("decision", [Confirm(), Retry(), Fail("gone")])
def test_an_effect_inside_is_asked_about_by_its_path(decision: Decision):
    """7: visit UNKNOWN, run AWAITING_INPUT with a reconcile barrier: confirm(result), retry, fail."""
    inner = speech("j", "")
    inner.node(name="i", effects="once")(body)
    inner.starts[:] = ["i"]
    inner.edge("i", "j")
    driver = Driver(around(inner, **LENS)).claim()
    recover(driver)
    assert (driver.status, driver.barrier) == (_R.AWAITING_INPUT, "sub/i@2")
    if isinstance(decision, Confirm):
        assert "Add" in refused(driver.decide, Confirm(tuple(driver.batch(Add(1)))))
        decision = inner.confirm(Word("done"))
    driver.decide(decision)

    if isinstance(decision, Fail):
        assert driver.failure.message == "the effect of sub/i@2 was given up by ann: gone"
        return
    assert running(driver) == ["sub/i" if isinstance(decision, Retry) else "sub/j"]
    driver.finish(*([Word("done")] if isinstance(decision, Retry) else []))
    assert view(driver) == Words(["done"]) if isinstance(decision, Retry) else driver.state.trail == ["done"]


def test_an_effect_inside_that_was_cancelled_is_listed_with_its_path():
    """7: a `once` visit ended by a cancel while its body ran is UNKNOWN too, and listed in the run's result."""
    driver = Driver(around(sketch("i:once"))).claim()
    driver.cancel()
    driver.leave()

    assert driver.status is _R.CANCELLED
    assert driver.machine.fold.image.unknown == ("sub/i@2",)
    driver.settle()
