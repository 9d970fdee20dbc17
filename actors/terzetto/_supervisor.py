"""The supervisor: which runs are live, who gets a slot, and what happens when they come to rest.

It owns the roster, the pool, the timers and the nursery of them all. It tells runs by delivering
inputs, and hears from them by the `Keeper` calls of their turns. What kills it (a bug in it, or the
persistence actor's death) takes its runs with it; they are claimed again by the next incarnation.
"""

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Final

import msgspec
import trio
from attrs import frozen

from terzetto_protocol.admission import Admission, same_run
from terzetto_protocol.backoff import LONGEST, backoff
from terzetto_protocol.blobs import named_in
from terzetto_protocol.commands import Cancel, Decide, Pause, Resume, Undo, Withdraw
from terzetto_protocol.errors import (
    ActorStopped,
    CarriedElsewhere,
    InvalidRequest,
    Refused,
    RunConflict,
    StaleEpoch,
    StoreDamaged,
    StoreRejected,
    StoreUnavailable,
    StuckNode,
    TerzettoError,
    UnknownRun,
)
from terzetto_protocol.inputs import (
    CancelRequested,
    CommitRefused,
    DeadlinePassed,
    Decided,
    Input,
    PauseRequested,
    ResumeRequested,
    StoreGaveUp,
    TimerFired,
    UndoRequested,
    WithdrawRequested,
)
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import due_barriers, name_barrier
from terzetto_protocol.receipts import CancelReceipt, PauseReceipt, Receipt, Submitted
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.statuses import TERMINAL, FailureCode, RunStatus
from terzetto_protocol.turn import Finish

from . import _faults
from ._answers import Answers
from ._carrying import Carrying
from ._errands import by_its_carrier
from ._heads import Heads, ThreadMoved
from ._history import Past
from ._hub import Hub
from ._persistence import Persistence
from ._pool import Pool
from ._precedence import Lines, Rank
from ._recovery import Recovery
from ._results import Result, result_of
from ._roster import Roster
from ._run import RunActor, RunStatistics
from ._run_services import Services
from ._stored_blobs import StoredBlobs
from ._stuck import OnStuck, StuckBodies, log_stuck
from ._timers import Timers
from .stores._contract import Store

_log: Final = logging.getLogger("terzetto")

UNDO_READS: Final = 5
"""How often a run's past is read anew because it went on while it was read."""


@frozen
class SupervisorStatistics:
    """What the supervisor says of itself."""

    live: int
    """Runs in memory."""
    carried: int
    """Runs with a task."""
    waiting: int
    """Runs that wait for a slot."""
    pool_size: int
    ended: int
    """Runs that came to a terminal status here."""
    timers: int
    """Parked runs with a deadline."""
    unclaimed: tuple[tuple[str, str], ...]
    """Runs that stay as they are, and why."""
    stuck: tuple[StuckNode, ...]
    """Nodes that ignored their cancel and still run, where they are now."""


