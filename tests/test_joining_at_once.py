"""Submits on one thread at the same moment, and how many may wait there (SEMANTICS 10.3)."""

import pytest
import trio

from terzetto.stores import MemoryStore
from terzetto_protocol.errors import (
    QueueFull,
    ThreadBusy,
)
from terzetto_protocol.limits import THREAD_QUEUE

from .runtimes import (
    RUNNING,
    Tally,
    both,
    opened,
    settled,
    stores,
)
from .stores import FaultyStore
from .talks import Talk, where


async def test_a_line_is_bounded(autojump_clock):
    """10: overload is a typed QueueFull; nothing that was accepted is lost."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, limit=100) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="r0", thread="t")
        names = [f"r{number}" for number in range(1, THREAD_QUEUE + 1)]
        for name in names:
            await runtime.submit(talk.graph, run_id=name, thread="t", busy="enqueue")
        with pytest.raises(QueueFull, match=f"{THREAD_QUEUE} runs are waiting on thread 't' already; try again in 1 s"):
            await runtime.submit(talk.graph, run_id="x", thread="t", busy="enqueue")
        talk.free("r0", *names)
        assert ["r0", *names] == (await runtime.get(names[-1]).result()).state.trail


async def test_a_full_queue_interrupts_nobody(autojump_clock):
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, pool_size=1, queue_size=0) as runtime:
        run = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await settled()
        with pytest.raises(QueueFull):
            await runtime.submit(talk.graph, Tally(), run_id="b", thread="t", busy="interrupt")
        assert RUNNING is await run.status()


async def test_a_line_shares_the_pool_with_others(autojump_clock):
    """Whose turn has come waits for a slot as everybody does; who waits for a turn holds none."""
    talk = Talk()
    async with opened(MemoryStore(), talk.graph, pool_size=1) as runtime:
        await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue")
        await runtime.submit(talk.graph, Tally(), run_id="x")
        assert 1 == runtime.statistics().supervisor.waiting
        talk.free("a", "b", "x")
        await runtime.get("b").result()
        assert ["a", "x", "b"] == talk.begun


@both
@stores
async def test_many_submit_at_once(autojump_clock, dispatch, store):
    """10: check and create are one step: exactly one is taken, or all of them in some order."""
    talk, taken, refused = Talk(), [], []
    names = [f"r{number}" for number in range(8)]

    async def submit(name, busy):
        try:
            taken.append((await runtime.submit(talk.graph, Tally(), run_id=name, thread="t", busy=busy)).run_id)
        except ThreadBusy:
            refused.append(name)

    async with opened(store(), talk.graph, dispatch=dispatch) as runtime:
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(submit, name, "reject")
        await settled()
        assert (1, 7) == (len(taken), len(refused))
        async with trio.open_nursery() as nursery:
            for name in refused:
                nursery.start_soon(submit, name, "enqueue")
        assert taken == (await where(runtime))[1]
        assert taken[:1] == talk.begun
        talk.free(*names)
        await runtime.get(taken[-1]).result()
        assert taken == talk.begun


@pytest.mark.parametrize("steps", range(12))
async def test_a_submit_that_is_cancelled_leaves_the_thread_in_order(autojump_clock, steps):
    """D1: the run may or may not be there; in either case one run at a time is on its way."""
    store, talk = FaultyStore(), Talk()
    store.latency = 0.1
    async with opened(store, talk.graph) as runtime:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: runtime.submit(talk.graph, Tally(), run_id="a", thread="t"))
                for _ in range(steps):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                scope.cancel()
        await runtime.submit(talk.graph, Tally(), run_id="b", thread="t", busy="enqueue")
        await trio.sleep(1)
        first = (await where(runtime))[1][0]
        assert [first] == talk.begun
        talk.free("a", "b")
        await runtime.get("b").result()


async def test_an_end_between_look_and_submit_is_noticed(autojump_clock):
    """Nobody waits for a run that has ended while he was being made durable."""
    store, talk = FaultyStore(), Talk()
    async with opened(store, talk.graph) as runtime:
        first = await runtime.submit(talk.graph, Tally(), run_id="a", thread="t")
        await settled()
        store.latency = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: runtime.submit(talk.graph, run_id="b", thread="t", busy="enqueue"))
            await settled()
            talk.free("a", "b")
            await first.result()
        assert ["a", "b"] == (await runtime.get("b").result()).state.trail
