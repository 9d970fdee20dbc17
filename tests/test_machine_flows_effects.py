"""`terzetto_protocol.machine`: effects of dataflows that nobody saw end, and going back in one (SEMANTICS 5.7, 7)."""

import pytest

from terzetto_protocol.codec import pack
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.decisions import Confirm, Fail, Recorded, Retry
from terzetto_protocol.events import NodeFailed
from terzetto_protocol.fold import Fold
from terzetto_protocol.inputs import UndoRequested
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.travel import as_was, undone

from .flows import called, flow, out, reads_the_same, recover, running, started
from .machines import Driver, claimed, refused

_R = RunStatus


def once(*words: str, **options) -> Dataflow:
    """`a`, which has an effect, sends to `b`."""
    return flow(".x>a.v", "a.out>b.v", *words, a={"effects": "once", "outputs": {"out": int}}, **options)


# -- effects ----------------------------------------------------------------------------------------------------------


def test_an_intent_is_written_before_the_body_begins():
    """3, D2."""
    driver = started(once(), acks="later")
    driver.ack()

    assert Kind.INTENT in [record.kind for record in driver.disk.records]
    assert running(driver) == ["a"]


def test_a_visit_whose_process_died_in_its_body_is_asked_about_and_the_others_go_on():
    """7.4."""
    driver = started(once(".x>c.v"))
    recover(driver)
    assert running(driver) == ["c"]
    assert driver.status is _R.RUNNING
    driver.finish(node="c")
    assert driver.status is _R.AWAITING_INPUT
    driver.settle()
    driver.decide(Retry())
    driver.send(1, node="a")
    driver.finish(node="a")

    assert driver.started == ["inputs", "c", "a", "c", "a", "b"]
    assert called(driver, "b") == {"v": 1}


def test_who_confirms_says_what_would_have_been_sent():
    """7.4: confirm(result)."""
    made = once("b.out>.r")
    driver = recover(started(made))
    driver.decide(made.confirm([("out", 1), ("out", 2)]))
    assert [called(driver, "b"), len(running(driver))] == [{"v": 1}, 2]
    while driver.running:
        driver.finish()

    assert (driver.status, driver.state.tasks) == (_R.SUCCEEDED, {})
    driver.settle()
    reads_the_same(driver)


def test_what_was_sent_before_the_process_died_has_gone_on():
    driver = started(once())
    driver.send(1)
    recover(driver)
    assert running(driver) == ["b"]
    driver.decide(Retry())
    driver.send(1, node="a")
    driver.send(2, node="a")
    driver.finish(node="a")

    assert running(driver) == ["b", "b"]


def test_who_confirms_need_not_know_how_far_it_had_come():
    """7.4: what has gone on does not go on again."""
    for stored in range(4):
        made = once("b.out>.r")
        driver = started(made)
        for number in range(stored):
            driver.send(number, node="a")
        recover(driver)
        driver.decide(made.confirm([("out", number) for number in range(3)]))
        driver.settle()
        assert driver.started.count("b") == 3 + stored
        assert driver.machine.fold.image.visits == 5
        assert driver.status is _R.SUCCEEDED


def test_who_confirms_another_value_than_has_gone_on_is_refused():
    made = once()
    driver = started(made)
    driver.send(1)
    recover(driver)
    assert "as number 0 was another value" in refused(driver.decide, made.confirm({"out": 2}), barrier="a@2")
    driver.decide(made.confirm(), barrier="a@2")

    assert running(driver) == ["b"]


def test_a_confirmation_without_values_sends_none():
    driver = recover(started(once()))
    driver.decide(Confirm())

    assert (driver.status, driver.started) == (_R.SUCCEEDED, ["inputs", "a"])
    assert driver.state.tasks == {}


def value(name: str, data: object) -> Confirm:
    return Confirm((Recorded(name, pack(data, name)),))


