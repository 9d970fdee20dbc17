"""`terzetto_protocol.machine`: dataflows that are cancelled, halted, paused or out of time (SEMANTICS 5.7, 9)."""

from terzetto_protocol.records import Sent
from terzetto_protocol.statuses import FailureCode, RunStatus

from .flows import called, flow, out, running, started
from .machines import Driver, claimed, refused

_R = RunStatus


def sent(driver: Driver) -> list[tuple[str, int, str]]:
    """Sends that are in the log: node, number and output."""
    return [(each.place, each.detail.number, each.detail.output) for each in driver.disk.records if kind(each)]


def kind(record) -> bool:
    return isinstance(record.detail, Sent)


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_a_cancel_reaches_every_visit():
    driver = started(flow(".x>a.v", "a.out>b.v", limit=2))
    for number in range(3):
        driver.send(number, node="a")
    driver.cancel("c")
    assert len(driver.leaving) == 2
    assert "is over" in refused(driver.send, 9, node="a")
    driver.leave("a")
    driver.finish(node="b")

    assert driver.status is _R.CANCELLED
    assert len(driver.receipts["c"]) == 1
    driver.settle()


def test_a_halted_run_goes_on_with_every_visit_and_what_it_sent():
    driver = started(flow(".x>a.v", "a.out>b.v"))
    driver.send(1)
    driver.halt()
    driver.send(2, node="a")
    assert running(driver) == ["a", "b"], "what is under way may commit, and nothing begins"
    driver.halt(hard=True)
    driver.leave("a")
    driver.leave("b")
    assert driver.status is _R.INTERRUPTED
    driver.claim()
    assert running(driver) == ["a", "b", "b"]
    driver.send(1, node="a")
    driver.send(2, node="a")

    assert sent(driver) == [("a", 0, "out"), ("a", 1, "out")]


def test_the_same_owner_numbers_the_sends_of_a_second_life_anew():
    """A machine that is claimed again knows how far its bodies had come, and not how far these are."""
    driver = started(flow(".x>a.v", "a.out>.r"))
    driver.send(1)
    driver.halt(hard=True)
    driver.leave()
    driver.claim()
    driver.send(1)
    driver.finish()

    assert out(driver) == {"r": [1]}


def test_a_deadline_ends_all_of_it():
    driver = started(flow("a.out>c.v", alone="a b"), deadline=10.0)
    driver.send(1, node="a")
    driver.now = 10.0
    driver.expire()
    for name in ("a", "b", "c"):
        driver.leave(name)

    assert (driver.status, driver.failure.code) == (_R.FAILED, FailureCode.DEADLINE_EXCEEDED)
    driver.settle()


def test_a_pause_from_outside_waits_for_every_visit():
    driver = started(flow(".x>a.v", "a.out>b.v", "b.out>.r"))
    driver.send(1)
    driver.pause("p")
    driver.send(2, node="a")
    driver.finish(node="a")
    assert driver.status is _R.RUNNING
    driver.send(1, node="b")
    driver.finish(node="b")
    assert driver.status is _R.PAUSED
    driver.settle()
    driver.resume()
    driver.claim()
    assert called(driver) == {"v": 2}
    driver.send(2)
    driver.finish()

    assert (driver.status, out(driver)) == (_R.SUCCEEDED, {"r": [1, 2]})
    driver.settle()


def test_a_stale_owner_sends_nothing():
    """D8."""
    driver = claimed(flow(".x>a.v", "a.out>b.v"))
    driver.finish(node="inputs")
    driver.ack()
    driver.send(1)
    driver.refuse()

    assert (running(driver), driver.answers) == (["a"], {})
    assert "does not own it any more" in refused(driver.send, 2)
