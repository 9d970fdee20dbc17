"""The part of a run actor that carries bodies: each on the run's own task, or in a task beside others.

Nothing depends on this task being awake: whatever is delivered to the run takes its turn on the sender's.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from terzetto_protocol.blobs import BlobKeeper
from terzetto_protocol.context import ItemContext
from terzetto_protocol.inputs import (
    BodiesCancelled,
    DeadlinePassed,
    Ended,
    Input,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
)
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import next_moment
from terzetto_protocol.pending import Pending
from terzetto_protocol.places import Node
from terzetto_protocol.port import Emission, Visit
from terzetto_protocol.records import Applied, Outcome
from terzetto_protocol.remarks import Remarks
from terzetto_protocol.state import Entry
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.step_commit import StepCommit
from terzetto_protocol.turn import Start

from . import _faults
from ._bodies import Bodies, Tasks
from ._failures import failure_of, label_of, own_part
from ._node import Lent, failed, handle, refuse_returned
from ._run_port import RunPort
from ._run_services import Services
from ._turns import times_scheduled

if TYPE_CHECKING:
    from ._crowds import Crowds
    from ._questions import Questions
    from ._stuck import Body

YIELD_STEPS: Final = 16
"""Steps after which a run lets every other task run."""
YIELD_SECONDS: Final = 0.001
"""Time after which it does so, however few steps there were."""


Handle: TypeAlias = Callable[..., Awaitable[Ended]]
"""A node actor."""
TakeStep: TypeAlias = Callable[[int, Sequence[Entry], float, Remarks], Pending | None]
"""Takes an everyday step after a body that has ended well; None where another turn has to be taken."""


class Carrying(ABC):
    """Bodies of one run, and the task that carries them."""

    __slots__ = (
        "_blobs",
        "_crowds",
        "_handle",
        "_nursery",
        "_overlaps",
        "_questions",
        "_scope",
        "_since",
        "_starts",
        "_step",
        "_steps",
        "_waiter",
        "bodies",
        "lent",
        "machine",
        "rested",
        "services",
    )

    def __init__(self, machine: RunMachine[Any], deps: Any, services: Services) -> None:
        self.machine = machine
        self.services = services
        self._questions: Questions | None = None
        self._blobs = services.blobs
        self.bodies = Bodies(self, services.clock, services.stuck)
        self.lent, self._handle = self._lender(deps)
        self.rested = False
        self._step = self._way_of_steps() if type(self.lent) is Lent else None
        """What an everyday step is, where nobody has to be told of it, or at once."""
        self._overlaps = services.tasks or machine.blueprint.overlaps
        """Whether every visit has a task of its own."""
        self._crowds: Crowds | None = None
        """Those of its branches, once it has some."""
        self._starts: list[Start] = []
        self._nursery: trio.Nursery | None = None
        """Where visits run beside one another, while they may begin there."""
        self._scope: trio.CancelScope | None = None
        self._waiter: trio.lowlevel.Task | None = None
        self._steps, self._since = 0, 0.0
        """How many steps were made since others had their turn, and when that was."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.machine.run_id

    def _lender(self, deps: Any) -> "tuple[Lent, Handle]":
        """What bodies get, and who runs them."""
        if not self.machine.blueprint.is_strict:
            return Lent(self.machine.fold, deps, partial(RunPort, self)), handle
        from ._watched import WatchedLent, handle_watched

        return WatchedLent(self.machine.fold, deps, partial(RunPort, self)), handle_watched

    @property
    def questions(self) -> "Questions":
        """What its bodies ask."""
        if self._questions is None:
            from ._questions import Questions

            self._questions = Questions(self, self.services.clock, answers=self.services.answers)
        return self._questions

    @property
    def blobs(self) -> BlobKeeper:
        """Where its blobs are."""
        if self._blobs is None:
            from ._blobs import Blobs

            self._blobs = Blobs()
        return self._blobs

    @property
    def stuck(self) -> "dict[int, Body]":
        """Bodies that were left behind and have not returned."""
        return self.bodies.left

    def _way_of_steps(self) -> TakeStep | None:
        if not self.machine.tells:
            return self.machine.step
        return self._step_told if self.machine.settled and self.services.settle_step is not None else None

    def retire(self) -> None:
        """Let go of what refers to this, so that it leaves the memory at once: its run is over. Not a checkpoint.

        A body that kept its context may still speak, and is refused as ever.
        """
        del self.lent, self._step
        self._questions = None
        self.bodies.retire()

    @abstractmethod
    def deliver(self, msg: Input) -> None:
        """Take a turn with this message, or queue it while a turn is being taken. Not a checkpoint."""

    @abstractmethod
    def _break_off(self, error: BaseException) -> None:
        """Give the run up here."""

    @abstractmethod
    def emit(self, visit: int, emission: Emission) -> None:
        """Show a chunk."""

    @abstractmethod
    def _start(self, start: Start) -> None:
        """Begin a visit, here or by whoever carries one at a time."""

    @abstractmethod
    def _unsettled(self, step: StepCommit, outcome: Outcome) -> None:
        """The store has refused the commit of a step."""

    async def main(self) -> None:
        """Carry the run's nodes until it rests. A checkpoint.

        Cancelled from outside (or by KeyboardInterrupt) the run is INTERRUPTED; its last commit is handed over
        before this raises. A cancel of the run itself only ends the episode. Where bodies were left behind it
        returns when they have. Whatever else goes wrong is the end of this actor, and not of who calls this.
        """
        try:
            while not self.rested:
                with trio.CancelScope(deadline=self._deadline()) as self._scope:  # noqa: ASYNC912 - it carries until it rests
                    self.bodies.begin(self._scope.deadline)
                    while not self.rested:
                        if self._overlaps or len(self._starts) > 1 or self.machine.fold.owners:
                            await self._carry_tasks()
                        else:
                            await self._carry_inline()
                self._pass_deadline()
                self._end_live()
        except BaseException as error:  # noqa: BLE001, ASYNC103 - what is not its own is raised again
            try:
                self._break_off(own_part(error))
            finally:
                self._end_live()
        finally:
            self.bodies.end()

    def _deadline(self) -> float:
        """When the run's own time is over, by Trio's clock."""
        ends_at = self.machine.fold.ends_at
        return inf if ends_at is None else trio.current_time() + ends_at - self.services.clock()

    def _pass_deadline(self) -> None:
        ends_at = self.machine.fold.ends_at
        if ends_at is not None and self._scope is not None and trio.current_time() >= self._scope.deadline:
            self.questions.deliver_late(DeadlinePassed(max(ends_at, self.services.clock())))

    def look(self) -> float:
        """Go on or end without bodies that do not leave; when to look again, by Trio's clock. Not a checkpoint."""
        if not self.rested:
            self._pass_deadline()  # a body that stays keeps the run's own task from saying so
        again = self.bodies.leave_behind()
        if self.rested and again == inf:
            self.services.keeper.left_behind(self)
        return again

    def _end_live(self) -> None:
        """Tell the machine about every visit that the scope took with it: the log says what that means."""
        self._starts.clear()
        if live := tuple(sorted(self.machine.live)):
            self.deliver(BodiesCancelled(live, self.services.clock()))

    async def _carry_inline(self) -> None:
        """One visit after another on this task, while there is one at a time."""
        starts, fold, live, clock = self._starts, self.machine.fold, self.machine.live, self.services.clock
        step, task = self._step, trio.lowlevel.current_task()
        self._steps, self._since, turns = 0, clock(), times_scheduled(task)
        while not self.rested and len(starts) <= 1 and not fold.owners:
            if not starts:
                await self._sleep()
                self._steps, self._since = 0, clock()
                continue
            start = starts.pop()
            if step is not None and _faults.hook is None and not (start.path or start.probe):
                ended = await self._walk(start, step)
            else:
                ended = await self._body(start)
            if ended is not None and ended.visit in live:
                self.deliver(ended)
            if not starts:
                continue  # what comes next is a checkpoint, and a full one unless a start is there by then
            if ended is not None and times_scheduled(task) != turns:  # others ran while the body waited
                self._steps, self._since, turns = 0, ended.at, times_scheduled(task)
            self._steps += 1
            if ended is None or self._steps >= YIELD_STEPS or ended.at - self._since > YIELD_SECONDS:
                await trio.lowlevel.checkpoint()
                self._steps, self._since, turns = 0, clock(), times_scheduled(task)
            else:
                await trio.lowlevel.checkpoint_if_cancelled()

    async def _walk(self, start: Start, step: TakeStep) -> Ended | None:
        """One body after another, while each leads simply on: what `handle` and a turn do is done here, by calls.

        Ends with how a body has ended that does not; or with None where others are to run, or the store has refused.
        """
        machine, services, lent = self.machine, self.services, self.lent
        fold, nodes, own, deps, clock = machine.fold, machine.blueprint.nodes, lent.own, lent.deps, services.clock
        task, run_id, epoch = trio.lowlevel.current_task(), self.run_id, fold.image.epoch
        turns = times_scheduled(task)
        visit, place, attempt = start.visit, start.node, start.attempt
        while True:
            node = nodes[place]
            ctx: Any = None
            if not node.is_bare or node.asks.context is ItemContext:
                return await handle(node, Start(visit, place, attempt), lent, services)
            try:
                ctx = node.asks.context(fold.state, deps, Visit(run_id, place, visit, attempt, "", epoch), own)
                returned: object = await node.fn(ctx)  # type: ignore[func-returns-value]  # as in `handle`
                if returned is not None:
                    refuse_returned(returned)
            except BaseException as error:  # noqa: BLE001, ASYNC103 - as in `handle`
                return failed(node, Start(visit, place, attempt), own_part(error), services, ctx)  # noqa: ASYNC104
            at = clock()
            entry = step(visit, ctx.batch, at, ctx.remarks)
            if entry is None:
                return NodeFinished(visit, ctx.batch, at, ctx.remarks)
            visit, place, attempt = entry.visit, entry.place, 1
            if times_scheduled(task) != turns:  # others ran while the body waited
                self._steps, self._since, turns = 0, at, times_scheduled(task)
            self._steps += 1
            if self._steps >= YIELD_STEPS or at - self._since > YIELD_SECONDS:
                self._starts.append(Start(visit, place, attempt))
                return None
            await trio.lowlevel.checkpoint_if_cancelled()

    def _step_told(self, visit: int, batch: Sequence[Entry], at: float, remarks: Remarks) -> Pending | None:
        """As the machine's `step`, of which the store and the hub hear at once."""
        commit, settle = self.machine.commit_step(visit, batch, at, remarks), self.services.settle_step
        if commit is None or settle is None:
            return None
        outcome = settle(commit)
        if type(outcome) is Applied:
            self.services.outlet.publish_step(commit)
        else:
            self._unsettled(commit, outcome)  # which cancels what would begin now
        return self.machine.lone

    def _begins_alone(self, start: Start) -> bool:
        """Whether a visit is to have a task of its own while others may run."""
        tasks = self.bodies.tasks
        if not (self._overlaps or self.machine.fold.owners) or tasks is None or start.visit in tasks:
            return False  # the task of a visit's probe has to end before that of its body begins
        return self._node(start).runs != "on the loop" or _faults.hook is not None

    async def _carry_tasks(self) -> None:
        """A task for every visit, until none is left."""
        self.bodies.tasks = {}
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    while not self.rested and self._needs_tasks(self.bodies.tasks):
                        await self._begin_tasks(nursery)
                        await self._sleep()
                finally:
                    self._nursery = None  # what is told to start from here on waits until all that run have left
        finally:
            self.bodies.tasks = None

    def _needs_tasks(self, tasks: Tasks) -> bool:
        """Whether there is more for tasks to do; one that does not leave keeps the nursery open anyway."""
        starts, live = self._starts, self.machine.live
        is_lone = len(starts) == len(live) == 1
        return self._overlaps or bool(self.machine.fold.owners or tasks) or (bool(starts or live) and not is_lone)

    async def _begin_tasks(self, nursery: trio.Nursery) -> None:
        """Give each visit a task; what awaits nothing needs none, and is run here and now."""
        steps = 0
        while self._starts:
            start = self._starts.pop(0)
            if self._node(start).runs == "on the loop" and _faults.hook is None:
                self._end(start, await self._body(start))
                steps += 1
            else:
                self._begin_task(start, nursery)
            if steps >= YIELD_STEPS:
                steps = 0
                await trio.lowlevel.checkpoint()

    def _begin_task(self, start: Start, nursery: trio.Nursery) -> None:
        if start.path:
            fork = self.machine.fold.branches[start.path].fork
            if self._crowds is None:
                from ._crowds import Crowds

                self._crowds = Crowds()
            self._crowds.begin(start, fork, nursery, self._visit_alone)
        else:
            nursery.start_soon(self._visit_alone, start, name=start.node)

    async def _visit_alone(self, start: Start) -> None:
        """A visit in a task of its own."""
        tasks = self.bodies.tasks
        assert tasks is not None, "the nursery that it is in is open"
        task = trio.lowlevel.current_task()
        tasks[start.visit] = task, start
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # told to start at the very moment of a cancel, it does not
            ended = await self._body(start)
            if task.child_nurseries:
                ended = await self._close_left_open(start)
            self._end(start, ended)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - what is not its own is raised again
            if task.child_nurseries:
                await self._close_left_open(start)  # noqa: ASYNC102 - shielded inside
            self._break_off(own_part(error))  # noqa: ASYNC104 - as above
        finally:
            del tasks[start.visit]
            is_cancelled = self._crowds is not None and self._crowds.leave(start.visit)
            if is_cancelled and start.visit in self.machine.live:
                self.deliver(NodeCancelled(start.visit, self.services.clock()))
            self.bodies.ended(start.visit)

    async def _close_left_open(self, start: Start) -> NodeFailed:
        """End what a body opened on its own task and never left, for which it has failed. A checkpoint."""
        from ._left_open import LEFT_OPEN, close_left_open

        await close_left_open()
        return NodeFailed(start.visit, failure_of(label_of(start), RuntimeError(LEFT_OPEN)), self.services.clock())

    def _body(self, start: Start) -> Awaitable[Ended]:
        """The body of a visit, to be awaited."""
        if _faults.hook is not None:
            return _faults.hook.body(self._handle, self._node(start), start, self.lent, self.services)
        return self._handle(self._node(start), start, self.lent, self.services)

    def _node(self, start: Start) -> Node[Any, Any]:
        fold = self.machine.fold
        nodes = fold.frame(start.path).blueprint.nodes if start.path else fold.blueprint.nodes
        return nodes[start.node]

    def _end(self, start: Start, msg: Ended) -> None:
        """Tell how a body has ended; nothing, where nobody waits for it any more."""
        if start.visit not in self.machine.live:
            return
        entry = None
        if self._step is not None and type(msg) is NodeFinished and _faults.hook is None:
            entry = self._step(msg.visit, msg.batch, msg.at, msg.remarks)
        if entry is None:
            self.deliver(msg)
        else:
            self._start(Start(entry.visit, entry.place, 1))

    async def _sleep(self) -> None:
        """Wait until there is something to carry or nothing will ever be; cancelled, it has lost nothing."""
        if self._starts or self.rested:
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        carried = self.machine.status is RunStatus.RUNNING and self.machine.fold.timed
        due = next_moment(self.machine) if carried else None
        if due is None:
            await self._wait()  # a scope would cost a third of a stored step
            return
        with trio.move_on_after(max(0.0, due - self.services.clock())):
            await self._wait()
        self.questions.fire()

    async def _wait(self) -> None:
        """Wait to be woken."""
        self._waiter = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._leave)

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._waiter is not None:
            task, self._waiter = self._waiter, None
            trio.lowlevel.reschedule(task)
