"""`terzetto_protocol.machine`: graphs inside of graphs are resumed from inside (SEMANTICS 5.6, 7)."""

import pytest

from terzetto_protocol.decisions import Approve, Confirm
from terzetto_protocol.events import NodeFailed
from terzetto_protocol.graph import Graph
from terzetto_protocol.image import read_snapshot
from terzetto_protocol.records import Joined
from terzetto_protocol.statuses import BarrierStatus

from .branches import reads_the_same, recover, running
from .insides import _R, LENS, Only, Word, Words, around, speech, told, view
from .machines import Died, Driver, ended
from .sketches import Add, Burst, Say, Tally, sketch

# -- crashes and snapshots ---------------------------------------------------------------------------------------


def test_a_crash_inside_loses_no_visit_that_was_stored():
    """5.6: Resumable from inside; 3: no visit with a durable commit runs again."""
    driver = Driver(around(speech("i j k", "i>j j>k"), **LENS), Tally(0, ["a"])).claim()
    for text in ("b", "c"):
        driver.finish(Word(text))
        recover(driver)
        reads_the_same(driver)
    assert view(driver) == Words(["a", "b", "c"])
    driver.finish(Word("d"))

    assert driver.started == ["i", "j", "j", "k", "k", "end"]
    assert driver.state == Tally(4, ["a b c d"])


@pytest.mark.parametrize("nested", [False, True])
def test_snapshots_inside_are_their_log(nested):
    """5.6: barriers, streams, checkpoints are inherited; law 1: folding the log gives the live state, also inside."""
    inner = sketch("i j", "i>j j>i")
    graph = around(around(inner) if nested else inner)
    driver, path = Driver(graph, max_steps=200).claim(), "sub/sub" if nested else "sub"
    for number in range(60):
        driver.finish(Say(f"{number} {'x' * 90}"))
        if number % 29 == 28:
            recover(driver)
        reads_the_same(driver)
    snapshots = [read_snapshot(write.snapshot).image for write in driver.disk.writes if write.snapshot is not None]

    assert len(view(driver, path).trail) == 60
    assert sum(path in image.branches for image in snapshots) > 1, "snapshots were taken inside"
    assert max(len(write.snapshot or b"") for write in driver.disk.writes) < 2.5 * 60 * 100, "and did not hold it twice"
    driver.finish(next="")
    driver.settle()
    assert len(driver.state.trail) == 60


def test_snapshots_inside_do_not_grow_with_what_was_overwritten():
    """5.6: checkpoints are inherited: what is stored of an inner graph is in proportion to its state."""
    driver = Driver(around(speech("i j", "i>j j>i"), **LENS), max_steps=200).claim()
    for number in range(100):
        driver.finish(Only(f"{number} {'x' * 90}"))
        if number % 50 == 49:
            driver.halt()
            driver.finish(pause=True)
            driver.resume()
            driver.claim()
            reads_the_same(driver)

    assert max(len(write.snapshot or b"") for write in driver.disk.writes) < 3000


def test_what_a_body_does_to_the_inner_state_is_undone_when_it_fails():
    """4.3: the state is rebuilt from the log, also where that has a new base inside."""
    inner = sketch("i j", "i>j j>i")
    inner.edge("j", "i", on_error=True)
    driver = Driver(around(inner), Tally(1)).claim()
    for number in range(30):
        driver.finish(Say(f"{number} {'x' * 90}"), node="i")
        view(driver).trail.clear()
        view(driver).count = 77
        driver.fail(node="j")
        assert (len(view(driver).trail), view(driver).count) == (number + 1, 1)

    assert driver.state == Tally(1)


def test_a_run_without_a_store_has_subgraphs_too():
    """`terzetto.run` carries graphs out as a runtime does."""
    for logged in (True, False):
        driver = Driver(around(speech(), **LENS), Tally(1, ["a"]), acks="settled", logged=logged).claim()
        driver.finish(Word("b"))
        driver.finish(Word("c"))
        driver.finish(Add(1))

        assert driver.status is _R.SUCCEEDED
        assert driver.state == Tally(5, ["a b c"])


