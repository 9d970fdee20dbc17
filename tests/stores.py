"""A store for tests of the actors: asynchronous, and a test can hold it, break it and see what was asked of it."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import trio

from terzetto._loading import load_fold
from terzetto.stores import MemoryStore, Store
from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import StoreUnavailable
from terzetto_protocol.graph import Graph
from terzetto_protocol.image import read_record
from terzetto_protocol.inputs import Claimed, Decided
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.records import Applied, Outcome, Record, Write

LOST = "lost"
"""As a fault: the group is stored, and the answer is lost."""


class FaultyStore(Store):
    """A memory store without `commit_now`, so that every commit goes through the persistence actor.

    `faults` are met one by one by the coming commits: None, `LOST`, or an exception to raise. `down` is a store that
    is gone. `verdict` answers for single writes in the store's place. `meanwhile` is called before each commit.
    """

    durable = True

    def __init__(self, inner: MemoryStore | None = None) -> None:
        self.inner = inner or MemoryStore()
        self.groups: list[list[Write]] = []
        """Every group that was tried."""
        self.faults: list[Any] = []
        self.down = False
        self.verdict: Callable[[Write], Outcome | None] = lambda write: None
        self.meanwhile: Callable[[Sequence[Write]], None] = lambda writes: None
        self.latency = 0.0
        """Seconds that a commit takes."""
        self.reopened: list[float] = []
        """When the store got a new handle."""
        self._let = trio.Event()
        self._let.set()

    def hold(self) -> None:
        """Let commits wait until `release`."""
        self._let = trio.Event()

    def release(self) -> None:
        self._let.set()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.inner.__aexit__(*error)

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        await self._let.wait()
        if self.latency:
            await trio.sleep(self.latency)
        self.groups.append(list(writes))
        self.meanwhile(writes)
        self._look()
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        verdicts = [self.verdict(write) for write in writes]
        taken = [write for write, verdict in zip(writes, verdicts, strict=True) if verdict is None]
        applied = iter(await self.inner.commit(taken))
        outcomes = [next(applied) if verdict is None else verdict for verdict in verdicts]
        if fault == LOST:
            raise StoreUnavailable("the answer was lost")
        return outcomes

    async def reopen(self) -> None:
        self.reopened.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        self._look()

    def _look(self) -> None:
        if self.down:
            raise StoreUnavailable("the store is gone")

    def statistics(self) -> dict[str, Any]:
        return self.inner.statistics()


def _passed_on(name: str) -> Any:
    async def call(self: FaultyStore, *args: Any, **kwargs: Any) -> Any:
        self._look()
        return await getattr(self.inner, name)(*args, **kwargs)

    return call


for _name in Store.__abstractmethods__ - {"__aexit__", "commit", "reopen"}:
    setattr(FaultyStore, _name, _passed_on(_name))
FaultyStore.__abstractmethods__ = frozenset()


async def records(store: Store, run_id: str) -> list[Record]:
    """The run's log."""
    return [read_record(body) for body in await store.records(run_id)]


async def trail(store: Store, run_id: str) -> list[str]:
    """The run's log in short: `kind place outcome -> status`, without what does not apply."""
    told = []
    for record in await records(store, run_id):
        words = [record.kind, f"{record.place}@{record.visit}" if record.visit else "", record.outcome or ""]
        told.append(" ".join([*(word for word in words if word), "->", record.status]))
    return told


async def claim_elsewhere(store: Store, graph: Graph[Any, Any], run_id: str) -> RunMachine[Any]:
    """Another process claims the run, writes the intent of a `once` visit, and is never heard of again."""
    row = await store.run(run_id)
    assert row is not None
    fold = await load_fold(store, row, graph.build())
    machine = RunMachine(fold, settled=True)
    turn = machine.feed(Claimed(row.updated))
    writes = [effect for effect in (turn.commit, *turn.more) if isinstance(effect, Write)]
    for outcome in await store.commit(writes):
        assert outcome == Applied()
    return machine


async def decide_elsewhere(store: Store, graph: Graph[Any, Any], run_id: str, barrier: str) -> None:
    """Another process decides a barrier, and is never heard of again."""
    row = await store.run(run_id)
    assert row is not None
    machine = RunMachine(await load_fold(store, row, graph.build()), settled=True)
    turn = machine.feed(Decided(barrier, Approve(), "somebody else", row.updated))
    assert turn.commit is not None
    assert [Applied()] == await store.commit([turn.commit])
