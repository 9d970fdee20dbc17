"""`terzetto._roster`: a run never has two actors, whatever is read and submitted at the same time."""

import logging

import trio

from .runtimes import CANCELLED, Held, Tally, both, chain, opened, parked, says, settled
from .stores import FaultyStore, trail


class Slow(FaultyStore):
    """A store in which the first row is looked for when `before` is set, and commits come when `after` is.

    What becomes of writes is told when `told` is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after, self.told = trio.Event(), trio.Event(), trio.Event()
        self.told.set()
        self.asked = trio.Event()

    async def run(self, run_id):
        if not self.asked.is_set():
            self.asked.set()
            await self.before.wait()
        return await self.inner.run(run_id)

    async def commit(self, writes):
        outcomes = await super().commit(writes)
        await self.told.wait()
        return outcomes

    async def records(self, run_id, *, after=0, limit=None):
        found = await self.inner.records(run_id, after=after, limit=limit)
        if self.before.is_set():
            await self.after.wait()
        return found


@both
async def test_a_run_that_is_submitted_while_it_is_looked_for_has_one_actor(autojump_clock, dispatch, caplog):
    """9.1: who cancels a run that is submitted at this moment reaches the very actor that carries it."""
    store, held, told = Slow(), Held(), []
    store.after.set()
    graph = chain(held, says("after"))
    async with opened(store, graph, dispatch=dispatch) as runtime, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def cancel() -> None:
            told.append((await runtime.get("r").cancel()).outcome)

        await store.asked.wait()
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        carries = runtime.supervisor._roster.live["r"]
        store.before.set()
        await settled()
        assert (["requested"], ["cancelled"]) == (told, held.ends)
        assert CANCELLED is carries.machine.status
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not any("interrupt" in line for line in await trail(store, "r"))


async def test_what_was_read_before_a_run_went_on_is_not_believed(autojump_clock):
    """9.1: where the run has ended and gone before the reading comes back, the answer is that of now."""
    store, held, told = Slow(), Held(), []
    graph = chain(held)
    async with opened(store, graph) as runtime, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def cancel() -> None:
            receipt = await runtime.get("r").cancel()
            told.append((receipt.outcome, receipt.status))

        await store.asked.wait()
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        store.before.set()
        await settled()  # the row and the commits of a run at work are read, and on their way
        held.go.set()
        await run.result()
        assert {} == runtime.supervisor._roster.live
        store.after.set()
        await settled()
        assert [("already_terminal", "SUCCEEDED")] == told


async def test_what_a_run_tells_is_told_by_its_own_actor(autojump_clock):
    """8: who reads a run that is submitted at this moment does not show what its actor is about to show."""
    store, held = Slow(), Held()
    store.after.set()
    graph = chain(held, says("after"))
    async with opened(store, graph) as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.get("r").pause)
        await store.asked.wait()
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        store.told = trio.Event()
        held.go.set()
        await settled()  # the visit's commit is stored, and nobody was told
        store.before.set()
        await settled()
        store.told.set()
        await settled()
        await run.resume()
        assert ["held", "after"] == (await run.result()).state.trail
        assert 0 == runtime.statistics().restarts


async def test_a_run_that_many_look_for_is_read_once(autojump_clock):
    store, graph, found = FaultyStore(), chain("gate"), []
    async with opened(store, graph) as runtime:
        await parked(runtime, graph, "r")
        assert {} == runtime.supervisor._roster.live

        async def find() -> None:
            found.append(await runtime.supervisor._roster.find("r"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(find)
        assert (3, 1) == (len(found), len(set(map(id, found))))
