"""The bodies of one run: where each runs, when it was told to leave, and which have been left behind.

It owns no task. It hears from the run who has to leave, and tells it, by delivering `NodeStuck`, whose grace is
over. Nobody looks by himself: a body that stays keeps the task that carries it, so the supervisor's does.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import trio

from terzetto_protocol.inputs import Input, NodeCancelled, NodeStuck
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.port import Limit
from terzetto_protocol.turn import Start

if TYPE_CHECKING:
    from ._stuck import Body, StuckBodies

Tasks: TypeAlias = dict[int, tuple[trio.lowlevel.Task, Start]]


class Carrier(Protocol):
    """The run, as far as its bodies need it."""

    @property
    def run_id(self) -> str:
        """Which run."""
        ...

    @property
    def machine(self) -> RunMachine[Any]:
        """What decides."""
        ...

    def deliver(self, msg: Input) -> None:
        """Take a turn."""
        ...

    def look(self) -> float:
        """As `terzetto._stuck.Looker`."""
        ...


class Bodies:
    """Which visits have to leave, and when they should have.

    Args:
        run: whose they are.
        clock: UNIX time, seconds.
        watch: who looks when a grace is over; None where a run could not end without its bodies anyway.
    """

    __slots__ = ("_clock", "_deadline", "_gone", "_leaving", "_limits", "_run", "_task", "_watch", "left", "tasks")

    def __init__(self, run: Carrier, clock: Callable[[], float], watch: "StuckBodies | None") -> None:
        self._run = run
        self._clock: Final = clock
        self._watch: Final = watch
        self._task: trio.lowlevel.Task | None = None
        self._deadline = inf
        self.tasks: Tasks | None = None
        """Tasks of visits; None while a visit lives on the task that carries its run."""
        self._leaving: dict[int, float] = {}
        """When visits were told to leave, by Trio's clock."""
        self._limits: dict[int, Limit] = {}
        """When the time of visits with a timeout is over."""
        self.left: Final[dict[int, Body]] = {}
        """Bodies that were left behind and have not returned."""
        self._gone: list[int] = []
        """Visits that a cancel of the whole run has ended."""

    def begin(self, deadline: float) -> None:
        """This task carries the run now, until the run's own time is over. Not a checkpoint."""
        self._task, self._deadline = trio.lowlevel.current_task(), deadline
        self._look_after(deadline)

    def end(self) -> None:
        """The task that carried the run has nothing more to carry: everything has returned. Not a checkpoint."""
        for visit in list(self.left):
            self._returned(visit)
        if self._watch is not None:
            self._watch.drop(self._run)

    def retire(self) -> None:
        """Let go of the run, of which nothing is carried any more. Not a checkpoint."""
        del self._run

    def ended(self, visit: int) -> None:
        """The task of a visit has ended, whatever became of the visit. Not a checkpoint."""
        self._leaving.pop(visit, None)
        if visit in self.left:
            self._returned(visit)
        elif visit in self._run.machine.live:
            self._gone.append(visit)  # the run's own scope was cancelled
            if self.left:
                self._tell_of_gone()

    def tell_to_leave(self, visits: Iterable[int]) -> None:
        """Note that visits are cancelled now. Not a checkpoint."""
        now = trio.current_time()
        for visit in visits:
            self._leaving.setdefault(visit, now)
        self._look_after(now)

    def limit(self, visit: int, limit: Limit | None) -> None:
        """Note who knows when the time of a visit is over; None when it has ended. Not a checkpoint."""
        if limit is None:
            self._limits.pop(visit, None)
        else:
            self._limits[visit] = limit
            self._look_after(limit()[0])

    def _look_after(self, moment: float) -> None:
        if self._watch is not None and moment < inf:
            self._watch.watch(self._run, moment + CANCEL_GRACE)

    def leave_behind(self) -> float:
        """Leave behind what has ignored its cancel for its whole grace; when to look again. Not a checkpoint."""
        again = inf
        for task, start in self._at_work():
            since, timeout = self._told_to_leave(start.visit)
            if since + CANCEL_GRACE > trio.current_time():
                again = min(again, since + CANCEL_GRACE)
            elif start.visit not in self.left:
                self._leave(task, start, since, timeout)
        if self.left:
            self._tell_of_gone()
        return again

    def _at_work(self) -> list[tuple[trio.lowlevel.Task, Start]]:
        """What runs, in the order of the visits; also what nobody waits for any more."""
        if self.tasks is not None:
            return [self.tasks[visit] for visit in sorted(self.tasks)]
        frontier = self._run.machine.fold.image.frontier
        entries = [] if self._task is None else [(self._task, frontier[visit]) for visit in self._run.machine.live]
        return [(task, Start(entry.visit, entry.place, entry.attempt, entry.path)) for task, entry in entries]

    def _tell_of_gone(self) -> None:
        """Say which visits have left, for the task that would say so waits for the others."""
        gone, self._gone = self._gone, []
        for visit in gone:
            if visit in self._run.machine.live:
                self._run.deliver(NodeCancelled(visit, self._clock()))

    def _told_to_leave(self, visit: int) -> tuple[float, str]:
        """When a visit is told to leave, by Trio's clock, and by which timeout, if by one of its own."""
        limit = self._limits.get(visit)
        over, timeout = (inf, "") if limit is None else limit()
        told = min(self._leaving.get(visit, inf), self._deadline)
        return (told, "") if told <= over else (over, timeout)

    def _leave(self, task: trio.lowlevel.Task, start: Start, since: float, timeout: str) -> None:
        label = f"{start.path}/{start.node}" if start.path else start.node
        from ._stuck import Body

        self.left[start.visit] = body = Body(self._run.run_id, label, start.visit, since, task, start.node)
        if self._watch is not None:
            self._watch.left(body)
        if start.visit in self._run.machine.live:
            self._run.deliver(NodeStuck(start.visit, self._clock(), timeout, body.stack()))

    def _returned(self, visit: int) -> None:
        body = self.left.pop(visit)
        if self._watch is not None:
            self._watch.returned(body)
