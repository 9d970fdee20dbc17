"""`terzetto.testing._simulated_calls`: every call of the contract is passed on, counted as a read or a write."""

import inspect

import pytest

from terzetto.stores import MemoryStore, Store
from terzetto.testing._simulated_calls import PassedOn
from terzetto.testing._simulated_store import SimulatedDisk, SimulatedStore
from terzetto.testing._store_laws import first, posted, started
from terzetto_protocol.errors import StoreInUse

ELSEWHERE = {"foreign", "renew", "wait_posted", "commit", "reopen", "statistics", "__aenter__", "__aexit__"}
"""Who opens, closes or commits does more than to pass it on."""
READS = {
    "run": ("r",),
    "load": ("r",),
    "timers": (),
    "unfinished": (),
    "run_by_key": ("k",),
    "runs": (),
    "head": ("t",),
    "snapshot": ("r",),
    "checkpoints": ("r",),
    "records": ("r",),
    "records_by_event": ("r",),
    "barriers": (),
    "posted": (),
    "receipt": ("c-1",),
    "health": (),
    "blob_chunk": ("blob:0", 0),
}
OWNED = {
    "move_head": ("t", "r", "", 0.0),
    "prune": ("r", 1),
    "delete": ("r",),
    "answer": ("c-1", b"done"),
    "decline": ("c-1",),
    "put_chunk": ("upload", 0, b"data"),
    "keep_blob": ("blob:0",),
    "sweep_blobs": (),
}
OPTIONS = {
    "records_by_event": {"after_event": 0},
    "prune": {"epoch": 1},
    "delete": {"epoch": 1},
    "keep_blob": {"at": 0.0},
    "sweep_blobs": {"before": 0.0, "live": ()},
}


class Noting(PassedOn):
    """Notes what is asked for, and passes it on."""

    durable = True

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.calls: list[tuple[str, bool]] = []

    async def _call(self, what, work, *, writes=True):
        self.calls.append((what, writes))
        return await work()

    def _check(self, what: str) -> None:
        self.calls.append((what, None))

    async def __aexit__(self, *error: object) -> None: ...
    async def commit(self, writes):
        return await self._inner.commit(writes)

    async def reopen(self) -> None: ...
    def statistics(self):
        return {}


def test_no_call_of_the_contract_is_forgotten():
    methods = {name for name, _ in inspect.getmembers(Store, inspect.iscoroutinefunction)} | Store.__abstractmethods__
    assert methods - ELSEWHERE == READS.keys() | OWNED.keys() | {"post"}


@pytest.mark.parametrize("name", READS)
async def test_a_read_is_passed_on(name):
    inner = MemoryStore()
    store = Noting(inner)
    await started(store)
    found = await getattr(store, name)(*READS[name], **OPTIONS.get(name, {}))

    assert [(name, False)] == store.calls
    assert await getattr(inner, name)(*READS[name], **OPTIONS.get(name, {})) == found


async def test_what_was_asked_for_is_what_is_asked():
    """Every argument comes through."""
    store = Noting(MemoryStore())
    await started(store)
    await store.commit([first("s")])

    assert ["s"] == [row.run_id for row in await store.runs(limit=1)]
    assert ["r"] == [row.run_id for row in await store.runs(before="s")]
    assert [] == await store.runs(thread="t")
    assert [] == await store.runs(statuses=[])
    assert 1 == len(await store.records("r", after=1))
    assert [] == await store.records("r", limit=0)
    assert None is await store.snapshot("r", at=0)


async def test_what_is_the_owners_is_asked_for_first():
    """11: a guest reads, and leaves commands."""
    store = Noting(MemoryStore())
    await started(store)
    for name in ("put_chunk", "keep_blob", "sweep_blobs", "prune", "move_head"):
        await getattr(store, name)(*OWNED[name], **OPTIONS.get(name, {}))
        assert [(name, None), (name, True)] == store.calls[-2:]
    await store.post(posted())
    assert [("post", True)] == store.calls[-1:]
    await store.answer("c-1", b"done")
    assert b"done" == await store.receipt("c-1")


@pytest.mark.parametrize("name", OWNED)
async def test_a_guest_is_refused(autojump_clock, name):
    async with SimulatedStore(disk := SimulatedDisk()) as owner:
        await started(owner)
        async with SimulatedStore(disk, guest=True) as guest:
            with pytest.raises(StoreInUse, match=name):
                await getattr(guest, name)(*OWNED[name], **OPTIONS.get(name, {}))
        assert await owner.run("r") is not None
