"""`terzetto_protocol.machine`: the life of a run, from its submit to its end (SEMANTICS 2, 4, 5 and 9)."""

import pytest
from terzetto_protocol.errors import IllegalTransition, Refused
from terzetto_protocol.fold import read_snapshot
from terzetto_protocol.inputs import CommitDurable, NodeFinished
from terzetto_protocol.records import Kind, Note
from terzetto_protocol.statuses import TERMINAL, FailureCode, RunStatus

from .machines import Add, Burst, Driver, Say, Spoil, Tally, Tip, sketch

_R = RunStatus


def kinds(driver: Driver) -> list[Kind]:
    return [record.kind for record in driver.disk.records]


def trail(driver: Driver) -> list[RunStatus]:
    return [record.status for record in driver.disk.records]


def stored_state(driver: Driver) -> Tally:
    """The state of the last commit's snapshot."""
    return driver.blueprint.state.unpack(read_snapshot(driver.disk.writes[-1].snapshot).state)


def refuses(driver: Driver, call, *args, error=Refused, **options) -> str:
    """The call is refused (the driver checks that nothing changed), and the message names the run."""
    before = driver.disk.seq, driver.status
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert before == (driver.disk.seq, driver.status)
    assert caught.value.run_id == "r"
    return str(caught.value)


# -- along the edges ---------------------------------------------------------------------------------------------


def test_a_new_run_waits_for_its_owner():
    """2: (none) -> QUEUED; 3 D1: submit returns => the run and its input are durable."""
    driver = Driver(sketch("a"), Tally(count=7))

    assert driver.status is _R.QUEUED
    assert driver.disk.writes[0].header == driver.header
    assert stored_state(driver) == Tally(count=7)
    assert driver.events == ["RunQueued"]
    assert driver.started == []
    driver.settle()


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
    """5.2: Next takes the first conditional edge whose predicate holds, in order of declaration; else the plain edge."""
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


# -- pause, cancel, halt -----------------------------------------------------------------------------------------


def test_a_pause_parks_the_run_at_the_commit_boundary():
    """5.1: `pause` is independent of the outcome; 6.6: a parked run holds no slot and no task."""
    driver = Driver(sketch("a b c", "a>b")).claim()
    driver.finish(Add(1), next="c", pause=True)

    assert driver.status is _R.PAUSED
    assert driver.running == {}
    assert driver.events[-2:] == ["NodeFinished", "RunPaused"]
    assert driver.finishes[-1].status is _R.PAUSED
    driver.settle()

    driver.resume("again")
    assert driver.status is _R.QUEUED
    assert driver.receipts["again"][0].run_id == "r"
    driver.claim()
    assert driver.started == ["a", "c"]


def test_a_paused_last_node_ends_the_run():
    driver = Driver(sketch("a")).claim()
    driver.finish(pause=True)

    assert driver.status is _R.SUCCEEDED


def test_a_paused_run_outlives_its_process():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(Add(3), pause=True)
    driver.crash()
    assert driver.status is _R.PAUSED
    driver.resume()
    driver.claim()
    driver.finish(Add(1))

    assert driver.state.count == 4
    assert driver.status is _R.SUCCEEDED


def test_only_a_paused_run_can_be_resumed():
    """2: anything else raises `IllegalTransition` and writes nothing."""
    driver = Driver(sketch("a")).claim()
    message = refuses(driver, driver.resume, error=IllegalTransition)
    assert "RUNNING" in message


