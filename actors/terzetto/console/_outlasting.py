"""A nursery whose tasks are there until a block is left, also while it leaves because it was cancelled.

A websocket is closed by both sides: whoever reads it must not be cancelled before the other side has answered.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def outlasting() -> AsyncGenerator[trio.Nursery]:
    """A nursery that is cancelled when the block is left, and by nothing else. A checkpoint.

    An error of its tasks cancels the block. The block has to leave soon when it is cancelled: nothing else ends them.
    """
    left = trio.Event()
    async with trio.open_nursery() as outer:
        nursery: trio.Nursery = await outer.start(_stay, left)
        try:
            yield nursery
        finally:
            left.set()


async def _stay(left: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    with trio.CancelScope(shield=True):  # whoever leaves the block ends it
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await left.wait()
            nursery.cancel_scope.cancel(reason="the block was left")