@pytest.mark.parametrize(
    "confirm, reason",
    [
        (value("nope", 1), "has no output 'nope'"),
        (value("out", "text"), "Expected `int`, got `str`"),
        (value("error", "text"), "raise what went wrong"),
        (value("@over", 1), "has no output '@over'"),
        (value("@begun", None), "has no output '@begun'"),
        (Confirm((Recorded("@passed", pack([3, "b", "out", 1], "")),)), "has no output '@passed'"),
        (Confirm((Recorded("out", b"\xc1"),)), "is malformed"),
    ],
)
def test_a_confirmation_of_what_cannot_have_been_sent_is_refused(confirm, reason):
    """6.3: a decision that is not taken is refused, and the barrier keeps waiting."""
    driver = recover(started(once()))

    assert reason in refused(driver.decide, confirm)
    assert driver.disk.open_barriers() == ["a@2"]
    driver.decide(value("out", 5))
    assert called(driver, "b") == {"v": 5}


def test_who_gives_it_up_lets_its_error_out():
    driver = recover(started(once("a.error>.why")))
    driver.decide(Fail("nobody knows"))

    assert driver.status is _R.SUCCEEDED
    assert out(driver) == {"why": ["the effect of a@2 was given up by ann: nobody knows"]}
    assert driver.state.tasks == {}
    driver.settle()
    reads_the_same(driver)


@pytest.mark.parametrize("goes_on, status", [("continue", _R.SUCCEEDED), ("fail", _R.FAILED)])
@pytest.mark.parametrize("slot", [True, False])
def test_one_that_is_given_up_is_a_failed_visit_like_any_other(goes_on, status, slot):
    driver = recover(started(once(".x>c.v", on_node_error=goes_on)))
    driver.decide(Fail("no"), slot=slot)
    if driver.leaving:
        driver.leave("c")
    driver.settle()

    assert driver.status is status
    assert (driver.failure is None) == (status is _R.SUCCEEDED)


@pytest.mark.parametrize("slot", [True, False])
def test_one_that_is_given_up_ends_another_that_waits_too(slot):
    options = {name: {"effects": "once"} for name in "ab"}
    driver = recover(started(flow(alone="a b", on_node_error="fail", **options)))
    driver.settle()
    driver.decide(Fail("no"), barrier="a@2", slot=slot)
    if not slot:
        assert driver.status is _R.QUEUED
        driver.claim()

    assert driver.status is _R.FAILED
    assert driver.disk.open_barriers() == []
    assert driver.machine.fold.image.unknown == ("b@3",)
    driver.settle()


def test_one_inside_that_is_given_up():
    within = flow(".v>i.v", "i.out>.o", named="within", i={"effects": "once"}, on_node_error="fail")
    driver = started(flow(".x>sub.v", "sub.error>.why", inside={"sub": within}))
    driver.finish()
    recover(driver)
    driver.settle()
    assert driver.disk.open_barriers() == ["sub.1/i@4"]
    driver.decide(Fail("no"))

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"why": ["the effect of sub.1/i@4 was given up by ann: no"]})
    driver.settle()


def test_a_body_that_never_began_has_had_no_effect_when_another_fails():
    """7.5: listed as unknown is only what may have happened."""
    driver = claimed(flow(alone="a b", on_node_error="fail", b={"effects": "once"}))
    driver.finish()
    driver.ack(1)
    assert (running(driver), len(driver.sent)) == (["a"], 1), "the intent of the other is on its way"
    driver.fail(node="a")
    driver.settle()

    assert driver.status is _R.FAILED
    assert driver.machine.fold.image.unknown == ()
    assert "b" not in driver.started


def test_one_that_was_cut_off_while_its_body_ran_is_listed():
    driver = started(flow(alone="a b", on_node_error="fail", b={"effects": "once"}))
    driver.fail(node="a")
    driver.leave("b")

    assert driver.machine.fold.image.unknown == ("b@3",)


def test_one_that_took_too_long_is_asked_about():
    driver = started(once(".x>c.v"))
    driver.fail(node="a", unknown=True)

    assert driver.disk.open_barriers() == ["a@2"]
    assert not [event for event in driver.witness.seen if isinstance(event, NodeFailed)]


# -- going back -------------------------------------------------------------------------------------------------------


