"""`terzetto_protocol.machine`: pauses, cancels and halts reach graphs inside of graphs (SEMANTICS 5.6, 9.1)."""

import pytest

from terzetto_protocol.image import read_snapshot

from .branches import recover, running
from .insides import _R, around, two
from .machines import Driver
from .sketches import Add, Tally, sketch


@pytest.mark.parametrize("crash", [False, True])
def test_a_pause_inside_parks_the_run_which_goes_on_inside(crash):
    """5.6: Resumable from inside; 6.2: taken at the commit boundary."""
    driver = Driver(around(two())).claim()
    driver.finish(Add(1), pause=True)
    assert driver.status is _R.PAUSED
    assert read_snapshot(driver.disk.writes[-1].snapshot).image.branches["sub"].counts.visits == 2
    if crash:
        driver.crash()
    driver.resume()
    driver.claim()
    assert running(driver) == ["sub/j"]
    driver.finish(Add(1))

    assert (running(driver), driver.state.count) == (["end"], 2)


def test_a_pause_in_the_last_visit_inside_parks_the_run_outside():
    """6.2: a run parks after a visit that called `ctx.pause()`."""
    driver = Driver(around(sketch("i"))).claim()
    driver.finish(Add(1), pause=True)
    assert (driver.status, driver.state.count) == (_R.PAUSED, 1)
    driver.resume()
    driver.claim()

    assert running(driver) == ["end"]


@pytest.mark.parametrize("ending", ["finish", "fail", "leave"])
def test_a_cancel_reaches_inside(ending):
    """5.6: cancellation is inherited; 3 D6: no commit of that run succeeds afterwards."""
    driver = Driver(around(two()), Tally(1)).claim()
    driver.finish(Add(1))
    driver.cancel("c1")
    assert driver.leaving == {3}
    getattr(driver, ending)()

    assert driver.status is _R.CANCELLED
    assert driver.state == driver.stored == Tally(1)
    driver.settle()


def test_a_halt_interrupts_inside_and_the_next_owner_goes_on_there():
    """9.6: then INTERRUPTED (resumable)."""
    driver = Driver(around(two())).claim()
    driver.halt()
    driver.finish(Add(1))
    assert driver.status is _R.INTERRUPTED
    recover(driver)
    driver.halt(hard=True)
    driver.leave()
    assert driver.status is _R.INTERRUPTED
    recover(driver)
    driver.finish(Add(1))

    assert driver.started == ["i", "j", "j", "end"]
    assert driver.state.count == 2
