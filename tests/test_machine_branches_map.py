"""`terzetto_protocol.machine`: a branch for each item (SEMANTICS 5.5)."""

from typing import Any

import pytest

from terzetto_protocol.records import Forked, Kind
from terzetto_protocol.statuses import RunStatus

from .branches import Page, each, fan, recover
from .machines import Driver, claimed, label_of
from .sketches import Say, Spoil, Tally

_R = RunStatus


# -- map ------------------------------------------------------------------------------------------------------------


def items(driver: Driver) -> list[Any]:
    """What the bodies that run get as their items, with the positions."""
    return [driver.machine.fold.item_of(start.path) for start in driver.running.values()]


def test_a_map_runs_the_same_branch_for_each_item():
    """5.5: `map` over items of the state has the same rules; its branches are `map/0`, `map/1` and so on."""
    graph = each(lambda tally: [Page(n) for n in range(tally.count)], "b c", "b>c", item=Page)
    driver = Driver(graph, Tally(12)).claim()
    assert items(driver) == [(Page(n), n) for n in range(12)]
    for number in reversed(range(12)):
        driver.finish(Say(str(number)), node=f"map/{number}/b")
    recover(driver)
    assert items(driver) == [(Page(n), n) for n in reversed(range(12))], "the items outlive the process"
    for number in (3, 11, 2, 10, *range(4, 10), 0, 1):
        driver.finish(Say(f"{number}c"), node=f"map/{number}/c")

    assert driver.state.trail == [text for n in range(12) for text in (str(n), f"{n}c")]
    assert driver.started[-1] == "end"


def test_items_are_stored_once_with_the_fork():
    """5.5: the items of a map are stored when it is entered: what the state becomes does not change them."""
    driver = Driver(each(lambda tally: list(tally.trail), item=str), Tally(0, ["one-item", "another"])).claim()
    driver.finish(Say("late"))
    recover(driver)

    assert items(driver) == [("another", 1)]
    holding = [record for record in driver.disk.records if isinstance(record.detail, Forked)]
    assert [len(record.detail.items) for record in holding] == [2]
    others = [write.body for write in driver.disk.writes if write.kind is not Kind.FORK]
    assert not any(b"one-item" in body for body in others)


def test_every_body_gets_an_item_of_its_own():
    """4.5: No aliasing."""
    driver = Driver(each([["a"], ["b"]], item=list[str])).claim()
    item, _ = driver.machine.fold.item_of("map/0")
    item.append("mine")

    assert items(driver) == [(["a"], 0), (["b"], 1)]


@pytest.mark.parametrize("options", [{}, {"limit": 1}, {"merge": "strict"}, {"errors": "collect"}])
def test_a_map_over_nothing_goes_straight_on(options):
    """5.5: no branch has to end."""
    driver = claimed(each([], **options))
    assert driver.started == ["end"]
    driver.finish()
    driver.settle()

    assert driver.status is _R.SUCCEEDED
    assert [record.kind for record in driver.disk.records[2:]] == [Kind.FORK, Kind.JOIN, Kind.VISIT]


def test_a_map_over_nothing_may_be_the_last_and_may_lose_its_process():
    """7, law 5: a fork that was opened is joined by whoever recovers it."""
    graph = each([])
    del graph.edges[-1]
    for keep in (1, 2, 3):
        driver = Driver(graph, acks="later")
        driver.ack()
        driver.claim()
        driver.crash(keep=keep)
        if driver.status is not _R.SUCCEEDED:
            driver.claim()
        driver.settle()
        assert driver.status is _R.SUCCEEDED


def exits(tally):
    raise SystemExit(3)


@pytest.mark.parametrize(
    "over, words",
    [
        (lambda tally: 1 // 0, "ZeroDivisionError"),
        (exits, "SystemExit: 3"),
        (lambda tally: ["no int"], "an item of map cannot be stored"),
        (lambda tally: 5, "TypeError"),
    ],
    ids=["raises", "exits", "another type", "no items"],
)
@pytest.mark.parametrize("mends", [False, True])
def test_items_that_cannot_be_made_are_a_failure_of_the_place(over, words, mends):
    """5.5, 5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    graph = each(over, "b mend")
    if mends:
        graph.edge("map", "mend", on_error=True)
    driver = Driver(graph).claim()

    (failed,) = (event for event in driver.witness.seen if type(event).__name__ == "NodeFailed")
    assert failed.failure.message.startswith("'map' could not open its branches: ")
    assert words in failed.failure.message
    assert driver.started == ["mend"] * mends
    driver.settle()
    assert driver.status is (_R.SUCCEEDED if mends else _R.FAILED)


def test_a_state_that_cannot_be_stored_is_a_failure_of_the_place_that_branches_from_it():
    """4.7: found when the branches would have to begin with it."""
    graph = fan("x y", more="a")
    graph.edge("a", "fan")
    graph.starts[:] = ["a"]
    driver = Driver(graph).claim()
    driver.finish(Spoil())

    assert driver.status is _R.FAILED
    assert "'fan' could not open its branches: NotStorable: state Tally cannot be stored" in driver.failure.message


def test_a_map_inside_a_map_has_items_of_its_own():
    """5.5: each branch sees its own item; where it opens branches that have none, these see it too."""
    graph = each(["a", "b"], "both b c", item=str)
    graph.places.pop(0)
    graph.map("inner", "b", over=lambda tally: [1, 2], item=int, merge="replay")
    graph.parallel("both", ["inner", "c"], merge="replay")
    driver = Driver(graph).claim()

    by_path = {label_of(start): driver.machine.fold.item_of(start.path) for start in driver.running.values()}
    assert by_path == {
        **{f"map/{n}/both/inner/inner/{k}/b": (k + 1, k) for n in (0, 1) for k in (0, 1)},
        **{f"map/{n}/both/c/c": ("ab"[n], n) for n in (0, 1)},
    }
    driver.settle()
    assert driver.status is _R.SUCCEEDED


def test_outside_of_a_map_there_is_no_item():
    driver = Driver(fan("x y")).claim()

    assert items(driver) == [None, None]
    assert driver.machine.fold.item_of("") is None