def at(driver: Driver, seq: int) -> Fold:
    """The run as it was after a commit, folded from the beginning."""
    bodies = [write.body for write in driver.disk.writes[1:seq]]
    snapshot = driver.disk.writes[0].snapshot
    assert snapshot is not None
    return Fold.load(driver.blueprint, driver.header, snapshot, bodies)


def undo(driver: Driver, count: int = 1) -> None:
    to = undone(driver.disk.records, count)
    assert to is not None
    driver.feed(UndoRequested(to, as_was(at(driver, to)), driver.now, "u"))
    driver.claim()


def middle() -> Driver:
    """A run that has been halted: `a` has sent two values, the first of which `b` is done with."""
    driver = started(flow(".x>a.v", "a.out>b.v", "b.out>.r", limit=2))
    driver.send(1, node="a")
    driver.send(2, node="a")
    driver.send(10, node="b")
    driver.finish(node="b")
    driver.halt(hard=True)
    for name in running(driver):
        driver.leave(name)
    assert driver.status is _R.INTERRUPTED
    return driver


def to_its_end(driver: Driver) -> None:
    """`a` sends 1 to 3, as ever, and `b` ten times what it gets."""
    while driver.running:
        name = running(driver)[-1]
        for number in (1, 2, 3) if name == "a" else (called(driver, name)["v"] * 10,):
            driver.send(number, node=name)
        driver.finish(node=name)


def test_an_undone_visit_has_its_task_and_what_it_had_sent():
    driver = middle()
    undo(driver)
    assert sorted(running(driver)) == ["a", "b"]
    assert called(driver, "b") == {"v": 1}
    assert min(driver.running) > 4, "numbers of visits are never used again"
    to_its_end(driver)

    assert (driver.status, sorted(out(driver)["r"])) == (_R.SUCCEEDED, [10, 20, 30])
    assert driver.state.issued == 4
    driver.settle()
    reads_the_same(driver)


def test_what_was_sent_stays_sent_also_after_several_undos():
    driver = middle()
    for _ in range(3):
        undo(driver)
        driver.send(10, node="b")
        driver.finish(node="b")
        driver.halt(hard=True)
        for name in running(driver):
            driver.leave(name)
    undo(driver)
    to_its_end(driver)

    assert sorted(out(driver)["r"]) == [10, 20, 30]


def test_an_undo_of_the_beginning_begins_anew():
    driver = middle()
    undo(driver, 2)
    assert running(driver) == ["inputs"]
    driver.finish()
    to_its_end(driver)

    assert sorted(out(driver)["r"]) == [10, 20, 30]


def test_an_undo_inside_of_a_dataflow_inside():
    within = flow(".v>i.v", "i.out>j.v", "j.out>.o", named="within")
    driver = started(flow("a.out>sub.v", "sub.o>.r", alone="a", inside={"sub": within}))
    driver.send(1)
    driver.send(2)
    driver.finish(node="a")
    driver.finish(node="sub.2/inputs")
    driver.send(5, node="sub.2/i")
    driver.finish(node="sub.2/i")
    driver.halt(hard=True)
    for name in running(driver):
        driver.leave(name)
    undo(driver)
    assert sorted(running(driver)) == ["sub.2/i", "sub.2/j", "sub.3/inputs"]
    driver.send(5, node="sub.2/i")
    driver.finish(node="sub.2/i")
    driver.send(6, node="sub.2/j")
    driver.finish(node="sub.2/j")
    driver.finish(node="sub.3/inputs")
    driver.finish(node="sub.3/i")

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [6]})
    driver.settle()
    reads_the_same(driver)


@pytest.mark.parametrize("seq", range(3, 10))
def test_a_fork_from_any_commit_goes_on_with_the_same_values(seq):
    driver = middle()
    other = Driver(driver.blueprint.graph, driver.first, snapshot=as_was(at(driver, seq))).claim()
    if "inputs" in running(other):
        other.finish(node="inputs")
    to_its_end(other)

    assert (other.status, sorted(out(other)["r"])) == (_R.SUCCEEDED, [10, 20, 30])
    other.settle()
