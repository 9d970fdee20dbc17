"""`terzetto_protocol.machine`: dataflows (SEMANTICS 5.7)."""

import pytest
from msgspec import Raw

from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.events import OutputSent
from terzetto_protocol.inputs import BodyAsked
from terzetto_protocol.questions import AskDecision, Journal, Sending
from terzetto_protocol.records import Kind, Sent
from terzetto_protocol.statuses import FailureCode, RunStatus

from .flows import called, flow, out, reads_the_same, recover, running, started
from .machines import Driver, ended, refused
from .sketches import sketch

_R = RunStatus


def sent(driver: Driver) -> list[tuple[str, int, str]]:
    """Sends that are in the log: node, number and output."""
    return [(each.place, each.detail.number, each.detail.output) for each in driver.disk.records if kind(each)]


def kind(record) -> bool:
    return isinstance(record.detail, Sent)


# -- values -----------------------------------------------------------------------------------------------------------


def test_values_say_what_runs_next():
    """5.7: nodes with named inputs and outputs joined by links, compiled onto the same run machine."""
    driver = started(flow(".x>a.v", "a.out>b.v", "b.out>.r"), {"x": 1})
    assert (running(driver), called(driver)) == (["a"], {"v": 1})
    driver.send(2)
    assert running(driver) == ["a", "b"], "what is sent goes on at once"
    assert called(driver, "b") == {"v": 2}
    driver.finish(node="a")
    driver.send({"k": 3})
    driver.finish()

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [{"k": 3}]})
    assert driver.started == ["inputs", "a", "b"]
    driver.settle()
    reads_the_same(driver)


def test_each_send_is_a_commit_of_its_own_that_is_told():
    """5.7: numbered (visit, k), each a commit that flows on at once."""
    driver = started(flow(".x>a.v"))
    driver.send(1)
    driver.send(2, "other")
    driver.finish()

    assert sent(driver) == [("a", 0, "out"), ("a", 1, "other")]
    told = [event for event in driver.witness.seen if isinstance(event, OutputSent)]
    assert [(each.node, each.number, each.output, bytes(each.value)) for each in told] == [
        ("a", 0, "out", b"\x01"),
        ("a", 1, "other", b"\x02"),
    ]


def test_who_sends_hears_when_it_is_durable():
    """D3: nothing outside of the process depends on a commit that is not durable."""
    driver = started(flow(".x>a.v", "a.out>b.v"), acks="later")
    key = driver.send(1)
    assert (driver.answers, running(driver)) == ({}, ["a"])
    driver.store()
    assert driver.answers == {}
    driver.ack()

    assert list(driver.answers) == [(2, key)]
    assert running(driver) == ["a", "b"]


def test_a_pure_node_may_run_ahead_of_the_value_that_it_takes():
    """D3: only pure nodes run ahead of the disk; what they send waits for it, like everything that is seen."""
    driver = started(flow(".x>a.v", "a.out>b.v", "a.out>c.v", b={"effects": "pure"}), acks="later")
    driver.send(1)
    assert running(driver) == ["a", "b"]
    driver.send(2, node="b")
    assert driver.answers == {}
    driver.ack()

    assert (running(driver), len(driver.answers)) == (["a", "b", "c"], 2)


def test_the_end_of_a_visit_lets_what_it_took_in_go():
    driver = started(flow(".x>a.v"), {"x": 7})
    assert driver.state.tasks
    driver.finish()

    assert driver.state.tasks == {}


def test_a_run_without_anything_to_do_has_succeeded():
    driver = Driver(flow(".x>.r")).claim()
    driver.finish()

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [0]})


def test_values_whose_companions_never_came_are_left_over():
    """5.7: a visit starts when its inputs are complete; values whose companions never came are left over."""
    driver = started(flow(".x>a.v", "a.out>b.x", "a.never>b.y"))
    driver.send(1)
    driver.finish()

    assert driver.status is _R.SUCCEEDED
    assert driver.state.waiting == {"b": {"x": [1]}}
    driver.settle()


def test_nodes_that_wait_for_nothing_run_side_by_side():
    driver = started(flow("a.out>c.x", "b.out>c.y", alone="a b"))
    assert running(driver) == ["a", "b"]
    driver.send(1, node="b")
    driver.finish(node="b")
    driver.send(2, node="a")

    assert called(driver, "c") == {"x": 2, "y": 1}


def test_a_cycle_goes_round_as_long_as_it_is_fed():
    driver = started(flow(".x>a.v", "a.again>a.v", "a.out>.r"))
    for number in range(5):
        driver.send(number, "again")
        driver.finish()
    driver.send("done")
    driver.finish()

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": ["done"]})
    assert driver.started == ["inputs"] + ["a"] * 6


def test_a_body_may_ask_for_a_part_of_its_work_too():
    """`ctx.effect` and `ctx.decision` are there, and sends do not disturb them."""
    driver = started(flow(".x>a.v"))
    driver.send(1)
    driver.ask(Journal("effect:e", b"\xc0"))
    driver.ask(AskDecision("decision:d", "d", 0, Raw(b"\xc0")))
    recover(driver)
    driver.send(1)
    driver.ask(Journal("effect:e", b"\xc0"))
    driver.ask(AskDecision("decision:d", "d", 0, Raw(b"\xc0")))
    (barrier,) = driver.disk.open_barriers()
    driver.decide(barrier=barrier)
    driver.finish()

    assert driver.status is _R.SUCCEEDED
    assert sent(driver) == [("a", 0, "out")]
    driver.settle()


# -- what cannot be sent ----------------------------------------------------------------------------------------------


