"""`terzetto._timers`: at most one deadline per run, on time, whatever else is set or dropped."""

import pytest
import trio

from terzetto._timers import LONGEST_SLEEP, Timers


class Alarm:
    """Timers on virtual time, and what they did."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.record: list[tuple[str, float]] = []
        self.timers = Timers(trio.current_time)
        nursery.start_soon(self.timers.run, self.fire)

    async def fire(self, run_id: str) -> None:
        self.record.append((run_id, trio.current_time()))
        await trio.lowlevel.checkpoint()


@pytest.fixture
async def alarm(nursery):
    return Alarm(nursery)


async def test_deadlines_fire_in_their_order(alarm, autojump_clock):
    for run_id, deadline in (("c", 3), ("a", 1), ("b", 2), ("a2", 1)):
        alarm.timers.set(run_id, deadline)
    assert 4 == len(alarm.timers)
    await trio.sleep(10)

    assert [("a", 1), ("a2", 1), ("b", 2), ("c", 3)] == alarm.record
    assert 0 == len(alarm.timers)


async def test_one_that_is_set_while_another_is_slept_for(alarm, autojump_clock):
    alarm.timers.set("late", 100)
    await trio.sleep(5)
    alarm.timers.set("soon", 6)
    alarm.timers.set("now", 5)
    alarm.timers.set("past", -7)
    await trio.sleep(200)

    assert [("past", 5), ("now", 5), ("soon", 6), ("late", 100)] == alarm.record


async def test_a_deadline_is_moved_or_dropped(alarm, autojump_clock):
    alarm.timers.set("moved", 5)
    alarm.timers.set("sooner", 50)
    alarm.timers.set("dropped", 6)
    alarm.timers.set("forgotten", 7)
    await trio.sleep(1)
    alarm.timers.set("moved", 20)
    alarm.timers.set("sooner", 2)
    alarm.timers.drop("dropped")
    alarm.timers.drop("dropped")
    alarm.timers.set("forgotten", None)
    assert 2 == len(alarm.timers)
    await trio.sleep(100)

    assert [("sooner", 2), ("moved", 20)] == alarm.record


async def test_the_same_again_fires_once(alarm, autojump_clock):
    for _ in range(5):
        alarm.timers.set("r", 5)
    await trio.sleep(10)
    assert [("r", 5)] == alarm.record
    alarm.timers.set("r", 15)
    await trio.sleep(10)
    assert [("r", 5), ("r", 15)] == alarm.record


async def test_moved_away_and_back(alarm, autojump_clock):
    """What stands in the heap for a deadline that was moved fires nothing by itself."""
    alarm.timers.set("r", 5)
    alarm.timers.set("r", 8)
    alarm.timers.set("r", 5)
    await trio.sleep(20)
    assert [("r", 5)] == alarm.record


async def test_clearing_forgets_everything(alarm, autojump_clock):
    alarm.timers.set("r", 5)
    alarm.timers.clear()
    await trio.sleep(10)
    assert [] == alarm.record
    alarm.timers.set("r", 12)
    await trio.sleep(10)
    assert [("r", 12)] == alarm.record


async def test_setting_while_firing(nursery, autojump_clock):
    """A run that parks again while it is told of its deadline."""
    record, timers = [], Timers(trio.current_time)

    async def fire(run_id: str) -> None:
        record.append(trio.current_time())
        await trio.sleep(3)
        if len(record) < 4:
            timers.set(run_id, trio.current_time() + len(record) - 2)

    nursery.start_soon(timers.run, fire)
    timers.set("r", 1)
    await trio.sleep(50)
    assert [1, 4, 7, 11] == record


async def test_nobody_trusts_one_long_sleep(nursery, autojump_clock, monkeypatch):
    """The wall clock may be set: a deadline that it has passed fires within the longest sleep."""
    ahead, record = 0.0, []

    async def fire(run_id: str) -> None:
        record.append((run_id, trio.current_time()))

    timers = Timers(lambda: trio.current_time() + ahead)
    nursery.start_soon(timers.run, fire)
    timers.set("r", 10 * LONGEST_SLEEP)
    await trio.sleep(10)
    ahead = 9.5 * LONGEST_SLEEP
    await trio.sleep(LONGEST_SLEEP)

    ((run_id, at),) = record
    assert ("r", True) == (run_id, at <= LONGEST_SLEEP)


async def test_what_fire_raises_is_let_out(autojump_clock):
    timers = Timers(trio.current_time)
    timers.set("r", 1)

    async def fire(run_id: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), trio.fail_after(5):
        await timers.run(fire)
