"""`terzetto.testing._life`: a process that opens a runtime and dies, stands still or is stopped, and its clients."""

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from terzetto.testing._life import Life
from terzetto.testing._simulated_store import SimulatedDisk, SimulatedStore
from terzetto.testing._world import LIFE
from terzetto_protocol.errors import StoreInUse, StoreUnavailable, UnknownRun


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ends: list[str] = []

    def say(self, who: str, what: str) -> None:
        self.lines.append(f"{who} {what}")


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def life(told):
    return Life("p0.0", SimulatedStore(SimulatedDisk(), name="p0.0"), told.say)


def opening(told: Told, error: Exception | None = None):
    """Opens what stands in for a runtime."""

    @asynccontextmanager
    async def opened(life: Life):
        assert LIFE.get() is life
        if error is not None:
            raise error
        async with life.store:
            try:
                yield "runtime"
                told.ends.append("in good order")
            except trio.Cancelled:
                told.ends.append("at once")
                raise

    return opened


async def begun(nursery, life, told, error=None):
    nursery.start_soon(life.live, opening(told, error))
    await trio.testing.wait_all_tasks_blocked()


async def test_it_is_up_from_its_opening_to_its_stop(autojump_clock, nursery, life, told):
    assert not life.is_up
    await begun(nursery, life, told)
    assert (life.is_up, life.was_up, life.over.is_set()) == (True, True, False)
    life.stop(2.5)
    await life.over.wait()

    assert (life.is_up, life.alive, life.down, life.store.disk.owner) == (False, False, 2.5, None)
    assert ["p0.0 owns the store", "p0.0 is asked to stop"] == told.lines
    assert ["in good order"] == told.ends


async def test_a_crash_is_at_once_and_reaches_nobody_afterwards(autojump_clock, nursery, life, told):
    await begun(nursery, life, told)
    life.crash("it was killed", 0.3)
    assert (life.alive, life.down, life.store.dead, life.store.disk.owner) == (False, 0.3, True, None)
    life.crash("it was killed again", 9.0)
    await life.over.wait()

    assert (["at once"], 0.3) == (told.ends, life.down)
    assert ["p0.0 owns the store", "p0.0 dies: it was killed"] == told.lines


@pytest.mark.parametrize(
    "error, said",
    [(StoreInUse("taken"), "finds the store in use"), (StoreUnavailable("gone"), "cannot open the store: Store")],
)
async def test_one_that_cannot_open_the_store_was_never_up(autojump_clock, nursery, life, told, error, said):
    await begun(nursery, life, told, error)
    assert (life.over.is_set(), life.was_up, life.alive) == (True, False, False)
    assert said in told.lines[0]


async def test_one_that_stands_still_loses_the_store_thaws_and_dies(autojump_clock, nursery, life, told):
    """It is alive meanwhile, and nobody finds it; another may be started at once."""
    await begun(nursery, life, told)
    began = trio.current_time()
    nursery.start_soon(life.freeze, 3.0, 0.1, Random(0))
    await trio.testing.wait_all_tasks_blocked()
    assert (life.alive, life.is_up, life.over.is_set(), life.store.disk.owner) == (True, False, True, None)
    await trio.sleep(2.9)
    assert life.alive
    await trio.sleep(2.2)
    assert not life.alive
    assert "p0.0 dies: it had lost the store" == told.lines[-1]
    assert trio.current_time() == began + 5.1


async def test_what_a_client_hears(autojump_clock, nursery, life, told):
    async def call(runtime):
        assert LIFE.get() is life
        return f"answer of the {runtime}"

    async def refused(runtime):
        raise UnknownRun("r")

    assert None is await life.ask(call, 1.0), "nobody is there yet"
    await begun(nursery, life, told)
    assert "answer of the runtime" == await life.ask(call, 1.0)
    assert LIFE.get() is None
    with pytest.raises(UnknownRun):
        await life.ask(refused, 1.0)


async def test_a_client_of_one_that_dies_or_is_too_slow_hears_nothing(autojump_clock, nursery, life, told):
    """3: whoever dies before it has answered has not answered."""
    heard = []

    async def slow(runtime):
        await trio.sleep(5.0)
        return "too late"

    async def answers_with_its_last_breath(runtime):
        life.crash("it was killed", 0.0)
        return "an answer"

    await begun(nursery, life, told)
    assert None is await life.ask(slow, 1.0)

    @nursery.start_soon
    async def asks() -> None:
        heard.append((await life.ask(slow, 9.0), trio.current_time()))

    await trio.testing.wait_all_tasks_blocked()
    died = trio.current_time()
    assert None is await life.ask(answers_with_its_last_breath, 1.0)
    await trio.testing.wait_all_tasks_blocked()
    assert [(None, died)] == heard
