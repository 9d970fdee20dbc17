"""`terzetto_protocol.machine`: branches that fail, and what becomes of the others (SEMANTICS 5.5)."""

from contextlib import suppress

import pytest
from msgspec import Raw

from terzetto_protocol.errors import Refused
from terzetto_protocol.inputs import Again, NodeFinished as Finished
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .branches import declare, discarded, fan, nested, reads_the_same, recover, rows, running, view
from .machines import Driver, claimed, refused
from .sketches import Add, Burst, Say, Tally

_R = RunStatus


# -- fail_fast ------------------------------------------------------------------------------------------------------


def test_the_first_failure_cancels_the_siblings_and_waits_for_their_cleanup():
    """5.5: `fail_fast` (default) cancels the siblings, waits for their cleanup, drops what they committed."""
    driver = Driver(fan("x y z", "y>y2", "y2")).claim()
    driver.finish(Add(1), node="y")
    driver.fail("ValueError: bad luck", node="x")
    assert driver.leaving == {4, 5}
    before = driver.disk.seq
    driver.leave("z")
    assert (driver.status, driver.disk.seq) == (_R.RUNNING, before)
    driver.leave("y2")

    assert driver.status is _R.FAILED
    assert (driver.failure.code, driver.failure.message) == ("node_error", "ValueError: bad luck")
    assert driver.state == driver.stored == Tally()
    assert driver.events[-4:] == ["NodeFailed", "NodeFailed", "BranchDiscarded", "RunEnded"]
    assert discarded(driver) == ["fan/y"]
    driver.settle()


@pytest.mark.parametrize("late", ["finish", "fail", "leave", "goto", "pause", "burst"])
def test_late_results_of_siblings_change_nothing(late):
    """5.5: drops what they committed, whatever comes after; 9.1: its late results are refused."""
    acts = {
        "finish": lambda: driver.finish(Add(5)),
        "fail": lambda: driver.fail("OSError: late"),
        "leave": lambda: driver.leave("y"),
        "goto": lambda: driver.finish(Add(5), next="end"),
        "pause": lambda: driver.finish(pause=True),
        "burst": lambda: driver.finish(Burst()),
    }
    graph = fan("x y", "y>y2", "y2 mend", merge="strict")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")
    driver.emit()
    view(driver, "fan/y").count = 77
    acts[late]()

    assert driver.started == ["x", "y", "mend"]
    assert driver.state == Tally()
    assert [record.kind for record in driver.disk.records[2:]] == [Kind.FORK, Kind.VISIT, Kind.JOIN]
    refused(driver.feed, Finished(3, (), 0.0))
    driver.settle()
    assert driver.status is _R.SUCCEEDED


