"""`terzetto_protocol.machine`: how branches come together (SEMANTICS 5.5)."""

from itertools import permutations
from typing import Any

import pytest

from terzetto_protocol.records import Joined, Kind
from terzetto_protocol.statuses import FailureCode, RunStatus

from .branches import Board, Keys, Set, Stranger, discarded, each, fan, nested, reads_the_same, recover, summed
from .machines import Driver, claimed
from .sketches import Add, Burst, Say, Spoil, Tally, Tip

_R = RunStatus


# -- strict ---------------------------------------------------------------------------------------------------------


def strictly(x, y, of=Board, **options: Any) -> Driver:
    """Two branches that have ended with these mutations, and a third one that did nothing."""
    driver = Driver(fan("x y z", of=of, merge="strict", **options), of()).claim()
    for node, mutations in (("z", []), ("y", y), ("x", x)):
        driver.finish(*mutations, node=node)
    return driver


def test_two_branches_that_changed_one_field_are_in_conflict():
    """5.5: two branches changed the same top-level field (its encoding differs from the base in both):
    `MergeConflict` naming field and branches; nothing of them is folded.
    """
    driver = strictly([Set("w", 1), Say("x")], [Set("z", 2), Set("w", 1)])

    message = (
        "field 'w' was changed by fan/x and fan/y: mark it Annotated[..., terzetto.replayed], "
        "or give 'fan' merge=\"replay\" or a function of its own"
    )
    assert driver.status is _R.FAILED
    assert (driver.failure.code, driver.failure.message) == (FailureCode.NODE_ERROR, message)
    assert driver.failure.errors == (f"MergeConflict: {message}",)
    assert driver.state == driver.stored == Board()
    assert discarded(driver) == ["fan/x", "fan/y"]
    driver.settle()


def test_all_branches_of_a_conflict_are_named_in_order_of_declaration():
    """5.5: `MergeConflict` naming field and branches."""
    driver = Driver(fan("x y z w", of=Board, merge="strict"), Board()).claim()
    for node in "wzyx":
        driver.finish(*([] if node == "y" else [Set("w", ord(node))]), node=node)

    assert "field 'w' was changed by fan/x and fan/z and fan/w: " in driver.failure.message


def test_a_conflict_is_a_failure_of_the_place_whose_error_edges_lead_on():
    """5.5, 5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    graph = fan("x y", more="mend", of=Board, merge="strict")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph, Board()).claim()
    driver.finish(Set("w", 1))
    driver.finish(Set("w", 2))

    assert driver.started == ["x", "y", "mend"]
    assert driver.state == Board()
    reads_the_same(driver)


@pytest.mark.parametrize(
    "x, y, expected",
    [
        ([Set("x", 1)], [Set("y", 2)], Board(x=1, y=2)),
        ([Say("x")], [Say("y")], Board(trail=["x", "y"])),
        ([Set("w", 1)], [Set("w", 0)], Board()),
        ([Set("w", 1)], [Set("w", 9), Set("w", 0)], Board()),
        ([Set("w", 1)], [], Board(w=1)),
        ([], [], Board()),
    ],
    ids=["other fields", "replayed", "the value that it had", "changed and changed back", "one only", "none"],
)
def test_what_is_no_conflict_folds_as_if_one_branch_had_followed_the_other(x, y, expected):
    """5.5: the same field, its encoding differs from the base in both, and it is not `Annotated[...,
    terzetto.replayed]`; anything else folds in order of declaration.
    """
    driver = strictly(x, y)

    assert driver.running[max(driver.running)].node == "end"
    assert driver.state == expected


@pytest.mark.parametrize("put, conflict", [({"messages": ["new"]}, False), ({"topic": "tea"}, True)])
def test_reduced_keys_combine_and_the_others_do_not(put, conflict):
    """5.5: or reduced: every branch that puts a key with a parallel reducer has its say."""
    driver = strictly([Keys.put(**put)], [Keys.put(**put)], of=Keys)

    assert (driver.status is _R.FAILED) == conflict
    assert driver.state.messages == ([] if conflict else ["new", "new"])


def test_what_branches_of_a_branch_changed_the_branch_has_changed():
    """5.5: a conflict between the inside of one branch and another one is a conflict of the two."""
    graph = nested(outer={"merge": "strict"})
    driver = Driver(graph).claim()
    driver.finish(Add(1), node="o")
    driver.finish(Say("p"), node="p")
    driver.finish(Add(1), node="q")

    assert "field 'count' was changed by outer/inner and outer/q: " in driver.failure.message
    assert driver.state == Tally()


def test_a_conflict_is_found_as_well_by_whoever_recovers_the_run():
    """5.5, 7: the process dies between the last branch's end and the join."""
    driver = claimed(fan("x y", of=Board, merge="strict"), Board())
    driver.finish(Set("w", 1), node="x")
    driver.ack()
    driver.finish(Set("w", 2), node="y")
    assert [write.kind for write in driver.sent] == [Kind.VISIT, Kind.JOIN]
    recover(driver, keep=1)

    assert "field 'w' was changed by fan/x and fan/y: " in driver.failure.message
    assert driver.started == ["x", "y"]


