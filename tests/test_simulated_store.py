"""The store of simulations: the contract when it is quiet, and what a process's death leaves of it."""

from itertools import count
from random import Random

import pytest
import trio

from terzetto.testing import STORE_LAWS, StoreKit
from terzetto.testing._simulated_luck import Trouble, Weather
from terzetto.testing._simulated_store import SimulatedDisk, SimulatedStore
from terzetto.testing._store_laws import StoreLaw, claim, first, started
from terzetto_protocol.errors import StoreInUse, StoreUnavailable
from terzetto_protocol.records import Applied, Rejected, Stale


@pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
async def test_law(law: StoreLaw) -> None:
    """SEMANTICS 3, 11: quiet, it keeps the whole contract."""
    disk = SimulatedDisk()
    await StoreKit(lambda: SimulatedStore(disk)).check(law)


@pytest.mark.parametrize("law", STORE_LAWS, ids=StoreKit.name)
async def test_law_among_many_owners(law: StoreLaw, autojump_clock) -> None:
    """SEMANTICS 11.2: so it does where there are leases."""
    disk, numbers = SimulatedDisk(), count()
    await StoreKit(lambda: SimulatedStore(disk, name=f"p{next(numbers)}", lease=5.0)).check(law)


def weather(*troubles: Trouble, seed: int = 0, latency: float = 1.0) -> Weather:
    return Weather(Random(seed), trio.current_time, latency, troubles)


async def test_only_one_owns_it_and_a_guest_reads(autojump_clock):
    disk = SimulatedDisk()
    async with SimulatedStore(disk, name="a") as store:
        await started(store)
        with pytest.raises(StoreInUse, match="owned by a"):
            async with SimulatedStore(disk):
                pass
        async with SimulatedStore(disk, guest=True) as guest:
            assert (await guest.run("r")).epoch == 1
            with pytest.raises(StoreInUse, match="guest"):
                await guest.commit([first("s")])
            with pytest.raises(StoreInUse, match="answer"):
                await guest.answer("c", b"")
    async with SimulatedStore(disk):
        pass


async def test_a_dead_process_reaches_nothing(autojump_clock):
    disk = SimulatedDisk()
    store = await SimulatedStore(disk).__aenter__()
    store.cut()

    assert [Rejected("the process is dead", final=False)] == await store.commit([first()])
    with pytest.raises(StoreUnavailable, match="dead"):
        await store.run("r")
    assert await disk.run("r") is None
    assert disk.owner is None


async def test_what_is_under_way_when_its_process_dies_has_happened_or_not(autojump_clock):
    """SEMANTICS 7: whoever dies with a write under way never knows."""
    kept = set()
    for seed in range(20):
        disk = SimulatedDisk()
        store = await SimulatedStore(disk, weather(seed=seed)).__aenter__()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, [first()])
            await trio.testing.wait_all_tasks_blocked()
            store.cut()
        kept.add(await disk.run("r") is not None)
    assert {True, False} == kept


async def test_after_a_failure_nothing_works_before_reopen(autojump_clock):
    disk = SimulatedDisk()
    store = SimulatedStore(disk, weather(Trouble(10, 5, fails=1.0)))
    async with store:
        await trio.sleep_until(trio.current_time() + 10)
        with pytest.raises(StoreUnavailable, match="commit fails"):
            await store.commit([first()])
        with pytest.raises(StoreUnavailable, match="gone"):
            await store.reopen()
        await trio.sleep(5)
        with pytest.raises(StoreUnavailable, match="reopen"):
            await store.run("r")
        await store.reopen()
        assert await store.run("r") is None


async def test_an_answer_is_lost_and_the_write_is_there(autojump_clock):
    disk = SimulatedDisk()
    store = SimulatedStore(disk, weather(Trouble(10, 5, loses=1.0)))
    async with store:
        await trio.sleep(10)
        with pytest.raises(StoreUnavailable, match="lost"):
            await store.commit([first()])
        await trio.sleep(5)
        await store.reopen()
        assert [Applied()] == await store.commit([first()])
    assert ["Applied"] == [type(outcome).__name__ for outcome in disk.commit_now([first()])]


async def test_a_call_that_hangs_ends_with_the_trouble(autojump_clock):
    store = SimulatedStore(SimulatedDisk(), weather(Trouble(10, 7, hangs=1.0)))
    async with store:
        await trio.sleep_until(trio.current_time() + 10)
        with trio.fail_after(8):
            with pytest.raises(StoreUnavailable, match="hangs"):
                await store.run("r")


async def test_who_stood_still_and_lost_the_lock_is_stale(autojump_clock):
    """SEMANTICS 3, D8."""
    disk = SimulatedDisk()
    async with SimulatedStore(disk) as old:
        await started(old)
        old.freeze(5)
        async with SimulatedStore(disk) as new:
            await new.commit([claim(seq=3, epoch=2)])
            began = trio.current_time()
            assert [Stale(2)] == await old.commit([claim(seq=3, epoch=2, body=b"other")])
            assert trio.current_time() == began + 5
