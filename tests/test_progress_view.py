"""`terzetto_protocol.progress_view`: what a run did at each place, read from its log by somebody without its graph."""

import pytest
from hypothesis import given, settings
from msgspec import Raw

from terzetto_protocol.decisions import Approve, Fail, Reject, Retry
from terzetto_protocol.graph import Graph
from terzetto_protocol.image import read_snapshot
from terzetto_protocol.inputs import Again
from terzetto_protocol.progress_view import Progress, progress_view
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import TERMINAL, VisitStatus

from .inventions import Player, histories, plans
from .machines import Driver
from .sketches import MUTATIONS, Tally, body, sketch

_V = VisitStatus


def graph_of(*names: str, **options) -> Graph[Tally]:
    """A graph with nodes of these names; whoever asks for it adds the rest."""
    graph = Graph("drawn", state=Tally, mutations=MUTATIONS)
    for name in names:
        graph.node(name=name, **options)(body)
    return graph


def each(count: int, **options) -> Graph[Tally]:
    """`scans`, with a branch `scan` for each of so many items, and then `end`."""
    graph = graph_of("scan", "end")
    graph.map("scans", "scan", over=lambda tally: range(count), item=int, **{"merge": "replay"} | options)
    graph.start("scans")
    graph.edge("scans", "end")
    return graph


def within(inner: Graph[Tally]) -> Graph[Tally]:
    """`sub`, which is this graph, after `write` and before `end`."""
    graph = graph_of("write", "end")
    graph.subgraph("sub", inner)
    graph.start("write")
    graph.edge("write", "sub")
    graph.edge("sub", "end")
    return graph


def seen(driver: Driver, *, carried: bool = True) -> dict[str, tuple[VisitStatus | None, int, str]]:
    view = progress_view(driver.disk.records, carried=carried)
    return {name: (shown.status, shown.visits, shown.note) for name, shown in view.items()}


# -- one visit after the other -------------------------------------------------------------------------------------


def test_places_that_a_run_did_not_come_to_are_not_told_of():
    driver = Driver(sketch("a b", "a>b"))

    assert progress_view([], carried=True) == {}
    assert progress_view(driver.disk.records, carried=True) == {"a": Shown(_V.PENDING, 1)}


def test_what_is_next_runs_only_in_a_run_that_somebody_carries():
    """The log of a `repeatable` visit does not tell when its body begins."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish()

    assert seen(driver) == {"a": (_V.SUCCEEDED, 1, ""), "b": (_V.RUNNING, 1, "")}
    assert seen(driver, carried=False)["b"] == (_V.PENDING, 1, "")
    driver.halt()
    driver.leave()
    assert seen(driver)["b"] == (_V.PENDING, 1, "")


def test_a_place_that_is_visited_again_has_its_last_status():
    driver = Driver(sketch("a b", "a>b>a")).claim()
    driver.finish()
    driver.finish()

    assert seen(driver) == {"a": (_V.RUNNING, 2, ""), "b": (_V.SUCCEEDED, 1, "")}


def test_a_failed_visit_says_why():
    graph = sketch("a b", "")
    graph.edge("a", "b", on_error=True)
    driver = Driver(graph).claim()
    driver.fail("ValueError: no")

    assert seen(driver) == {"a": (_V.FAILED, 1, "ValueError: no"), "b": (_V.RUNNING, 1, "")}


def test_a_place_that_fails_at_last_says_why():
    driver = Driver(sketch("a b", "a>b>a")).claim()
    driver.finish()
    driver.finish()
    driver.fail("ValueError: no")

    assert seen(driver) == {"a": (_V.FAILED, 2, "ValueError: no"), "b": (_V.SUCCEEDED, 1, "")}


def test_a_failure_does_not_name_the_place_at_which_it_shows():
    graph = graph_of("scan")
    graph.map("scans", "scan", over=lambda tally: 1 // 0, item=int)
    graph.start("scans")
    (status, _, note) = seen(Driver(graph).claim())["scans"]

    assert status is _V.FAILED
    assert note.startswith("ZeroDivisionError: ")


def test_a_visit_after_which_the_run_cannot_go_on_says_why():
    graph = sketch("a b", "")
    graph.edge("a", "b", when=lambda tally: False)
    driver = Driver(graph).claim()
    driver.finish()
    status, _, note = seen(driver)["a"]

    assert status is _V.SUCCEEDED
    assert note == driver.failure.message


def test_attempts_are_numbered():
    graph = graph_of("a", retry=RetryPolicy(initial=2.0))
    graph.start("a")
    driver = Driver(graph).claim()
    driver.fail("ValueError: no", again=Again(0.5))

    assert seen(driver)["a"] == (_V.WAITING_RETRY, 1, "attempt 2 after ValueError: no")
    driver.now = 99.0
    driver.wake()
    driver.finish()
    assert seen(driver)["a"] == (_V.SUCCEEDED, 1, "attempt 2")


def test_an_open_barrier_is_named_and_a_decided_one_says_who_decided():
    driver = Driver(sketch("a gate:barrier b", "a>gate")).claim()
    driver.finish()

    assert seen(driver)["gate"] == (_V.AWAITING_INPUT, 1, "gate@2 is open")
    driver.decide(Reject("no"))
    assert seen(driver)["gate"] == (_V.SUCCEEDED, 1, "rejected by ann")


def test_a_body_that_asks_is_shown_with_what_it_waits_for():
    driver = Driver(sketch("a")).claim()
    driver.ask(AskDecision("decision:really", "really", 0, Raw(b"\xc0")))
    (barrier,) = driver.disk.open_barriers()

    assert seen(driver)["a"] == (_V.RUNNING, 1, f"{barrier} is open")
    driver.decide(Approve(), barrier=barrier)
    assert seen(driver)["a"] == (_V.RUNNING, 1, "")


def test_an_effect_in_doubt_is_unknown_until_somebody_says_what_became_of_it():
    """7: a `once` body whose process died is UNKNOWN: confirm, retry, fail; or the run's end leaves it so."""
    driver = Driver(sketch("a:once")).claim()
    assert seen(driver, carried=False) == {"a": (_V.RUNNING, 1, "")}
    driver.crash()
    driver.claim()
    assert seen(driver) == {"a": (_V.UNKNOWN, 1, "a@1 is open")}
    driver.decide(Retry())
    assert seen(driver) == {"a": (_V.RUNNING, 1, "attempt 2")}
    driver.crash()
    driver.claim()
    assert seen(driver) == {"a": (_V.UNKNOWN, 1, "a@1.1 is open")}
    driver.cancel()
    assert seen(driver) == {"a": (_V.UNKNOWN, 1, "attempt 2")}


