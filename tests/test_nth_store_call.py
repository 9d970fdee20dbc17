"""The first, the second, the third ... call of a store fails, once or for good, until a job ends without a fault."""

import pytest

from terzetto.stores import MemoryStore, SqliteStore
from terzetto.testing import FaultStore, run_virtually
from terzetto_protocol.errors import StoreUnavailable

from .jobs import Job

MANY = 200
"""Calls that a job never needs."""


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path):
    """Makes an empty store by number."""
    if request.param == "memory":
        return lambda number: MemoryStore()
    return lambda number: SqliteStore(tmp_path / f"{number}.db", synchronous="normal")


FAULTS = {
    "any call": lambda place: place.raises(StoreUnavailable("not now")),
    "commit": lambda place: place.raises(StoreUnavailable("not now")),
    "commit, answer lost": lambda place: place.loses_answer(),
    "commit, torn": lambda place: place.tears(),
}


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_nth_call_fails(make, fault, lasting):
    """SEMANTICS 3, 7: after any failure the store is whole, nothing was done twice, and the same job goes on."""

    async def survives(number: int) -> bool:
        job, store = Job(), FaultStore(make(number))
        place = store.on(None if fault == "any call" else "commit")
        FAULTS[fault](place.from_pass(number) if lasting else place.on_pass(number))
        await job.live(store)
        await job.check(store.inner)
        await job.finish(store.inner)
        return bool(store.plan.done)

    async def loop() -> int:
        number = 1
        while await survives(number):
            number += 1
            assert number < MANY
        return number

    assert run_virtually(loop, limit=1e6) > (10 if fault == "any call" else 5)
