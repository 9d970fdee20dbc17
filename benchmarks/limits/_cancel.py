"""The limit of the end of a thousand nodes.

The branches of each place can be cancelled as a whole when one fails (5.5), so each place has a nursery: the nesting is
that of the raw nurseries. A body has a context, and that it has left is noted, for a run has not stopped before (9.1),
and a `once` visit that was cut off is listed (7.5). With a log, the cancel is a commit before anybody is told of it
(D6), and the end is another (D7).
"""

from time import perf_counter, time
from typing import Final

import trio
from attrs import Factory, define

from .._arrivals import Arrivals, arrivals
from .._states import Nothing
from ._visit import packed

SCOPE: Final = (
    "nurseries of the same nesting, whose tasks make a context, await the node, and note that it has left: cancel the "
    "outermost scope, until it is left"
)
RUN: Final = (
    "the same nurseries and notes in a task; the cancel is a commit, then the scope is cancelled, and the end is a "
    "commit; until whoever cancelled has the result"
)


@define
class _Run:
    here: Arrivals
    width: int
    live: dict[int, str] = Factory(dict[int, str])
    rows: list[bytes] = Factory(list[bytes])
    scope: trio.CancelScope = Factory(trio.CancelScope)
    ended: trio.Event = Factory(trio.Event)

    def commit(self, kind: str) -> None:
        seq = len(self.rows) + 1
        self.rows.append(packed((seq, 1, seq, time(), kind)))


@define
class _Context:
    state: Nothing
    here: Arrivals


def scope(width: int, depth: int) -> float:
    """Seconds from the cancel of the scope around all until it is left."""
    return trio.run(_scope, width, depth)


def run(width: int, depth: int) -> float:
    """Seconds from the cancel of a run until its result is there."""
    return trio.run(_cancelled_run, width, depth)


async def _scope(width: int, depth: int) -> float:
    this, began = _Run(arrivals(width**depth), width), 0.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_place, this, 1, depth)
        await this.here.all_here.wait()
        began = perf_counter()
        nursery.cancel_scope.cancel()
    took = perf_counter() - began
    assert not this.live
    return took


async def _cancelled_run(width: int, depth: int) -> float:
    this = _Run(arrivals(width**depth), width)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_carry, this, depth)
        await this.here.all_here.wait()
        began = perf_counter()
        this.commit("cancel")
        this.scope.cancel()
        await this.ended.wait()
        took = perf_counter() - began
    assert not this.live
    return took


async def _carry(this: _Run, depth: int) -> None:
    with this.scope:
        await _place(this, 1, depth)
    this.commit("end")
    this.ended.set()


async def _place(this: _Run, number: int, depth: int) -> None:
    async with trio.open_nursery() as nursery:
        for index in range(this.width):
            branch = number * this.width + index
            if depth > 1:
                nursery.start_soon(_place, this, branch, depth - 1)
            else:
                nursery.start_soon(_visit, this, branch)


async def _visit(this: _Run, visit: int) -> None:
    this.live[visit] = "sleep"
    try:
        await _sleep(_Context(Nothing(), this.here))
    finally:
        del this.live[visit]


async def _sleep(ctx: _Context) -> None:
    await ctx.here.sleep()
