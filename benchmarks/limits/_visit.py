"""What one visit of a node needs of any runtime: a context, a commit, and what is told of it.

- A node is a coroutine function in a table, and a table says what follows it: a graph is data (SEMANTICS 1).
- It gets a context of its own, for it records into a batch of its own that is dropped when it fails (4.2, 4.3).
- What it records is listed and of the declared types, or refused in the node (4.1, 4.7).
- A commit (1) is encoded once, with what was recorded and what runs next, and is not too large (4.7). Nobody need
  look for a NaN where a mutation has texts alone. Its number and its epoch are checked where it is kept (2.3, D8).
- What a visit tells, that it ended and that the next one began, follows from its commit (D4): the events are made when
  somebody reads them. Where commits are on a disk, what the last 256 are made of is kept (8.1).
"""

from collections.abc import Awaitable, Callable
from time import time
from typing import Any, Final

import msgspec
import trio
from msgspec import Struct

from .._states import Counted, Tally

YIELD_STEPS: Final = 16
"""Steps after which everybody else gets a turn; without one nobody could ever cancel a run (9.1)."""
WINDOW: Final = 256
"""Events that are in memory (8.1)."""
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a commit."""

encode: Final = msgspec.msgpack.Encoder().encode
_LISTED: Final = {Counted: "Counted"}


class Context(Struct, weakref=False):
    """What a node gets."""

    state: Tally
    last: int
    """Steps after which the run ends."""
    batch: list[tuple[str, Counted]] = []
    is_over: bool = False

    def record(self, mutation: Counted) -> None:
        """Note what the state is to be changed by; by its name, and only if it would come back as it is."""
        name = _LISTED[type(mutation)]
        if type(mutation.line) is not str:
            raise TypeError(mutation)
        self.batch.append((name, mutation))


Node = Callable[[Context], Awaitable[None]]


async def step(ctx: Context) -> None:
    """The step that Terzetto's nodes do, to the letter."""
    count = ctx.state.count + 1
    ctx.record(Counted(f"step {count}"))
    if count == ctx.last:
        ctx.is_over = True


async def yielding_step(ctx: Context) -> None:
    """The same, and it lets the others go on."""
    await trio.lowlevel.checkpoint()
    count = ctx.state.count + 1
    ctx.record(Counted(f"step {count}"))
    if count == ctx.last:
        ctx.is_over = True


EDGES: Final = {"step": "step"}


def packed(commit: tuple[Any, ...]) -> bytes:
    """A commit as it is kept: encoded once, and not too large. (A lone surrogate in a text raises here.)"""
    body = encode(commit)
    if len(body) > LARGEST:
        raise ValueError(len(body))
    return body


class Kept:
    """A run in memory, as far as the process lives; its events are made of its rows by whoever reads them."""

    __slots__ = ("epoch", "readers", "rows", "told")

    def __init__(self) -> None:
        self.epoch = 1
        self.rows: list[bytes] = []
        self.told = 0
        self.readers: list[trio.lowlevel.Task] = []

    def commit(self, visit: int, node: str, after: str, batch: list[tuple[str, Counted]]) -> None:
        """Keep the end of a visit, with the id of its first event, and wake who waits for one."""
        body = packed((visit, 1, self.told + 1, time(), visit, node, (visit + 1, after), batch))
        if self.epoch != 1 or len(self.rows) + 1 != visit:
            raise RuntimeError("somebody else owns the run now")
        self.rows.append(body)
        self.told += 2
        if self.readers:
            trio.lowlevel.reschedule(self.readers.pop())


class Telling:
    """What a run on a disk has told last: of each step, what its two events are made of when somebody reads them."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: list[tuple[float, int, str, str]] = []

    def step(self, at: float, visit: int, node: str, after: str) -> None:
        """Tell that a visit has ended, and that the next one begins."""
        steps = self.steps
        steps.append((at, visit, node, after))
        if len(steps) > WINDOW:
            del steps[: -WINDOW // 2]
