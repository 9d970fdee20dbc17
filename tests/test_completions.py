"""`terzetto._completions`, `submit(on_completion="delete")`: runs that are not kept (SEMANTICS 10.4)."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import InvalidRequest, StoreUnavailable, UnknownRun
from terzetto_protocol.limits import CLEANER_INTERVAL, FINISHED_GRACE

from .runtimes import CANCELLED, FAILED, SUCCEEDED, Held, Tally, both, chain, opened, parked, says, settled, stores
from .stores import FaultyStore

AFTER = FINISHED_GRACE + 2 * CLEANER_INTERVAL + 1


async def ids(store):
    return sorted(row.run_id for row in await store.runs(limit=None))


async def breaks(ctx):
    raise RuntimeError("broken")


@both
@stores
@pytest.mark.parametrize("how, status", [("ends", SUCCEEDED), ("fails", FAILED), ("is cancelled", CANCELLED)])
async def test_it_goes_however_it_ends(autojump_clock, dispatch, store, how, status):
    """10.4: some time after its end, so that whoever submitted it can read that; others stay."""
    shelf, held = store(), Held()
    graph = chain({"ends": says("a"), "fails": breaks, "is cancelled": held}[how])
    async with opened(shelf, graph, dispatch=dispatch, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", on_completion="delete")
        await runtime.submit(graph, Tally(), run_id="kept")
        if how == "is cancelled":
            await held.begun.wait()
            await runtime.cancel("r")
            await runtime.cancel("kept")
        assert status is (await run.result()).status
        await trio.sleep(FINISHED_GRACE - 1)
        assert status is (await run.status())
        await trio.sleep(AFTER)
        assert ["kept"] == await ids(shelf)
        assert 0 == len(runtime.completions)
        with pytest.raises(UnknownRun):
            await run.status()


async def test_it_stays_while_it_is_read(autojump_clock):
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph, limit=1000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", on_completion="delete")
        async with run.events() as events:
            await run.result()
            await trio.sleep(5 * AFTER)
            assert "RunEnded" == type([event async for event in events][-1]).__name__
        assert SUCCEEDED is await run.status()
        await trio.sleep(AFTER)
        assert [] == await runtime.runs()


async def test_it_stays_while_a_fork_needs_it(autojump_clock):
    """10.4: a run that went on from it has not ended. The fork itself is kept."""
    held = Held()
    graph = chain(says("a"), held)
    async with opened(MemoryStore(), graph, limit=1000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r", on_completion="delete")
        await held.begun.wait()
        fork = await run.fork(new_id="fork")
        await run.cancel()
        await trio.sleep(3 * AFTER)
        assert CANCELLED is await run.status()
        held.go.set()
        await fork.result()
        await trio.sleep(AFTER)
        assert ["fork"] == await ids(runtime.store)


async def test_what_rests_is_not_over(autojump_clock):
    graph = chain("ask")
    async with opened(MemoryStore(), graph, limit=1000) as runtime:
        run = await parked(runtime, graph, "r", on_completion="delete")
        await trio.sleep(3 * AFTER)
        await run.decide("ask", terzetto.Approve())
        await run.result()
        await trio.sleep(AFTER)
        assert [] == await runtime.runs()


async def test_what_was_left_behind_is_found_by_the_next_one(autojump_clock):
    """10.4: a crash or the end of the runtime leaves it; who submits such runs again finds it."""
    store, graph = MemoryStore(), chain("ask", says("a"))
    async with opened(store, graph) as runtime:
        for number in range(3):
            run = await parked(runtime, graph, f"r{number}", on_completion="delete")
            await run.decide("ask", terzetto.Approve())
            await run.result()
        await parked(runtime, graph, "parked", on_completion="delete")
        await parked(runtime, graph, "kept")
    async with opened(store, graph, limit=1000) as runtime:
        await trio.sleep(3 * AFTER)
        assert 5 == len(await ids(store)), "nobody has asked"
        for run_id in ("parked", "kept"):
            await runtime.get(run_id).decide("ask", terzetto.Approve())
            await runtime.get(run_id).result()
        await trio.sleep(AFTER)
        assert ["kept"] == await ids(store)
    async with opened(store, graph, limit=1000) as runtime:
        await parked(runtime, graph, "new", on_completion="delete")
        await trio.sleep(AFTER)
        assert ["kept", "new"] == await ids(store)


async def test_what_has_its_id_by_then_is_another_run(autojump_clock):
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph, limit=1000) as runtime:
        await (await runtime.submit(graph, Tally(), run_id="r", on_completion="delete")).result()
        await runtime.delete("r")
        await (await runtime.submit(graph, Tally(7), run_id="r")).result()
        await trio.sleep(3 * AFTER)
        assert ["r"] == await ids(runtime.store)


async def test_a_store_that_is_gone_comes_back(autojump_clock):
    class Shy(FaultyStore):
        shy = 0

        async def delete(self, run_id, *, epoch):
            if self.shy:
                self.shy -= 1
                raise StoreUnavailable("not now")
            return await super().delete(run_id, epoch=epoch)

    store, graph = Shy(), chain(says("a"))
    store.shy = 2
    async with opened(store, graph, limit=1000) as runtime:
        await (await runtime.submit(graph, Tally(), run_id="r", on_completion="delete")).result()
        await trio.sleep(6 * AFTER)
        assert [] == await ids(store)
    assert 0 == store.shy


async def test_what_cannot_be_is_refused_and_makes_nothing(autojump_clock):
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        for options in ({"on_completion": "explode"}, {"on_completion": "delete", "thread": "t"}):
            with pytest.raises(InvalidRequest, match="on_completion"):
                await runtime.submit(graph, Tally(), **options)
        await settled()
        assert [] == await runtime.runs()
