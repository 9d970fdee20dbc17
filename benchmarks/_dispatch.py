"""A task of its own for each step, beside a round trip from mailbox to mailbox."""

from functools import partial
from time import perf_counter

import trio

from ._chain import in_memory
from ._contest import Bar, Contest, Limit, Opponent
from ._setting import Setting
from ._states import Tally, checked_rate
from ._work import raw_step
from .limits import _chain as limits

_MAILBOX = "a Trio task that sends the state to another over a memory channel, which does the step and sends it back"


def contests(setting: Setting) -> list[Contest]:
    """`task` (G9)."""
    steps = setting.sizes.chain
    return [
        Contest(
            goal="G9",
            name="task",
            work=f'{steps:,} steps in a runtime on memory with dispatch="task"',
            unit="steps/s",
            ours=lambda: trio.run(in_memory, steps, "task"),
            opponents=[Opponent("raw mailbox", lambda: trio.run(_round_trips, steps), _MAILBOX, Bar(1.0, 1.4))],
            limit=Limit(partial(limits.tasks, steps), limits.TASKS),
        )
    ]


async def _round_trips(steps: int) -> float:
    there, mailbox = trio.open_memory_channel[Tally](1)
    back, answers = trio.open_memory_channel[Tally](1)
    tally = Tally()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_node, mailbox, back)
        began = perf_counter()
        for _ in range(steps):
            await there.send(tally)
            tally = await answers.receive()
        took = perf_counter() - began
        there.close()
    return checked_rate(tally, steps, took)


async def _node(mailbox: trio.MemoryReceiveChannel[Tally], back: trio.MemorySendChannel[Tally]) -> None:
    async for tally in mailbox:
        await raw_step(tally)
        await back.send(tally)
