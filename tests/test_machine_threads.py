"""`terzetto_protocol.machine`: a run that had to wait for its turn is told with its first claim what it begins with."""

import pytest

from terzetto_protocol.inputs import Claimed
from terzetto_protocol.records import Kind, Taken
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.travel import as_was

from .machines import Driver, refused
from .sketches import Add, Burst, Tally, sketch

_R = RunStatus
ACKS = pytest.mark.parametrize("acks", ["now", "later", "settled"])


def waiting(acks="now", graph="a b", ways="a>b", **header) -> Driver:
    return Driver(sketch(graph, ways), Tally(1), acks=acks, thread="t", line=1, **header)


def taken(driver: Driver, base: str = "h", state: Tally | None = None) -> Taken:
    return Taken(base, b"" if state is None else driver.blueprint.state.pack(state))


def begin(driver: Driver, made: Taken | None = None) -> Driver:
    driver.feed(Claimed(driver.now, made))
    driver.ack()
    return driver


@ACKS
def test_the_first_claim_brings_the_state(acks):
    """Law 1: what the run begins with is in its log (the witness folds it after every commit)."""
    driver = waiting(acks, from_head=True)
    driver.ack()
    begin(driver, taken(driver, state=Tally(10, ["before"])))
    assert ("h", Tally(10, ["before"])) == (driver.machine.fold.image.base, driver.state)
    driver.finish(Add(1))
    driver.ack()
    driver.finish(Add(1))
    driver.ack()
    assert (_R.SUCCEEDED, Tally(12, ["before"])) == (driver.status, driver.stored)
    assert [Kind.SUBMIT, Kind.CLAIM, Kind.VISIT, Kind.VISIT] == [record.kind for record in driver.disk.records]


@pytest.mark.parametrize("how", ["fails", "burst", "changes what it was lent"])
def test_what_a_failed_node_did_to_it_is_taken_back(how):
    """4.3: the whole batch of a node that raises is dropped, and the state is made from the log: from the head's."""
    driver = waiting(from_head=True)
    begin(driver, taken(driver, state=Tally(10, ["before"])))
    if how == "burst":
        driver.finish(Add(1), Burst())
    else:
        driver.state.count += 5 * (how != "fails")
        driver.fail()

    assert (_R.FAILED, Tally(10, ["before"])) == (driver.status, driver.state)


def test_a_run_with_a_state_of_its_own_keeps_it():
    driver = begin(waiting(), taken(waiting()))
    assert ("h", Tally(1)) == (driver.machine.fold.image.base, driver.state)


def test_nobody_claims_it_before_its_turn():
    driver = waiting()
    assert "it waits for its turn on thread 't'" in refused(driver.claim)
    assert (_R.QUEUED, True) == (driver.status, driver.machine.fold.takes_head)


@pytest.mark.parametrize("keep", [0, 1])
def test_what_it_began_with_is_not_brought_again(keep):
    """3: a claim that is durable has been; one that is not comes again, with the head as it is by then."""
    driver = waiting("later", from_head=True)
    driver.ack()
    driver.feed(Claimed(driver.now, taken(driver, state=Tally(10))))
    driver.crash(keep=keep)
    assert driver.machine.fold.takes_head is not bool(keep)
    begin(driver, taken(driver, "other", Tally(20)))
    began = ("h", Tally(10)) if keep else ("other", Tally(20))
    assert began == (driver.machine.fold.image.base, driver.state)


def test_a_cancel_before_its_turn_ends_it():
    """9.1: no node of it ever runs."""
    driver = waiting()
    driver.cancel("c")
    assert (_R.CANCELLED, []) == (driver.status, driver.started)
    assert "stopped" == driver.receipts["c"][0].outcome


def test_only_success_names_the_thread():
    """1: FAILED and CANCELLED do not move the head."""
    for end, thread in ((lambda d: d.finish(), "t"), (lambda d: d.fail(), ""), (lambda d: d.cancel(), "")):
        driver = Driver(sketch("a"), thread="t").claim()
        end(driver)
        if driver.running:
            driver.leave()
        assert ["", "", *([""] * (len(driver.disk.writes) - 3)), thread] == [w.thread for w in driver.disk.writes]


def test_a_run_on_no_thread_names_none():
    driver = Driver(sketch("a")).claim()
    driver.finish()
    assert {""} == {write.thread for write in driver.disk.writes}


def test_begun_effects_are_counted():
    """3: a rollback has to know them; a run that is made of another has begun none."""
    driver = Driver(sketch("a:once b:once c:barrier", "a>b>c"), thread="t").claim()
    driver.finish()
    driver.finish()
    assert 2 == driver.machine.fold.image.intents
    image = as_was(driver.machine.fold).image
    assert (0, None) == (image.intents, image.base)
