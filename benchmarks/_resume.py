"""How long a parked run takes to go on, beside a task that is woken over a channel."""

from functools import partial
from statistics import median
from time import perf_counter

import trio
import trio.testing

import terzetto

from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._waiting import SIGN_OFF, Calls, parked_graph, run_ids, submit_many, until_parked
from .limits import _waiting as limits

MICROSECONDS = 1e6
_RAW = "a Trio task that waits on a memory channel: from send_nowait until it has the message"


def contests(setting: Setting) -> list[Contest]:
    """`resume` and `resume_end` (G5c)."""
    count = setting.sizes.resumed
    work = f"{count:,} runs parked at a barrier on memory:, decided one after the other: median time from the decision"
    return [
        Contest(
            goal="G5c",
            name="resume",
            work=f"{work} until the node behind it begins",
            unit="us",
            ours=lambda: trio.run(_until_begun, count),
            opponents=[Opponent("raw wake-up", partial(_raw_wake_up, count), _RAW, Bar(4, 2.5))],
            better="less",
            turns=2,
            limit=Limit(lambda: limits.until_begun(count) * MICROSECONDS, limits.RESUME),
        ),
        Contest(
            goal="G5c",
            name="resume_end",
            work=f"{work} until the run has ended and its result is here",
            unit="us",
            ours=lambda: trio.run(_until_ended, count),
            opponents=setting.peers_at("resume", LangGraph=Bar(1 / 20)),
            better="less",
            limit=Limit(lambda: limits.until_ended(count) * MICROSECONDS, limits.RESUME),
        ),
    ]


async def _until_begun(count: int) -> float:
    begun = list[float]()
    graph, delays = parked_graph(), list[float]()
    bound = terzetto.bind(graph, Calls(lambda: begun.append(perf_counter())))
    async with terzetto.open_runtime("memory:", [bound]) as runtime:
        await submit_many(runtime, graph, count)
        await until_parked(runtime)
        for name in run_ids(count):
            began = perf_counter()
            await runtime.decide(name, SIGN_OFF, terzetto.Approve())
            await runtime.get(name).result()
            delays.append(begun.pop() - began)
    return median(delays) * MICROSECONDS


async def _until_ended(count: int) -> float:
    graph, delays = parked_graph(), list[float]()
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, Calls())]) as runtime:
        await submit_many(runtime, graph, count)
        await until_parked(runtime)
        for name in run_ids(count):
            began = perf_counter()
            await runtime.decide(name, SIGN_OFF, terzetto.Approve())
            await runtime.get(name).result()
            delays.append(perf_counter() - began)
    return median(delays) * MICROSECONDS


def _raw_wake_up(count: int) -> float:
    return trio.run(_wake, count)


async def _wake(count: int) -> float:
    boxes, delays = list[trio.MemorySendChannel[float]](), list[float]()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            address, mailbox = trio.open_memory_channel[float](1)
            boxes.append(address)
            nursery.start_soon(_wait, mailbox, delays)
        await trio.testing.wait_all_tasks_blocked()
        for number, address in enumerate(boxes):
            address.send_nowait(perf_counter())
            while len(delays) == number:
                await trio.lowlevel.checkpoint()
    return median(delays) * MICROSECONDS


async def _wait(mailbox: trio.MemoryReceiveChannel[float], delays: list[float]) -> None:
    sent = await mailbox.receive()
    delays.append(perf_counter() - sent)
