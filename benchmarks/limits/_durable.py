"""The limits of runs that are on the disk: steps that wait for it as the promises say, and no longer.

- While a group of commits is stored, the next one gathers; there is no timer.
- A run's first commit and its last hold its state (3.1), and its steps begin when the first is durable (D1).
- A `repeatable` step begins when the commit before it is durable (D2). A `pure` one may run 256 commits ahead, and
  nobody sees what it tells before all in front of it is durable (D3).
"""

from functools import partial
from time import perf_counter, time
from typing import Any, Final

import trio

from .._states import Tally
from ._disk import HOW, Commit, Disk, Row, open_disk, row_of
from ._visit import EDGES, YIELD_STEPS, Context, Node, Telling, encode, packed, step

_AHEAD: Final = 256
"""Commits that a pure step may be ahead of the disk (D3)."""
_NODES: Final[dict[str, Node]] = {"step": step}
AHEAD: Final = (
    f"the loop of G2's limit, at most {_AHEAD} commits in front of {HOW}; half of them are one row and one "
    "transaction, stored while the others are made; it is told when it is stored"
)
ONE_RUN: Final = f"the loop of G2's limit, which waits for each commit: {HOW}, a hop there and a hop back"
MANY_RUNS: Final = (
    f"a task for each run, with the loop of G2's limit, which waits for each commit: {HOW}; what all runs have "
    "brought while it stores is the next transaction, in one statement"
)


def _stored_body(visit: int, place: str, after: str, batch: list[Any], at: float) -> bytes:
    return packed((visit, 1, 2 * visit - 1, at, visit, place, (visit + 1, after), batch))


class _Ahead:
    """One run that goes on while its commits are on their way."""

    def __init__(self, disk: Disk, window: int) -> None:
        self._disk, self._waiting, self._stored = disk, list[Commit](), list[Commit]()
        self._enough = max(window // 2, 1)  # the one half is stored while the other is made
        self._task: trio.lowlevel.Task | None = None
        self.telling = Telling()
        self.durable = 0

    def commit(self, number: int, body: bytes, at: float) -> None:
        self._waiting.append((number, body, at))
        if len(self._waiting) >= self._enough and not self._stored:
            self._hand_over()

    def _hand_over(self) -> None:
        self._stored, self._waiting = self._waiting, []
        self._disk.store([row_of("run", self._stored)], self._is_stored)

    def _is_stored(self) -> None:
        stored, self._stored = self._stored, []
        self.durable = stored[-1][0]
        if len(self._waiting) >= self._enough:
            self._hand_over()
        for number, _, at in stored:
            self.telling.step(at, number, "step", "step")
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self, number: int) -> None:
        """Wait until this commit is durable."""
        while self.durable < number:
            if not self._stored:
                self._hand_over()
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(_stay)


def _stay(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED  # the write lands, and its row is this task's


def ahead(folder: str | None, steps: int, state: type[Tally] = Tally) -> float:
    """Steps per second of a run whose pure steps run ahead."""
    return trio.run(_one, folder, steps, _AHEAD, state())


def one_run(folder: str | None, steps: int) -> float:
    """Steps per second of a run in which each commit is durable before the next step begins."""
    return trio.run(_one, folder, steps, 0, Tally())


async def _one(folder: str | None, steps: int, window: int, tally: Tally) -> float:
    with open_disk(folder, ["run"]) as disk:
        run, began = _Ahead(disk, window), perf_counter()
        place, visit, is_over = "step", 1, False
        run.commit(visit, packed((visit, 0, 1, began, "submit", encode(tally))), began)
        await run.wait(visit)
        while not is_over:
            visit += 1
            ctx = Context(tally, steps)
            await _NODES[place](ctx)
            for _, mutation in ctx.batch:
                mutation.apply(tally)
            after, at, is_over = EDGES[place], time(), ctx.is_over
            batch = [*ctx.batch, encode(tally)] if is_over else ctx.batch
            run.commit(visit, _stored_body(visit, place, after, batch, at), at)
            place = after
            if run.durable < visit - window:
                await run.wait(visit - window)
            elif visit % YIELD_STEPS:
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await trio.lowlevel.checkpoint()
        await run.wait(visit)
        took = perf_counter() - began
        assert tally.count == steps
        return steps / took


class _Many:
    """Runs that each wait for their commit, and a task that brings what came together to the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._waiting = list[tuple[Row, trio.lowlevel.Task]]()
        self._idle: trio.lowlevel.Task | None = None

    async def store(self, row: Row) -> None:
        """Wait until it is durable."""
        self._waiting.append((row, trio.lowlevel.current_task()))
        if self._idle is not None:
            task, self._idle = self._idle, None
            trio.lowlevel.reschedule(task)
        await trio.lowlevel.wait_task_rescheduled(_stay)

    async def carry(self) -> None:
        """Store until cancelled."""
        this = trio.lowlevel.current_task()
        while True:
            if not self._waiting:
                self._idle = this
                await trio.lowlevel.wait_task_rescheduled(_go)
            group, self._waiting = self._waiting, []
            self._disk.store([row for row, _ in group], partial(trio.lowlevel.reschedule, this))
            await trio.lowlevel.wait_task_rescheduled(_stay)
            for _, task in group:
                trio.lowlevel.reschedule(task)


def _go(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.SUCCEEDED


def many_runs(folder: str | None, runs: int, steps: int) -> float:
    """Commits per second of all runs together."""
    return trio.run(_all, folder, runs, steps)


async def _all(folder: str | None, runs: int, steps: int) -> float:
    names = [f"run-{number}" for number in range(runs)]
    with open_disk(folder, names) as disk:
        many = _Many(disk)
        async with trio.open_nursery() as around:
            around.start_soon(many.carry)
            began = perf_counter()
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(_run, many, name, steps)
            took = perf_counter() - began
            around.cancel_scope.cancel()
    return runs * steps / took


async def _run(many: _Many, name: str, steps: int) -> None:
    tally, telling, place, visit, is_over = Tally(), Telling(), "step", 0, False
    while not is_over:
        visit += 1
        ctx = Context(tally, steps)
        await _NODES[place](ctx)
        for _, mutation in ctx.batch:
            mutation.apply(tally)
        after, at, is_over = EDGES[place], time(), ctx.is_over
        body = _stored_body(visit, place, after, ctx.batch, at)
        await many.store(row_of(name, [(visit, body, at)]))
        telling.step(at, visit, place, after)
        place = after
    assert tally.count == steps
