"""`terzetto_protocol.everyday`: what is everyday takes the short way. That both come to the same is a law elsewhere."""

import pytest

from terzetto_protocol.inputs import Again
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import RunStatus

from .branches import Board, Set, fan
from .machines import Driver, image_of
from .sketches import Add, body, sketch
from .witness import counts_of


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


@pytest.mark.parametrize("kind", ["repeatable", "pure"])
@pytest.mark.parametrize("logged, alone", [(True, False), (False, False), (False, True)], ids=["kept", "told", "alone"])
@pytest.mark.parametrize("acks", ["now", "settled", "later"])
def test_what_follows_is_tried_for_the_first_time(acks, logged, alone, kind):
    """5.4: attempts are counted from 1, in each visit anew."""
    graph = sketch(f"a:{kind} b:{kind} c:{kind}", "a>b>c")
    driver = Driver(graph, acks=acks if logged else "settled", logged=logged, alone=alone)
    if not alone:
        driver.ack()
        driver.claim()
        driver.ack()
    for node, follower in ("ab", "bc"):
        driver.finish(node=node)
        driver.ack()
        assert 1 == driver.start_of(follower).attempt


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


def tried():
    graph = sketch("a")
    graph.node(name="b", retry=RetryPolicy(max_attempts=2, initial=5, jitter=0), token_cost=2.5)(body)
    graph.edge("a", "b")
    return graph


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("says", [None, ""], ids=["nothing", "end"])
def test_the_end_of_a_run_that_nobody_hears_of_is_that_of_any_other(long_ways, says, fails):
    heard, alone = (Driver(tried(), acks="settled", logged=False, alone=alone) for alone in (False, True))
    heard.claim()
    for driver in (heard, alone):
        driver.finish(Add(1))
    assert image_of(heard.machine.fold) == image_of(alone.machine.fold)
    for driver in (heard, alone):
        if fails:
            driver.fail("OSError: down", again=Again(0.5))
            driver.now = 60.0
            driver.wake()
        del long_ways[:]
        driver.finish(Add(1), next=says)

    assert [] == long_ways
    assert RunStatus.SUCCEEDED is alone.status
    assert image_of(heard.machine.fold) == image_of(alone.machine.fold)
    assert counts_of(heard.machine.fold) == counts_of(alone.machine.fold)
    assert (heard.state, heard.finishes[1:]) == (alone.state, alone.finishes)