# -- replay, and a function -----------------------------------------------------------------------------------------


def test_replay_applies_everything_in_order():
    """5.5: `merge="replay"` applies all commands in order, whatever fields they change."""
    for order in permutations(("x", "x2", "y")):
        if order.index("x2") < order.index("x"):
            continue
        driver = Driver(fan("x y", "x>x2", "x2", merge="replay")).claim()
        for node in order:
            driver.finish(Add(1), Say(node), node=node)

        assert driver.state == Tally(3, ["x", "x2", "y"])


def test_commands_that_cannot_follow_each_other_fail_the_run_at_the_commit_before():
    """4.6: `apply` that raises fails the run at the previous commit, naming run, node, mutation."""
    driver = Driver(fan("x y", "x>x2 y>y2", "x2 y2"), Tally(1)).claim()
    for node in ("x", "y", "x2", "y2"):
        driver.finish(*([Tip()] if node in "xy" else []), node=node)

    assert driver.status is _R.FAILED
    assert "'fan'" in driver.failure.message
    assert "mutation Tip could not be applied: ValueError: tipped already" in driver.failure.message
    assert driver.state == driver.stored == Tally(1)
    assert discarded(driver) == ["fan/x", "fan/y"], "5.5: what branches had committed is not dropped in silence"


@pytest.mark.parametrize("goes", [None, ""], ids=["by itself", "end"])
@pytest.mark.parametrize("merge", ["replay", "strict"])
@pytest.mark.parametrize("errors", ["fail_fast", "collect"])
def test_a_mutation_that_cannot_be_applied_is_the_fault_of_the_visit_that_recorded_it(errors, merge, goes):
    """4.6: naming run, node, mutation: the node of the branch, however the branches are merged, and it ended."""
    driver = Driver(fan("x y", merge=merge, errors=errors)).claim()
    driver.finish(Burst(), node="x", next=goes)
    driver.settle()

    assert driver.status is _R.FAILED
    assert "fan/x/x" in driver.failure.message
    assert "mutation Burst could not be applied: ArithmeticError: burst" in driver.failure.message
    assert "end" not in driver.started


