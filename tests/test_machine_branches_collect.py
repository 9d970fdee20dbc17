"""`terzetto_protocol.machine`: failures that are collected, limits and steps (SEMANTICS 5.5)."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import FailureCode, RunStatus

from .branches import Board, Set, declare, discarded, each, fan, nested, reads_the_same, recover, running, summed
from .machines import Driver, claimed, label_of
from .sketches import MUTATIONS, Add, Burst, Say, Spoil, Tally, body

_R = RunStatus


# -- collect --------------------------------------------------------------------------------------------------------


def test_collect_lets_all_end_folds_the_successes_and_fails():
    """5.5: `collect` folds the successes, then raises `BranchesFailed`."""
    driver = Driver(fan("w x y z", "y>y2", "y2", errors="collect")).claim()
    driver.fail("ValueError: one", node="x")
    driver.finish(Say("z"), node="z")
    driver.finish(Say("y"), node="y")
    driver.fail("ValueError: two", node="y2")
    assert driver.leaving == set()
    driver.finish(Say("w"), node="w")

    message = "2 of 4 branches of 'fan' failed: fan/x: ValueError: one; fan/y: ValueError: two"
    assert driver.status is _R.FAILED
    assert (driver.failure.code, driver.failure.message) == (FailureCode.NODE_ERROR, message)
    assert driver.state == driver.stored == Tally(0, ["w", "z"])
    assert discarded(driver) == ["fan/y"]
    driver.settle()


def test_what_succeeded_is_there_where_an_error_edge_leads_on():
    """5.5, 5.2: `collect` folds the successes first: edges see them."""
    graph = fan("x y", more="mend never", errors="collect")
    graph.edge("fan", "mend", on_error=True, when=lambda tally: tally.count == 7)
    graph.edge("fan", "never", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")
    driver.finish(Add(7), node="y")
    assert running(driver) == ["mend"]
    reads_the_same(driver)
    driver.finish(Add(1))

    assert driver.status is _R.SUCCEEDED
    assert driver.state.count == 8


def test_all_may_fail_and_the_first_five_are_named():
    """5.5: `BranchesFailed`; messages are bounded."""
    driver = Driver(each(range(7), errors="collect")).claim()
    for number in range(7):
        driver.fail(f"ValueError: {number}")

    told = "; ".join(f"map/{number}: ValueError: {number}" for number in range(5))
    assert driver.failure.message == f"7 of 7 branches of 'map' failed: {told}; and 2 more"


def test_a_failed_branch_is_in_no_conflict():
    """5.5: `collect` folds the successes: what a failed branch changed does not count."""
    driver = Driver(fan("x y", "x>x2", "x2", of=Board, merge="strict", errors="collect"), Board()).claim()
    driver.finish(Set("w", 1), node="x")
    driver.finish(Set("w", 2), node="y")
    driver.fail(node="x2")

    assert driver.failure.message.startswith("1 of 2 branches of 'fan' failed")
    assert driver.state == Board(w=2)


def test_successes_may_be_in_conflict_all_the_same():
    """5.5: the rules of the merge hold for the successes."""
    driver = Driver(fan("x y z", of=Board, merge="strict", errors="collect"), Board()).claim()
    driver.fail(node="y")
    driver.finish(Set("w", 1), node="x")
    driver.finish(Set("w", 2), node="z")

    assert "field 'w' was changed by fan/x and fan/z: " in driver.failure.message
    assert driver.state == Board()


def test_successes_are_folded_by_the_merge_function_where_there_is_one():
    """5.5: or a registered merge function: `collect` folds the successes, by the rule that was given."""
    driver = Driver(fan("x y z", merge=summed, errors="collect"), Tally(1)).claim()
    driver.fail(node="y")
    driver.finish(Add(1), node="x")
    driver.finish(Add(2), node="z")

    assert driver.failure.message.startswith("1 of 3 branches of 'fan' failed")
    assert driver.state == Tally(31, ["1: 2 3"])


def test_successes_that_make_a_state_that_cannot_be_stored_are_not_folded():
    """4.7: what cannot be stored faithfully is an error; 3 D7: the final state is part of the end's transaction."""
    driver = Driver(fan("x y", errors="collect")).claim()
    driver.finish(Spoil(), node="x")
    driver.fail(node="y")

    assert driver.status is _R.FAILED
    assert driver.stored == driver.state


