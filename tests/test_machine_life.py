"""`terzetto_protocol.machine`: the life of a run, from its submit to its end (SEMANTICS 2, 4, 5 and 9)."""

import pytest

from terzetto_protocol.events import NodeStarted
from terzetto_protocol.fold import read_record
from terzetto_protocol.inputs import Again
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.records import Kind, Note, RunHeader
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import FailureCode, RunStatus

from .machines import Driver
from .sketches import Add, Burst, Say, Spoil, Tally, Tip, body, sketch

_R = RunStatus


# -- along the edges ---------------------------------------------------------------------------------------------


def test_a_new_run_waits_for_its_owner():
    """2: (none) -> QUEUED; 3 D1: submit returns => the run and its input are durable."""
    driver = Driver(sketch("a"), Tally(count=7))

    assert driver.status is _R.QUEUED
    assert driver.disk.writes[0].header == driver.header
    assert driver.stored == Tally(count=7)
    assert driver.events == ["RunQueued"]
    assert driver.started == []
    driver.settle()


@pytest.mark.parametrize("command", ["", "c-1"])
def test_the_first_commit_knows_the_command_that_made_it(command):
    """6.5: duplicate command id => the same receipt; the log says which commit it was."""
    graph, tally = sketch("a"), Tally()
    header = RunHeader("r", graph.name, graph.version, "", "", 0.0)
    _, turn = RunMachine.begin(graph.build(), header, graph.first(tally), command_id=command)

    assert turn.commit is not None
    assert read_record(turn.commit.body).detail == (Note("", command) if command else None)


@pytest.mark.parametrize("effects", ["pure", "repeatable"])
@pytest.mark.parametrize("acks", ["now", "settled"])
def test_attempts_are_counted_inside_a_visit(acks, effects):
    """1: attempts are counted inside a visit."""
    graph = sketch(f"a:{effects}")
    graph.node(name="b", effects=effects, retry=RetryPolicy(max_attempts=3))(body)
    graph.edge("a", "b")
    driver = Driver(graph, acks=acks).claim()
    assert (1, 1) == (driver.start_of("a").visit, driver.start_of("a").attempt)
    driver.finish()
    for attempt in (1, 2):
        assert (2, attempt) == (driver.start_of("b").visit, driver.start_of("b").attempt)
        driver.fail(again=Again(0.0, None))
        driver.now += 60
        driver.wake()
    assert (2, 3) == (driver.start_of("b").visit, driver.start_of("b").attempt)
    assert [1, 1, 2, 3] == [event.attempt for event in driver.witness.seen if isinstance(event, NodeStarted)]


def test_a_chain_runs_to_its_end():
    """5.2: else the plain edge; a node without out-edges ends the run."""
    driver = Driver(sketch("a b c", "a>b>c")).claim()
    driver.finish(Add(1), Say("one"))
    driver.finish()
    driver.finish(Add(2))

    assert driver.status is _R.SUCCEEDED
    assert driver.state == Tally(3, ["one"])
    assert driver.started == ["a", "b", "c"]
    assert driver.events == [
        "RunQueued",
        "RunStarted",
        *["NodeStarted", "NodeFinished"] * 3,
        "RunEnded",
    ]
    assert [finish.status for finish in driver.finishes] == [_R.QUEUED, _R.SUCCEEDED]
    driver.settle()


def test_what_was_recorded_is_applied_in_order_when_the_node_has_returned():
    """4.2: order of record = order of apply."""
    driver = Driver(sketch("a")).claim()
    driver.finish(Say("x"), Say("y"), Say("z"))

    assert driver.state.trail == ["x", "y", "z"]


def test_a_conditional_edge_is_asked_after_the_commit_and_before_the_plain_one():
    """5.2: the first conditional edge whose predicate holds, in order of declaration; else the plain edge."""
    graph = sketch("a b c d", "a>d")
    graph.edge("a", "b", when=lambda tally: tally.count > 5)
    graph.edge("a", "c", when=lambda tally: tally.count > 3)
    for added, follower in ((9, "b"), (4, "c"), (1, "d")):
        driver = Driver(graph).claim()
        driver.finish(Add(added))
        assert driver.started == ["a", follower]


def test_a_fallback_is_taken_when_nothing_else_is():
    """5.2: else the fallback edge."""
    graph = sketch("a b c")
    graph.edge("a", "c", fallback=True)
    graph.edge("a", "b", when=lambda tally: tally.count > 0)
    driver = Driver(graph).claim()
    driver.finish()

    assert driver.started == ["a", "c"]


def test_a_loop_ends_when_its_condition_does():
    graph = sketch("a b", "a>b")
    graph.edge("b", "a", when=lambda tally: tally.count < 3)
    graph.node(name="c")(sketch("x").places[0].fn)
    graph.edge("b", "c")
    driver = Driver(graph).claim()
    while driver.running:
        driver.finish(*([Add(1)] if driver.frontier[max(driver.frontier)].place == "a" else []))

    assert driver.started == ["a", "b"] * 3 + ["c"]
    assert driver.status is _R.SUCCEEDED


def test_a_run_without_a_way_on_fails_and_names_what_was_tried():
    """5.2: else FAILED(unrouted) naming the predicates tried."""

    def is_late(tally):
        return False

    graph = sketch("a b")
    graph.edge("a", "b", when=is_late)
    driver = Driver(graph).claim()
    driver.finish(Add(1))

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.UNROUTED
    assert "a -> b" in driver.failure.message
    assert "is_late" in driver.failure.message
    assert driver.state.count == 1, "the visit itself succeeded"


