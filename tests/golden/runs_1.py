"""The runs of the golden logs of format 1: between them they have every kind of commit, and every detail."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore, Store
from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.records import Kind, Write

from ..stores import FaultyStore
from . import graphs_1 as of
from .logs import Golden, stored, taken


class Maker:
    """One store, and what was taken from it."""

    def __init__(self) -> None:
        self.goldens: list[Golden] = []
        self.store: Store = MemoryStore()
        self.graphs = list(of.graphs())
        self._blueprints: dict[str, Blueprint[Any]] = {graph.name: graph.build() for graph in self.graphs}

    @asynccontextmanager
    async def open(self, *graphs: Any) -> AsyncGenerator[terzetto.Runtime, None]:
        async with terzetto.open_runtime(self.store, graphs=graphs or self.graphs, shutdown_deadline=0) as runtime:
            yield runtime

    def graph(self, name: str) -> Any:
        return next(graph for graph in self.graphs if graph.name == name)

    async def take(self, run_id: str, name: str) -> Golden:
        """Keep a run as it is stored now."""
        row = await self.store.run(run_id)
        assert row is not None
        self.goldens.append(await taken(self.store, row, name, self._blueprints[row.header.graph]))
        return self.goldens[-1]

    async def take_all(self) -> None:
        """Keep every run as it was left."""
        for row in reversed(await self.store.runs(limit=None)):
            await self.take(row.run_id, row.run_id)

    async def begin(self, runtime: terzetto.Runtime, graph: str, run_id: str, state: Any = None, **options: Any) -> Any:
        """A run, when nothing moves any more."""
        run = await runtime.submit(self.graph(graph), state or of.Notes(), run_id=run_id, **options)
        await trio.testing.wait_all_tasks_blocked()
        return run


async def decided(run: terzetto.Run[Any], *decisions: Any) -> None:
    """Decide what is open, one after the other."""
    for decision in decisions:
        await run.decide("", decision, source="ann")
        await trio.testing.wait_all_tasks_blocked()


# -- one after the other -------------------------------------------------------------------------------------------


async def chains(m: Maker) -> None:
    of.HOLD.add(("chain-held", "third"))
    async with m.open() as runtime:
        options: Any = {"key": "k-1", "metadata": {"who": "ann", "n": 1, "x": 0.5, "yes": True}, "max_steps": 50}
        await (await m.begin(runtime, "chain", "chain", **options)).result()
        await (await m.begin(runtime, "chain", "chain-exit", durability="exit", on_completion="delete")).result()
        await m.begin(runtime, "chain", "chain-held")
        cut = await m.take("chain-held", "chain-running")
    of.HOLD.clear()
    await m.take_all()
    m.store = await stored([cut])
    async with m.open() as runtime:
        await runtime.get("chain-held").result()
        await m.take("chain-held", "chain-owner-lost")
    m.store = MemoryStore()


async def tried(m: Maker) -> None:
    of.FAIL.update({("tries-resting", "flaky"): 1, ("tries-again", "flaky"): 1, ("tries-rescued", "flaky"): 3})
    of.FAIL["tries-failed", "last"] = 1
    async with m.open() as runtime:
        await m.begin(runtime, "tries", "tries-resting")
        await trio.sleep(2)  # the first attempt has failed by then, and the second is not due
        await m.take("tries-resting", "tries-resting")
        for run_id in ("tries-again", "tries-rescued", "tries-failed"):
            run = await m.begin(runtime, "tries", run_id)
            await run.result()
            await m.take(run_id, run_id)
        other = await runtime.get("tries-failed").retry(new_id="tries-retried")
        await other.result()
        again = await runtime.get("tries-failed").rerun("rescue", new_id="tries-rerun")
        await again.result()
        for run_id in ("tries-retried", "tries-rerun"):
            await m.take(run_id, run_id)


async def ended(m: Maker) -> None:
    """Cancels and deadlines."""
    of.HOLD.update({("late", "third"), ("stopped", "third")})
    async with m.open() as runtime:
        run = await m.begin(runtime, "chain", "stopped")
        await run.cancel("enough")
        await run.result()
        await (await m.begin(runtime, "chain", "late", deadline=5.0)).result()
        run = await m.begin(runtime, "review", "cancelled", deadline=900.0, deadline_parked=True)
        await run.cancel("nobody wants it")
        await m.take_all()


# -- barriers ------------------------------------------------------------------------------------------------------


async def reviewed(m: Maker) -> None:
    async with m.open() as runtime:
        await decided(await m.begin(runtime, "review", "approved"), terzetto.Approve())
        await decided(
            await m.begin(runtime, "review", "rejected"), terzetto.Reject("no"), terzetto.Choose("later", "some day")
        )
        changes = {"count": 40, "trail": ["by hand"], "price": "1.50", "since": "2026-05-01T12:00:00Z"}
        await decided(await m.begin(runtime, "review", "modified"), terzetto.Modify(changes, "better"))
        await decided(await m.begin(runtime, "review", "rerouted"), terzetto.Reroute("archive", "too old"))
        await (await m.begin(runtime, "review", "by-itself", auto_approve=True)).result()
        await m.begin(runtime, "review", "waiting")
        await m.take_all()


async def timed_out(m: Maker) -> None:
    async with m.open() as runtime:
        await (await m.begin(runtime, "stern", "nobody-came")).result()
        await (await m.begin(runtime, "review", "rejected-by-time")).result()
        await m.take_all()


async def kept(m: Maker) -> None:
    async with m.open() as runtime:
        run = await m.begin(runtime, "review", "kept")
        await run.decide("sign-off@4", terzetto.Approve(), source="ann", keep="once")
        await run.decide("elsewhere", terzetto.Choose("later"), keep="always")
        await m.take("kept", "keeping")
        await run.withdraw("elsewhere")
        await decided(run, terzetto.Reject("once more"))
        await m.take("kept", "kept")


async def taken_back(m: Maker) -> None:
    """Undo, pause, fork."""
    async with m.open() as runtime:
        run = await m.begin(runtime, "review", "undone")
        await decided(run, terzetto.Reject())
        await run.undo(2)
        await trio.testing.wait_all_tasks_blocked()
        await run.fork(new_id="forked")
        await trio.testing.wait_all_tasks_blocked()
        await m.take("forked", "forked-open")
        await run.pause()
        await m.take("undone", "paused")
        await run.resume()
        await trio.testing.wait_all_tasks_blocked()
        await decided(run, terzetto.Approve())
        await decided(runtime.get("forked"), terzetto.Approve())
        await m.take_all()


async def paused(m: Maker) -> None:
    of.HOLD.add(("to-be-paused", "third"))
    async with m.open() as runtime:
        run = await m.begin(runtime, "chain", "to-be-paused")
        await run.pause()
        await m.take("to-be-paused", "to-be-paused")


# -- effects -------------------------------------------------------------------------------------------------------


async def effects(m: Maker) -> None:
    runs = ["confirmed", "repeated", "given-up", "unknown", "asked-again"]
    of.HOLD.update({*((run_id, "charge") for run_id in runs), ("probed", "ship")})
    async with m.open() as runtime:
        for run_id in (*runs, "probed"):
            await m.begin(runtime, "effects", run_id)
        await m.take("confirmed", "acting")
    await m.take("confirmed", "interrupted-acting")
    async with m.open() as runtime:
        await trio.testing.wait_all_tasks_blocked()
        await decided(runtime.get("asked-again"), terzetto.Retry("the power came back"))
    of.HOLD.clear()
    async with m.open() as runtime:
        await trio.testing.wait_all_tasks_blocked()
        confirm = m.graph("effects").confirm(of.Added(5), of.Said("charge"), note="seen on the statement")
        for run_id, decision in zip(runs, (confirm, terzetto.Retry(), terzetto.Fail("lost")), strict=False):
            await decided(runtime.get(run_id), decision)
        await m.take_all()


async def skipped(m: Maker) -> None:
    """Two intents are on their way to a slow store when the run is cancelled."""
    m.store = store = FaultyStore()
    store.latency, forked = 1.0, trio.Event()

    def look(writes: Sequence[Write]) -> None:
        if any(write.kind is Kind.FORK for write in writes):
            forked.set()

    store.meanwhile = look
    async with m.open() as runtime:
        run = await runtime.submit(m.graph("twice"), of.Notes(), run_id="skipped")
        await forked.wait()
        await trio.sleep(0.5)
        await run.cancel("before they begin")
        await run.result()
        await m.take_all()


# -- branches ------------------------------------------------------------------------------------------------------


async def branches(m: Maker) -> None:
    of.HOLD.update({("wide-held", "each1"), ("failed-fast", "pays")})
    of.FAIL.update({("failed-fast", "bad"): 1, ("collected", "bad"): 1})
    async with m.open() as runtime:
        run = await m.begin(runtime, "wide", "wide")
        await m.take("wide", "wide-open")
        await decided(run, terzetto.Approve())
        await m.begin(runtime, "wide", "wide-held")
        await m.take("wide-held", "wide-running")
        await (await m.begin(runtime, "broken-fail-fast", "failed-fast")).result()
        await (await m.begin(runtime, "broken-collect", "collected")).result()
    await m.take_all()


async def inside(m: Maker) -> None:
    async with m.open() as runtime:
        run = await m.begin(runtime, "nested", "nested")
        await m.take("nested", "nested-in-subgraph")
        await decided(run, terzetto.Approve())
        await m.take("nested", "nested-in-call")
        await decided(run, terzetto.Approve())
        await m.take("nested", "nested-asking")
        await decided(run, terzetto.Choose("more"))
        await m.take("nested", "nested")


# -- blobs and checkpoints -------------------------------------------------------------------------------------------


async def albums(m: Maker) -> None:
    of.HOLD.add(("album-held", "paint2"))
    async with m.open() as runtime:
        await m.begin(runtime, "album", "album-held", of.Album())
        await m.take("album-held", "album-running")
        await decided(await m.begin(runtime, "album", "album", of.Album()), terzetto.Approve())
        await m.take_all()


async def every_commit(m: Maker) -> None:
    """Snapshots of everything that goes on."""
    every = terzetto.CheckpointPolicy(every=1)
    of.HOLD.update({("nested-every", "asks"), ("cut-off", "goes-on"), ("collected-every", "pays")})
    of.FAIL.update({("collected-every", "bad"): 1, ("cut-off", "breaks"): 1})
    async with m.open() as runtime:
        run = await m.begin(runtime, "nested", "nested-every", checkpoints=every)
        await decided(run, terzetto.Approve())
        of.FAIL["nested-every", "again"] = 1
        await decided(run, terzetto.Approve())
        await run.result()
        run = await m.begin(runtime, "nested", "nested-asked", checkpoints=every)
        await decided(run, terzetto.Approve(), terzetto.Approve(), terzetto.Choose("more"))
        await m.begin(runtime, "broken-collect", "collected-every", checkpoints=every)
        await trio.sleep(2)  # the one that fails has done so
        of.HOLD.add(("hasty", "pays"))
        await (await m.begin(runtime, "hasty", "hasty", checkpoints=every)).result()
        flow = m.graph("cut-off")
        await (await m.begin(runtime, "cut-off", "cut-off", flow.begin({"text": "a"}), checkpoints=every)).result()
        await m.take_all()


# -- dataflows, keys, threads, versions ------------------------------------------------------------------------------


async def flows(m: Maker) -> None:
    of.HOLD.add(("flow-held", "split"))
    graph = m.graph("flow")
    async with m.open() as runtime:
        await (await m.begin(runtime, "flow", "flow", graph.begin({"text": "a bad c"}))).result()
        await m.begin(runtime, "flow", "flow-held", graph.begin({"text": "x y", "sign": "."}))
        await m.take("flow-held", "flow-running")
    await m.take_all()


async def keys(m: Maker) -> None:
    async with m.open() as runtime:
        await (await m.begin(runtime, "keyed", "keyed", of.Board(topic="coffee"))).result()
        await m.take_all()


async def threads(m: Maker) -> None:
    async with m.open() as runtime:
        first = await m.begin(runtime, "review", "talk-1", thread="talk")
        options = {"thread": "talk", "busy": "enqueue"}
        second = await runtime.submit(m.graph("review"), run_id="talk-2", **options)
        third = await runtime.submit(m.graph("review"), run_id="talk-3", record=[of.Said("new")], **options)
        for run in (first, second, third):
            await decided(run, terzetto.Approve())
        await m.take_all()


async def versions(m: Maker) -> None:
    async with m.open(of.OLD) as runtime:
        for run_id in ("moved", "not-moved"):
            await runtime.submit(of.OLD, of.Notes(), run_id=run_id)
        await trio.testing.wait_all_tasks_blocked()
        await decided(runtime.get("moved"), terzetto.Reject())
    async with m.open() as runtime:
        await decided(runtime.get("moved"), terzetto.Reject())
        await m.take("moved", "moved-open")
        await decided(runtime.get("moved"), terzetto.Approve())
        await m.take_all()


SCENES: Sequence[Callable[[Maker], Awaitable[None]]] = [
    chains,
    tried,
    ended,
    reviewed,
    timed_out,
    kept,
    taken_back,
    paused,
    effects,
    skipped,
    branches,
    inside,
    albums,
    every_commit,
    flows,
    keys,
    threads,
    versions,
]


async def make() -> list[Golden]:
    """All of them, as the code of today stores them; needs a clock that jumps."""
    goldens: list[Golden] = []
    for scene in SCENES:
        of.HOLD.clear()
        of.FAIL.clear()
        maker = Maker()
        await scene(maker)
        goldens += maker.goldens
    of.HOLD.clear()
    of.FAIL.clear()
    return goldens
