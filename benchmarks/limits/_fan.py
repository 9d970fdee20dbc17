"""The limits of a fan-out: branches that are tasks, and branches that are plain calls.

- An async branch may wait, so it needs a task (Trio has no other way), in a nursery of its own that a failing branch
  can cancel as a whole (5.5). A plain function on the loop needs none, but the others get a turn now and then (9.1).
- Each has a context with its item, and a batch of its own, dropped when the branch fails (4.3); the join folds the
  batches in order of declaration (5.5).
"""

from time import perf_counter
from typing import Final

import trio

from .._states import Counted, Tally, checked_rate
from ._visit import YIELD_STEPS, Context

_FOLD: Final = "a batch each, folded in order of declaration, and a step that goes on to the next fan-out"
TASKS: Final = (
    f"a nursery with a task for each branch, which makes a context with the item and awaits the node; {_FOLD}"
)
CALLS: Final = (
    f"a loop that makes a context with the item and calls the node, and yields every {YIELD_STEPS}th time; {_FOLD}"
)
_Batches = list[list[tuple[str, Counted]]]


class ItemContext(Context, weakref=False, kw_only=True):
    """What the node of a branch gets."""

    item: int
    index: int


async def _work(ctx: ItemContext) -> None:
    ctx.record(Counted(f"step {ctx.item}"))


def _plain_work(ctx: ItemContext) -> None:
    ctx.record(Counted(f"step {ctx.item}"))


async def _again(ctx: Context) -> None:
    if ctx.state.count == ctx.last:
        ctx.is_over = True


def tasks(fans: int, branches: int) -> float:
    """Branches per second, a task each."""
    return trio.run(_fans, fans, branches, False)


def calls(fans: int, branches: int) -> float:
    """Branches per second, a call each."""
    return trio.run(_fans, fans, branches, True)


async def _fans(fans: int, branches: int, plain: bool) -> float:  # noqa: FBT001 - trio.run takes positional arguments
    total, tally, began, is_over = fans * branches, Tally(), perf_counter(), False
    while not is_over:
        batches: _Batches = [[]] * branches
        await (_call_all(tally, batches) if plain else _await_all(tally, batches))
        for batch in batches:
            for _, mutation in batch:
                mutation.apply(tally)
        ctx = Context(tally, total)
        await _again(ctx)
        is_over = ctx.is_over
        await trio.lowlevel.checkpoint_if_cancelled()
    return checked_rate(tally, total, perf_counter() - began)


async def _await_all(tally: Tally, batches: _Batches) -> None:
    async with trio.open_nursery() as nursery:
        for index in range(len(batches)):
            nursery.start_soon(_branch, tally, index, batches)


async def _branch(tally: Tally, index: int, batches: _Batches) -> None:
    ctx = ItemContext(tally, 0, item=index, index=index)
    await _work(ctx)
    batches[index] = ctx.batch


async def _call_all(tally: Tally, batches: _Batches) -> None:
    for index in range(len(batches)):
        ctx = ItemContext(tally, 0, item=index, index=index)
        _plain_work(ctx)
        batches[index] = ctx.batch
        if index % YIELD_STEPS == YIELD_STEPS - 1:
            await trio.lowlevel.checkpoint()
