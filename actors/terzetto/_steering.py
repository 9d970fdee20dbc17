"""Steering: what people and deadlines say to runs, from a decision to a cancel, and what they are answered.

It owns the lines of those who are about to speak to the same run. A run that nobody carries is read for them, and let
go again; one that another owner of the store carries hears them by way of the store.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import trio

from terzetto_protocol.backoff import LONGEST
from terzetto_protocol.blobs import named_in
from terzetto_protocol.commands import Cancel, Decide, Pause, Resume, Undo, Withdraw
from terzetto_protocol.errors import (
    CarriedElsewhere,
    InvalidRequest,
    Refused,
    StoreUnavailable,
    TerzettoError,
    UnknownRun,
)
from terzetto_protocol.inputs import (
    CancelRequested,
    DeadlinePassed,
    Decided,
    Input,
    PauseRequested,
    ResumeRequested,
    TimerFired,
    UndoRequested,
    WithdrawRequested,
)
from terzetto_protocol.openings import due_barriers, name_barrier
from terzetto_protocol.receipts import CancelReceipt, PauseReceipt, Receipt
from terzetto_protocol.statuses import TERMINAL

from ._answers import Answers
from ._errands import by_its_carrier
from ._heads import Heads
from ._history import Past
from ._pool import LeaveAlone, Pool
from ._precedence import Lines, Rank
from ._rollback import Rollback
from ._roster import Roster
from ._run import RunActor
from ._stored_blobs import StoredBlobs
from ._timers import Timers
from .stores._contract import Store

UNDO_READS: Final = 5
"""How often a run's past is read anew because it went on while it was read."""


