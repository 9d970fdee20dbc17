"""`terzetto_protocol.everyday`: what is everyday takes the short way. That both come to the same is a law elsewhere."""

import pytest

from terzetto_protocol.machine import RunMachine

from .branches import Board, Set, fan
from .machines import Driver
from .sketches import Add, sketch


@pytest.fixture
def long_ways(monkeypatch) -> list[str]:
    """The inputs for which everything was considered, by their names."""
    found: list[str] = []
    feed = RunMachine._feed

    def noting(machine, msg):
        found.append(type(msg).__name__)
        return feed(machine, msg)

    monkeypatch.setattr(RunMachine, "_feed", noting)
    return found


@pytest.mark.parametrize("acks, kind", [("now", "repeatable"), ("settled", "repeatable"), ("settled", "pure")])
def test_a_chain_of_nodes(long_ways, acks, kind):
    names = "abcdef"
    driver = Driver(sketch(" ".join(f"{name}:{kind}" for name in names), ">".join(names)), acks=acks).claim()
    del long_ways[:]
    for name in names:
        assert [] == long_ways
        driver.finish(Add(1), node=name)
    assert {"NodeFinished"} == set(long_ways) - {"CommitDurable"}, "the end is no everyday turn"
    assert 6 == driver.state.count
    driver.settle()


def test_a_chain_whose_store_is_slow(long_ways):
    driver = Driver(sketch("a b c d", "a>b>c>d"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    del long_ways[:]
    for name in "abc":
        driver.finish(node=name)
        assert [] == driver.started[len("abcd".partition(name)[0]) + 1 :]
        driver.ack()
        assert [] == long_ways
    driver.finish(node="d")
    driver.settle()


def test_a_conditional_way(long_ways):
    graph = sketch("a b c", "a>c")
    graph.edge("a", "b", when=lambda tally: tally.count > 0)
    driver = Driver(graph).claim()
    del long_ways[:]
    driver.finish(Add(1))
    assert ["a", "b"] == driver.started
    assert [] == long_ways


@pytest.mark.parametrize("merge", ["strict", "replay"])
def test_branches_that_end_while_others_live(long_ways, merge):
    driver = Driver(fan("w x y z", of=Board, merge=merge), Board()).claim()
    del long_ways[:]
    for name in "wxy":
        driver.finish(Set(name, 1), node=name)
        assert [] == long_ways
    driver.finish(Set("z", 1), node="z")
    assert "NodeFinished" in long_ways, "the last one joins them"
    assert (1, 1, 1, 1) == (driver.state.w, driver.state.x, driver.state.y, driver.state.z)
