"""Calls that block, from whatever may make them: plain threads, tasks of asyncio, tasks of Trio."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Final, TypeVar, TypeVarTuple

import trio

from terzetto_protocol.errors import BlocksTheLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ENDING: Final = 5.0
"""How long a cancelled task of asyncio waits for its call to end, seconds."""


def check_may_block(what: str, instead: str) -> None:
    """Refuse a blocking call in a task of a Trio loop, which it would stop; anywhere else it may be made.

    Raises:
        BlocksTheLoop: a task of Trio made it.
    """
    if trio.lowlevel.in_trio_task():
        raise BlocksTheLoop(what, instead)


async def off_the_loop(executor: Executor, fn: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a blocking call in a thread, under Trio and under asyncio alike.

    A checkpoint. A call that has begun is awaited to its end, also by a cancelled caller: under Trio
    however long it takes, under asyncio for `ENDING` seconds, after which it goes on by itself.
    """
    if trio.lowlevel.in_trio_task():
        return await trio.to_thread.run_sync(fn, *args)
    return await _under_asyncio(executor.submit(fn, *args))


async def _under_asyncio(running: "Future[T]") -> T:
    future: asyncio.Future[T] = asyncio.wrap_future(running)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not running.cancel():
            with suppress(Exception):  # the cancel is what the caller hears of
                await asyncio.wait([future], timeout=ENDING)  # noqa: ASYNC102 - asyncio has no scopes; it is bounded
        raise