@pytest.mark.parametrize("how", ["apply", "predicate", "steps", "nowhere", "error predicate"])
def test_some_failures_end_the_siblings_also_when_failures_are_collected(how):
    """4.6, 5.2, 5.3: these fail the run: no `collect` and no `on_error` edge holds them up."""
    graph = fan("x y", more="mend x2", merge="strict", errors="collect")
    graph.edge("fan", "mend", on_error=True)
    graph.edge("x", "x2", when=lambda tally: 1 // 0 if how == "predicate" else how == "steps")
    graph.edge("x", "x2", fallback=True)
    graph.edge("x", "x2", on_error=True, when=lambda tally: 1 // 0)
    driver = Driver(graph, max_steps=3).claim()
    if how == "error predicate":
        driver.fail(node="x")
    else:
        driver.finish(*([Burst()] if how == "apply" else [Add(1)]), node="x", next="zz" if how == "nowhere" else None)
    assert driver.leaving == {driver.start_of("y").visit}
    driver.leave("y")

    code = {"steps": FailureCode.STEPS_EXCEEDED, "nowhere": FailureCode.UNROUTED}.get(how, FailureCode.NODE_ERROR)
    assert (driver.status, driver.failure.code) == (_R.FAILED, code)
    assert "mend" not in driver.started
    assert driver.state == Tally()
    driver.settle()


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_what_was_collected_outlives_the_process(keep):
    """5.5, 7: the process dies around the join."""
    graph = fan("x y", more="mend", errors="collect")
    graph.edge("fan", "mend", on_error=True)
    driver = claimed(graph)
    driver.fail("ValueError: one", node="x")
    driver.ack()
    driver.finish(Add(1), node="y")
    recover(driver, keep=keep)
    if keep == 0:
        driver.finish(Add(1), node="y")
        driver.ack()

    assert driver.started == ["x", "y", *["y"] * (keep == 0), "mend"]
    assert driver.state.count == 1
    (failed,) = (e for e in driver.witness.seen if type(e).__name__ == "NodeFailed" and e.node == "fan")
    assert failed.failure.message == "1 of 2 branches of 'fan' failed: fan/x: ValueError: one"


# -- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 9, None])
def test_no_more_branches_are_live_than_the_limit_says(limit):
    """5.5: A limit per fan-out; others begin as branches end, in order of declaration."""
    driver = Driver(each(range(5), "b c", "b>c", limit=limit)).claim()
    most = 0
    while driver.started[-1] != "end":
        most = max(most, len(driver.running))
        driver.finish(Say(label_of(driver.start_of())))

    assert most == min(limit or 5, 5)
    assert [start.path for start in driver.witness.starts if start.node == "b"] == [f"map/{n}" for n in range(5)]
    assert driver.state.trail == [f"map/{n}/{node}" for n in range(5) for node in "bc"]


def live_in(driver: Driver, fork: str) -> int:
    """Bodies that run in branches of a map, and not in branches of theirs."""
    depth = fork.count("/") + 2
    return sum(path.startswith(f"{fork}/") and path.count("/") == depth for path in running(driver))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(0, 4), st.integers(0, 3)),
    st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, 1, 2])),
    st.lists(st.integers(0, 40), max_size=30),
)
def test_nested_limits_hold_and_never_block_each_other(sizes, limits, script):
    """5.5: A limit per fan-out, never held while waiting for children; taken again within the limit on return."""
    graph = each(range(sizes[0]), "inner after", "inner>after", limit=limits[0])
    graph.places.pop(0)
    declare(graph, "b")
    graph.map("inner", "b", over=lambda tally: range(sizes[1]), item=int, merge="replay", limit=limits[1])
    driver = Driver(graph).claim()
    for number in [*script, *[0] * 60]:
        assert live_in(driver, "map") <= (limits[0] or 99)
        assert all(live_in(driver, f"map/{n}/inner") <= (limits[1] or 99) for n in range(sizes[0]))
        starts = running(driver)
        if starts and number % 8 == 7:
            recover(driver)
        elif starts:
            driver.finish(Add(1), node=starts[number % len(starts)])

    assert driver.status is _R.SUCCEEDED
    assert driver.state.count == sizes[0] * sizes[1] + sizes[0] + 1


