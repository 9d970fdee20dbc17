"""The part of the supervisor that looks after runs: what they tell, what becomes of them then, and who is told of it.

Runs tell by calls of their turns, so nothing here waits; what has to wait gets a task of its own.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from terzetto_protocol.admission import Admission, same_run
from terzetto_protocol.errors import (
    ActorStopped,
    CarriedElsewhere,
    Refused,
    RunConflict,
    StoreDamaged,
    StoreRejected,
    TerzettoError,
    UnknownRun,
)
from terzetto_protocol.inputs import StoreGaveUp
from terzetto_protocol.receipts import Receipt, Submitted
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL, FailureCode, RunStatus
from terzetto_protocol.turn import Finish

from . import _faults
from ._answers import Answers
from ._carrying import Carrying
from ._heads import Heads, ThreadMoved
from ._hub import Hub
from ._persistence import Persistence
from ._pool import Pool
from ._recovery import Recovery
from ._results import result_of
from ._roster import Roster
from ._run import RunActor
from ._succession import Succession
from ._timers import Timers
from .stores._contract import Store

_log: Final = logging.getLogger("terzetto")


class Keeping:
    """Keeper of the runs of a roster: has them carried, and lets them go."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        *,
        hub: Hub,
        persistence: Persistence,
        admission: Admission,
        clock: Callable[[], float],
    ) -> None:
        self.store: Final = store
        self.admission: Final = admission
        self.clock: Final = clock
        self.heads: Final = Heads(store, roster, clock)
        self.on_unkept: Callable[[str], None] = _nobody
        """Told of a run that has ended and is not to be kept; waits for nothing."""
        self._roster = roster
        self._hub = hub
        self._persistence = persistence
        self._answers = Answers()
        self._timers = Timers[str](clock)
        take = self.heads.take
        self._pool = Pool(
            admission, roster, clock, self._leave_alone, take, broke=self._claim_again, passivate=self._passivate
        )
        self._succession = Succession(store, self.heads, roster, self._pool, admission)
        next_on = self._succession.next_on
        self._recovery = Recovery(
            store, roster, self._pool, admission, self._timers, next_on=next_on, doubt=persistence.doubt
        )
        self._nursery: trio.Nursery | None = None
        """Where tasks of the supervisor's own run, while it lives."""
        self._ended = 0

    # -- what runs tell --------------------------------------------------------------------------------------

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """Hand a receipt to whoever asked."""
        self._answers.reply(command_id, receipt)
        _passed("receipt_sent", receipt)

    def denied(self, command_id: str, error: Refused) -> None:
        """Hand a refusal to whoever asked."""
        self._answers.deny(command_id, error)

    def rested(self, actor: RunActor, finish: Finish) -> None:
        """A run came to rest: queue it, or let it go from memory."""
        if actor.stuck:
            self.left_behind(actor)
        if finish.fenced:
            self._fenced(actor, finish)
        elif finish.status is RunStatus.QUEUED:
            self._queued(actor)
        else:
            self._ended += finish.status in TERMINAL
            self._let_go(actor, finish.status)
        self._pool.fill()

    def left_behind(self, actor: Carrying) -> None:
        """Bodies of a run that rests do not leave: nobody waits for them."""
        self._pool.leave_behind(actor)

    def _queued(self, actor: RunActor) -> None:
        arrival = self._roster.arrived(actor)
        if arrival is not None:
            self._roster.settle_in(actor)
            self.admission.keep_promise()
            receipt = Submitted(actor.run_id, self.store.durable)
            arrival.slot.answer(receipt)
            _passed("receipt_sent", receipt)
        self._timers.set(actor.run_id, actor.machine.fold.deadline)
        if actor.machine.fold.takes_head:  # it is admitted when its turn on its thread comes
            self._succession.joined(actor.machine.fold.header.thread)
            return
        self.admission.leave(actor.run_id)
        if not self._pool.closing:
            self.admission.enqueue(actor.run_id, returning=arrival is None)

    def _let_go(self, actor: RunActor, status: RunStatus) -> None:
        run_id = actor.run_id
        self._roster.drop(actor)
        self.admission.leave(run_id)
        self._hub.idle(run_id, actor.machine.fold.image.epoch)
        self._timers.set(run_id, actor.machine.fold.deadline)
        if status in TERMINAL:
            self._answers.ended(run_id, result_of(actor.machine.fold))
            if actor.machine.fold.header.thread:
                self._succession.ended(run_id, actor.machine.fold.header.thread)
            if actor.machine.fold.header.on_completion == "delete":
                self.on_unkept(run_id)

    def taken(self, actor: RunActor, row: RunRow) -> None:
        """A submitted id or key is there already: the same run, or a conflict."""
        arrival = self._roster.arrived(actor)
        if arrival is None:
            return
        self.admission.keep_promise()
        try:
            same_run(actor.machine.fold.header, row.header)
        except RunConflict as error:
            arrival.slot.fail(error)
        else:
            arrival.slot.answer(Submitted(row.run_id, self.store.durable, reused=True))

    def overtaken(self, actor: RunActor) -> None:
        """A thread went on while a run looked for its place: it looks again; one whose turn it was is found again."""
        arrival = self._roster.arrived(actor)
        if arrival is None:
            self._recovery.look()
        else:
            self.admission.keep_promise()
            arrival.slot.fail(ThreadMoved())

    # -- what cannot go on here ------------------------------------------------------------------------------

    def _fenced(self, actor: RunActor, finish: Finish) -> None:
        """The store refused a write of this run: forget what we know about it."""
        run_id = actor.run_id
        if self._roster.holds(actor):
            self._roster.drop(actor)
            self.admission.leave(run_id)
            self._hub.idle(run_id)
            self._answers.fail_commands(run_id, lambda: self._refused(run_id, finish))
        failure = actor.machine.fold.image.failure
        if (arrival := self._roster.arrived(actor)) is not None:
            self.admission.keep_promise()
            arrival.slot.fail(self._refusal(run_id, finish))
        elif finish.final and failure is not None and failure.code == FailureCode.STORE_REJECTED:
            self._leave_alone(run_id, finish.fenced)  # even that it fails cannot be stored
        elif finish.final and self._nursery is not None:
            self._nursery.start_soon(self._give_up, run_id, finish.fenced)

    def _refused(self, run_id: str, finish: Finish) -> TerzettoError:
        """What those are told whose commands a refused write was to carry out.

        Where somebody else has claimed the run, he carries them out, and knows what was done before.
        """
        if self.store.lease is None or finish.final or self._persistence.stopped:
            return self._refusal(run_id, finish)
        return CarriedElsewhere(run_id, "somebody")

    def _refusal(self, run_id: str, finish: Finish) -> TerzettoError:
        """What those are told who wait for a write that was refused."""
        if finish.final:
            return StoreRejected(finish.fenced)
        return ActorStopped("the persistence actor") if self._persistence.stopped else Refused(run_id, finish.fenced)

    async def _give_up(self, run_id: str, reason: str) -> None:
        """Fail a run whose write can never be stored. A checkpoint."""
        with suppress(TerzettoError):  # it has ended meanwhile, or the store is gone and the next look finds it
            actor = await self._roster.find(run_id)
            if not actor.machine.owned:
                actor.claim(StoreGaveUp(reason, self.clock()))

    def _leave_alone(self, run_id: str, why: TerzettoError | str) -> None:
        """A run that nobody here can carry stays as it is; whoever waits for its end hears why."""
        self._roster.unclaimed[run_id] = str(why)
        if isinstance(why, StoreDamaged):
            _log.error("%s", why)
        self._answers.leave_alone(run_id, why)

    def broke(self, actor: RunActor, error: BaseException) -> None:
        """A run broke off: it is read anew and claimed again, as after the death of its owner."""
        _log.error("run %r broke off, and is claimed again unless it has ended", actor.run_id, exc_info=error)
        if not actor.carried:
            self._claim_again(actor.run_id)

    def _claim_again(self, run_id: str) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._look_again, run_id)

    async def _look_again(self, run_id: str) -> None:
        await self._persistence.settled()  # what was on its way is part of what is read
        self._recovery.look()
        with suppress(TerzettoError):  # then the next look finds it
            self._passivate(await self._roster.find(run_id))  # it may have ended: whoever waits for that hears it

    # -- memory ----------------------------------------------------------------------------------------------

    def _passivate(self, actor: RunActor) -> None:
        """Let an actor go that was only read to be asked something."""
        machine = actor.machine
        waits_for_slot = machine.status in (RunStatus.QUEUED, RunStatus.INTERRUPTED)
        if machine.at_rest and not waits_for_slot and self._roster.holds(actor):
            self._let_go(actor, machine.status)

    def forget(self, run_id: str) -> None:
        """A run that had ended was deleted. Not a checkpoint."""
        self._roster.forget(run_id)
        self._answers.fail_ends(run_id, lambda: UnknownRun(run_id))
        self._succession.ended(run_id)


def _passed(point: str, what: object) -> None:
    if _faults.hook is not None:
        _faults.hook(point, what)


def _nobody(run_id: str) -> None:
    """Nobody wants to know."""
