"""The run actor: carries out what its machine wants.

It owns the machine and the nodes' cancel scope. Delivering a message takes the turn at once, on the
sender's task, as a plain call; during a turn messages queue. Its task only carries nodes, so nothing
depends on it being awake. It tells the hub, the persistence actor and its keeper (the supervisor). What
kills it is its keeper's nursery; then it says so to its machine, whose last commits still land.
"""

from typing import Any

from msgspec import Struct

from terzetto_protocol.errors import Refused, StaleEpoch, StoreRejected, TerzettoError, describe
from terzetto_protocol.events import Event
from terzetto_protocol.inputs import CommitDurable, CommitRefused, Emitted, Input, NodeCancelled
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.port import Emission
from terzetto_protocol.records import Applied, Exists, Outcome, Overtaken, Rejected, Stale, Write
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.step_commit import StepCommit
from terzetto_protocol.stepped import Stepped
from terzetto_protocol.turn import Answered, CancelNodes, Effect, Finish, Rearm, Reply, Start, Turn

from . import _faults
from ._carrying import Carrying
from ._run_services import Services


class RunStatistics(Struct, frozen=True):
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


class RunActor(Carrying):
    """One live run."""

    __slots__ = ("_busy", "_mail", "broken", "carried")

    def __init__(self, machine: RunMachine[Any], deps: Any, services: Services) -> None:
        super().__init__(machine, deps, services)
        self.carried = False
        """Whether somebody runs `main`."""
        self.broken = False
        """Whether it was given up here, to be read anew by whoever claims it next."""
        self._busy = False
        self._mail: list[Input] = []

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
            self.questions.told(effect)
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
        self.bodies.tell_to_leave(meant)

    def emit(self, visit: int, emission: Emission) -> None:
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

    def _unsettled(self, step: StepCommit, outcome: Outcome) -> None:
        self.written(step.write, outcome)

    def written(self, write: Write, outcome: Outcome) -> None:
        """Hear from the store."""
        at = self.services.clock()
        if isinstance(outcome, Applied):
            self.deliver(CommitDurable(write.seq, at))
        elif isinstance(outcome, Exists):
            self.services.keeper.taken(self, outcome.row)
            self.deliver(CommitRefused(write.seq, "it was there already", at))
        elif isinstance(outcome, Overtaken):
            self.services.keeper.overtaken(self)
            self.deliver(CommitRefused(write.seq, "its thread went on meanwhile", at))
        else:
            final = isinstance(outcome, Rejected) and outcome.final
            self.deliver(CommitRefused(write.seq, refusal(write, outcome), at, final))


def refusal(write: Write, outcome: Outcome) -> str:
    """In words, why a write was refused."""
    if isinstance(outcome, Stale):
        return str(StaleEpoch(write.run_id, write.expect, outcome.current))
    assert isinstance(outcome, Rejected)
    return str(StoreRejected(f"run {write.run_id!r}: {outcome.reason}"))
