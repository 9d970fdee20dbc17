"""A run that tells, without a runtime: a store with just enough in it, and commits and chunks that reach a hub."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import trio
import trio.testing

from terzetto._hub import Hub
from terzetto._subscription import Subscription
from terzetto.stores import Store
from terzetto_protocol.events import Event, StreamItem, TextChunk, told_by
from terzetto_protocol.ids import event_id
from terzetto_protocol.records import Kind, Record, RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus, VisitStatus


class Shelf(Store):
    """Just enough of a store: rows and commits of runs, and a way to interfere with a read."""

    durable = True

    def __init__(self) -> None:
        self.rows: dict[str, RunRow] = {}
        self.commits: dict[str, list[tuple[int, bytes]]] = {}
        self.reads: list[tuple[int, int | None]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """Called once between looking and answering."""

    async def run(self, run_id):
        row = self.rows.get(run_id)
        await self.answer_late()
        return row

    async def records_by_event(self, run_id, *, after_event, limit=None):
        self.reads.append((after_event, limit))
        found = [body for last, body in self.commits.get(run_id, []) if last > after_event][:limit]
        await self.answer_late()
        return found

    async def answer_late(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        await trio.lowlevel.checkpoint()


Shelf.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


class Teller:
    """A run that tells: commits go to the store first, then everything to the hub, in order."""

    def __init__(self, hub: Hub, store: Shelf | None, run_id: str = "r") -> None:
        self.hub, self.store, self.run_id = hub, store, run_id
        self.epoch, self.number, self.seq = 0, 0, 0
        self.told: list[Event] = []

    def commit(self, kind: Kind = Kind.VISIT, status: RunStatus = RunStatus.RUNNING, *, publish: bool = True) -> None:
        if kind is Kind.CLAIM:
            self.epoch, self.number = self.epoch + 1, 0
        self.seq += 1
        first = event_id(self.epoch, self.number + 1)
        record = Record(self.seq, kind, self.epoch, 0.0, status, first, self.seq, "n", VisitStatus.SUCCEEDED)
        events = told_by(self.run_id, record)
        self.number += len(events)
        if self.store is not None:
            self.save(record, events[-1].id)
        for event in events:
            self.tell(event, publish=publish)

    def save(self, record: Record, last: int) -> None:
        assert self.store is not None
        self.store.commits.setdefault(self.run_id, []).append((last, msgspec.msgpack.encode(record)))
        header = RunHeader(self.run_id, "g", "1", "", "", 0.0)
        self.store.rows[self.run_id] = RunRow(header, record.status, self.epoch, self.seq, last, 0.0)

    def chunk(self, *, publish: bool = True) -> None:
        self.number += 1
        number = event_id(self.epoch, self.number)
        event = TextChunk(id=number, run_id=self.run_id, at=0.0, node="n", visit=1, text="x")
        self.tell(event, publish=publish)

    def tell(self, event: Event, *, publish: bool) -> None:
        self.told.append(event)
        if publish:
            self.hub.publish(event)

    def begin(self) -> "Teller":
        self.commit(Kind.SUBMIT, RunStatus.QUEUED)
        self.commit(Kind.CLAIM)
        return self

    def end(self) -> None:
        self.commit(status=RunStatus.SUCCEEDED)

    def flood(self, count: int) -> None:
        for _ in range(count):
            self.chunk()

    @property
    def durable(self) -> list[Event]:
        return [event for event in self.told if event.durable]


async def read_all(events: Subscription) -> list[StreamItem]:
    return [item async for item in events]


async def follow(events: Subscription, note: Callable[[StreamItem], object]) -> None:
    """Say what comes, when it comes."""
    async for item in events:
        note(item)


async def everything(hub: Hub, last_event_id: int | str | None = None, **options: Any) -> list[StreamItem]:
    async with hub.events("r", last_event_id=last_event_id, **options) as events:
        return await read_all(events)


async def some(events: Subscription, count: int) -> list[StreamItem]:
    return [await anext(events) for _ in range(count)]


def limited(tests: Mapping[str, Any]) -> dict[str, Any]:
    """These tests, each with 20 s of real time, or with more virtual time than any of them needs."""
    return {name: _limited(test) for name, test in tests.items() if name.startswith("test_")}


def _limited(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def run(**fixtures: Any) -> None:
        virtual = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
        with trio.fail_after(1e6 if virtual else 20):
            await test(**fixtures)

    return run
