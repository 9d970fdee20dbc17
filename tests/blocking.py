"""Plain functions that block in a test's hands, and graphs around them.

Tests with them run on real time, as threads do. Where a timeout is to pass, the clock jumps over it.
"""

import threading
from functools import partial

import trio
import trio.testing

from terzetto._inline import run_to_end

from .runtimes import Say, Step, Tally, chain, opened, says

HARD = 20
"""Seconds that a test, and what it blocks, may take."""
TIMEOUT = 100
"""One that passes only where the clock jumps, seconds."""

limited = partial(opened, limit=HARD)


def jumping():
    """A clock that shows real time until it is told to jump."""
    return trio.testing.MockClock(rate=1)


def work(fn, **options):
    return Step(fn, {"name": "work", **options})


def single(fn, **options):
    """A graph of one function, and a step behind it."""
    return chain(work(fn, **options), says("after"))


async def outcome_of(graph):
    return await run_to_end(graph, Tally(), run_id="r", max_steps=None, auto_approve=False, decider=None)


class Blocking:
    """A function that blocks its thread until it is let go, and then does what is `last`."""

    def __init__(self, last=lambda ctx: None):
        self.begun, self.ended = trio.Event(), trio.Event()
        self.go, self.gone = threading.Event(), threading.Event()
        self.calls, self.errors = 0, []
        self.last = last
        self._token = trio.lowlevel.current_trio_token()

    def __call__(self, ctx):
        self.calls += 1
        ctx.record(Say("blocking"))
        self._token.run_sync_soon(self.begun.set)
        try:
            assert self.go.wait(HARD)
            self.last(ctx)
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            self.gone.set()
            self._token.run_sync_soon(self.ended.set)


def until_cancelled(ctx):
    for _ in range(HARD * 100):
        if ctx.is_cancelled():
            ctx.record(Say("half done"))
            return
        threading.Event().wait(0.01)
