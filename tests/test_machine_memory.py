"""`terzetto_protocol.machine`: what runs remember of their deltas stays small, whatever they commit (SEMANTICS 4.4)."""

from collections.abc import Callable
from typing import Any

import pytest

from terzetto_protocol.codec import pack
from terzetto_protocol.errors import NotStorable
from terzetto_protocol.graph import Graph

from .flows import flow, reads_the_same, started
from .insides import LENS, Only, Words, speech
from .machines import Driver
from .sketches import Tally, sketch

ROUNDS = 400
LONG = Only("x" * 60)
REMEMBERED = 300
"""Entries that any frame may remember: those of a snapshot's slack, or what a run without a log keeps."""


def remembered(driver: Driver) -> int:
    """The most entries that any of its frames holds."""
    fold = driver.machine.fold
    return max(len(frame._tail) for frame in (fold, *fold.branches.values()))


def joins(**options: Any) -> Graph[Tally]:
    """A graph inside that goes round over a place with two branches."""
    inner = speech("i j", "")
    fan = inner.parallel("fan", ["i", "j"], **options)
    inner.starts[:] = ["fan"]
    inner.edge(fan, fan)
    if options.get("errors"):
        inner.edge(fan, fan, on_error=True)
    graph = sketch("n")
    graph.subgraph("in", inner, **LENS)
    graph.starts[:] = ["in"]
    return graph


def finish_both(driver: Driver) -> None:
    driver.finish(LONG, node="in/fan/i/i")
    driver.finish(node="in/fan/j/j")


def fail_one(driver: Driver) -> None:
    driver.finish(LONG, node="in/fan/i/i")
    driver.fail(node="in/fan/j/j")


@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize(
    "options, step", [({}, finish_both), ({"errors": "collect"}, fail_one)], ids=["joined", "collected"]
)
def test_a_graph_inside_whose_every_commit_is_a_join(
    logged: bool, options: dict[str, Any], step: Callable[[Driver], None]
) -> None:
    driver = Driver(joins(**options), Tally(), logged=logged, watch=False, max_steps=10**5).claim()
    most = 0
    for _ in range(ROUNDS):
        step(driver)
        most = max(most, remembered(driver))
    assert most < REMEMBERED
    assert driver.machine.fold.branches["in"].view() == Words([LONG.text])


@pytest.mark.parametrize("logged", [True, False])
def test_a_dataflow_whose_every_visit_fails(logged: bool) -> None:
    """What went wrong goes round: its text is a value like any other."""
    driver = started(flow(".x>a.v", "a.error>a.v"), logged=logged, watch=False, max_steps=10**5)
    most = 0
    for _ in range(ROUNDS):
        driver.fail("ValueError: " + LONG.text, node="a")
        most = max(most, remembered(driver))
    assert most < REMEMBERED
    if logged:
        assert sum(write.snapshot is not None for write in driver.disk.writes) > ROUNDS // 50
        recovered = driver.disk.log()
        assert len(recovered[1]) < 50, "a claim folds no more than that"


@pytest.mark.parametrize("logged", [True, False])
def test_a_dataflow_inside_whose_every_visit_fails(logged: bool) -> None:
    inner = flow(".v>i.v", "i.error>i.v", named="inner", max_steps=10**5)
    driver = started(flow(".x>s.v", inside={"s": inner}), logged=logged, watch=False, max_steps=10**5)
    driver.finish(node="inputs")
    most = 0
    for _ in range(ROUNDS):
        driver.fail("ValueError: " + LONG.text, node="s.1/i")
        most = max(most, remembered(driver))
    assert most < REMEMBERED


def test_a_value_that_was_refused_is_not_remembered_by_a_new_base(monkeypatch) -> None:
    """4.3: a dropped batch leaves no trace; here both the run and the frame that sent it are due to begin anew."""
    monkeypatch.setattr("terzetto_protocol.state.STATE_BYTES", 3000)
    inner = flow(".v>i.v", "i.out>.o", named="inner")
    driver = started(flow(".x>a.v", "a.out>.r", ".x>s.v", "s.o>.o", inside={"s": inner}), watch=False)
    driver.finish(node="s.2/inputs")
    while len(pack(driver.state, "")) <= 3000:  # found only when the next snapshot is due
        driver.send("x" * 200, node="a")
    with pytest.raises(NotStorable):
        driver.send("y" * 1300, node="s.2/i")

    assert driver.machine.fold.branches["s.2"].view().sent == []
    reads_the_same(driver)
