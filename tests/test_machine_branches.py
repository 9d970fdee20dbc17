"""`terzetto_protocol.machine`: branches in any order, with crashes at any point (SEMANTICS 5.5)."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from terzetto_protocol.events import BranchesStarted, NodeFinished, TextChunk
from terzetto_protocol.ids import effect_key
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import FailureCode, RunStatus

from .branches import Board, Set, fan, nested, reads_the_same, recover, running, view
from .machines import Died, Driver, claimed, label_of
from .sketches import Add, Say, Tally

_R = RunStatus


# -- opening, and folding in order of declaration -------------------------------------------------------------------


def test_branches_begin_side_by_side_and_what_follows_waits_for_all():
    """5.5: Parallel: each branch starts from the same state; the place lasts until they have ended."""
    driver = Driver(fan("x y"), Tally(7)).claim()

    assert running(driver) == ["fan/x/x", "fan/y/y"]
    assert [view(driver, path) for path in ("fan/x", "fan/y")] == [Tally(7), Tally(7)]
    (opened,) = (event for event in driver.witness.seen if isinstance(event, BranchesStarted))
    assert (opened.node, opened.visit, opened.count) == ("fan", 1, 2)
    driver.finish(Add(1), node="y")
    assert driver.started == ["x", "y"]
    driver.finish(Add(2), node="x")
    assert driver.started == ["x", "y", "end"]
    assert driver.state == Tally(10)
    driver.settle()
    assert driver.status is _R.SUCCEEDED


def test_a_branch_sees_its_own_commits_and_nobody_elses():
    """5.5: each branch starts from the same state; 4.5: No aliasing: branches copy on their first commit."""
    driver = Driver(fan("x y", "x>x2 y>y2", "x2 y2"), Tally(1, ["a"])).claim()
    before, lent = driver.state, view(driver, "fan/y")
    driver.finish(Add(1), Say("x"), node="x")
    driver.finish(Say("y"), node="y")

    assert view(driver, "fan/x") == Tally(2, ["a", "x"])
    assert view(driver, "fan/y") == Tally(1, ["a", "y"])
    assert driver.state is before
    assert driver.state == lent == Tally(1, ["a"])


def test_the_log_tells_the_branch_of_every_commit():
    """5.5: branch commits go to the log under the branch's path; the join folds them into the outer path."""
    driver = Driver(fan("x y", "x>x2", "x2")).claim()
    for node, mutations in (("y", [Say("y")]), ("x", [Say("x")]), ("x2", []), ("end", [])):
        driver.finish(*mutations, node=node)

    told = [(record.kind, record.path, record.place, len(record.mutations)) for record in driver.disk.records[2:]]
    assert told == [
        (Kind.FORK, "", "fan", 0),
        (Kind.VISIT, "fan/y", "y", 1),
        (Kind.VISIT, "fan/x", "x", 1),
        (Kind.VISIT, "fan/x", "x2", 0),
        (Kind.JOIN, "", "fan", 0),
        (Kind.VISIT, "", "end", 0),
    ]
    assert driver.state.trail == ["x", "y"]
    finished = [event.node for event in driver.witness.seen if isinstance(event, NodeFinished)]
    assert finished == ["fan/y/y", "fan/x/x", "fan/x/x2", "fan", "end"]