def tour() -> Graph[Tally]:
    """Something of everything: a graph inside of branches inside of a graph, with effects and a barrier."""
    deep = sketch("d1:once d2", "d1>d2")
    middle = sketch("m1:pure m2:once m3", "m1>fan fan>m3")
    middle.subgraph("deep", deep, get=lambda tally: Tally(0, list(tally.trail)), put=merge_tally)
    middle.barrier("gate")
    middle.parallel("fan", ["deep", "m2", "gate"], merge="replay")
    return around(middle, "a:pure", "a>sub", first="a", get=lambda tally: Tally(), put=merge_tally)


def merge_tally(outer: Tally, inner: Tally) -> None:
    outer.count += inner.count


def go_on(driver: Driver) -> None:
    """The next thing on the way to the end: every visit, however it came to its result, adds one."""
    if driver.running:
        driver.finish(Add(1))
    elif driver.sent:
        driver.ack(1)
    elif driver.status is _R.AWAITING_INPUT:
        row = next(row for row in driver.disk.barriers.values() if row.status is BarrierStatus.OPEN)
        driver.decide(Confirm(tuple(driver.batch(Add(1)))) if row.reconcile else Approve(), barrier=row.barrier)
    else:
        driver.claim()


def die_at(point: int, acks: str, keep: int) -> tuple[Driver, bool]:
    """A tour whose first process dies after so many effects, and whether it did."""
    driver, died = Driver(tour(), acks=acks), False
    driver.doom = point
    while not ended(driver):
        try:
            go_on(driver)
        except Died:
            driver.crash(keep=keep)
            died = True
    driver.doom = None
    driver.settle()
    return driver, died


@pytest.mark.parametrize("keep", [0, 1, 2])
@pytest.mark.parametrize("acks", ["now", "later", "settled"])
def test_a_process_may_die_between_any_two_effects_inside(acks, keep):
    """5.6: Resumable from inside; 7: the same end wherever it dies, and no visit with a commit again."""
    point, died = 0, True
    while died:
        driver, died = die_at(point, acks, keep)
        assert (driver.status, driver.state) == (_R.SUCCEEDED, Tally(7))
        assert max(driver.started.count(name) for name in ("m2", "d1")) <= 1
        reads_the_same(driver)
        point += 1

    assert point > 40, "there are that many effects to die between"


# -- depth -------------------------------------------------------------------------------------------------------


DEPTH = 20


PATH = "/".join(f"level-{depth}" for depth in reversed(range(DEPTH)))


def deep() -> Graph[Tally]:
    graph = sketch("i j", "i>j")
    for depth in range(DEPTH):
        outer = sketch(f"after-{depth}", f"level-{depth}>after-{depth}")
        outer.subgraph(f"level-{depth}", graph)
        outer.starts[:] = [f"level-{depth}"]
        graph = outer
    return graph


def test_graphs_may_be_twenty_deep():
    """5.6: Resumable from inside, from whatever depth."""
    driver = Driver(deep()).claim()
    assert running(driver) == [f"{PATH}/i"]
    driver.finish(Add(1))
    recover(driver)
    reads_the_same(driver)
    assert running(driver) == [f"{PATH}/j"]
    driver.finish(Add(1))
    while driver.running:
        driver.finish(Add(1))

    assert driver.status is _R.SUCCEEDED
    assert driver.started == ["i", "j", "j", *[f"after-{depth}" for depth in range(DEPTH)]]
    assert driver.state.count == DEPTH + 2
    driver.settle()


def test_an_error_twenty_deep_can_be_read():
    """4.6: naming node and mutation; 5.4: the path says where it is, and is told once for each level."""
    driver = Driver(deep()).claim()
    driver.finish(Add(1))
    driver.finish(Burst())

    assert driver.failure.message == (
        f"node '{PATH}/j': MutationFailed: mutation Burst could not be applied: ArithmeticError: burst"
    )
    nodes = [event.node for event in told(driver, NodeFailed)]
    assert nodes == [f"{PATH}/j", *(PATH.rsplit("/", depth)[0] for depth in range(DEPTH))]
    assert driver.state == driver.stored == Tally()
    assert isinstance(driver.disk.records[-1].detail, Joined)
    driver.settle()
