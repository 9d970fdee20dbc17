"""Calls that block, from whatever may make them: plain threads, tasks of asyncio, tasks of Trio."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar, TypeVarTuple

import trio

from terzetto_protocol.errors import BlocksTheLoop, StoreError

P = ParamSpec("P")
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


def check_process(opened_in: int) -> None:
    """Refuse a call in a process that was forked from the one that opened what is called.

    Its threads are not there, and its connections are the other's.

    Raises:
        StoreError: this is another process.
    """
    if os.getpid() != opened_in:
        raise StoreError("this store was opened before a fork, by another process: open it again in this one")


class Threads(ThreadPoolExecutor):
    """Threads in which calls of tasks of asyncio are made."""

    def __init__(self, many: int, name: str) -> None:
        super().__init__(many, name)
        self._opened_in = os.getpid()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Make a call; raises `StoreError` once it is shut down, and in another process."""
        check_process(self._opened_in)
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError as error:  # what a pool says that is shut down
            raise StoreError("the store is closed") from error


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
