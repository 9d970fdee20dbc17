"""`terzetto_protocol.machine`: dataflows inside of dataflows (SEMANTICS 5.7)."""

import pytest

from terzetto_protocol.dataflow import Dataflow, Output
from terzetto_protocol.errors import MutationFailed
from terzetto_protocol.events import BranchDiscarded, NodeFailed
from terzetto_protocol.records import Failure
from terzetto_protocol.statuses import FailureCode, RunStatus

from .flows import called, flow, out, reads_the_same, recover, running, started
from .machines import Driver, ended, label_of

_R = RunStatus


def inner(*words: str, **options) -> Dataflow:
    """An input `v` to the node `i`, and what that sends comes out as `o`."""
    return flow(*(words or (".v>i.v", "i.out>.o")), named="inner", **options)


def outer(within: Dataflow | None = None, *words: str, **options) -> Dataflow:
    """`x` to the dataflow `sub`, and its output `o` to the node `b`."""
    return flow(".x>sub.v", "sub.o>b.v", *words, inside={"sub": within or inner()}, **options)


def entered(made: Dataflow, **options) -> Driver:
    """A run of it in the first node of the dataflow inside."""
    driver = started(made, {"x": 1}, **options)
    driver.finish(node="sub.1/inputs")
    driver.ack()
    return driver


def play(driver: Driver, sends=lambda value: []) -> None:
    """Act every body out: each sends what is made of its input, and ends."""
    while driver.running:
        start = driver.start_of()
        node = label_of(start)
        if start.node == "inputs":
            driver.finish(node=node)
            continue
        for output, value in sends(called(driver, node)):
            driver.send(value, output, node=node)
        driver.finish(node=node)


# -- in and out -------------------------------------------------------------------------------------------------------


def test_inputs_go_in_and_outputs_come_out_at_the_end():
    driver = entered(outer())
    assert (running(driver), called(driver)) == (["sub.1/i"], {"v": 1})
    driver.send(2)
    driver.send(3)
    assert running(driver) == ["sub.1/i"], "outside nothing has happened yet"
    driver.finish()
    assert running(driver) == ["b", "b"]
    assert called(driver, "b") == {"v": 2}
    driver.settle()

    assert driver.status is _R.SUCCEEDED
    assert driver.events.count("BranchesStarted") == 1
    reads_the_same(driver)


def test_the_success_of_one_inside_is_one_commit_outside():
    driver = entered(outer())
    driver.send(2)
    driver.send(3)
    before = driver.disk.seq
    driver.finish()

    joins = [record for record in driver.disk.records[before:] if record.path == ""]
    assert [(record.place, [each.name for each in record.mutations]) for record in joins] == [
        ("sub", ["@passed", "@passed", "@over"])
    ]
    assert list(driver.state.tasks) == [2, 3]


def test_several_outputs_come_out_in_the_order_in_which_they_were_sent():
    driver = entered(outer(inner(".v>i.v", "i.a>.p", "i.b>.o"), "sub.p>.r", "sub.o>.r"))
    for number, output in enumerate("abba"):
        driver.send(number, output)
    driver.finish()

    assert out(driver) == {"r": [0, 1, 2, 3]}


def test_visits_of_one_inside_run_side_by_side_each_with_its_own():
    driver = started(flow("a.out>sub.v", "sub.o>.r", alone="a", inside={"sub": inner()}))
    for number in (1, 2, 3):
        driver.send(number, node="a")
    driver.finish(node="a")
    assert running(driver) == [f"sub.{ticket}/inputs" for ticket in (2, 3, 4)]
    for ticket in (2, 3, 4):
        driver.finish(node=f"sub.{ticket}/inputs")
    for ticket in (4, 2, 3):
        driver.send(called(driver, f"sub.{ticket}/i")["v"] * 10, node=f"sub.{ticket}/i")
        driver.finish(node=f"sub.{ticket}/i")

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [30, 10, 20]})
    driver.settle()
    reads_the_same(driver)


def test_limits_are_each_ones_own():
    within = inner(".v>i.v", "i.out>j.v", "j.out>.o", limit=1)
    driver = started(flow("a.out>sub.v", alone="a", inside={"sub": within}, limit=3))
    for number in range(3):
        driver.send(number, node="a")
    assert running(driver) == ["a", "sub.2/inputs", "sub.3/inputs"]
    driver.finish(node="sub.2/inputs")
    driver.send(1, node="sub.2/i")
    assert "sub.2/j" not in running(driver)
    driver.finish(node="sub.2/i")
    assert "sub.2/j" in running(driver)
    driver.finish(node="sub.2/j")

    assert running(driver) == ["a", "sub.3/inputs", "sub.4/inputs"]