def test_an_effect_that_is_given_up_says_by_whom():
    driver = Driver(sketch("a:once")).claim()
    driver.crash()
    driver.claim()
    driver.decide(Fail("lost"))

    assert seen(driver) == {"a": (_V.FAILED, 1, "fail by ann")}


def test_what_the_end_of_a_run_cuts_off_is_cancelled():
    driver = Driver(sketch("a b:barrier", "a>b")).claim()
    driver.finish()
    driver.cancel()

    assert seen(driver) == {"a": (_V.SUCCEEDED, 1, ""), "b": (_V.CANCELLED, 1, "")}


# -- laws ----------------------------------------------------------------------------------------------------------


@settings(max_examples=250, deadline=None, derandomize=True)
@given(plans(branches=True), histories)
def test_a_place_goes_on_as_long_as_the_run_has_a_visit_there(plan, history):
    """Whatever happens: the picture of the log and the machine of the run agree on where it is."""
    player = Player(plan.driver("now"))
    for name, number in history:
        player.act(name, number)
    driver, fold = player.driver, player.driver.machine.fold
    shown = progress_view(driver.disk.records, carried=False)
    frontier = {visit: entry for visit, entry in fold.image.frontier.items() if not _is_inside(fold, entry.path)}

    assert {entry.place for entry in frontier.values()} == {
        name for name, each in shown.items() if each.status in GOING_ON and driver.status not in TERMINAL
    }
    for place, entry in {entry.place: entry for entry in frontier.values()}.items():
        if entry.visit not in fold.owners:
            assert shown[place].status is entry.status
        elif not fold.blueprint.composite(place).title.startswith("graph"):
            _, fork = fold.fork_of(entry.visit)
            assert shown[place].status is _V.RUNNING
            assert entry.path or shown[place].note.startswith(f"{fork.ended} of {fork.count} branch")
    begin, since = read_snapshot(driver.disk.writes[0].snapshot), driver.disk.records[1:]
    assert shown == progress_view(since, carried=False, begin=begin)
    doubts = {label.partition("@")[0] for label in fold.image.unknown if "/" not in label}
    assert all(shown[name].status is _V.UNKNOWN for name in doubts if driver.status in TERMINAL)


GOING_ON = {_V.PENDING, _V.RUNNING, _V.AWAITING_INPUT, _V.WAITING_RETRY, _V.UNKNOWN}


def _is_inside(fold, path: str) -> bool:
    """Whether this path leads into another graph."""
    return bool(path) and fold.frame(path).blueprint is not fold.blueprint


@pytest.mark.parametrize("carried", [True, False])
def test_who_follows_a_run_sees_the_same_as_who_comes_late(carried):
    driver = Driver(each(3)).claim()
    driver.settle()
    progress = Progress()
    for number, record in enumerate(driver.disk.records, 1):
        progress.move(record)

        assert progress.places(carried=carried) == progress_view(driver.disk.records[:number], carried=carried)