def test_a_branch_that_recorded_what_cannot_be_applied_does_not_make_the_log_unreadable():
    """7, law 5: who recovers the run comes to the same end."""
    driver = claimed(fan("x y"))
    driver.finish(Burst(), node="x")
    recover(driver, keep=1)
    driver.settle()

    assert driver.status is _R.FAILED
    assert "mutation Burst could not be applied" in driver.failure.message


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("order", ["".join(names) for names in permutations("xyz")])
def test_a_merge_function_gets_the_state_before_and_the_branches_in_order(order, crash):
    """5.5: or a registered merge function: it gets the state before and the branches' states, in order of
    declaration, and says what to record; nothing else is folded.
    """
    driver = claimed(fan("x y z", merge=summed), Tally(1))
    for node in order:
        driver.ack()
        driver.finish(Add("xyz".index(node) + 1), Say(node), node=node)
    if crash:
        recover(driver, keep=1)
    driver.ack()

    assert driver.state == Tally(61, ["1: 2 3 4"])
    joined = next(record for record in driver.disk.records if record.kind is Kind.JOIN)
    assert [mutation.name for mutation in joined.mutations] == ["Say", "Add"]
    assert joined.detail == Joined()
    assert driver.started[-1] == "end"


def test_what_a_merge_function_does_to_the_states_that_it_gets_changes_nothing():
    """4.5: what a branch holds never changes under it; 4.4: the log is the only write path."""

    def meddles(before, branches):
        before.count = branches[0].count = 99
        branches[1].trail.append("99")
        return []

    driver = Driver(fan("x y", merge=meddles), Tally(5)).claim()
    driver.finish(Add(1))
    driver.finish(Say("y"))

    assert driver.state == Tally(5)
    reads_the_same(driver)


def late(before, branches):
    raise SystemExit(3)


@pytest.mark.parametrize(
    "merge, words",
    [
        (lambda before, branches: 1 // 0, "ZeroDivisionError: integer division or modulo by zero"),
        (late, "SystemExit: 3"),
        (lambda before, branches: [Stranger()], "it is not listed: say Graph(..., mutations=[Stranger])"),
        (lambda before, branches: [Say("\ud800")], "mutation Say cannot be stored"),
        (lambda before, branches: 5, "TypeError: its function returns mutations to record, and not a int"),
    ],
    ids=["raises", "exits", "unlisted", "surrogate", "no sequence"],
)
@pytest.mark.parametrize("mends", [False, True])
def test_a_merge_function_that_fails_is_a_failure_of_the_place(merge, words, mends):
    """5.5, 4.1: an unlisted mutation is refused with the fix in the message; nothing is folded."""
    graph = fan("x y", more="mend", merge=merge)
    if mends:
        graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph, Tally(1)).claim()
    driver.finish(Add(1), node="x")
    driver.finish(node="y")

    (failed,) = (event for event in driver.witness.seen if type(event).__name__ == "NodeFailed")
    assert failed.failure.message.startswith("the branches of 'fan' could not be merged: ")
    assert words in failed.failure.message
    assert driver.status is (_R.RUNNING if mends else _R.FAILED)
    assert driver.state == Tally(1)
    assert discarded(driver) == ["fan/x"]


def test_where_there_is_nothing_to_merge_no_function_is_asked():
    """5.5: a map over no items, and branches that have all failed."""
    driver = Driver(each([], merge=lambda before, branches: max(branches)), Tally(1)).claim()
    driver.finish(node="end")
    assert (_R.SUCCEEDED, Tally(1)) == (driver.status, driver.state)

    driver = Driver(fan("x y", merge=lambda before, branches: max(branches), errors="collect"), Tally(1)).claim()
    driver.fail(node="x")
    driver.fail(node="y")
    assert driver.failure.message.startswith("2 of 2 branches of 'fan' failed")


@pytest.mark.parametrize("mutation, words", [(Burst(), "mutation Burst"), (Spoil(), "cannot be stored")])
def test_what_a_merge_function_says_is_applied_as_any_batch(mutation, words):
    """4.6, 4.7: what cannot be applied, or makes a state that cannot be stored, is dropped whole."""
    graph = fan("x y", merge=lambda before, branches: [Add(1), mutation])
    del graph.edges[-1]
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()

    assert driver.status is _R.FAILED
    assert words in driver.failure.message
    assert driver.state == driver.stored == Tally()
