"""Bodies that ignore their cancel: found when their grace is over, and named until they return.

It owns the moments at which somebody has to look, and the list of the bodies that were left behind. It tells
their runs, which go on or end without them, and whoever wants to know. Trio abandons no task: such a body
keeps its place in the tree, and nothing around it can be left before it returns.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

import trio
from attrs import frozen

from terzetto_protocol.errors import StuckNode

from ._failures import trace_of
from ._timers import Timers

_IN_THREAD: Final = "to_thread_run_sync"
"""The function in which a task waits for a thread."""

_log: Final = logging.getLogger("terzetto")

OnStuck = Callable[[StuckNode], object]


class Looker(Protocol):
    """A run, as far as it is looked at here."""

    def look(self) -> float:
        """Leave behind what has outstayed its grace; when to look again, by Trio's clock."""
        ...


@frozen(eq=False)
class Body:
    """A body that was left behind."""

    run_id: str
    node: str
    """With its path, where it has one."""
    visit: int
    since: float
    """When it was told to leave, by Trio's clock."""
    task: trio.lowlevel.Task
    name: str
    """The node's own name, which its thread has if it is a function in one."""

    def error(self) -> StuckNode:
        """What there is to say about it now."""
        return StuckNode(self.run_id, self.node, self.visit, trio.current_time() - self.since, self.stack())

    def stack(self) -> tuple[str, ...]:
        """Where it is now, as in a failure: `file:line in function`, innermost last."""
        frames = list(self.task.iter_await_frames())
        if any(frame.f_code.co_name == _IN_THREAD for frame, _ in frames):
            running = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - documented, for this
            threads = [each.ident or 0 for each in threading.enumerate() if each.name == f"node {self.name}"]
            for top in filter(None, map(running.get, threads)):
                frames += reversed(list(traceback.walk_stack(top)))
        return trace_of((frame.f_code, line) for frame, line in frames)


def log_stuck(error: StuckNode) -> None:
    """Say it in the log of this program, with the stack. Not a checkpoint."""
    _log.error("%s", "\n  ".join((str(error), *error.stack)))


class StuckBodies:
    """What was told to leave and has not.

    Args:
        told: hears of each; what it raises is logged.
    """

    def __init__(self, told: OnStuck = log_stuck) -> None:
        self._told: Final = told
        self._timers: Final = Timers[int](trio.current_time)
        self._runs: Final[dict[int, Looker]] = {}
        """What is to be looked at, by what identifies it as long as it is here."""
        self._bodies: Final[list[Body]] = []

    async def run(self) -> None:
        """Look at runs when that is due, until cancelled. A checkpoint."""
        await self._timers.run(self._look)

    async def _look(self, key: int) -> None:
        await trio.lowlevel.checkpoint()  # what leaves at this very moment has left
        run = self._runs.pop(key, None)
        if run is not None and (again := run.look()) < inf:
            self.watch(run, again)

    def watch(self, run: Looker, moment: float) -> None:
        """Look at a run at this moment of Trio's clock, or earlier. Not a checkpoint."""
        self._runs[id(run)] = run
        self._timers.hasten(id(run), moment)

    def drop(self, run: Looker) -> None:
        """Look at a run no more: it has rested. Not a checkpoint."""
        if self._runs.pop(id(run), None) is not None:
            self._timers.drop(id(run))

    def forget(self) -> None:
        """Look at nothing any more. Bodies that were left behind stay on the list. Not a checkpoint."""
        self._timers.clear()
        self._runs.clear()

    def left(self, body: Body) -> None:
        """A body was left behind. Not a checkpoint."""
        self._bodies.append(body)
        try:
            self._told(body.error())
        except Exception:  # noqa: BLE001 - whoever is told may raise anything, and the run has to end
            _log.exception("who was told of a stuck node raised")

    def returned(self, body: Body) -> None:
        """A body that was left behind has returned at last. Not a checkpoint."""
        self._bodies.remove(body)
        told = (body.run_id, body.node, body.visit, trio.current_time() - body.since)
        _log.info("run %r: node %r (visit %d) has left after %.3g s", *told)

    def statistics(self) -> tuple[StuckNode, ...]:
        """Every body that was left behind and has not returned, with its stack of this moment. Not a checkpoint."""
        return tuple(body.error() for body in self._bodies)