@pytest.mark.parametrize("crash_after", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("order", ["".join(names) for names in permutations("wxyz")])
def test_branches_fold_in_order_of_declaration_in_whatever_order_they_end(order, crash_after):
    """5.5: the join folds them in order of *declaration*, never of completion; 3: no visit with a durable commit
    runs again; law 1: after every commit the log, folded from its newest snapshot, is the live run.
    """
    driver = Driver(fan("w x y z", of=Board, merge="strict"), Board()).claim()
    for number, name in enumerate(order):
        driver.finish(Set(name, number + 1), Say(name), node=name)
        reads_the_same(driver)
        if number == crash_after:
            recover(driver)
            reads_the_same(driver)

    again = () if crash_after is None else order[crash_after + 1 :]
    assert sorted(driver.started) == sorted(["w", "x", "y", "z", *again, "end", *["end"] * (crash_after == 3)])
    values = {name: number + 1 for number, name in enumerate(order)}
    assert driver.state == Board(**values, trail=["w", "x", "y", "z"])
    driver.settle()
    assert driver.status is _R.SUCCEEDED


def test_a_branch_goes_along_edges_gotos_and_loops_until_nothing_leads_on():
    """5.5: ends where nothing leads on; 5.1, 5.2: edges, goto and end mean inside what they mean outside."""
    graph = fan("x y", "x>x2 y2>never", "x2 x3 y2 never")
    graph.edge("x2", "x", when=lambda tally: tally.count < 2)
    graph.edge("x2", "x3", fallback=True)
    driver = Driver(graph).claim()
    for node in ("x", "x2", "x", "x2", "x3"):
        driver.finish(*([Add(1)] if node == "x" else []), node=node)
    driver.finish(next="y2", node="y")
    assert running(driver) == ["fan/y/y2"]
    driver.finish(next="", node="y2")

    assert driver.started == ["x", "y", "x2", "x", "x2", "x3", "y2", "end"]
    assert driver.state.count == 2


def test_a_goto_to_nowhere_ends_the_run_also_inside():
    """5.1, 5.2: FAILED(unrouted)."""
    driver = Driver(fan("x y")).claim()
    driver.finish(next="nowhere", node="x")
    driver.leave()

    assert driver.failure.code == FailureCode.UNROUTED
    assert "'nowhere'" in driver.failure.message


def test_a_place_of_branches_may_be_the_last():
    """5.2: a node without out-edges ends the run; 3 D7: status, state and end event are one transaction."""
    graph = fan("x y")
    del graph.edges[-1]
    driver = Driver(graph).claim()
    driver.finish(Add(1))
    driver.finish(Add(2))

    assert driver.status is _R.SUCCEEDED
    assert driver.disk.records[-1].kind is Kind.JOIN
    assert driver.stored == Tally(3)
    driver.settle()


def test_a_place_of_branches_may_be_entered_again():
    """1: visit numbers are never reused in a run: the second time has visits and keys of its own."""
    graph = fan("x y", more="last")
    graph.edge("end", "fan", when=lambda tally: tally.count < 4)
    graph.edge("end", "last", fallback=True)
    driver = Driver(graph).claim()
    while driver.running:
        driver.finish(*([Add(1)] if driver.start_of().path else []))

    assert (driver.status, driver.state.count) == (_R.SUCCEEDED, 4)
    inside = [(start.path, start.visit) for start in driver.witness.starts if start.path]
    assert inside == [("fan/x", 2), ("fan/y", 3), ("fan/x", 6), ("fan/y", 7)]
    assert len({effect_key("r", path, visit) for path, visit in inside}) == 4


def test_a_fan_out_may_stand_inside_another():
    """5.5: what branches of branches recorded comes together from the inside out."""
    for order in permutations("opq"):
        driver = Driver(nested("after", "inner>after")).claim()
        assert sorted(running(driver)) == ["outer/inner/inner/o/o", "outer/inner/inner/p/p", "outer/q/q"]
        for name in order:
            driver.finish(Say(name), node=name)
            recover(driver)
            reads_the_same(driver)
        driver.finish(Say("after"), node="after")

        assert driver.state.trail == ["o", "p", "after", "q"]
        assert driver.started[-1] == "end"


def test_a_run_without_a_store_has_branches_too():
    """`terzetto.run` carries graphs out as a runtime does."""
    for logged in (True, False):
        driver = Driver(fan("x y", of=Board, merge="strict"), Board(), acks="settled", logged=logged).claim()
        driver.finish(Set("y", 2), Say("y"), node="y")
        driver.finish(Set("x", 1), Say("x"), node="x")
        driver.finish()

        assert driver.status is _R.SUCCEEDED
        assert driver.state == Board(x=1, y=2, trail=["x", "y"])


def test_what_a_body_does_to_the_state_that_it_was_lent_is_undone_when_it_fails():
    """4.3: A node that raises leaves no trace in the state, neither its branch's nor the one that branches share."""
    driver = Driver(fan("x y", "x>x2", "x2", errors="collect"), Tally(1)).claim()
    driver.finish(Add(1), node="x")
    view(driver, "fan/x").count = 77
    driver.fail(node="x2")
    view(driver, "fan/y").trail.append("77")
    driver.fail(node="y")

    assert driver.state == driver.stored == Tally(1)


def test_what_a_body_does_to_the_state_that_branches_share_reaches_no_other_body():
    """4.3: A node that raises leaves no trace in the state: also what its branch does next does not see it."""
    graph = fan("x y", "y>y2", "y2 mend")
    graph.edge("x", "mend", on_error=True)
    driver = Driver(graph, Tally(1)).claim()
    view(driver, "fan/x").count = 77
    driver.fail(node="x")
    driver.finish(node="y")

    assert running(driver) == ["fan/x/mend", "fan/y/y2"]
    assert [view(driver, path) for path in ("fan/x", "fan/y", "")] == [Tally(1)] * 3


@pytest.mark.parametrize("effects", ["repeatable", "once", "probed", "pure"])
def test_the_first_branches_wait_for_the_claim(effects):
    """2: a claim is durable before its user code, also where that stands in branches."""
    driver = Driver(fan(f"x:{effects} y:{effects}"), acks="later")
    driver.ack()
    driver.claim()
    assert driver.started == []
    driver.ack()

    assert driver.started == ["x", "y"]


def test_pure_branches_run_ahead_and_nobody_sees_them_before_the_fork_is_durable():
    """3 D3: pure nodes may run ahead; nobody sees them, nor their chunks, before their predecessors are durable."""
    graph = fan("x:pure y", more="a")
    graph.edge("a", "fan")
    graph.starts[:] = ["a"]
    driver = claimed(graph)
    driver.finish()
    assert driver.started == ["a", "x"]
    driver.emit("early")
    assert [event for event in driver.witness.seen if isinstance(event, TextChunk)] == []
    driver.finish(Add(1))
    driver.crash()
    driver.claim()
    driver.ack()
    driver.finish()
    driver.ack()

    assert sorted(driver.started) == ["a", "a", "x", "x", "y"]
    assert driver.machine.fold.image.visits == 4, "what was not stored never was"


# -- any order, and crashes at any point ----------------------------------------------------------------------------


def told(before: Tally, branches: list[Tally]) -> list[Any]:
    return [Say(text) for each in branches for text in each.trail[len(before.trail) :]]


SEQUENTIAL = ["a", "x", "x2", "y", "y2", "z", "z2", "end"]


def act(driver: Driver, number: int) -> None:
    """The next thing: a body ends, the store answers, or an owner begins."""
    if driver.ownerless and driver.status is _R.RUNNING:
        driver.claim()
    elif driver.running:
        start = list(driver.running.values())[number % len(driver.running)]
        driver.finish(Say(start.node), node=label_of(start))
    elif driver.sent:
        driver.ack(1 + number % 2)
    else:
        driver.claim()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from(["strict", "replay", told]),
    st.sampled_from(["now", "later", "settled"]),
    st.sampled_from(["repeatable", "pure"]),
    st.sampled_from([None, 1, 2]),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), max_size=40),
)
def test_any_order_and_any_crashes_come_to_the_sequential_fold(merge, acks, effects, limit, script):
    """5.5, 7: folds in order of *declaration*; finished siblings never re-run, wherever the process dies."""
    words = [f"{name}:{effects}" for name in ("x", "y", "z", "x2", "y2", "z2")]
    graph = fan(
        " ".join(words[:3]), "x>x2 y>y2 z>z2 a>fan", f"a {' '.join(words[3:])}", of=Board, merge=merge, limit=limit
    )
    graph.starts[:] = ["a"]
    driver = Driver(graph, Board(), acks=acks)
    for number, accident in script:
        driver.doom = number if accident == 1 else None
        try:
            if accident == 0 and driver.disk.records[-1:] and driver.disk.records[-1].kind is not Kind.CLAIM:
                driver.crash(keep=number % 3)
            elif driver.status is not _R.SUCCEEDED:
                act(driver, number)
        except Died:
            driver.crash(keep=number % 3)
    driver.doom = None
    while driver.status not in (_R.SUCCEEDED, _R.FAILED) or driver.sent:
        act(driver, 0)

    assert (driver.status, driver.state) == (_R.SUCCEEDED, Board(trail=SEQUENTIAL))
    reads_the_same(driver)
