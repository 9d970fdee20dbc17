"""Runs, people and a store that behave as badly as they may, over several lives; and what has to be true afterwards."""

import random
from collections import Counter
from contextlib import suppress

import pytest
import trio
import trio.testing

import terzetto
from terzetto._loading import load_fold
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Confirm, Fail, Reject, Retry
from terzetto_protocol.errors import ActorStopped, QueueFull, Refused, StoreUnavailable, UnknownRun
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import effect_key
from terzetto_protocol.receipts import DecisionTaken
from terzetto_protocol.records import Kind, Record
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .runtimes import MUTATIONS, Add, Say, Tally, both, settled
from .stores import LOST, FaultyStore, records

RUNS = [f"r{number}" for number in range(12)]
LIVES = 4


class Chaos:
    """One world: a graph of every kind of node, people who click anywhere, a store that fails, and four runtimes."""

    def __init__(self, seed: int, dispatch: str) -> None:
        self.random = random.Random(seed)
        self.dispatch = dispatch
        self.inner = MemoryStore()
        self.graph = self.made()
        self.begun: Counter[str] = Counter()
        """How often the body of a `once` visit has begun, by its key."""
        self.submitted: set[str] = set()
        self.cancelled: set[str] = set()
        self.taken: list[tuple[str, str]] = []

    def made(self) -> Graph[Tally]:
        graph = Graph("chaos", state=Tally, mutations=MUTATIONS, max_steps=60)
        work = graph.node(name="work")(self.work)
        ahead = graph.node(name="ahead", effects="pure")(self.work)
        pay = graph.node(name="pay", effects="once")(self.pay)
        stop = graph.node(name="stop")(self.stop)
        last = graph.node(name="last", effects="pure")(self.work)
        sign_off = graph.barrier("sign-off", timeout=self.random.choice([3.0, 20.0, None]))
        graph.start(work)
        graph.edge(work, ahead)
        graph.edge(work, last, on_error=True)
        graph.edge(ahead, pay)
        graph.edge(pay, sign_off)
        graph.edge(sign_off.approved, stop)
        graph.edge(sign_off.rejected, work)
        graph.edge(stop, last)
        return graph

    # -- nodes -----------------------------------------------------------------------------------------------

    async def work(self, ctx) -> None:
        await self.take_time()
        ctx.emit_text("working")
        if self.random.random() < 0.1:
            raise ValueError("bad luck")
        ctx.record(Add())

    async def pay(self, ctx) -> None:
        self.begun[ctx.key] += 1
        await self.take_time()
        ctx.record(Say("paid"))

    async def stop(self, ctx) -> None:
        if self.random.random() < 0.5:
            ctx.pause()

    async def take_time(self) -> None:
        if self.random.random() < 0.6:
            await trio.sleep(2 * self.random.random())

    # -- people ----------------------------------------------------------------------------------------------

    async def click(self, runtime: terzetto.Runtime) -> None:
        """A person without patience."""
        expected = Refused, UnknownRun, StoreUnavailable, ActorStopped, QueueFull
        while True:
            await trio.sleep(2 * self.random.random())
            run_id, kind = self.random.choice(RUNS), self.random.random()
            with suppress(*expected), trio.move_on_after(self.random.choice([0.0, 0.2, 5.0, 5.0])):
                if kind < 0.4:
                    await runtime.submit(self.graph, Tally(), run_id=run_id)
                    self.submitted.add(run_id)
                elif kind < 0.45:
                    if (await runtime.cancel(run_id)).outcome in {"requested", "stopped"}:
                        self.cancelled.add(run_id)
                elif kind < 0.8:
                    await self.decide(runtime, run_id)
                elif kind < 0.9:
                    await runtime.resume(run_id)
                elif kind < 0.95:
                    await runtime.get(run_id).result()
                else:
                    runtime.pool_size = self.random.randint(1, 5)

    async def decide(self, runtime: terzetto.Runtime, run_id: str) -> None:
        for row in await self.inner.barriers(run_id):
            decision = self.random.choice([Confirm(), Retry(), Fail()] if row.reconcile else [Approve(), Reject()])
            receipt = await runtime.decide(run_id, self.random.choice([row.barrier, row.name, ""]), decision)
            if isinstance(receipt, DecisionTaken) and not isinstance(decision, Retry):
                self.taken.append((run_id, receipt.barrier))

    async def fail(self, store: FaultyStore) -> None:
        """What a store may do."""
        while True:
            await trio.sleep(5 * self.random.random())
            kind, pause = self.random.random(), 4 * self.random.random()
            if kind < 0.4:
                store.faults = [self.random.choice([None, LOST, StoreUnavailable("x")]) for _ in range(5)]
            elif kind < 0.6:
                store.down = True
                await trio.sleep(pause)
                store.down = False
            elif kind < 0.8:
                store.latency = self.random.choice([0.0, 0.1, 1.0])
            else:
                store.hold()
                await trio.sleep(pause)
                store.release()

    # -- lives -----------------------------------------------------------------------------------------------

    async def live(self) -> None:
        store = FaultyStore(self.inner)
        options = {
            "pool_size": self.random.randint(1, 4),
            "queue_size": self.random.choice([2, 100]),
            "shutdown_deadline": self.random.choice([0, 1, 10]),
        }
        try:
            async with terzetto.open_runtime(store, graphs=[self.graph], dispatch=self.dispatch, **options) as runtime:
                async with trio.open_nursery() as nursery:
                    for _ in range(6):
                        nursery.start_soon(self.click, runtime)
                    nursery.start_soon(self.fail, store)
                    await trio.sleep(40 * self.random.random())
                    nursery.cancel_scope.cancel()
                store.down = self.random.random() < 0.3
                if self.random.random() < 0.3:
                    raise KeyError
        except* KeyError:
            pass
        assert 0 == runtime.statistics().restarts

    async def end(self) -> None:
        """Somebody patient answers everything, until every run has ended."""
        async with terzetto.open_runtime(FaultyStore(self.inner), graphs=[self.graph], pool_size=3) as runtime:
            ids = [row.run_id for row in await runtime.runs(limit=None)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.answer, runtime)
                for run_id in ids:
                    await runtime.get(run_id).result()
                nursery.cancel_scope.cancel()
            await settled()
            said, supervisor = runtime.statistics(), runtime.supervisor
            assert (0, 0, 0, 0) == (
                said.restarts,
                said.supervisor.live,
                said.supervisor.carried,
                said.supervisor.waiting,
            )
            assert not supervisor.admission.holders
            for index in (supervisor.steering._lines, supervisor._roster._loading, supervisor._answers):
                assert not len(index)

    async def answer(self, runtime: terzetto.Runtime) -> None:
        while True:
            await trio.sleep(1)
            with suppress(Refused):
                for row in await self.inner.barriers():
                    await runtime.decide(row.run_id, row.barrier, Confirm() if row.reconcile else Approve())
            for row in await runtime.runs(statuses=[RunStatus.PAUSED], limit=None):
                with suppress(Refused):
                    await runtime.resume(row.run_id)

    # -- what has to be true -----------------------------------------------------------------------------------

    async def check(self) -> None:
        for row in await self.inner.runs(limit=None):
            log = await records(self.inner, row.run_id)
            assert row.status in TERMINAL
            assert row.code in {"", "node_error", "steps_exceeded", "recovery_exhausted"}, row
            assert (row.status is RunStatus.CANCELLED) or row.run_id not in self.cancelled
            await load_fold(self.inner, row, self.graph.build())
            self.check_decisions(row.run_id, log)
            self.check_effects(row.run_id, log)
        assert self.submitted <= {row.run_id for row in await self.inner.runs(limit=None)}

    def check_decisions(self, run_id: str, log: list[Record]) -> None:
        """3 D5: exactly one winner, and whoever was told so is in the log."""
        won = [each.detail.barrier for each in log if each.kind is Kind.DECIDE and not retried(each)]
        assert len(set(won)) == len(won)
        assert {barrier for asked, barrier in self.taken if asked == run_id} <= set(won)
        assert len(set(self.taken)) == len(self.taken)

    def check_effects(self, run_id: str, log: list[Record]) -> None:
        """3: a `once` body is started once, plus once per explicit retry."""
        for visit in {each.visit for each in log if each.place == "pay"}:
            retries = sum(retried(each) for each in log if each.visit == visit)
            assert self.begun[effect_key(run_id, "", visit)] <= 1 + retries


def retried(record: Record) -> bool:
    return record.kind is Kind.DECIDE and isinstance(record.detail.decision, Retry)


@both
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 60))])
async def test_whatever_happens(autojump_clock, dispatch, seed):
    """Laws 2, 3 and 5: nothing acknowledged is forgotten, nothing runs twice by itself, and nobody waits forever."""
    chaos = Chaos(seed, dispatch)
    with trio.fail_after(5000):
        for _ in range(LIVES):
            await chaos.live()
        await chaos.end()
    await chaos.check()