def test_a_branch_that_waits_for_its_own_branches_leaves_its_place():
    """5.5: never held while waiting for children: with a limit of one at both levels nothing blocks."""
    driver = Driver(nested("after", "inner>after", inner={"limit": 1}, outer={"limit": 1})).claim()
    assert running(driver) == ["outer/inner/inner/o/o", "outer/q/q"]
    driver.finish(node="o")
    assert running(driver) == ["outer/q/q", "outer/inner/inner/p/p"]
    driver.finish(node="p")
    assert running(driver) == ["outer/q/q"], "its place is taken: it comes back when there is one"
    driver.finish(node="q")
    assert running(driver) == ["outer/inner/after"]
    driver.finish(node="after")

    assert driver.started == ["o", "q", "p", "after", "end"]


def test_a_branch_for_which_there_is_no_step_left_takes_no_place():
    """5.3: exactly N visits: those that begin in the same commit are counted with each other."""
    driver = Driver(nested(outer={"limit": 1}), max_steps=4).claim()
    assert running(driver) == ["outer/inner/inner/o/o", "outer/inner/inner/p/p"]
    driver.finish(node="o")
    driver.finish(node="p")

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.STEPS_EXCEEDED)
    assert driver.started == ["o", "p"]
    driver.settle()


def beside(places: str, edges: str = "") -> Driver:
    """`fan` with a limit of one: `in` (of `p`), and these places but `after`."""
    graph: Graph[Any] = Graph("beside", state=Tally, mutations=MUTATIONS)
    declare(graph, f"{places} p end", f"{edges} fan>end")
    names = [word.partition(":")[0] for word in places.split()]
    graph.parallel("in", ["p"], merge="replay")
    graph.parallel("fan", ["in", *(name for name in names if name != "after")], merge="replay", limit=1)
    graph.start("fan")
    return Driver(graph).claim()


def test_others_take_the_place_of_a_branch_for_as_long_as_it_waits_for_its_own():
    """5.5: A limit per fan-out, never held while waiting for children, however many come and go meanwhile."""
    driver = beside("x y z")
    for name in "xyz":
        assert running(driver) == ["fan/in/in/p/p", f"fan/{name}/{name}"]
        driver.finish(node=name)
    driver.finish(node="p")

    assert driver.started == ["p", "x", "y", "z", "end"]


def test_a_branch_that_ends_with_its_own_branches_does_not_leave_its_place_twice():
    """5.5: A limit per fan-out: the place that it left was taken, and is not there to be left again."""
    driver = beside("g:barrier h:barrier")
    assert driver.disk.open_barriers() == ["fan/g/g@4"]
    driver.finish(node="p")
    assert driver.disk.open_barriers() == ["fan/g/g@4"]
    driver.decide()

    assert driver.disk.open_barriers() == ["fan/h/h@5"]
    driver.settle()


def test_a_branch_that_comes_back_from_its_own_branches_holds_a_place_again():
    """5.5: A limit per fan-out, never held while waiting for children, and held again after that."""
    driver = beside("g:barrier h:barrier after", "in>after")
    driver.finish(node="p")
    driver.decide(barrier="fan/g/g@4")
    assert (running(driver), driver.disk.open_barriers()) == (["fan/in/after"], [])
    driver.finish(node="after")

    assert driver.disk.open_barriers() == ["fan/h/h@6"]
    driver.settle()


@pytest.mark.parametrize("acks", ["settled", "now", "later"])
def test_effects_take_their_places_within_the_limit_too(acks):
    """5.5: a limit per fan-out: an intent that is being written has taken a place."""
    graph = nested("after:once q2:once", "inner>after q>q2", outer={"limit": 1})
    driver = Driver(graph, acks=acks)
    driver.ack()
    driver.claim()
    for node in ("o", "p", "q"):
        driver.ack()
        driver.finish(node=node)
    driver.ack()
    assert len(driver.running) == 1
    driver.finish()
    driver.ack()

    assert sorted(driver.started) == ["after", "o", "p", "q", "q2"]


def test_a_branch_that_waits_for_a_person_keeps_its_place():
    """5.5: only one that waits for branches of its own is not live."""
    driver = Driver(fan("g:barrier x", limit=1)).claim()
    assert (driver.status, driver.started) == (_R.AWAITING_INPUT, [])
    driver.decide()

    assert driver.started == ["x"]
    driver.settle()


