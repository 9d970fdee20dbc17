"""The run actor: carries out what its machine wants.

It owns the machine and the nodes' cancel scope. Delivering a message takes the turn at once, on the
sender's task, as a plain call; during a turn messages queue. Its task only carries nodes, so nothing
depends on it being awake. It tells the hub, the persistence actor and its keeper (the supervisor). What
kills it is its keeper's nursery; then it says so to its machine, whose last commits still land.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any, Final, Protocol

import trio
from attrs import frozen
from msgspec import Struct

from terzetto_protocol.blobs import BlobKeeper
from terzetto_protocol.errors import Refused, StaleEpoch, StoreRejected, TerzettoError, describe
from terzetto_protocol.events import Event
from terzetto_protocol.inputs import (
    BodiesCancelled,
    CommitDurable,
    CommitRefused,
    DeadlinePassed,
    Emitted,
    Ended,
    Input,
    NodeCancelled,
    NodeFinished,
)
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import next_moment
from terzetto_protocol.places import Node
from terzetto_protocol.port import Emission, Port
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import Applied, Exists, Outcome, Rejected, RunRow, Stale, Write
from terzetto_protocol.state import Vocabulary
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.stepped import Stepped
from terzetto_protocol.turn import Answered, CancelNodes, Effect, Finish, Rearm, Reply, Start, Turn

from . import _faults
from ._bodies import Bodies, Tasks
from ._chance import chance
from ._crowds import Crowds
from ._failures import own_part
from ._left_open import Handle, close_after
from ._node import Lent, handle
from ._questions import Questions
from ._stuck import StuckBodies
from ._turns import times_scheduled

YIELD_STEPS: Final = 16
"""Steps after which a run lets every other task run."""
YIELD_SECONDS: Final = 0.001
"""Time after which it does so, however few steps there were."""


class Keeper(Protocol):
    """Who looks after runs: the supervisor, or `terzetto.run`."""

    def rested(self, actor: "RunActor", finish: Finish) -> None:
        """The run needs no task any more, and that is durable."""

    def left_behind(self, actor: "RunActor") -> None:
        """Nothing of a run that rests has to be waited for any more, though a body of it has not returned."""

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """A receipt that may be sent."""

    def denied(self, command_id: str, error: Refused) -> None:
        """A command was refused."""

    def taken(self, actor: "RunActor", row: RunRow) -> None:
        """The new run's id or key belongs to a run that is there already."""

    def broke(self, actor: "RunActor", error: BaseException) -> None:
        """Something went wrong that nobody foresaw: what this process still knows about the run is worth nothing."""


class Outlet(Protocol):
    """Who shows events."""

    def publish(self, event: Event) -> None:
        """Show an event; never waits."""

    def publish_step(self, step: Stepped) -> None:
        """Show the two events of an everyday step; never waits."""


class Writer(Protocol):
    """Who stores commits."""

    def send(self, write: Write, sender: Any) -> None:
        """Hand over a write; the sender hears what became of it."""


@frozen
class RunStatistics:
    """What a live run says of itself."""

    status: RunStatus
    seq: int
    """The last commit that was made."""
    durable: int
    """The last commit that is stored."""
    live: int
    """Visits whose body runs, or is about to."""
    held: int
    """Visits and effects that wait for the store; a run has at most its window of them on the way."""
    finished: int
    """Node visits that have ended since the run began, over all owners."""
    cost: float
    """Sum of the `token_cost` of those visits."""


class Services(Struct, frozen=True):
    """What every run of a runtime shares."""

    keeper: Keeper
    outlet: Outlet
    writer: Writer
    clock: Callable[[], float]
    settle: Callable[[Write], Outcome] | None = None
    """Stores inside the call, where the store can do that."""
    tasks: bool = False
    """Whether every visit gets a task of its own."""
    chance: Callable[[], float] = chance
    """What jitter is made of."""
    stuck: StuckBodies | None = None
    """Who looks after bodies that do not leave; nobody, where a run could not end without them anyway."""
    blobs: BlobKeeper | None = None
    """Where nodes put and read blobs."""
    answers: bool = True
    """Whether somebody may decide what bodies ask."""


