"""`terzetto_protocol.timeline`: when visits began, waited, were tried again and ended, read from the log alone."""

import msgspec
import trio.testing
from hypothesis import given, settings
from msgspec import Raw

from terzetto._history import left_of
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Retry
from terzetto_protocol.image import read_snapshot
from terzetto_protocol.inputs import Again
from terzetto_protocol.pending import LASTING
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import TERMINAL, VisitStatus
from terzetto_protocol.timeline import Span, Try, Wait, timeline

from .flows import flow, started
from .inventions import Player, histories, plans
from .machines import Driver
from .runtimes import opened, parked
from .sketches import sketch
from .test_progress_view import each, graph_of, within
from .test_runtime_forks import approval

_V = VisitStatus


def spans_of(driver):
    return timeline(driver.disk.records)


def test_visits_follow_each_other_and_the_last_one_goes_on():
    driver = Driver(sketch("a b", "a>b"))
    driver.now = 1.0
    driver.claim()
    driver.now = 3.0
    driver.finish()

    assert (
        Span(1, "a", 0.0, 3.0, _V.SUCCEEDED, (Try(1, 0.0, 3.0),)),
        Span(2, "b", 3.0, None, _V.PENDING, (Try(1, 3.0),)),
    ) == spans_of(driver)


def test_a_barrier_is_not_tried_and_waits_until_somebody_decides():
    driver = Driver(sketch("a gate:barrier", "a>gate")).claim()
    driver.now = 1.0
    driver.finish()
    waiting = Span(2, "gate", 1.0, None, _V.AWAITING_INPUT, (), (Wait("barrier", 1.0, None, "gate@2"),))
    assert waiting == spans_of(driver)[1]

    driver.now = 7.0
    driver.decide(Approve())
    decided = Span(2, "gate", 1.0, 7.0, _V.SUCCEEDED, (), (Wait("barrier", 1.0, 7.0, "gate@2"),))
    assert decided == spans_of(driver)[1]


def test_a_rest_between_attempts_is_a_wait():
    graph = graph_of("a", retry=RetryPolicy(initial=2.0))
    graph.start("a")
    driver = Driver(graph).claim()
    driver.now = 4.0
    driver.fail("ValueError: no", again=Again(2.0))
    due = driver.disk.records[-1].detail.due
    assert _V.WAITING_RETRY is spans_of(driver)[0].status

    driver.now = 9.0
    driver.wake()
    driver.finish()
    (span,) = spans_of(driver)
    assert (Try(1, 0.0, 4.0, failed=True), Try(2, due, 9.0)) == span.tries
    assert (Wait("retry", 4.0, due),) == span.waits


def test_a_body_that_asks_waits_and_goes_on():
    driver = Driver(sketch("a")).claim()
    driver.now = 2.0
    driver.ask(AskDecision("decision:really", "really", 0, Raw(b"\xc0")))
    (barrier,) = driver.disk.open_barriers()
    driver.now = 5.0
    driver.decide(Approve(), barrier=barrier)

    (span,) = spans_of(driver)
    assert (Wait("barrier", 2.0, 5.0, barrier),) == span.waits
    assert (Try(1, 0.0),) == span.tries


def test_an_effect_begins_with_its_intent_and_waits_for_a_person_after_a_crash():
    driver = Driver(sketch("a:once"))
    driver.now = 1.0
    driver.claim()
    assert (Try(1, 1.0),) == spans_of(driver)[0].tries
    driver.now = 4.0
    driver.crash()
    driver.claim()
    assert _V.UNKNOWN is spans_of(driver)[0].status
    driver.now = 6.0
    driver.decide(Retry())

    (span,) = spans_of(driver)
    assert (Wait("barrier", 4.0, 6.0, "a@1"),) == span.waits
    assert [(1, 1.0), (2, 6.0)] == [(each.number, each.begin) for each in span.tries]
    driver.now = 8.0
    driver.crash()
    driver.claim()
    driver.cancel()
    assert (_V.UNKNOWN, 8.0) == (spans_of(driver)[0].status, spans_of(driver)[0].end)