def test_failures_that_are_collected_let_others_begin():
    """5.5: `collect` lets them end, one after the other where the limit says so."""
    driver = Driver(each(range(3), limit=1, errors="collect")).claim()
    driver.fail("ValueError: 0")
    driver.finish(Add(1))
    driver.fail("ValueError: 2")

    assert driver.failure.message == "2 of 3 branches of 'map' failed: map/0: ValueError: 0; map/2: ValueError: 2"
    assert driver.state.count == 1


# -- steps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("steps", range(1, 9))
def test_the_steps_of_all_branches_are_counted(steps, limit):
    """5.3: max_steps N allows exactly N visits: 1 that opens, 3 of 2 each, and 1 after them."""
    driver = Driver(fan("x y z", "x>x2 y>y2 z>z2", "x2 y2 z2", limit=limit), max_steps=steps).claim()
    while driver.running:
        if driver.leaving:
            driver.leave(label_of(driver.running[min(driver.leaving)]))
        else:
            driver.finish(Add(1))

    if steps == 8:
        assert driver.status is _R.SUCCEEDED
        return
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert f"the limit is {steps}, and " in driver.failure.message
    assert driver.machine.fold.image.visits == (1 if steps < 4 else steps)
    driver.settle()


def test_a_map_of_more_items_than_there_are_steps_fails_at_once():
    """5.3: and says so, before any of its branches has begun."""
    driver = Driver(each(range(10), limit=1), max_steps=10).claim()

    assert driver.started == []
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert driver.failure.message == "1 visits were made, the limit is 10, and 10 branches of 'map' would be more"
    driver.settle()


def test_a_failure_that_is_collected_does_not_hide_that_there_are_no_steps_left():
    """5.3, law 5: the branch that should begin cannot, and the run does not wait for it."""
    driver = Driver(fan("x y", "x>x2", "x2", limit=1, errors="collect"), max_steps=3).claim()
    driver.finish(node="x")
    driver.fail(node="x2")

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    driver.settle()


def test_max_visits_of_a_node_counts_the_visits_of_all_branches():
    """5.3: max_visits on an edge or node is enforced."""
    graph = each(range(3), "in")
    graph.node(name="b", max_visits=2)(body)
    graph.edge("in", "b")
    driver = Driver(graph).claim()
    for _ in range(3):
        driver.finish(node="in")

    assert driver.started.count("b") == 2
    driver.settle()
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED


@pytest.mark.parametrize("limit", [None, 1])
def test_max_visits_of_a_node_holds_also_where_branches_begin(limit):
    """5.3: max_visits on an edge or node is enforced."""
    graph: Graph[Any] = Graph("each", state=Tally, mutations=MUTATIONS)
    graph.node(name="b", max_visits=2)(body)
    graph.map("map", "b", over=lambda tally: range(3), item=int, merge="replay", limit=limit)
    graph.start("map")
    driver = Driver(graph).claim()
    driver.settle()

    assert driver.started.count("b") <= 2
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED


# -- an error that decides after others -------------------------------------------------------------------------------


def test_a_branch_that_cannot_begin_takes_no_words_from_one_that_failed():
    """5.3, 5.5: a collected failure makes room for a branch that would be one visit too many."""
    driver = Driver(fan("w x", "w>w2", "w2", errors="collect", limit=1), max_steps=3).claim()
    driver.finish(node="w")
    driver.fail("ValueError: two", node="w2")

    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert driver.failure.message.startswith("ValueError: two; then 3 visits were made")


def test_a_branch_that_ends_the_run_takes_no_words_from_those_that_were_collected():
    """5.5: what was collected before is told before what ended it all."""
    driver = Driver(fan("w x y", "x>x2", "x2", errors="collect")).claim()
    driver.fail("ValueError: one", node="w")
    driver.finish(Burst(), node="x")
    driver.leave("y")

    assert driver.status is _R.FAILED
    collected = "1 of 3 branches of 'fan' failed: fan/w: ValueError: one"
    burst = "node 'fan/x/x': MutationFailed: mutation Burst could not be applied: ArithmeticError: burst"
    assert driver.failure.message == f"{collected}; then {burst}"
