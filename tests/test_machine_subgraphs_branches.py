"""`terzetto_protocol.machine`: graphs inside of branches, and branches inside of them (SEMANTICS 5.5, 5.6)."""

from typing import Annotated, Any

import pytest
from attrs import define, field
from msgspec import Struct

from terzetto_protocol.events import BranchDiscarded, NodeFailed
from terzetto_protocol.graph import Graph
from terzetto_protocol.reducers import replayed

from .branches import recover, running
from .insides import _R, LENS, Word, Words, put_words, speech, told, two, view
from .machines import Driver
from .sketches import Add, Say, Tally, body, sketch


@define
class Log:
    """A state that all branches may change."""

    lines: Annotated[list[str], replayed] = field(factory=list)


class Line(Struct, frozen=True):
    text: str

    def apply(self, log: Log) -> None:
        log.lines.append(self.text)


def test_one_graph_may_be_inside_several_times_at_once():
    """5.6: own namespace: two entries of one graph know nothing of each other."""
    inner = speech()
    graph = sketch("end", "fan>end")
    for name in ("left", "right"):
        graph.subgraph(name, inner, **LENS)
    graph.parallel("fan", ["left", "right"], merge="replay")
    graph.starts[:] = ["fan"]
    driver = Driver(graph, Tally(0, ["a"])).claim()
    assert running(driver) == ["fan/left/left/i", "fan/right/right/i"]
    driver.finish(Word("r"), node="fan/right/right/i")
    driver.finish(Word("l"), node="fan/left/left/i")
    recover(driver)
    assert [view(driver, f"fan/{name}/{name}") for name in ("left", "right")] == [Words(["a", "l"]), Words(["a", "r"])]
    driver.finish(node="fan/right/right/j")
    driver.finish(node="fan/left/left/j")

    assert driver.state == Tally(4, ["a r"]), "each `put` in order of declaration"
    assert running(driver) == ["end"]


@pytest.mark.parametrize("merge", ["strict", "replay"])
@pytest.mark.parametrize("other", ["node", "graph"])
def test_the_exit_of_a_subgraph_takes_back_nothing_that_its_graph_did_not_change(other, merge):
    """5.5, 5.6: disjoint fields fold, whoever changed them: a branch that is a graph left `count` as it was."""
    graph = sketch("end n", "fan>end")
    graph.subgraph("first", sketch("n"))
    graph.subgraph("second", sketch("s"))
    graph.parallel("fan", ["n" if other == "node" else "first", "second"], merge=merge)
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    driver.finish(Add(5), node="n")
    driver.finish(Say("s"), node="s")

    assert running(driver) == ["end"]
    assert driver.state == Tally(5, ["s"])


def test_a_field_that_is_replayed_is_not_lost_between_two_exits():
    """5.5, 5.6: an exit puts whole fields; what another branch had put there is kept, or it is a conflict."""
    graph: Graph[Any] = Graph("outer", state=Log, mutations=[Line])
    for name in ("left", "right"):
        inner: Graph[Any] = Graph(name, state=Log, mutations=[Line])
        inner.start(inner.node(name=f"{name}-node")(body))
        graph.subgraph(name, inner)
    graph.parallel("fan", ["left", "right"])
    graph.start("fan")
    driver = Driver(graph, Log()).claim()
    for name in ("left", "right"):
        driver.finish(Line(name), node=f"{name}-node")

    assert driver.status is _R.FAILED or driver.state == Log(["left", "right"])


def test_subgraphs_that_change_one_field_are_in_conflict():
    """5.5: two branches changed the same top-level field, also where a graph inside did."""
    graph = sketch("n")
    graph.subgraph("sub", sketch("s"))
    graph.parallel("fan", ["n", "sub"])
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    driver.finish(Add(5), node="n")
    driver.finish(Add(1), node="s")

    assert "field 'count' was changed by fan/n and fan/sub: " in driver.failure.message
    assert driver.state == Tally()


def test_a_failure_beside_a_subgraph_ends_what_is_inside():
    """5.5: the first failure cancels the siblings, waits for their cleanup, and drops what they committed."""
    graph = sketch("n")
    graph.subgraph("sub", sketch("i j g:barrier", "i>j j>g"))
    graph.parallel("fan", ["n", "sub"])
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    driver.finish(Add(1), node="i")
    driver.fail("ValueError: bad luck", node="n")
    assert driver.leaving == {driver.start_of("j").visit}
    driver.finish(Add(1), node="j")

    assert driver.status is _R.FAILED
    assert driver.failure.message == "ValueError: bad luck"
    assert driver.state == Tally()
    assert told(driver, BranchDiscarded), "the commit of fan/sub/sub/i was seen, and is gone"
    driver.settle()


def test_a_failure_inside_ends_what_is_beside_its_subgraph():
    """5.5, 5.6: a failed subgraph is a failed branch."""
    graph = sketch("n mend")
    graph.subgraph("sub", two())
    graph.parallel("fan", ["n", "sub"], errors="collect", merge="replay")
    graph.starts[:] = ["fan"]
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Add(1), node="i")
    driver.fail("ValueError: bad luck", node="j")
    driver.finish(Add(5), node="n")

    assert running(driver) == ["mend"]
    assert driver.state == Tally(5)
    (failed,) = (event for event in told(driver, NodeFailed) if event.node == "fan")
    assert failed.failure.message == "1 of 2 branches of 'fan' failed: fan/sub: ValueError: bad luck"


def test_a_branch_that_is_a_graph_keeps_its_place():
    """5.5: only one that waits for branches of its own leaves its place: a graph inside is one way on, not many."""
    graph = sketch("n m")
    graph.subgraph("sub", two())
    graph.parallel("fan", ["sub", "n", "m"], merge="replay", limit=1)
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    alone = []
    while driver.running:
        alone += running(driver)
        driver.finish()

    assert alone == ["fan/sub/sub/i", "fan/sub/sub/j", "fan/n/n", "fan/m/m"]
    assert driver.status is _R.SUCCEEDED


def test_a_map_may_go_over_a_graph_whose_nodes_see_the_item():
    """5.5: each branch sees its own item, also inside of the graph that it consists of."""
    graph = sketch("end", "map>end")
    graph.subgraph("sub", speech(), get=lambda tally: Words(), put=put_words)
    graph.map("map", "sub", over=lambda tally: ["a", "b"], item=str, merge="replay")
    graph.starts[:] = ["map"]
    driver = Driver(graph).claim()
    assert [driver.machine.fold.item_of(start.path) for start in driver.running.values()] == [("a", 0), ("b", 1)]
    for number in (1, 0):
        for node in "ij":
            driver.finish(Word(f"{number}{node}"), node=f"map/{number}/sub/{node}")

    assert driver.state == Tally(4, ["1i 1j"])
    assert running(driver) == ["end"]