class Supervisor:
    """Commands, timers of parked runs, drain."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        hub: Hub,
        persistence: Persistence,
        admission: Admission,
        clock: Callable[[], float],
        tasks: bool,
        blobs: StoredBlobs,
        on_stuck: OnStuck = log_stuck,
    ) -> None:
        self.store: Final = store
        self.blobs: Final = blobs
        self.admission: Final = admission
        self.clock: Final = clock
        self._persistence = persistence
        self._hub = hub
        self._stuck = StuckBodies(on_stuck)
        settle, settle_step = persistence.settler(), persistence.step_settler()
        services = Services(self, hub, persistence, clock, settle, settle_step, tasks, stuck=self._stuck, blobs=blobs)
        self._roster = Roster(store, registry, services, hub.catch_up)
        self._answers = Answers()
        self._lines = Lines()
        self._timers = Timers[str](clock)
        self.heads: Final = Heads(store, self._roster, clock, self.end)
        take = self.heads.take
        self._pool = Pool(
            admission, self._roster, clock, self._leave_alone, take, broke=self._claim_again, passivate=self._passivate
        )
        self._recovery = Recovery(
            store, self._roster, self._pool, admission, self._timers, next_on=self._next_on, doubt=persistence.doubt
        )
        self._nursery: trio.Nursery | None = None
        self._ahead: Final[dict[str, str]] = {}
        """Threads on which somebody may wait here, by the runs that do not live here and have to end first."""
        self._ended = 0
        hub.lives = self._roster.lives
        self.on_unkept: Callable[[str], None] = _nobody
        """Told of a run that has ended and is not to be kept; waits for nothing."""

    # -- the actor's own life --------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep runs until cancelled. A checkpoint. Whoever waits for an answer then gets `ActorStopped`."""
        nursery: trio.Nursery | None = None
        try:
            await self._persistence.settled()  # nobody may load a run before what was left on its way has landed
            await self._catch_up()
            async with trio.open_nursery() as nursery:
                if self._nursery is not None:
                    self._forget()  # a body that does not return keeps the incarnation before this one from doing so
                self._nursery = nursery
                self._roster.open()
                self._pool.open(self._nursery)
                await self._nursery.start(self._recovery.run)
                self._nursery.start_soon(self._timers.run, self._fire)
                self._nursery.start_soon(self._stuck.run)
                task_status.started()
                await trio.sleep_forever()
        finally:
            if self._nursery is nursery:
                self._nursery = None
                self._forget()

    def _forget(self) -> None:
        """Answer everybody who waits, and know nothing: the next incarnation reads the store."""
        self._answers.stopped()
        self._stuck.forget()
        self._roster.close()  # what does not leave now is looked for by the next incarnation
        self._pool.close()
        self._timers.clear()
        self._ahead.clear()

    async def _catch_up(self) -> None:
        """Have readers shown what was stored when the incarnation before this one could not tell any more."""
        for failures in count(1):
            try:
                await self._hub.catch_up_all()
            except StoreUnavailable:  # the persistence actor tells when it is back, and nobody is carried before that
                await trio.sleep(backoff(failures))
                self._persistence.doubt()
            else:
                return

    def store_changed(self) -> None:
        """The store went away or came back: look for runs that were left behind meanwhile. Not a checkpoint."""
        if self._persistence.available:
            self._recovery.look()

    @property
    def closing(self) -> bool:
        """Whether no new work is taken any more."""
        return self._pool.closing

    # -- submitting ------------------------------------------------------------------------------------------

    async def submit(self, machine: RunMachine[Any], first: Any, deps: Any) -> Submitted:
        """Make a new run durable and let it wait for a slot. A checkpoint.

        Cancelled, the run may or may not be there; submitting it again under the same id or key tells.

        Raises:
            QueueFull: every slot and every place in the queue is taken.
            RunConflict: the id or key belongs to a run with another graph or input.
            StoreUnavailable: the store is gone for now.
        """
        header = machine.fold.header
        self.check_open()
        if header.run_id in self._roster.live or header.run_id in self._roster.arriving:
            return await self._again(header)
        self.admission.promise()
        arrival = self._roster.arrive(machine, deps)
        arrival.actor.perform(first)
        return await arrival.slot.wait()

    async def _again(self, header: RunHeader) -> Submitted:
        arrival = self._roster.arriving.get(header.run_id)
        actor = self._roster.live[header.run_id] if arrival is None else arrival.actor
        same_run(header, actor.machine.fold.header)
        if arrival is not None:
            await arrival.slot.wait()
        await trio.lowlevel.checkpoint()
        return Submitted(header.run_id, self.store.durable, reused=True)

    def check_open(self) -> None:
        """Raise unless new work is taken. Not a checkpoint; raises as `submit`."""
        self._roster.check()
        if self.closing:
            raise ActorStopped("the runtime")
        if not self._persistence.available:
            raise StoreUnavailable("the store is gone for now: new work is refused, running work waits for it")

    # -- commands --------------------------------------------------------------------------------------------

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
        at, slot = self.clock(), self._may_go_on(command.run_id)
        msg = Decided(barrier, command.decision, command.source, at, command.command_id, slot=slot, keep=command.keep)
        return await self._command(actor, msg, command.command_id)

    async def _keep_blobs(self, command: Decide) -> None:
        """Have the run keep what the decision names: a commit that names anything else would be the end of the run."""
        for digest in named_in(msgspec.msgpack.encode(command.decision)):
            if not await self.blobs.keep(digest, command.run_id):
                raise InvalidRequest(f"run {command.run_id!r}: the decision names {digest}, and this store has no such")

    @by_its_carrier
    async def withdraw(self, command: Withdraw) -> Receipt:
        """Forget the decisions that are kept for a barrier; the answer is durable. A checkpoint."""
        actor = await self._lines.first(command.run_id, Rank.DECISION, self._roster.find)
        msg = WithdrawRequested(command.barrier, self.clock(), command.command_id)
        return await self._command(actor, msg, command.command_id)

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

    async def cancel(self, command: Cancel) -> CancelReceipt:
        """End a run, or roll its thread back; what is told is durable, but for `unknown`. A checkpoint."""
        self._roster.check()
        return await (self.heads.roll_back if command.mode == "rollback" else self.end)(command)

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
            await self.heads.refuse(actor.run_id)
        msg = CancelRequested(command.reason, self.clock(), command.command_id)
        receipt = await self._command(actor, msg, command.command_id)
        assert isinstance(receipt, CancelReceipt)
        return receipt

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

    async def _command(self, actor: RunActor, msg: Input, command_id: str) -> Receipt:
        with self._answers.receipt(command_id, actor.run_id) as slot:
            try:
                self._set_going(actor, msg)
                return await slot.wait()
            finally:
                self._passivate(actor)

    def _set_going(self, actor: RunActor, msg: Input) -> None:
        """Deliver something that may bring a parked run back to life."""
        actor.claim(msg)
        machine = actor.machine
        if machine.status is RunStatus.RUNNING and machine.owned and not machine.fenced:
            self.admission.take(actor.run_id)
            self._pool.carry(actor)

    def _may_go_on(self, run_id: str) -> bool:
        """Whether a run that is decided now need not wait for a slot."""
        return not self.closing and (self.admission.free or run_id in self.admission.holders)

    # -- what runs tell --------------------------------------------------------------------------------------

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
            if self.store.lease is not None:
                self._next_on(actor.machine.fold.header.thread)  # or when another owner has ended who is before it
            return
        self.admission.leave(actor.run_id)
        if not self.closing:
            self.admission.enqueue(actor.run_id, returning=arrival is None)

    def _let_go(self, actor: RunActor, status: RunStatus) -> None:
        run_id = actor.run_id
        self._roster.drop(actor)
        self.admission.leave(run_id)
        self._hub.idle(run_id, actor.machine.fold.image.epoch)
        self._timers.set(run_id, actor.machine.fold.deadline)
        if status in TERMINAL:
            self._answers.ended(run_id, result_of(actor.machine.fold))
            self._ahead.pop(run_id, None)
            if actor.machine.fold.header.thread:
                self._next_on(actor.machine.fold.header.thread)
            if actor.machine.fold.header.on_completion == "delete":
                self.on_unkept(run_id)

    def _next_on(self, thread: str) -> None:
        """A run on this thread has ended, or was left behind: have the next one admitted."""
        if self._nursery is not None:
            self._nursery.start_soon(self._admit_next, thread)

    async def _admit_next(self, thread: str) -> None:
        with suppress(StoreUnavailable, ActorStopped):  # the look that follows, or the next owner's, finds it
            first = await self.heads.front(thread)
            if first is None or self.closing:
                return
            if self.store.lease is not None and not self._roster.lives(first.run_id):
                self._ahead[first.run_id] = thread  # another owner may carry it
            if first.status is RunStatus.QUEUED:
                self.admission.enqueue(first.run_id, returning=False)
                self._pool.fill()

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
        self._answers.fail_ends(run_id, lambda: _anew(run_id, why))

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """Hand a receipt to whoever asked."""
        self._answers.reply(command_id, receipt)
        _passed("receipt_sent", receipt)

    def denied(self, command_id: str, error: Refused) -> None:
        """Hand a refusal to whoever asked."""
        self._answers.deny(command_id, error)

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
        self._turn_after(run_id)

    # -- timers ----------------------------------------------------------------------------------------------

    async def _fire(self, run_id: str) -> None:
        """Something happens by itself to a run that nobody carries: its barriers decide, or its time is over."""
        await trio.lowlevel.checkpoint()  # whoever is ready at this very moment goes before
        try:
            actor = await self._lines.first(run_id, Rank.TIMEOUT, self._roster.find)
        except StoreUnavailable:
            self._timers.set(run_id, self.clock() + LONGEST)  # it may be back then
            return
        except CarriedElsewhere:
            return  # its carrier has a timer of its own
        except TerzettoError as error:
            self._leave_alone(run_id, error)
            return
        slot = self._may_go_on(run_id)
        for barrier in due_barriers(actor.machine, self.clock()):
            try:
                self._set_going(actor, TimerFired(barrier, self.clock(), slot=slot))
            except Refused:
                continue  # somebody decided in this very moment, and was first
        ends_at = actor.machine.fold.ends_at
        if ends_at is not None and ends_at <= self.clock():
            self._set_going(actor, DeadlinePassed(self.clock()))
        self._passivate(actor)
        if due_barriers(actor.machine, self.clock()):
            self._timers.drop(run_id)  # it cannot be carried out, and would be tried without a pause

    # -- the end of runs -------------------------------------------------------------------------------------

    async def result(self, run_id: str) -> Result[Any]:
        """Wait for a run's end. A checkpoint; a cancelled wait changes nothing.

        Raises:
            UnknownRun: no run has this id.
            Refused: nobody here can carry it; the message says why.
        """
        self._roster.check()
        with self._answers.end(run_id) as slot:
            if not await self._roster.has(run_id):
                with suppress(CarriedElsewhere):  # its carrier ends it, and that is heard of
                    machine, _ = await self._roster.load(run_id)
                    if machine.status in TERMINAL:
                        return result_of(machine.fold)
            return await slot.wait()

    def live(self) -> list[str]:
        """The runs that have an actor here. Not a checkpoint."""
        return [*self._roster.live, *self._roster.arriving]

    def lost(self, row: RunRow) -> None:
        """Another owner of the store wrote this last: an actor that does not know that lets go of it.

        Not a checkpoint. Its next write would be refused; but it may make none for long, and its nodes run.
        """
        actor = self._roster.live.get(row.run_id)
        if actor is None:
            return
        if not actor.machine.owned:
            self._roster.drop(actor)  # it was only read to be asked something
        elif actor.machine.fold.image.epoch < row.epoch:
            stale = StaleEpoch(row.run_id, actor.machine.fold.image.epoch, row.epoch)
            actor.deliver(CommitRefused(actor.machine.fold.image.seq, str(stale), self.clock()))

    def awaited(self) -> list[str]:
        """The runs whose end somebody waits for, people or other runs, and that do not live here. Not a checkpoint."""
        return [run_id for run_id in (*self._answers.awaited, *self._ahead) if not self._roster.lives(run_id)]

    async def ended_elsewhere(self, run_id: str) -> None:
        """Another owner of the store has ended this run: tell those who wait. A checkpoint.

        Raises `StoreUnavailable`, and is called again then.
        """
        self._turn_after(run_id)
        if run_id not in self._answers.awaited:
            return
        try:
            machine, _ = await self._roster.load(run_id)
        except StoreUnavailable:
            raise
        except TerzettoError as error:
            why = error
            self._answers.fail_ends(run_id, lambda: _anew(run_id, why))
        else:
            if machine.status in TERMINAL:
                self._answers.ended(run_id, result_of(machine.fold))

    def _turn_after(self, run_id: str) -> None:
        """A run that another owner carried has ended: if somebody here waits behind it on a thread, that is next."""
        thread = self._ahead.pop(run_id, None)
        if thread is not None:
            self._next_on(thread)

    async def drain(self, deadline: float) -> None:
        """Refuse new work, let running work reach its commits, then interrupt what is left. A checkpoint.

        Args:
            deadline: seconds for running work.
        """
        self._pool.closing = True
        self._roster.halt(hard=False)
        with trio.move_on_after(deadline):
            await self._pool.until_quiet()
        if len(self._pool):
            self._roster.halt(hard=True)
            with trio.move_on_after(2 * CANCEL_GRACE):  # once for cleanup, and once to store how that ended
                await self._pool.until_quiet()

    def run_statistics(self, run_id: str) -> RunStatistics | None:
        """What a live run says of itself; None for one that is not in memory. Not a checkpoint."""
        actor = self._roster.live.get(run_id)
        return None if actor is None else actor.statistics()

    @contextmanager
    def watched(self, moved: Callable[[str], None]) -> Generator[None]:
        """Have `moved` called with each run that begins to live, comes to rest or is deleted. Not a checkpoint."""
        self._roster.watchers.append(moved)
        try:
            yield
        finally:
            self._roster.watchers.remove(moved)

    def stored(self) -> dict[str, int]:
        """The last commit of each live run that is stored. Not a checkpoint."""
        return {run_id: actor.machine.durable for run_id, actor in self._roster.live.items()}

    def statistics(self) -> SupervisorStatistics:
        """Numbers of this moment."""
        return SupervisorStatistics(
            live=len(self._roster.live),
            carried=len(self._pool),
            waiting=self.admission.waiting,
            pool_size=self.admission.pool_size,
            ended=self._ended,
            timers=len(self._timers),
            unclaimed=tuple(sorted(self._roster.unclaimed.items())),
            stuck=self._stuck.statistics(),
        )


def _anew(run_id: str, why: TerzettoError | str) -> TerzettoError:
    """Why a run is left alone, for one of those who wait for its end."""
    if isinstance(why, StoreDamaged):
        return StoreDamaged(why.store, why.run_id, why.place, why.reason)
    return Refused(run_id, str(why))


def _passed(point: str, what: object) -> None:
    if _faults.hook is not None:
        _faults.hook(point, what)


def _nobody(run_id: str) -> None:
    """Nobody wants to know."""
