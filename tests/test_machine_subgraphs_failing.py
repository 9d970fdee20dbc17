"""`terzetto_protocol.machine`: graphs inside of graphs that fail (SEMANTICS 4.6, 5.6)."""

import pytest

from terzetto_protocol.events import BranchDiscarded, NodeFailed
from terzetto_protocol.records import Kind

from .branches import recover
from .insides import _R, Word, Words, around, put_words, speech, told, two, words_of
from .machines import Driver, claimed
from .sketches import Add, Burst, Spoil, Tally, sketch


def test_a_failed_subgraph_leaves_the_outer_state_untouched():
    """5.6: a failed subgraph leaves the outer state untouched; what it had committed is told to be gone."""
    driver = Driver(around(two()), Tally(1)).claim()
    driver.finish(Add(5))
    driver.fail("ValueError: bad luck")

    assert driver.status is _R.FAILED
    assert driver.failure.message == "ValueError: bad luck"
    assert driver.state == driver.stored == Tally(1)
    assert [event.node for event in told(driver, NodeFailed)] == ["sub/j", "sub"]
    assert [event.branch for event in told(driver, BranchDiscarded)] == ["sub"]
    driver.settle()


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_an_error_edge_of_the_subgraph_leads_on_also_after_a_crash(keep):
    """5.6, 5.2: only edges declared `on_error=True` are looked at; 7: commit durable => not re-run."""
    graph = around(two(), "mend")
    graph.edge("sub", "mend", on_error=True)
    driver = claimed(graph, Tally(1))
    driver.finish(Add(5))
    driver.ack()
    driver.fail("ValueError: bad luck")
    recover(driver, keep)
    if keep == 0:
        driver.fail("ValueError: bad luck")
        driver.ack()

    assert driver.started == ["i", "j", *["j"] * (keep == 0), "mend"]
    assert driver.state == Tally(1)
    joined = next(record for record in driver.disk.records if record.kind is Kind.JOIN)
    assert joined.detail.failure.message == "ValueError: bad luck"
    assert joined.detail.discarded == ("sub",)


def test_an_error_edge_inside_keeps_the_subgraph_alive():
    """5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    inner = sketch("i mend")
    inner.edge("i", "mend", on_error=True)
    driver = Driver(around(inner)).claim()
    driver.fail()
    driver.finish(Add(1))

    assert driver.started == ["i", "mend", "end"]
    assert driver.state.count == 1


def test_a_mutation_that_cannot_be_applied_is_named_with_its_way():
    """4.6: `apply` that raises fails the run at the previous commit, naming run, node, mutation."""
    driver = Driver(around(two()), Tally(1)).claim()
    driver.finish(Add(5))
    driver.finish(Burst())

    assert driver.status is _R.FAILED
    assert driver.failure.message == (
        "node 'sub/j': MutationFailed: mutation Burst could not be applied: ArithmeticError: burst"
    )
    assert driver.state == Tally(1)


def test_a_subgraph_that_committed_nothing_has_nothing_to_discard():
    """5.5: `BranchDiscarded` tells of what was committed."""
    inner = sketch("x y")
    inner.parallel("fan", ["x", "y"])
    inner.starts[:] = ["fan"]
    for graph in (around(two()), around(inner)):
        driver = Driver(graph).claim()
        driver.fail()
        driver.settle()

        assert driver.status is _R.FAILED
        assert told(driver, BranchDiscarded) == []


def exits(*args):
    raise SystemExit(3)


@pytest.mark.parametrize(
    "get, words",
    [
        (lambda tally: 1 // 0, "ZeroDivisionError"),
        (exits, "SystemExit: 3"),
        (lambda tally: Tally(), "the state must be a Words, not Tally"),
        (lambda tally: Words(["\ud800"]), "state Words cannot be stored"),
    ],
    ids=["raises", "exits", "another type", "surrogate"],
)
@pytest.mark.parametrize("mends", [False, True])
def test_a_get_that_fails_is_a_failure_of_the_place(get, words, mends):
    """5.6, 4.7: what cannot be stored faithfully is a typed error of *that node*."""
    graph = around(speech(), "mend", get=get, put=put_words)
    if mends:
        graph.edge("sub", "mend", on_error=True)
    driver = Driver(graph).claim()

    (failed,) = told(driver, NodeFailed)
    assert failed.failure.message.startswith("'sub' could not open its branches: ")
    assert words in failed.failure.message
    assert driver.started == ["mend"] * mends
    driver.settle()


@pytest.mark.parametrize("put", [lambda tally, words: 1 // 0, exits])
def test_a_put_that_raises_fails_the_run_at_the_commit_before(put):
    """4.6: what is applied goes through the log, and `put` is what is applied."""
    graph = around(speech(), "mend", get=words_of, put=put)
    graph.edge("sub", "mend", on_error=True)
    driver = Driver(graph, Tally(1)).claim()
    driver.finish(Word("x"))
    driver.finish()

    assert driver.status is _R.FAILED
    assert driver.failure.message.startswith("node 'sub': MutationFailed: mutation @sub could not be applied: ")
    assert driver.state == driver.stored == Tally(1)
    assert "mend" not in driver.started
    driver.settle()


def spoil(tally: Tally, words: Words) -> None:
    tally.ratio = float("nan")


def test_a_put_that_makes_a_state_that_cannot_be_stored_is_dropped():
    """4.7: NaN is a typed error of that node."""
    graph = around(speech(), get=words_of, put=spoil)
    del graph.edges[0]
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()

    assert driver.status is _R.FAILED
    assert "'sub'" in driver.failure.message
    assert "state Tally cannot be stored" in driver.failure.message
    assert driver.state == driver.stored == Tally()


def test_an_inner_state_that_cannot_be_stored_does_not_leave_its_graph():
    """4.7: found at the latest where the inner state is put outside."""
    graph = around(sketch("i"), "mend")
    graph.edge("sub", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Spoil())

    assert driver.started == ["i", "mend"]
    assert driver.state == Tally()
    driver.settle()
