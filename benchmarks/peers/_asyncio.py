"""What peers on asyncio share: many at once, and a thousand that are cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from time import perf_counter
from typing import Any

Sleep = Callable[[], Awaitable[None]]


async def gathered(count: int, start: Callable[[], Awaitable[Any]]) -> float:
    """How many of them a second, all begun at once."""
    began = perf_counter()
    await asyncio.gather(*(start() for _ in range(count)))
    return rate_of(count, began)


def rate_of(count: int, began: float) -> float:
    """How many a second, until now."""
    return count / (perf_counter() - began)


async def cancelled(count: int, work: Callable[[Sleep], Coroutine[Any, Any, Any]]) -> float:
    """Seconds from the cancel of work with as many sleepers until it is over and the last of them has ended."""
    awake, ended, all_here = 0, 0, asyncio.Event()

    async def sleep() -> None:
        nonlocal awake, ended
        awake += 1
        if awake == count:
            all_here.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended += 1

    task = asyncio.create_task(work(sleep))
    await all_here.wait()
    began = perf_counter()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    while ended < count:  # noqa: ASYNC110 - an event would be part of what is measured
        await asyncio.sleep(0)
    return perf_counter() - began
