"""`terzetto_protocol.machine`: limits of graphs inside of graphs (SEMANTICS 5.3, 5.6)."""

import pytest

from terzetto_protocol.statuses import FailureCode

from .branches import recover
from .insides import _R, around, two
from .machines import Driver
from .sketches import Add, Tally, body, sketch


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_max_steps_of_the_inner_graph_is_its_own(steps):
    """5.6: own step limit; 5.3: max_steps N allows exactly N visits."""
    driver = Driver(around(sketch("i", "i>i", max_steps=steps))).claim()
    while driver.running:
        driver.finish(Add(1))

    assert driver.started == ["i"] * steps
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert driver.failure.message == f"graph 'sketch' made {steps} visits and 'i' would be one more"
    assert driver.state == Tally()
    driver.settle()


def test_the_last_allowed_visit_may_end_the_inner_graph_however_often_it_is_entered():
    """5.6: own step limit: of each time that it is entered, also after a crash inside."""
    graph = around(sketch("i j", "i>j", max_steps=2), "last")
    graph.edge("end", "sub", when=lambda tally: tally.count < 6)
    graph.edge("end", "last", fallback=True)
    driver = Driver(graph).claim()
    while driver.running:
        if driver.start_of().node == "j":
            recover(driver)
        driver.finish(*([Add(1)] if driver.start_of().path else []))

    assert (driver.status, driver.state.count) == (_R.SUCCEEDED, 6)


@pytest.mark.parametrize("steps", range(1, 5))
def test_visits_inside_are_visits_of_the_run(steps):
    """5.3: max_steps N allows exactly N visits: one that opens, two inside, one after them."""
    driver = Driver(around(two()), max_steps=steps).claim()
    while driver.running:
        driver.finish()

    assert driver.machine.fold.image.visits == steps
    assert (driver.status is _R.SUCCEEDED) == (steps == 4)
    if steps < 4:
        assert driver.failure.code == FailureCode.STEPS_EXCEEDED


def test_max_visits_inside_are_counted_inside():
    """5.3, 5.6: max_visits on an edge or node is enforced, for each graph by itself, also after a crash."""
    inner = sketch("x")
    inner.node(name="i", max_visits=2)(body)
    inner.edge("x", "i")
    inner.edge("i", "i")
    graph = around(inner)
    graph.node(name="i", max_visits=1)(body)
    graph.starts[:] = ["i"]
    graph.edge("i", "sub")
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()
    driver.finish()
    recover(driver)
    driver.finish()

    assert driver.started == ["i", "x", "i", "i", "i"]
    assert driver.failure.message == "node 'i' was visited 2 times, which is its limit"


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_steps_of_an_inner_graph_are_counted_over_its_branches(steps, limit):
    """5.6: own step limit; 5.3: allows exactly N visits: one that opens, three side by side, one after them."""
    inner = sketch("last x y z", max_steps=steps)
    inner.parallel("fan", ["x", "y", "z"], merge="replay", limit=limit)
    inner.starts[:] = ["fan"]
    inner.edge("fan", "last")
    driver = Driver(around(inner)).claim()
    driver.settle()

    inside = [start for start in driver.witness.starts if start.path]
    assert 1 + len(inside) <= steps
    assert driver.status is (_R.SUCCEEDED if steps == 5 else _R.FAILED)