def test_branches_lie_side_by_side_inside_of_what_opened_them():
    driver = Driver(each(2)).claim()
    driver.now = 1.0
    driver.finish(node="scan")
    driver.now = 3.0
    driver.finish(node="scan")

    spans = {span.node: span for span in spans_of(driver)}
    assert 3.0 == spans["scans"].end
    inner = [(span.begin, span.end) for name, span in spans.items() if name.startswith("scans/")]
    assert [(0.0, 1.0), (0.0, 3.0)] == inner
    assert 3.0 == spans["end"].begin


def test_what_the_end_of_a_run_cuts_off_ends_with_it():
    driver = Driver(within(sketch("x gate:barrier", "x>gate"))).claim()
    driver.finish()
    driver.finish()
    driver.now = 5.0
    driver.cancel()

    assert {"write": _V.SUCCEEDED, "sub": _V.CANCELLED, "sub/x": _V.SUCCEEDED, "sub/gate": _V.CANCELLED} == {
        span.node: span.status for span in spans_of(driver)
    }
    assert all(span.end is not None for span in spans_of(driver))


def test_visits_of_a_dataflow_overlap():
    driver = started(flow(".x>a.v", "a.out>b.v", "b.out>.r"), {"x": 1})
    driver.now = 1.0
    driver.send(2)
    driver.now = 2.0
    driver.finish(node="a")
    driver.now = 3.0
    driver.send(3)
    driver.finish()
    driver.settle()

    spans = {span.node: (span.begin, span.end) for span in spans_of(driver)}
    assert {"inputs": (0.0, 0.0), "a": (0.0, 2.0), "b": (1.0, 3.0)} == spans


async def test_what_was_undone_has_ended_and_what_follows_has_new_numbers():
    graph, store = approval(), MemoryStore()
    async with opened(store, graph) as runtime:
        run = await parked(runtime, graph, "r")
        await run.undo(1)
        await trio.testing.wait_all_tasks_blocked()
        begin, records = await left_of(store, await runtime.row("r"))
        spans = timeline(records, begin=begin)

    gates = [(span.node, span.status, span.end is None) for span in spans]
    assert [("first", _V.SUCCEEDED, False), ("gate", _V.CANCELLED, False), ("first", _V.SUCCEEDED, False),
            ("gate", _V.AWAITING_INPUT, True)] == gates  # fmt: skip
    assert [1, 2, 3, 4] == [span.visit for span in spans]


@settings(max_examples=250, deadline=None, derandomize=True)
@given(plans(branches=True), histories)
def test_what_goes_on_is_what_the_run_has_in_its_frontier(plan, history):
    """Whatever happens: the chart of the log and the machine of the run agree."""
    player = Player(plan.driver("now"))
    for name, number in history:
        player.act(name, number)
    driver, fold = player.driver, player.driver.machine.fold
    spans = {span.visit: span for span in spans_of(driver)}
    frontier = {} if driver.status in TERMINAL else fold.image.frontier

    assert {visit for visit, span in spans.items() if span.end is None} == set(frontier)
    for visit, entry in frontier.items():
        span = spans[visit]
        assert visit in fold.owners or span.status is entry.status
        waits = {wait.barrier for wait in span.waits if wait.end is None}
        assert waits == {barrier for barrier, _, _ in entry.open_barriers}
    for span in spans.values():
        _check(span)
    begin, since = read_snapshot(driver.disk.writes[0].snapshot), driver.disk.records[1:]
    later = timeline(since, begin=begin, at=driver.disk.records[0].at)
    assert [(each.visit, each.end, each.status) for each in later] == [
        (each.visit, each.end, each.status) for each in spans.values()
    ]


def _check(span):
    assert span == msgspec.json.decode(msgspec.json.encode(span), type=Span)
    assert span.end is None or span.begin <= span.end
    assert span.end is not None or span.status not in LASTING
    assert span.end is None or all(part.end is not None for part in (*span.tries, *span.waits))
    assert all(part.end is None or part.begin <= part.end for part in (*span.tries, *span.waits))
    assert sorted({one.number for one in span.tries}) == [one.number for one in span.tries]
    assert all(one.end is not None for one in span.tries[:-1])