class Steering:
    """Speaks to runs.

    Args:
        leave_alone: hears of a run that nobody here can carry, and why.
        passivate: lets a run go from memory that has nothing to do there.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        pool: Pool,
        answers: Answers,
        timers: Timers[str],
        *,
        heads: Heads,
        blobs: StoredBlobs,
        clock: Callable[[], float],
        leave_alone: LeaveAlone,
        passivate: Callable[[RunActor], None],
    ) -> None:
        self.store: Final = store
        self.clock: Final = clock
        self.rollback: Final = Rollback(store, heads, clock, self.end)
        self._roster: Final = roster
        self._pool: Final = pool
        self._answers: Final = answers
        self._timers: Final = timers
        self._blobs: Final = blobs
        self._leave_alone: Final = leave_alone
        self._passivate: Final = passivate
        self._lines: Final = Lines()

    # -- decisions -------------------------------------------------------------------------------------------

    @by_its_carrier
    async def decide(self, command: Decide) -> Receipt:
        """Resolve a barrier; the answer is durable. A checkpoint; a cancelled call may have been heard.

        Raises:
            Refused: the barrier is not open, or does not take this decision; it keeps waiting.
            InvalidRequest: the decision names a blob that is not there.
            UnknownRun: no run has this id.
        """
        await self._keep_blobs(command)
        actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
        try:
            barrier = name_barrier(actor.machine, command.barrier, command.keep)
        except Refused:
            self._passivate(actor)
            raise
        at, slot = self.clock(), self._pool.may_go_on(command.run_id)
        msg = Decided(barrier, command.decision, command.source, at, command.command_id, slot=slot, keep=command.keep)
        return await self._command(actor, msg, command.command_id)

    async def _keep_blobs(self, command: Decide) -> None:
        """Have the run keep what the decision names: a commit that names anything else would be the end of the run."""
        for digest in named_in(msgspec.msgpack.encode(command.decision)):
            if not await self._blobs.keep(digest, command.run_id):
                raise InvalidRequest(f"run {command.run_id!r}: the decision names {digest}, and this store has no such")

    @by_its_carrier
    async def withdraw(self, command: Withdraw) -> Receipt:
        """Forget the decisions that are kept for a barrier; the answer is durable. A checkpoint."""
        actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
        msg = WithdrawRequested(command.barrier, self.clock(), command.command_id)
        return await self._command(actor, msg, command.command_id)

    # -- the way on ------------------------------------------------------------------------------------------

    @by_its_carrier
    async def undo(self, command: Undo, read: Callable[[str], Awaitable[Past]]) -> Receipt:
        """Take the last of a run that rests back; the answer is durable. A checkpoint.

        Args:
            command: how much, of which run.
            read: reads a run's past.

        Raises:
            InvalidRequest: there is not so much to undo, or effects would be repeated.
            Refused: the run is at work, or has ended.
        """
        actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
        try:
            for _ in range(UNDO_READS):
                past = await read(command.run_id)
                to, was = await past.before(command.count, repeat_effects=command.repeat_effects)
                # Somebody else may have let it go from memory meanwhile, and then this is another actor.
                actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
                if past.seq == actor.machine.fold.image.seq or actor.machine.live:
                    msg = UndoRequested(to, was, self.clock(), command.command_id)
                    return await self._command(actor, msg, command.command_id)
            raise Refused(actor.run_id, "it goes on while it is read: what is the last of it is not known yet")
        except TerzettoError:
            self._passivate(actor)
            raise

    @by_its_carrier
    async def pause(self, command: Pause) -> PauseReceipt:
        """Have a run pause at its next commit; the answer is durable. A checkpoint.

        Raises:
            IllegalTransition: the run has ended, or is being cancelled.
        """
        actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
        msg = PauseRequested(self.clock(), command.command_id)
        receipt = await self._command(actor, msg, command.command_id)
        assert isinstance(receipt, PauseReceipt)
        return receipt

    @by_its_carrier
    async def resume(self, command: Resume) -> Receipt:
        """Let a paused run go on; the answer is durable. A checkpoint."""
        actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
        return await self._command(actor, ResumeRequested(self.clock(), command.command_id), command.command_id)

    # -- the end ---------------------------------------------------------------------------------------------

    async def cancel(self, command: Cancel) -> CancelReceipt:
        """End a run, or roll its thread back; what is told is durable, but for `unknown`. A checkpoint."""
        self._roster.check()
        return await (self.rollback.roll_back if command.mode == "rollback" else self.end)(command)

    @by_its_carrier
    async def end(self, command: Cancel) -> CancelReceipt:
        """End a run; `requested` and `stopped` are durable when they are told. A checkpoint."""
        try:
            actor = await self._lines.first(command.run_id, Rank.CANCEL, self._roster.find)
        except UnknownRun:
            return CancelReceipt(command.run_id, "unknown", None, self.store.durable)
        except Refused as error:
            unreadable = error
        else:
            return await self._cancel(actor, command)
        row = await self.store.run(command.run_id)  # what has ended needs no graph to be told so
        if row is None or row.status not in TERMINAL:
            raise unreadable
        return CancelReceipt(command.run_id, "already_terminal", row.status, self.store.durable)

    async def _cancel(self, actor: RunActor, command: Cancel) -> CancelReceipt:
        machine = actor.machine
        forgets = command.mode == "rollback" and not command.repeat_effects and machine.status not in TERMINAL
        if forgets and machine.fold.image.intents:
            self._passivate(actor)
            await self.rollback.refuse(actor.run_id)
        msg = CancelRequested(command.reason, self.clock(), command.command_id)
        receipt = await self._command(actor, msg, command.command_id)
        assert isinstance(receipt, CancelReceipt)
        return receipt

    # -- deadlines -------------------------------------------------------------------------------------------

    async def come_due(self, run_id: str) -> None:
        """A deadline has come of a run that nobody carries: its barriers decide, or its time is over. A checkpoint."""
        await trio.lowlevel.checkpoint()  # whoever is ready at this very moment goes before
        try:
            actor = await self._lines.first(run_id, Rank.TIMEOUT, self._roster.find)
        except StoreUnavailable:
            self._timers.set(run_id, self.clock() + LONGEST)  # it may be back then
        except CarriedElsewhere:
            pass  # its carrier has a timer of its own
        except TerzettoError as error:
            self._leave_alone(run_id, error)
        else:
            self._fire(actor)

    def _fire(self, actor: RunActor) -> None:
        slot = self._pool.may_go_on(actor.run_id)
        for barrier in due_barriers(actor.machine, self.clock()):
            try:
                self._pool.set_going(actor, TimerFired(barrier, self.clock(), slot=slot))
            except Refused:
                continue  # somebody decided in this very moment, and was first
        ends_at = actor.machine.fold.ends_at
        if ends_at is not None and ends_at <= self.clock():
            self._pool.set_going(actor, DeadlinePassed(self.clock()))
        self._passivate(actor)
        if due_barriers(actor.machine, self.clock()):
            self._timers.drop(actor.run_id)  # it cannot be carried out, and would be tried without a pause

    # -- how all of them are said ----------------------------------------------------------------------------

    async def _command(self, actor: RunActor, msg: Input, command_id: str) -> Receipt:
        with self._answers.receipt(command_id, actor.run_id) as slot:
            try:
                self._pool.set_going(actor, msg)
                return await slot.wait()
            finally:
                self._passivate(actor)