def test_what_a_sibling_asks_is_over_with_it():
    """5.5: `fail_fast` (default) cancels the siblings: nobody may answer them, also where the run goes on."""
    graph = fan("x y", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.ask(AskDecision("decision:q", "q", 0, Raw(b"\xc0"), 60.0), node="y")
    assert driver.disk.open_barriers() == ["fan/y/q@3"]
    driver.fail(node="x")
    driver.leave("y")

    assert (running(driver), driver.disk.open_barriers()) == (["mend"], [])
    assert not driver.machine.fold.timed
    assert "is not open" in refused(driver.decide, barrier="fan/y/q@3")
    driver.settle()


def test_a_failure_inside_cancels_only_what_is_beside_it():
    """5.5: the siblings are the branches of the same place, and of no other."""
    graph = nested("mend", "mend>after", inner={"merge": "strict"})
    declare(graph, "after")
    graph.edge("inner", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="o")
    assert driver.leaving == {driver.start_of("p").visit}
    driver.leave("p")
    assert (driver.leaving, running(driver)) == (set(), ["outer/q/q", "outer/inner/mend"])
    driver.finish(Say("q"), node="q")
    driver.finish(Say("mend"), node="mend")
    driver.finish(Say("after"), node="after")

    assert driver.state.trail == ["mend", "after", "q"]
    assert driver.started[-1] == "end"


def test_a_failure_inside_that_nothing_mends_goes_outwards():
    """5.5: the first failure cancels the siblings, at every level in turn."""
    driver = Driver(nested()).claim()
    driver.fail("ValueError: deep", node="o")
    driver.finish(node="p")
    assert driver.leaving == {driver.start_of("q").visit}
    driver.leave("q")

    assert driver.failure.message == "ValueError: deep"
    failed = [event.node for event in driver.witness.seen if type(event).__name__ == "NodeFailed"]
    assert failed == ["outer/inner/inner/o/o", "outer/inner/inner", "outer"]
    driver.settle()


def test_a_failure_outside_overtakes_one_that_is_being_waited_for_inside():
    """5.5, law 5: both come to their end, and the outer one decides."""
    graph = nested("mend")
    graph.edge("inner", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail("ValueError: inner", node="o")
    driver.fail("ValueError: outer", node="q")
    driver.leave("p")

    assert driver.status is _R.FAILED
    assert driver.failure.message == "ValueError: outer"
    assert "mend" not in driver.started
    driver.settle()


def test_what_branches_of_a_cancelled_branch_had_committed_is_not_dropped_in_silence():
    """5.5: drops what they committed (`BranchDiscarded`), however deep it was committed."""
    driver = Driver(nested()).claim()
    driver.finish(Add(1), node="o")
    driver.fail(node="q")
    driver.leave("p")

    assert driver.state == Tally()
    assert discarded(driver), "the commit of outer/inner/inner/o was seen, and is gone"


def test_an_error_edge_of_the_place_leads_on_from_the_state_before():
    """5.5, 5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    graph = fan("x y", more="mend never")
    graph.edge("fan", "never", on_error=True, when=lambda tally: tally.count > 0)
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Add(1), node="y")
    driver.fail(node="x")
    assert driver.started == ["x", "y", "mend"]
    reads_the_same(driver)
    driver.finish(Add(5))

    assert driver.status is _R.SUCCEEDED
    assert driver.state.count == 5


def test_an_error_edge_inside_a_branch_keeps_the_branch_alive():
    """5.2: only a failure that nothing leads on from ends the branch."""
    graph = fan("x y", more="mend")
    graph.edge("x", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")
    assert (running(driver), driver.leaving) == (["fan/y/y", "fan/x/mend"], set())
    driver.finish(Add(1), node="mend")
    driver.finish(node="y")

    assert driver.started[-1] == "end"
    assert driver.state.count == 1


@pytest.mark.parametrize("sibling", ["ended", "runs", "waits", "effect"])
@pytest.mark.parametrize("keep", [1, 2])
def test_a_process_that_dies_between_the_failure_and_the_join_changes_nothing(sibling, keep):
    """5.5, 7: whoever recovers the run ends the siblings and drops what they committed, as its owner would have."""
    kind = {"waits": "barrier", "effect": "once"}.get(sibling, "repeatable")
    graph = fan(f"x y z:{kind}", "y>y2", "y2 mend")
    graph.edge("fan", "mend", on_error=True)
    driver = claimed(graph, Tally(1))
    for node in ("y", "y2", *(["z"] if sibling == "ended" else [])):
        driver.finish(Add(1), node=node)
        driver.ack()
    driver.fail("ValueError: bad luck", node="x")
    if sibling in ("runs", "effect"):
        driver.leave("z")
    assert [write.kind for write in driver.sent] == [Kind.VISIT, Kind.JOIN]
    recover(driver, keep=keep)

    assert sorted(driver.started) == ["mend", "x", "y", "y2", *["z"] * (sibling != "waits")]
    assert driver.state == Tally(1)
    joined = next(record for record in driver.disk.records if record.kind is Kind.JOIN)
    assert joined.detail.failure.message == "ValueError: bad luck"
    assert discarded(driver) == ["fan/y", *(["fan/z"] if sibling == "ended" else [])]
    assert driver.disk.open_barriers() == []


@pytest.mark.parametrize("ending", ["leave", "finish", "fail"])
def test_a_cancel_may_come_while_siblings_leave(ending):
    """9.1, 3 D6: no commit of that run succeeds afterwards, and no join either; CANCELLING -> CANCELLED only."""
    driver = Driver(fan("x y")).claim()
    driver.fail(node="x")
    driver.cancel("c1")
    getattr(driver, ending)(node="y")

    assert driver.status is _R.CANCELLED
    assert driver.receipts["c1"][0].outcome == "requested"
    driver.settle()


@pytest.mark.parametrize("hard", [False, True])
def test_the_owner_may_stop_while_siblings_leave(hard):
    """9.6: running work reaches its commits, also that of a place whose branches are being ended."""
    graph = fan("x y", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")
    driver.halt(hard=hard)
    driver.leave("y")
    assert driver.status is _R.INTERRUPTED
    recover(driver)

    assert driver.started == ["x", "y", "mend"]


def test_a_sibling_that_waits_for_the_store_does_not_begin_after_a_failure():
    """5.5: the first failure cancels the siblings: what had not begun never does."""
    driver = claimed(fan("x y z", "y>y2", "y2"))
    driver.finish(node="y")
    driver.fail(node="x")
    driver.ack()
    assert (driver.started, driver.leaving) == (["x", "y", "z"], {4})
    driver.leave("z")
    driver.ack()

    assert driver.status is _R.FAILED
    assert driver.started == ["x", "y", "z"]
    driver.settle()


def test_a_sibling_that_rests_between_two_attempts_makes_none_any_more():
    """5.5: the first failure cancels the siblings, also those that wait for another attempt (9.8)."""
    driver = Driver(fan("x y:tried z")).claim()
    driver.fail(node="y", again=Again(0.5))
    driver.fail(node="x")
    driver.now = 100.0
    with suppress(Refused):
        driver.wake()
    assert running(driver) == ["fan/z/z"]
    driver.leave("z")

    assert driver.status is _R.FAILED
    assert driver.started == ["x", "y", "z"]
    driver.settle()


def test_branches_that_have_not_begun_never_begin_after_a_failure():
    """5.5: `fail_fast` cancels the siblings, also those that wait for a place."""
    driver = Driver(fan("x y z w", limit=2)).claim()
    driver.fail(node="x")
    driver.finish(node="y")

    assert driver.status is _R.FAILED
    assert driver.started == ["x", "y"]
    driver.settle()


# -- fail_fast: people and effects ----------------------------------------------------------------------------------


def test_barriers_of_siblings_are_dropped_and_take_no_decision_any_more():
    """5.5, 6.3: a barrier whose branch is being ended waits for nobody."""
    driver = Driver(fan("x y g:barrier h:barrier", "g.approved>y2", "y2")).claim()
    driver.fail(node="x")
    for barrier in ("fan/g/g@4", "fan/h/h@5"):
        assert "is not open" in refused(driver.decide, barrier=barrier, command="d")
        assert "is not open" in refused(driver.fire, barrier)
    driver.leave("y")

    assert rows(driver) == {"fan/g/g@4": BarrierStatus.DROPPED, "fan/h/h@5": BarrierStatus.DROPPED}
    refused(driver.decide, barrier="fan/g/g@4")
    driver.settle()


def test_barriers_of_siblings_are_dropped_also_where_the_run_goes_on():
    """5.5, 6.7: nothing is listed that nobody waits for."""
    graph = fan("x g:barrier", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")

    assert rows(driver) == {"fan/g/g@3": BarrierStatus.DROPPED}
    assert driver.machine.fold.waiting == 0
    driver.settle()
    assert driver.status is _R.SUCCEEDED


def test_a_once_sibling_whose_body_ran_is_unknown():
    """7: a `once` visit ended by a fail-fast sibling while its body ran is UNKNOWN, and listed in the run's result."""
    graph = fan("x y:once z:once", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(node="z")
    driver.fail(node="x")
    driver.finish(Add(1), node="y")
    assert driver.machine.fold.image.unknown == ("fan/y/y@3",)
    reads_the_same(driver)
    driver.finish(node="mend")

    assert driver.status is _R.SUCCEEDED
    assert driver.machine.fold.image.unknown == ("fan/y/y@3",)


def test_a_once_sibling_that_was_asked_about_already_is_unknown():
    """7: UNKNOWN, and nobody can answer for it any more."""
    driver = Driver(fan("x y:once")).claim()
    recover(driver)
    assert rows(driver) == {"fan/y/y@3": BarrierStatus.OPEN}
    driver.fail(node="x")

    assert driver.machine.fold.image.unknown == ("fan/y/y@3",)
    assert rows(driver) == {"fan/y/y@3": BarrierStatus.DROPPED}
    driver.settle()


@pytest.mark.parametrize("happened", [True, False, None])
def test_a_once_sibling_that_is_being_probed_is_unknown(happened):
    """7: whatever the probe says comes too late."""
    driver = Driver(fan("x y:probed")).claim()
    recover(driver)
    driver.fail(node="x")
    driver.probed(happened, node="y")

    assert driver.status is _R.FAILED
    assert driver.machine.fold.image.unknown == ("fan/y/y@3",)
    assert driver.started == ["x", "y", "x", "y?"]
    driver.settle()


def test_a_once_sibling_whose_body_had_not_begun_is_not_unknown():
    """7: no effect can have happened: an intent was written, and its body waited for it."""
    driver = claimed(fan("x y", "y>y2", "y2:once"))
    driver.finish(node="y")
    driver.ack(1)
    assert (driver.started, [write.kind for write in driver.sent]) == (["x", "y"], [Kind.INTENT])
    driver.fail(node="x")
    driver.ack()

    assert driver.status is _R.FAILED
    assert driver.machine.fold.image.unknown == ()
    assert [record.kind for record in driver.disk.records[-4:]] == [Kind.INTENT, Kind.VISIT, Kind.SKIP, Kind.JOIN]
    assert driver.started == ["x", "y"]
    driver.settle()