class RunActor:
    """One live run."""

    __slots__ = (
        "_bodies",
        "_busy",
        "_crowds",
        "_handle",
        "_handle_alone",
        "_mail",
        "_nursery",
        "_overlaps",
        "_questions",
        "_scope",
        "_starts",
        "_waiter",
        "broken",
        "carried",
        "lent",
        "machine",
        "rested",
        "services",
        "stuck",
    )

    def __init__(self, machine: RunMachine[Any], deps: Any, services: Services) -> None:
        self.machine = machine
        self.services = services
        self._questions = Questions(self, services.clock, answers=services.answers)
        self._bodies = Bodies(self, services.clock, services.stuck)
        self.stuck: Final = self._bodies.left
        """Bodies that were left behind and have not returned."""
        self.lent, self._handle = self._lender(deps)
        self._handle_alone: Final = partial(close_after, self._handle)
        self.rested = False
        self.carried = False
        """Whether somebody runs `main`."""
        self.broken = False
        """Whether it was given up here, to be read anew by whoever claims it next."""
        self._overlaps = services.tasks or machine.blueprint.overlaps
        """Whether every visit has a task of its own."""
        self._busy = False
        self._crowds: Crowds | None = None
        """Those of its branches, once it has some."""
        self._mail: list[Input] = []
        self._starts: list[Start] = []
        self._nursery: trio.Nursery | None = None
        """Where visits run beside one another, while they may begin there."""
        self._scope: trio.CancelScope | None = None
        self._waiter: trio.lowlevel.Task | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.machine.run_id

    def _lender(self, deps: Any) -> tuple[Lent, Handle]:
        """What bodies get, and who runs them."""
        if not self.machine.blueprint.is_strict:
            return Lent(self.machine.fold, deps, self._port), handle
        from ._watched import WatchedLent, handle_watched

        return WatchedLent(self.machine.fold, deps, self._port), handle_watched

    def _port(self, vocabulary: Vocabulary[Any]) -> Port:
        pack, asks = vocabulary.record if self.machine.logged else vocabulary.keep, self._questions
        bodies = self._bodies
        return Port(
            pack, self._emit, self._is_cancelled,
            decide=asks.decide, do=asks.do, run=asks.run, send=asks.send, limit=bodies.limit, blobs=self.services.blobs,
        )  # fmt: skip

    def _is_cancelled(self) -> bool:
        return self.machine.cancelling

    # -- turns -----------------------------------------------------------------------------------------------

    def deliver(self, msg: Input) -> None:
        """Take a turn with this message, or queue it while a turn is being taken. Not a checkpoint.

        A refusal goes to whoever sent the command; a message without a sender that is refused raises. Whatever else
        goes wrong is the end of this actor, not of who has sent the message.
        """
        if self._busy:
            self._mail.append(msg)
            return
        self._busy = True
        try:
            while True:
                try:
                    turn = self.machine.feed(msg)
                except Refused as error:
                    self._refuse(msg, error)
                else:
                    self._carry_out(turn)
                if not self._mail:
                    return
                msg = self._mail.pop(0)
        except (TerzettoError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001, ASYNC103 - nothing awaits in a turn, so it is no cancel
            self._break_off(error)
        finally:
            self._busy = False

    def statistics(self) -> RunStatistics:
        """Numbers of this moment. Not a checkpoint."""
        machine, image = self.machine, self.machine.fold.image
        held = len(machine.waits.gate) + len(machine.waits.outbox)
        return RunStatistics(
            image.status, image.seq, machine.durable, len(machine.live), held, image.finished, image.cost
        )

    def claim(self, msg: Input) -> None:
        """Deliver what sets the run going again, after which somebody has to call `main`. Not a checkpoint."""
        self.rested = False
        self.deliver(msg)

    def perform(self, turn: Turn) -> None:
        """Carry out a turn that was made elsewhere (the first one of a run), then whatever came meanwhile."""
        self._busy = True
        try:
            self._carry_out(turn)
        finally:
            self._busy = False
        if self._mail:
            self.deliver(self._mail.pop(0))

    def _break_off(self, error: BaseException) -> None:
        """Give the run up here, for a turn may be half taken: nothing that the machine knows is written any more."""
        self._mail.clear()
        self.broken = True
        self.services.keeper.broke(self, error)
        if not self.rested:
            reason = f"run {self.run_id!r}: it broke off: {describe(error)}"
            self._carry_out(self.machine.feed(CommitRefused(self.machine.durable, reason, self.services.clock())))

    def _refuse(self, msg: Input, error: Refused) -> None:
        command_id = getattr(msg, "command_id", "")
        if not command_id:
            raise error
        self.services.keeper.denied(command_id, error)

    def _carry_out(self, turn: Turn) -> None:
        if turn.commit is not None and not self._write(turn.commit):
            return
        event = turn.event
        if isinstance(event, Stepped) and _faults.hook is None:
            self.services.outlet.publish_step(event)
        elif event is not None:
            self._do(event)
        for effect in turn.more:
            if not self._do(effect):
                return
        if turn.start is not None:
            self._start(turn.start)

    def _do(self, effect: Effect) -> bool:
        """Carry out one effect; False when the rest of the turn must not happen."""
        if isinstance(effect, Stepped):  # first, for a run that runs ahead has hundreds of them in a turn
            self._publish_step(effect)
        elif isinstance(effect, Write):
            return self._write(effect)
        elif isinstance(effect, Start):
            self._start(effect)
        elif isinstance(effect, Reply):
            self.services.keeper.reply(effect.command_id, effect.receipt)
        elif isinstance(effect, Finish):
            self._finish(effect)
        elif isinstance(effect, Answered):
            self._questions.told(effect)
        elif isinstance(effect, Rearm):
            self._wake()
        elif isinstance(effect, CancelNodes):
            self._cancel_nodes(effect.visits)
        else:
            self._publish(effect)
        return True

    def _write(self, write: Write) -> bool:
        if _faults.hook is not None:
            _faults.hook("commit_applied", write)
        settle = self.services.settle
        if settle is None:
            self.services.writer.send(write, self)
            if _faults.hook is not None:
                _faults.hook("commit_sent", write)
            return True
        outcome = settle(write)
        if type(outcome) is Applied:
            return True
        self.written(write, outcome)  # queued: a turn is being taken
        return False

    def _publish(self, event: Event) -> None:
        self.services.outlet.publish(event)
        if _faults.hook is not None and event.durable:
            _faults.hook("event_published", event)

    def _publish_step(self, step: Stepped) -> None:
        self.services.outlet.publish_step(step)
        if _faults.hook is not None:
            _faults.hook("event_published", step.finished)

    def _start(self, start: Start) -> None:
        """Begin a visit beside those that run; whoever carries one at a time, or none, begins it himself."""
        if self._nursery is not None and self._begins_alone(start):
            self._begin_task(start, self._nursery)
        else:
            self._starts.append(start)
            if self._waiter is not None:
                self._wake()

    def _begins_alone(self, start: Start) -> bool:
        """Whether a visit is to have a task of its own while others may run."""
        tasks = self._bodies.tasks
        if not (self._overlaps or self.machine.fold.owners) or tasks is None or start.visit in tasks:
            return False  # the task of a visit's probe has to end before that of its body begins
        return self._node(start).runs != "on the loop" or _faults.hook is not None

    def _finish(self, finish: Finish) -> None:
        self.rested = True
        self._wake()
        self.services.keeper.rested(self, finish)

    def _cancel_nodes(self, visits: tuple[int, ...] | None) -> None:
        meant = self.machine.live if visits is None else visits
        for start in [start for start in self._starts if start.visit in meant]:
            self._starts.remove(start)  # told to start, but not begun: there is nothing to unwind
            self._mail.append(NodeCancelled(start.visit, self.services.clock()))
        if visits is None and self._scope is not None:
            self._scope.cancel(reason=f"run {self.run_id} is being cancelled")
        if self._crowds is not None:
            self._crowds.cancel(visits or (), f"a branch beside it failed in run {self.run_id}")
        self._bodies.tell_to_leave(meant)

    def _emit(self, visit: int, emission: Emission) -> None:
        """Show a chunk: at once, where it need not wait, and by a turn where it has to."""
        at = self.services.clock()
        chunk = None if self._busy else self.machine.show(visit, emission, at)
        if chunk is None:
            self.deliver(Emitted(visit, emission, at))
            return
        try:
            self.services.outlet.publish(chunk)  # no fault point is passed: those are about durable events
        except (TerzettoError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001, ASYNC103 - as in `deliver`
            self._break_off(error)

    def written(self, write: Write, outcome: Outcome) -> None:
        """Hear from the store."""
        at = self.services.clock()
        if isinstance(outcome, Applied):
            self.deliver(CommitDurable(write.seq, at))
        elif isinstance(outcome, Exists):
            self.services.keeper.taken(self, outcome.row)
            self.deliver(CommitRefused(write.seq, "it was there already", at))
        else:
            final = isinstance(outcome, Rejected) and outcome.final
            self.deliver(CommitRefused(write.seq, refusal(write, outcome), at, final))

    # -- carrying nodes --------------------------------------------------------------------------------------

    async def main(self) -> None:
        """Carry the run's nodes until it rests. A checkpoint.

        Cancelled from outside (or by KeyboardInterrupt) the run is INTERRUPTED; its last commit is handed over
        before this raises. A cancel of the run itself only ends the episode. Where bodies were left behind it
        returns when they have. Whatever else goes wrong is the end of this actor, and not of who calls this.
        """
        try:
            while not self.rested:
                with trio.CancelScope(deadline=self._deadline()) as self._scope:
                    self._bodies.begin(self._scope.deadline)
                    await self._carry()
                self._pass_deadline()
                self._end_live()
        except BaseException as error:  # noqa: BLE001, ASYNC103 - what is not its own is raised again
            try:
                self._break_off(own_part(error))
            finally:
                self._end_live()
        finally:
            self._bodies.end()

    def _deadline(self) -> float:
        """When the run's own time is over, by Trio's clock."""
        ends_at = self.machine.fold.ends_at
        return inf if ends_at is None else trio.current_time() + ends_at - self.services.clock()

    def _pass_deadline(self) -> None:
        ends_at = self.machine.fold.ends_at
        if ends_at is not None and self._scope is not None and trio.current_time() >= self._scope.deadline:
            self._questions.deliver_late(DeadlinePassed(max(ends_at, self.services.clock())))

    def look(self) -> float:
        """Go on or end without bodies that do not leave; when to look again, by Trio's clock. Not a checkpoint."""
        if not self.rested:
            self._pass_deadline()  # a body that stays keeps the run's own task from saying so
        again = self._bodies.leave_behind()
        if self.rested and again == inf:
            self.services.keeper.left_behind(self)
        return again

    def _end_live(self) -> None:
        """Tell the machine about every visit that the scope took with it: the log says what that means."""
        self._starts.clear()
        if live := tuple(sorted(self.machine.live)):
            self.deliver(BodiesCancelled(live, self.services.clock()))

    async def _carry(self) -> None:
        while not self.rested:
            if self._overlaps or len(self._starts) > 1 or self.machine.fold.owners:
                await self._carry_tasks()
            else:
                await self._carry_inline()

    async def _carry_inline(self) -> None:
        """One visit after another on this task, while there is one at a time."""
        starts, fold, clock = self._starts, self.machine.fold, self.services.clock
        live, nodes, task = self.machine.live, self.machine.blueprint.nodes, trio.lowlevel.current_task()
        step = None if self.machine.tells else self.machine.step
        steps, since, turns = 0, clock(), times_scheduled(task)
        while not self.rested and len(starts) <= 1 and not fold.owners:
            if not starts:
                await self._sleep()
                steps, since = 0, clock()
                continue
            start = starts.pop()
            if start.path or _faults.hook is not None:
                msg = await self._body(start, self._handle)
            else:
                msg = await self._handle(nodes[start.node], start, self.lent, self.services)
            following = step(msg) if step is not None and type(msg) is NodeFinished else None
            if following is not None:
                starts.append(following)
            elif start.visit in live:
                self.deliver(msg)
            if not starts:
                continue  # what comes next is a checkpoint, and a full one unless a start is there by then
            steps += 1
            if times_scheduled(task) != turns:  # others ran while the body waited
                steps, since, turns = 0, msg.at, times_scheduled(task)
            if steps >= YIELD_STEPS or msg.at - since > YIELD_SECONDS:
                await trio.lowlevel.checkpoint()
                steps, since, turns = 0, clock(), times_scheduled(task)
            else:
                await trio.lowlevel.checkpoint_if_cancelled()

    async def _carry_tasks(self) -> None:
        """A task for every visit, until none is left."""
        self._bodies.tasks = {}
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    while not self.rested and self._needs_tasks(self._bodies.tasks):
                        await self._begin_tasks(nursery)
                        await self._sleep()
                finally:
                    self._nursery = None  # what is told to start from here on waits until all that run have left
        finally:
            self._bodies.tasks = None

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
                self._end(start, await self._body(start, self._handle))
                steps += 1
            else:
                self._begin_task(start, nursery)
            if steps >= YIELD_STEPS:
                steps = 0
                await trio.lowlevel.checkpoint()

    def _begin_task(self, start: Start, nursery: trio.Nursery) -> None:
        if start.path:
            fork = self.machine.fold.branches[start.path].fork
            self._crowds = self._crowds or Crowds()
            self._crowds.begin(start, fork, nursery, self._visit_alone)
        else:
            nursery.start_soon(self._visit_alone, start)

    async def _visit_alone(self, start: Start) -> None:
        """A visit in a task of its own."""
        tasks = self._bodies.tasks
        assert tasks is not None, "the nursery that it is in is open"
        tasks[start.visit] = trio.lowlevel.current_task(), start
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # told to start at the very moment of a cancel, it does not
            msg = await self._body(start, self._handle_alone)
            if start.visit in self.machine.live:  # else nobody waits for it any more
                self.deliver(msg)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - what is not its own is raised again
            self._break_off(own_part(error))  # noqa: ASYNC104 - as above
        finally:
            del tasks[start.visit]
            is_cancelled = self._crowds is not None and self._crowds.leave(start.visit)
            if is_cancelled and start.visit in self.machine.live:
                self.deliver(NodeCancelled(start.visit, self.services.clock()))
            self._bodies.ended(start.visit)

    def _body(self, start: Start, handle: Handle) -> Awaitable[Ended]:
        """The body of a visit, to be awaited."""
        if _faults.hook is not None:
            return _faults.hook.body(handle, self._node(start), start, self.lent, self.services)
        return handle(self._node(start), start, self.lent, self.services)

    def _node(self, start: Start) -> Node[Any, Any]:
        fold = self.machine.fold
        nodes = fold.frame(start.path).blueprint.nodes if start.path else fold.blueprint.nodes
        return nodes[start.node]

    def _end(self, start: Start, msg: Ended) -> None:
        """Tell how a body has ended; nothing, where nobody waits for it any more."""
        if start.visit in self.machine.live:
            self.deliver(msg)

    async def _sleep(self) -> None:
        """Wait until there is something to carry or nothing will ever be; cancelled, it has lost nothing."""
        if self._starts or self.rested:
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        carried = self.machine.status is RunStatus.RUNNING and self.machine.fold.timed
        due = next_moment(self.machine) if carried else None
        with trio.move_on_after(inf if due is None else max(0.0, due - self.services.clock())):
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        if due is not None:
            self._questions.fire()

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._waiter is not None:
            task, self._waiter = self._waiter, None
            trio.lowlevel.reschedule(task)


def refusal(write: Write, outcome: Outcome) -> str:
    """In words, why a write was refused."""
    if isinstance(outcome, Stale):
        return str(StaleEpoch(write.run_id, write.expect, outcome.current))
    assert isinstance(outcome, Rejected)
    return str(StoreRejected(f"run {write.run_id!r}: {outcome.reason}"))