def test_masks_lead_inside():
    made = outer(flow(".v>deep.v", "deep.o>.o", inside={"deep": inner()}, named="middle"))
    state = made.begin({"x": 1}, masks={"sub/deep/i": {"w": 5}, "sub/deep": {"v": 2}})
    driver = Driver(made, state).claim()
    for node in ("inputs", "sub.1/inputs", "sub.1/deep.1/inputs"):
        driver.finish(node=node)

    assert called(driver) == {"v": 2, "w": 5}


def test_declared_masks_give_way_to_those_of_the_run():
    made: Dataflow = Dataflow("made")
    sub = made.subflow("sub", inner(), masks={"i": {"w": 1, "u": 1}})
    made.link(made.input("x"), sub, "v")
    driver = Driver(made, made.begin({"x": 0}, masks={"sub/i": {"w": 2}})).claim()
    driver.finish()
    driver.finish(node="sub.1/inputs")

    assert called(driver) == {"v": 0, "w": 2, "u": 1}


def test_one_that_runs_itself_goes_as_deep_as_it_is_fed():
    made = flow(".n>i.v", "i.done>.o", named="made")
    again = made.subflow("again", made)
    made.link(Output("i", "more"), again, "n")
    made.output("o", again.out("o"))
    driver = Driver(made, made.begin({"n": 4})).claim()
    play(driver, lambda called: [("more", called["v"] - 1)] if called["v"] else [("done", "end")])

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"o": ["end"]})
    assert max(start.path for start in driver.witness.starts) == "again.2/again.2/again.2/again.2"
    driver.settle()


def test_one_that_runs_itself_without_an_end_is_stopped_by_the_steps():
    made = flow(".n>i.v", named="made", max_steps=50)
    made.link(Output("i", "more"), made.subflow("again", made), "n")
    driver = Driver(made, made.begin({"n": 4})).claim()
    while driver.running and not ended(driver):
        start = driver.start_of()
        if start.visit in driver.leaving:
            driver.leave(label_of(start))
            continue
        if start.node == "i":
            driver.send(0, "more")
        driver.finish()
    driver.settle()

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.STEPS_EXCEEDED)


# -- what goes wrong inside -------------------------------------------------------------------------------------------


def test_an_error_inside_goes_where_it_is_taken_inside():
    driver = entered(outer(inner(".v>i.v", "i.error>.o")))
    driver.fail()

    assert called(driver, "b") == {"v": "ValueError: no"}


def test_an_error_that_nobody_takes_inside_leaves_the_others_going():
    driver = entered(outer(inner(".v>i.v", "i.out>.o", ".v>j.v")))
    driver.send(2, node="sub.1/i")
    driver.fail(node="sub.1/j")
    driver.finish(node="sub.1/i")

    assert called(driver, "b") == {"v": 2}


@pytest.mark.parametrize("goes_on", ["continue", "fail"])
def test_one_that_fails_sends_its_error_and_nothing_of_what_it_sent_inside(goes_on):
    within = inner(".v>i.v", "i.out>.o", ".v>j.v", on_node_error="fail")
    driver = entered(outer(within, "sub.error>.why", on_node_error=goes_on))
    driver.send(2, node="sub.1/i")
    driver.fail(node="sub.1/j")
    assert driver.leaving == {driver.start_of("sub.1/i").visit}
    driver.leave("sub.1/i")

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"why": ["ValueError: no"]})
    failed = [event.node for event in driver.witness.seen if isinstance(event, NodeFailed)]
    assert failed == ["sub.1/j", "sub"]
    assert [event.branch for event in driver.witness.seen if isinstance(event, BranchDiscarded)] == ["sub.1"]
    driver.settle()
    reads_the_same(driver)


@pytest.mark.parametrize("goes_on, status", [("continue", _R.SUCCEEDED), ("fail", _R.FAILED)])
def test_one_that_fails_and_whose_error_nobody_takes_is_a_failed_visit_like_any_other(goes_on, status):
    driver = entered(outer(inner(on_node_error="fail"), on_node_error=goes_on))
    driver.fail()

    assert driver.status is status
    driver.settle()