def test_a_cancel_waits_for_the_node_and_drops_what_it_did():
    """9.1: receipts `requested`, `stopped`; 3 D6: no commit of that run succeeds afterwards."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.cancel("c1")
    assert driver.status is _R.CANCELLING
    assert driver.leaving
    assert driver.receipts["c1"][0].outcome == "requested"

    driver.finish(Add(1))  # it returned all the same
    assert driver.status is _R.CANCELLED
    assert driver.state == Tally()
    assert trail(driver) == [_R.QUEUED, _R.RUNNING, _R.CANCELLING, _R.CANCELLED]
    driver.settle()


@pytest.mark.parametrize("ending", ["finish", "fail", "leave"])
def test_however_the_body_ends_a_cancelled_run_is_cancelled(ending):
    driver = Driver(sketch("a", "a>a"), Tally(2)).claim()
    driver.cancel()
    driver.state.count = 77
    getattr(driver, ending)()

    assert driver.status is _R.CANCELLED
    assert driver.state == stored_state(driver) == Tally(2)
    driver.settle()


def test_a_cancel_before_the_first_claim_runs_no_node():
    """9.1: before the first claim: no node ever runs."""
    driver = Driver(sketch("a"))
    driver.cancel("c1")

    assert driver.status is _R.CANCELLED
    assert driver.receipts["c1"][0].outcome == "stopped"
    assert driver.started == []
    refuses(driver, driver.claim, error=IllegalTransition)


def test_a_parked_run_is_cancelled_at_once_and_its_barrier_dropped():
    for pause in (False, True):
        driver = Driver(sketch("a gate:barrier", "a>gate")).claim()
        driver.finish(pause=pause)
        driver.cancel("c1")

        assert driver.status is _R.CANCELLED
        assert driver.receipts["c1"][0].outcome == "stopped"
        assert driver.disk.open_barriers() == []
        driver.settle()


def test_a_second_cancel_hears_what_the_first_came_to():
    driver = Driver(sketch("a")).claim()
    driver.cancel("c1")
    driver.cancel("c2")
    driver.leave()
    driver.cancel("c3")

    outcomes = [driver.receipts[name][0].outcome for name in ("c1", "c2", "c3")]
    assert outcomes == ["requested", "requested", "already_terminal"]
    assert kinds(driver).count(Kind.CANCEL) == 1


def test_a_cancel_of_a_finished_run_changes_nothing():
    driver = Driver(sketch("a")).claim()
    driver.finish()
    before = driver.disk.seq
    driver.cancel("c1")

    assert driver.receipts["c1"][0].outcome == "already_terminal"
    assert driver.disk.seq == before
    assert driver.status is _R.SUCCEEDED


def test_a_soft_halt_lets_the_node_reach_its_commit():
    """9.6: let running work reach its commits until the deadline, then INTERRUPTED (resumable)."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.halt()
    assert not driver.leaving
    driver.finish(Add(1))

    assert driver.status is _R.INTERRUPTED
    assert driver.started == ["a"]
    assert driver.state.count == 1
    driver.claim()
    assert driver.started == ["a", "b"]


def test_a_hard_halt_cancels_the_node_which_runs_again_later():
    """9.6; 3: no visit with a durable commit runs again by itself, and this one has none."""
    driver = Driver(sketch("a")).claim()
    driver.halt(hard=True)
    assert driver.leaving
    driver.leave()
    assert driver.status is _R.INTERRUPTED
    assert isinstance(driver.disk.records[-1].detail, Note)
    driver.settle()

    driver.claim()
    driver.finish(Add(1))
    assert driver.started == ["a", "a"]
    assert [start.visit for start in driver.witness.starts] == [1, 1]
    assert driver.status is _R.SUCCEEDED


def test_a_halt_leaves_parked_and_waiting_runs_untouched():
    """9.6: parked runs untouched."""
    for graph in (sketch("gate:barrier"), sketch("a")):
        driver = Driver(graph)
        if graph.places[0].name == "gate":
            driver.claim()
        before = driver.disk.seq, driver.status
        driver.halt(hard=True)
        assert (driver.disk.seq, driver.status) == before


def test_a_cancelled_scope_interrupts_the_run():
    """9.4: KeyboardInterrupt is re-raised and the run INTERRUPTED."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.leave()

    assert driver.status is _R.INTERRUPTED


# -- what comes too late, or never belonged here -------------------------------------------------------------------


def test_late_results_are_refused():
    """9.1: its late results are refused."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(Add(1))
    message = refuses(driver, driver.feed, NodeFinished(1, (), 0.0))
    assert "visit 1" in message
    refuses(driver, driver.feed, NodeFinished(99, (), 0.0))
    assert driver.started == ["a", "b"]


def test_a_visit_that_waits_at_the_gate_cannot_end():
    """3 D2: any other non-pure node starts => the commit before it is durable."""
    driver = Driver(sketch("a b", "a>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish()
    refuses(driver, driver.feed, NodeFinished(2, (), 0.0))
    driver.ack()
    driver.finish()
    driver.settle()


def test_an_old_answer_of_the_store_changes_nothing():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish()
    driver.feed(CommitDurable(1, 0.0))
    driver.settle()


def test_statistics_count_what_was_finished():
    graph = sketch("a")
    graph.node(name="b", token_cost=2.5)(graph.places[0].fn)
    graph.edge("a", "b")
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()

    assert (driver.machine.fold.image.finished, driver.machine.fold.image.cost) == (2, 2.5)
    assert driver.status in TERMINAL