def test_an_output_that_is_not_there_is_refused_and_nothing_has_happened():
    driver = started(flow(".x>a.v", a={"outputs": {"out": int}}))
    with pytest.raises(InvalidRequest, match="node 'a' has no output 'nope'; it has out"):
        driver.send(1, "nope")
    with pytest.raises(NotStorable, match="what 'a' sends as 'out'"):
        driver.send("text")
    with pytest.raises(InvalidRequest, match="raise what went wrong"):
        driver.send("text", "error")
    driver.send(1)

    assert sent(driver) == [("a", 0, "out")], "what was refused has no number"


def test_a_body_that_goes_on_after_a_refusal_repeats_nothing_when_it_runs_again():
    driver = started(flow(".x>a.v", "a.out>b.v", a={"outputs": {"out": int}}))
    for again in (False, True):
        for value in ("wrong", 1, "wrong", 2):
            try:
                driver.send(value, node="a")
            except ValueError:
                continue
        if not again:
            recover(driver)

    assert sent(driver) == [("a", 0, "out"), ("a", 1, "out")]
    assert running(driver) == ["a", "b", "b"]


def test_only_nodes_of_dataflows_send():
    driver = Driver(sketch("a")).claim()

    assert "is no node of a dataflow" in refused(driver.send, 1)


def test_who_is_over_sends_nothing_more():
    driver = started(flow(".x>a.v", "a.out>b.v", alone="c"))
    visit = driver.start_of("a").visit
    driver.finish(node="a")

    assert "is over" in refused(driver.feed, BodyAsked(visit, Sending("send:0", "out", 1), 0.0))


def test_a_value_that_makes_the_state_too_large_is_refused():
    """4.7: found when the next snapshot is taken; a run whose state cannot be stored cannot succeed."""
    driver = started(flow(".x>a.v", "a.out>.r"), watch=False)
    with pytest.raises(NotStorable, match="and the limit is"):
        for _ in range(40):
            driver.send("x" * 1_000_000)
    assert running(driver) == ["a"], "the body may do without"
    driver.finish()

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.NODE_ERROR)
    assert "state FlowState cannot be stored" in driver.failure.message


def test_a_line_of_visits_that_holds_too_much_says_so():
    """12: who sends faster than others take is told by the size of a state, and what to do about it."""
    driver = started(flow(".x>a.v", "a.out>b.v", limit=2), watch=False)
    with pytest.raises(
        NotStorable, match=r"and the limit is .*; \d+ visits wait for their turn .*: let more of them run"
    ):
        for _ in range(40):
            driver.send("x" * 1_000_000, node="a")


# -- limits -----------------------------------------------------------------------------------------------------------


def test_no_more_visits_are_under_way_than_the_limit_says():
    """5.7: `limit` visits are under way at once."""
    driver = started(flow(".x>a.v", "a.out>b.v", limit=3))
    for number in range(5):
        driver.send(number, node="a")
    assert running(driver) == ["a", "b", "b"]
    driver.finish(node="b")
    assert [called(driver, name)["v"] for name in ("b",)] == [1]
    assert running(driver) == ["a", "b", "b"], "one ends, and the next in line begins"
    driver.finish(node="a")
    assert running(driver) == ["b", "b", "b"]
    while not ended(driver):
        driver.finish(node="b")

    assert driver.started == ["inputs", "a"] + ["b"] * 5
    assert [record.kind for record in driver.disk.records].count(Kind.SEND) == 5
    driver.settle()


def test_visits_wait_in_the_order_in_which_they_became_complete():
    driver = started(flow(".x>a.v", "a.b>b.v", "a.c>c.v", limit=1))
    for output in ("c", "b", "b", "c"):
        driver.send(0, output)
    while not ended(driver):
        driver.finish()

    assert driver.started == ["inputs", "a", "c", "b", "b", "c"]


def test_a_limit_of_one_is_a_chain():
    driver = started(flow(".x>a.v", "a.out>b.v", "b.out>.r", limit=1))
    driver.send(1)
    assert running(driver) == ["a"]
    driver.finish()
    driver.send(2)
    driver.finish()

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [2]})


def test_without_a_limit_all_begin_at_once():
    driver = started(flow(".x>a.v", "a.out>b.v", limit=None))
    for number in range(300):
        driver.send(number, node="a")

    assert len(running(driver)) == 301


def test_what_waits_in_line_begins_also_after_a_crash():
    driver = started(flow(".x>a.v", "a.out>b.v", limit=2))
    for number in range(4):
        driver.send(number, node="a")
    recover(driver)
    assert running(driver) == ["a", "b"]
    driver.finish(node="a")
    while not ended(driver):
        driver.finish(node="b")

    assert driver.status is _R.SUCCEEDED
    reads_the_same(driver)


def test_max_steps_allows_exactly_so_many_visits():
    """5.3; the one in which the inputs go out is one of them."""
    for max_steps, status in ((4, _R.SUCCEEDED), (3, _R.FAILED)):
        driver = started(flow(".x>a.v", "a.out>b.v", max_steps=max_steps))
        driver.send(1)
        driver.send(2)
        driver.finish(node="a")
        driver.settle()
        assert driver.status is status, max_steps
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert driver.started == ["inputs", "a", "b"]
    driver.settle()


def test_max_visits_of_a_node_is_kept():
    driver = started(flow(".x>a.v", "a.out>b.v", b={"max_visits": 1}))
    driver.send(1)
    driver.send(2)
    driver.finish(node="a")
    driver.leave("b")

    assert driver.status is _R.FAILED
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert "node 'b' would be visited more than 1 times" in driver.failure.message
