"""Graphs with bodies, and a runtime on virtual time around them, for tests of the actors."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field, frozen
from msgspec import Struct

import terzetto
from terzetto.stores import MemoryStore, Store
from terzetto_protocol.events import Cursor, Event
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .stores import FaultyStore

LIMIT = 20.0
"""Seconds of virtual time: less than the recovery loop waits between two looks, so that none saves a test."""

both = pytest.mark.parametrize("dispatch", ["direct", "task"])
"""Everything has to be the same wherever a node lives."""

stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])
"""And whether commits are settled inside the call or by a writer."""

QUEUED, RUNNING, AWAITING = RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.AWAITING_INPUT
INTERRUPTED, SUCCEEDED, FAILED, CANCELLED = (
    RunStatus.INTERRUPTED,
    RunStatus.SUCCEEDED,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
)

Body = Callable[[Any], Awaitable[None]]


@define
class Tally:
    """The state of every graph here."""

    count: int = 0
    trail: list[str] = field(factory=list)


class Add(Struct, frozen=True):
    n: int = 1

    def apply(self, tally: Tally) -> None:
        tally.count += self.n


class Say(Struct, frozen=True):
    text: str

    def apply(self, tally: Tally) -> None:
        tally.trail.append(self.text)


MUTATIONS = (Add, Say)


def alive() -> int:
    """Runtimes that something still holds: errors that are parameters of tests hold those that they were raised in."""
    gc.collect()
    return sum(type(each) is terzetto.Runtime for each in gc.get_objects())


@asynccontextmanager
async def opened(store: Store, *graphs: Any, limit: float = LIMIT, **options: Any) -> AsyncIterator[terzetto.Runtime]:
    """A strict runtime that may not take longer than `limit`."""
    with trio.fail_after(limit):
        async with terzetto.open_runtime(store, graphs=graphs, **{"strict": True, **options}) as runtime:
            yield runtime


@frozen
class Step:
    """A node of a chain, with options."""

    fn: Body
    options: dict[str, Any]


def once(fn: Body, **options: Any) -> Step:
    return Step(function(fn), {"effects": "once", **options})


def function(body: Body) -> Body:
    """The same as an `async def`, which a graph insists on."""

    async def call(ctx: Any) -> None:
        await body(ctx)

    call.__name__ = body.__name__
    return call


def chain(*steps: Body | Step | str, name: str = "chain", **options: Any) -> Graph[Tally]:
    """A graph of steps that follow each other; a text is a barrier, left through `approved`."""
    graph = Graph(name, state=Tally, mutations=MUTATIONS, **options)
    sources: list[Any] = []
    for step in steps:
        if isinstance(step, str):
            place: Any = graph.barrier(step)
        elif isinstance(step, Step):
            place = graph.node(**step.options)(step.fn)
        else:
            place = graph.node(function(step) if isinstance(step, Held) else step)
        if sources:
            graph.edge(sources[-1], place)
        else:
            graph.start(place)
        sources.append(place.approved if isinstance(step, str) else place)
    return graph


def says(text: str) -> Body:
    """A body that records its name."""

    async def body(ctx: Any) -> None:
        ctx.record(Say(text))

    body.__name__ = text
    return body


def counts(number: int = 1) -> Body:
    """A body that adds to the state's count."""

    async def count(ctx: Any) -> None:
        ctx.record(Add(number))

    return count


class Held:
    """A body that waits until it is let go, and tells what became of it."""

    def __init__(self, name: str = "held", cleanup: float | None = None) -> None:
        self.__name__ = name
        self.begun = trio.Event()
        self.go = trio.Event()
        self.ends: list[str] = []
        self._cleanup = cleanup

    async def __call__(self, ctx: Any) -> None:
        ctx.record(Say(self.__name__))
        self.begun.set()
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.ends.append("cancelled")
            raise
        finally:
            if self._cleanup is not None:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self._cleanup)
                self.ends.append("cleaned up")
        self.ends.append("finished")


async def told(run: terzetto.Run[Any], until: type | None = None) -> list[Event]:
    """Everything that a run tells, to its end or to the first event of a type."""
    seen: list[Any] = []
    async with run.events() as events:
        async for event in events:
            if not isinstance(event, Cursor):
                seen.append(event)
            if until is not None and isinstance(event, until):
                break
    return seen


async def parked(runtime: terzetto.Runtime, graph: Any, run_id: str, **options: Any) -> terzetto.Run[Any]:
    """A run that has come to rest at its barrier."""
    run = await runtime.submit(graph, Tally(), run_id=run_id, **options)
    await told(run, until=terzetto.BarrierOpened)
    await trio.testing.wait_all_tasks_blocked()
    return run


def crowd() -> tuple[Graph[Tally], list[str], dict[str, trio.Event]]:
    """A graph whose runs tell that they have begun, and wait to be let go by their id."""
    order: list[str] = []
    go: dict[str, trio.Event] = {}

    async def wait(ctx):
        order.append(ctx.run_id)
        await go.setdefault(ctx.run_id, trio.Event()).wait()

    return chain(wait, name="crowd"), order, go


async def settled() -> None:
    """Wait until nothing moves any more."""
    await trio.testing.wait_all_tasks_blocked()