def test_a_predicate_that_raises_fails_the_run_and_names_the_edge():
    """5.2: a predicate that raises fails the run and names the edge."""
    for error in (ZeroDivisionError("by zero"), SystemExit(3), GeneratorExit()):
        graph = sketch("a b", "a>b")

        def falls(tally, error=error):
            raise error

        graph.edge("a", "b", when=falls)
        driver = Driver(graph).claim()
        driver.finish(Add(1))

        assert driver.failure.code == FailureCode.NODE_ERROR
        assert "a -> b" in driver.failure.message
        assert type(error).__name__ in driver.failure.message
        assert driver.state.count == 1


def test_goto_and_end_need_no_edge():
    """5.1: a node's outcome is Next, goto(node) or end(); goto needs no edge."""
    driver = Driver(sketch("a b c", "a>b>c")).claim()
    driver.finish(next="c")
    driver.finish(next="a")
    driver.finish(next="")

    assert driver.started == ["a", "c", "a"]
    assert driver.status is _R.SUCCEEDED


def test_goto_to_nowhere_fails_the_run():
    driver = Driver(sketch("a")).claim()
    driver.finish(next="zz")

    assert driver.failure.code == FailureCode.UNROUTED
    assert "zz" in driver.failure.message


# -- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_max_steps_allows_exactly_so_many_visits(steps):
    """5.3: max_steps N allows exactly N visits."""
    driver = Driver(sketch("a", "a>a"), max_steps=steps).claim()
    while driver.running:
        driver.finish(Add(1))

    assert len(driver.started) == driver.state.count == steps
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert str(steps) in driver.failure.message


def test_the_last_allowed_visit_may_end_the_run():
    driver = Driver(sketch("a b", "a>b"), max_steps=2).claim()
    driver.finish()
    driver.finish()

    assert driver.status is _R.SUCCEEDED


def test_max_visits_of_a_node_is_enforced_and_outlives_a_crash():
    """5.3: max_visits on an edge or node is enforced."""
    graph = sketch("b")
    graph.node(name="a", max_visits=2)(graph.places[0].fn)
    graph.edge("b", "a")
    graph.edge("a", "b")
    driver = Driver(graph).claim()
    for _ in range(3):
        driver.finish()
    driver.crash()
    driver.claim()
    while driver.running:
        driver.finish()

    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert "'a'" in driver.failure.message
    assert [record.place for record in driver.disk.records if record.kind is Kind.VISIT] == ["b", "a", "b", "a", "b"]


def test_an_edge_that_was_taken_often_enough_is_passed_over():
    graph = sketch("a b")
    graph.edge("a", "a", max_visits=3)
    graph.edge("a", "b", fallback=True)
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()
    driver.crash()
    driver.claim()
    while driver.running:
        driver.finish()

    assert [record.place for record in driver.disk.records if record.kind is Kind.VISIT] == ["a"] * 4 + ["b"]
    assert driver.status is _R.SUCCEEDED


# -- failures ----------------------------------------------------------------------------------------------------


def test_a_node_that_raises_fails_the_run_and_leaves_no_trace():
    """4.3: a node that raises or is cancelled leaves no trace in the state."""
    driver = Driver(sketch("a b", "a>b"), Tally(5)).claim()
    driver.state.count = 99  # it changed what it was only lent
    driver.fail("ValueError: no")

    assert driver.status is _R.FAILED
    assert driver.failure.message == "ValueError: no"
    assert driver.state == Tally(5)
    assert driver.events[-2:] == ["NodeFailed", "RunEnded"]
    driver.settle()


def test_after_a_failed_visit_only_on_error_edges_are_looked_at():
    """5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    graph = sketch("a b c d", "a>b")
    graph.edge("a", "c", on_error=True, when=lambda tally: tally.count > 0)
    graph.edge("a", "d", on_error=True)
    for count, follower in ((0, "d"), (1, "c")):
        driver = Driver(graph, Tally(count)).claim()
        driver.fail()
        assert driver.status is _R.RUNNING
        assert driver.started == ["a", follower]
        driver.finish(Add(1))
        assert driver.status is _R.SUCCEEDED

    driver = Driver(graph).claim()
    driver.finish()
    assert driver.started == ["a", "b"], "and never after one that succeeded"


def test_a_predicate_of_an_on_error_edge_that_raises_fails_the_run():
    graph = sketch("a b")
    graph.edge("a", "b", on_error=True, when=lambda tally: 1 // 0)
    driver = Driver(graph).claim()
    driver.fail()

    assert driver.status is _R.FAILED
    assert "a -> b" in driver.failure.message


def test_an_apply_that_raises_fails_the_run_at_the_previous_commit():
    """4.6: `apply` that raises fails the run at the previous commit, naming run, node, mutation."""
    graph = sketch("a b", "a>b")
    graph.edge("b", "a", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Add(1))
    driver.finish(Add(10), Burst())

    assert driver.status is _R.FAILED, "an on_error edge does not catch it"
    assert driver.state == Tally(1), "the whole batch is dropped, and the half that was done too"
    for part in ("'b'", "Burst", "burst"):
        assert part in driver.failure.message
    driver.settle()


def test_the_batch_that_fails_is_dropped_and_not_its_twin_before():
    """4.6: the run fails at the previous commit."""
    driver = Driver(sketch("a b c", "a>b>c")).claim()
    driver.finish(Tip())
    driver.finish(Tip())

    assert driver.status is _R.FAILED
    assert "'b'" in driver.failure.message
    assert driver.state.trail == ["tip"]
    driver.settle()


def test_a_state_that_cannot_be_stored_is_an_error_of_that_node():
    """4.7: what cannot be stored faithfully is a typed error of *that node*."""
    driver = Driver(sketch("a")).claim()
    driver.finish(Add(1), Spoil())

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.NODE_ERROR
    assert "'a'" in driver.failure.message
    assert driver.state == Tally()
    driver.settle()
