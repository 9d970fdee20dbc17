"""A job that has to be done whatever fails: what the world saw of it, what was promised, and whether that was kept."""

from collections import Counter

import trio

import terzetto
from terzetto.stores import Store
from terzetto_protocol.errors import StoreError
from terzetto_protocol.records import Record

from .runtimes import SUCCEEDED, Say, Tally, chain, once
from .stores import records

OUTAGE = 30.0
"""Seconds after which somebody gives up on a store that does not come back."""
LIVES = 4
"""Runtimes that a job may need until it is done."""


class Job:
    """A run with a repeatable node, a `once` node, a barrier, and a node after it."""

    def __init__(self) -> None:
        self.world: list[str] = []
        """Effects, in order."""
        self.promised: list[str] = []
        """What receipts were for: the submit, and decided barriers."""
        self.errors: list[BaseException] = []
        """What callers were told meanwhile."""
        self.ended = False
        self.graph = chain(self._step("look"), once(self._step("charge")), "gate", self._step("tell"), name="job")

    def _step(self, name: str):
        async def body(ctx) -> None:
            self.world.append(name)
            ctx.record(Say(name))

        body.__name__ = name
        return body

    async def live(self, store: Store) -> None:
        """One life of a process that does the job: it asks again when it is refused, and gives up after a while."""
        with trio.move_on_after(OUTAGE):
            try:
                async with terzetto.open_runtime(store, graphs=[self.graph], shutdown_deadline=1) as runtime:
                    while not self.ended:
                        await self._ask(runtime)
            except* StoreError as errors:
                self.errors += errors.exceptions

    async def _ask(self, runtime: terzetto.Runtime) -> None:
        try:
            run = await runtime.submit(self.graph, Tally(), run_id="r")
            self.promised.append("submit")
            async with run.events() as events:
                async for event in events:
                    if isinstance(event, terzetto.BarrierOpened):
                        await run.decide(event.barrier, self._answer(event))
                        self.promised.append(event.barrier)
            self.ended = (await run.result()).status is SUCCEEDED
        except StoreError as error:
            self.errors.append(error)
            await trio.sleep(1)

    def _answer(self, event: terzetto.BarrierOpened) -> terzetto.Decision:
        """A person who looks at the world."""
        if not event.reconcile:
            return terzetto.Approve()
        return self.graph.confirm(Say("charge")) if "charge" in self.world else terzetto.Retry()

    async def check(self, store: Store) -> None:
        """What has to be true after any fault: the store is whole, and nothing that was promised is gone."""
        async with store:
            assert () == (await store.health(deep=True)).problems
            row = await store.run("r")
            assert row is not None or not self.promised
            if row is None:
                return
            log = await records(store, "r")
            still_open = {barrier.barrier for barrier in await store.barriers("r")}
        assert not still_open & {*self.promised}
        assert {1} >= {*finished(log).values()}
        assert self.ended <= (row.status is SUCCEEDED)

    async def finish(self, store: Store) -> None:
        """The fault is gone: the same job goes on, and comes to the same end as ever."""
        for _ in range(LIVES):
            if not self.ended:
                await self.live(store)
        assert self.ended, self.errors
        await self.check(store)
        async with terzetto.open_runtime(store, graphs=[self.graph]) as runtime:
            result = await runtime.get("r").result()
        assert ["look", "charge", "tell"] == result.state.trail
        assert 1 == self.world.count("charge")


def finished(log: list[Record]) -> Counter[tuple[str, int]]:
    """How often each visit has ended well."""
    return Counter((record.place, record.visit) for record in log if record.outcome == "SUCCEEDED" and record.visit)