def test_one_that_fails_leaves_its_sisters_alone():
    within = inner(on_node_error="fail")
    driver = started(flow("a.out>sub.v", "sub.o>.r", alone="a", inside={"sub": within}))
    for number in (1, 2):
        driver.send(number, node="a")
    driver.finish(node="a")
    for ticket in (2, 3):
        driver.finish(node=f"sub.{ticket}/inputs")
    driver.fail(node="sub.2/i")
    driver.send(7, node="sub.3/i")
    driver.finish(node="sub.3/i")

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [7]})
    driver.settle()


def test_the_innermost_that_does_not_fail_with_it_is_where_an_error_stays():
    middle = flow(
        ".v>deep.v", "deep.o>.o", "deep.error>.o", named="middle", inside={"deep": inner(on_node_error="fail")}
    )
    driver = started(outer(middle, on_node_error="fail"), {"x": 1})
    driver.finish(node="sub.1/inputs")
    driver.finish(node="sub.1/deep.1/inputs")
    driver.fail()

    assert called(driver, "b") == {"v": "ValueError: no"}
    driver.settle()


def test_inputs_that_do_not_fit_are_the_error_of_its_visit():
    within: Dataflow = Dataflow("within")
    within.input("v", int)
    driver = started(flow(".x>sub.v", "sub.error>.why", inside={"sub": within}), {"x": "text"})

    (why,) = out(driver)["why"]
    assert "input 'v': Expected `int`, got `str`" in why
    assert driver.status is _R.SUCCEEDED


def test_outputs_that_are_too_many_for_the_state_are_the_error_of_its_visit():
    driver = entered(outer(None, "sub.o>.r", "sub.o>.r", "sub.error>.why"), watch=False)
    for _ in range(12):
        driver.send("x" * 1_000_000)
    driver.finish()

    assert "cannot be stored" in out(driver)["why"][0]
    assert (driver.status, list(out(driver))) == (_R.SUCCEEDED, ["why"])
    reads_the_same(driver)


def test_its_own_steps_are_counted():
    driver = entered(outer(inner(".v>i.v", "i.out>i.v", "i.out>.o", max_steps=3)))
    for _ in range(2):
        driver.send(1)
        driver.finish()
    driver.settle()

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.STEPS_EXCEEDED)
    assert "'inner' made 3 visits" in driver.failure.message


# -- stops, crashes ---------------------------------------------------------------------------------------------------


def test_a_crash_inside_goes_on_inside():
    driver = entered(outer())
    driver.send(2)
    recover(driver)
    assert running(driver) == ["sub.1/i"]
    driver.send(2)
    driver.send(3)
    driver.finish()

    assert [called(driver, "b")["v"], len(running(driver))] == [2, 2]
    reads_the_same(driver)


def test_a_crash_between_the_failure_inside_and_its_end_outside():
    within = inner(".v>i.v", "i.out>.o", ".v>j.v", on_node_error="fail")
    driver = entered(outer(within, "sub.error>.why"))
    driver.fail(node="sub.1/j")
    recover(driver)

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"why": ["ValueError: no"]})
    assert driver.started.count("i") == 1
    driver.settle()


def test_a_crash_between_the_last_commit_inside_and_the_join():
    driver = entered(outer(), acks="later")
    driver.send(2)
    driver.ack()
    driver.finish()
    assert len(driver.sent) == 2
    recover(driver, keep=1)

    assert running(driver) == ["b"]
    driver.settle()


def test_a_cancel_reaches_the_innermost():
    driver = entered(outer())
    driver.cancel("c")
    assert len(driver.leaving) == 1
    driver.leave("sub.1/i")

    assert driver.status is _R.CANCELLED
    driver.settle()


def test_a_failure_outside_ends_what_runs_inside():
    driver = entered(outer(None, ".x>z.v", on_node_error="fail"))
    driver.fail(node="z")
    assert "sub.1/i" in [label_of(driver.running[visit]) for visit in driver.leaving]
    driver.leave("sub.1/i")

    assert driver.status is _R.FAILED
    driver.settle()


def test_a_failure_is_one_for_ever_however_it_is_read():
    """Law 1: what is final is in the log."""
    made = outer(inner(on_node_error="fail"), on_node_error="fail")
    driver = entered(made)
    driver.fail()
    failures = [record.detail for record in driver.disk.records if isinstance(record.detail, Failure)]

    assert [failure.final for failure in failures] == [True]
    assert not isinstance(driver.failure, MutationFailed)
