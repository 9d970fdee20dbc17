"""`terzetto_protocol.machine`: a graph inside of a graph, through its lens (SEMANTICS 5.6)."""

import pytest

from terzetto_protocol.errors import NotStorable
from terzetto_protocol.events import BranchesStarted, NodeFinished, TextChunk
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import FailureCode

from .branches import running
from .insides import _R, LENS, Word, Words, around, speech, told, two, view
from .machines import Driver
from .sketches import Add, Say, Tally, body, sketch


def test_an_inner_graph_has_a_state_and_mutations_of_its_own():
    """5.6: Subgraph: through a lens; `get=` makes its state from the outer one, `put=` says what its end does."""
    driver = Driver(around(speech(), **LENS), Tally(5, ["to", "be"])).claim()
    assert running(driver) == ["sub/i"]
    assert view(driver) == Words(["to", "be"])
    with pytest.raises(NotStorable, match="mutation Add cannot be stored: it is not listed"):
        driver.batch(Add(1), at="sub")
    driver.finish(Word("or"))
    assert view(driver) == Words(["to", "be", "or"])
    assert driver.state == Tally(5, ["to", "be"]), "outside nothing has happened yet"
    driver.finish(Word("not"))
    assert driver.state == Tally(9, ["to be or not"])
    driver.finish()

    assert driver.status is _R.SUCCEEDED
    assert driver.started == ["i", "j", "end"]
    driver.settle()


def test_without_get_and_put_the_inner_graph_goes_on_with_the_outer_state():
    """5.6: may be left out where both have one type: a copy goes in, and its fields come out."""
    driver = Driver(around(two()), Tally(1, ["a"])).claim()
    outer = driver.state
    driver.finish(Add(1), Say("b"))
    assert (view(driver), driver.state) == (Tally(2, ["a", "b"]), Tally(1, ["a"]))
    assert driver.state is outer
    driver.finish(Add(1))

    assert driver.state == Tally(3, ["a", "b"])
    driver.settle()


def test_the_success_of_a_subgraph_is_one_outer_commit():
    """5.6: its success is one outer commit; 4.4: registered lens + encoded inner value go through the log."""
    driver = Driver(around(two())).claim()
    driver.finish(Add(1))
    driver.finish(Add(1), Say("j"))
    driver.finish()

    commits = [(record.kind, record.path, record.place, len(record.mutations)) for record in driver.disk.records[2:]]
    assert commits == [
        (Kind.FORK, "", "sub", 0),
        (Kind.VISIT, "sub", "i", 1),
        (Kind.VISIT, "sub", "j", 2),
        (Kind.JOIN, "", "sub", 1),
        (Kind.VISIT, "", "end", 0),
    ]
    (left,) = next(record for record in driver.disk.records if record.kind is Kind.JOIN).mutations
    assert left.name == "@changes"
    assert driver.state == Tally(2, ["j"])


def test_a_subgraph_may_be_the_last_place():
    """5.2: a node without out-edges ends the run; 3 D7: status, state and end event are one transaction."""
    graph = around(two())
    del graph.edges[0]
    driver = Driver(graph).claim()
    driver.finish(Add(1))
    driver.finish(Add(1))

    assert (driver.status, driver.stored) == (_R.SUCCEEDED, Tally(2))
    driver.settle()


def test_everything_inside_is_told_with_its_path():
    """5.6: own namespace; streams are inherited."""
    driver = Driver(around(sketch("a end", "a>end"), "a", "a>sub", first="a")).claim()
    driver.finish()
    driver.emit("from inside")
    for _ in range(3):
        driver.finish()

    (opened,) = told(driver, BranchesStarted)
    assert (opened.node, opened.visit, opened.count) == ("sub", 2, 1)
    assert [event.node for event in told(driver, NodeFinished)] == ["a", "sub/a", "sub/end", "sub", "end"]
    assert [event.node for event in told(driver, TextChunk)] == ["sub/a"]
    assert driver.status is _R.SUCCEEDED


def test_goto_and_end_mean_places_of_the_inner_graph():
    """5.6: own namespace; 5.1: `end` ends the graph that its node belongs to."""
    driver = Driver(around(sketch("i j k"))).claim()
    driver.finish(next="k")
    assert running(driver) == ["sub/k"]
    driver.finish(next="")
    assert running(driver) == ["end"]
    other = Driver(around(sketch("i j"))).claim()
    other.finish(next="end")

    assert other.failure.code == FailureCode.UNROUTED


def test_a_subgraph_begins_anew_each_time():
    """5.6: own namespace and step limit: every entry has a state, counts and visits of its own."""
    inner = sketch("i")
    inner.node(name="j", max_visits=1)(body)
    inner.edge("i", "j")
    graph = around(inner, "last")
    graph.edge("end", "sub", when=lambda tally: tally.count < 6)
    graph.edge("end", "last", fallback=True)
    driver = Driver(graph).claim()
    while driver.running:
        driver.finish(*([Add(1)] if driver.start_of().path else []))

    assert driver.status is _R.SUCCEEDED
    assert driver.started == [*["i", "j", "end"] * 3, "last"]
    assert driver.state.count == 6


def test_predicates_inside_see_the_inner_state():
    """5.2: edges are asked after the commit, with the state of their graph."""
    inner = speech("i j k", "")
    inner.edge("i", "k", when=lambda words: words.words == ["go"])
    inner.edge("i", "j", fallback=True)
    driver = Driver(around(inner, **LENS)).claim()
    driver.finish(Word("go"))

    assert driver.started == ["i", "k"]
