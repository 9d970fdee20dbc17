"""`terzetto.testing.EventRecorder`: what was heard, in order, and waiting for it."""

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto.testing import EventRecorder
from terzetto_protocol.events import BarrierOpened, NodeFinished, NodeStarted, RunEnded, TextChunk

from .runtimes import Tally, both, chain, opened, says, told

STEPS = [
    ("RunQueued", ""),
    ("RunStarted", ""),
    ("NodeStarted", "a"),
    ("NodeFinished", "a"),
    ("NodeStarted", "b"),
    ("NodeFinished", "b"),
    ("RunEnded", ""),
]


@both
async def test_it_hears_of_one_run_or_of_all(autojump_clock, dispatch):
    every, one = EventRecorder(), EventRecorder()
    graph = chain(says("a"), says("b"))
    async with opened(MemoryStore(), graph, sinks=[every], dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(), run_id="first", sinks=[one])
        second = await runtime.submit(graph, Tally(), run_id="second")
        for run_id in ("first", "second"):
            assert run_id == (await every.ended(run_id)).run_id
        await one.ended("first")

        assert STEPS == one.steps
        assert await told(second) == every.of_run("second")
        assert every.of_run("first") == one.events
        assert 2 * len(STEPS) == len(every.events)


async def test_it_hears_of_a_run_without_a_runtime(autojump_clock):
    recorder = EventRecorder()
    await terzetto.run(chain(says("a"), says("b")), Tally(), sinks=[recorder])

    assert STEPS == recorder.steps
    assert ["a", "b"] == [event.node for event in recorder.of(NodeFinished)]


async def test_a_barrier_is_named_by_its_id(autojump_clock):
    recorder = EventRecorder()
    graph = chain("sign-off")
    async with opened(MemoryStore(), graph, sinks=[recorder]) as runtime:
        await runtime.submit(graph, Tally())
        await recorder.until(BarrierOpened)

    assert ("BarrierOpened", "sign-off@1") in recorder.steps


async def test_waiting_for_what_is_to_be_heard(autojump_clock):
    recorder, order = EventRecorder(), []

    async def talk(ctx):
        for number in range(3):
            await trio.sleep(1)
            ctx.emit_text(str(number))

    graph = chain(talk)
    async with opened(MemoryStore(), graph, sinks=[recorder]) as runtime:
        await runtime.submit(graph, Tally())
        order.append((await recorder.until(TextChunk, count=2)).text)
        order.append((await recorder.until(TextChunk)).text)
        order.append(trio.current_time())
        order.append(type(await recorder.until(lambda event: isinstance(event, RunEnded))).__name__)

    assert ["1", "0", 2, "RunEnded"] == order
    assert [NodeStarted, TextChunk] == [type(event) for event in recorder.events[2:4]]


async def test_waiting_for_what_never_comes_can_be_cut_off(autojump_clock):
    with pytest.raises(trio.TooSlowError), trio.fail_after(3):
        await EventRecorder().until(RunEnded)
