"""The supervisor: which runs are live, who gets a slot, and what happens when they come to rest.

It owns the index of live runs, the admission queue and the nursery of the run tasks. It tells runs by
delivering inputs, and hears from them by the `Keeper` calls of their turns. What kills it (a bug in it,
or the persistence actor's death) takes its runs with it; they are claimed again by the next incarnation.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import trio
from attrs import define, field, frozen

from terzetto_protocol.admission import Admission, same_run
from terzetto_protocol.backoff import LONGEST
from terzetto_protocol.commands import Cancel, Decide, Resume
from terzetto_protocol.errors import (
    ActorStopped,
    Refused,
    RunConflict,
    StoreRejected,
    StoreUnavailable,
    TerzettoError,
    UnknownRun,
)
from terzetto_protocol.inputs import (
    CancelRequested,
    Claimed,
    Decided,
    Halted,
    Input,
    ResumeRequested,
    StoreGaveUp,
    TimerFired,
)
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import already_resolved, deadline_of, due_barriers, name_barrier
from terzetto_protocol.receipts import CancelReceipt, Receipt, Submitted
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.statuses import TERMINAL, FailureCode, RunStatus
from terzetto_protocol.turn import Finish

from . import _faults
from ._hub import Hub
from ._loading import load_fold
from ._mailbox import Slot
from ._persistence import Persistence
from ._results import Result, result_of
from ._run import RunActor, RunStatistics, Services
from ._timers import Timers
from .stores._contract import SettlingStore, Store

S = TypeVar("S")

RECOVERY_INTERVAL: Final = 30.0
"""Seconds between looks for runs that should be live and are not."""
_UNFINISHED: Final = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.CANCELLING, RunStatus.INTERRUPTED)


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


class _Arrival:
    """A run that is being submitted: nobody may touch it before it is durable."""

    def __init__(self, actor: RunActor) -> None:
        self.actor: Final = actor
        self.slot: Final[Slot[Submitted]] = Slot()

    async def settled(self) -> None:
        """Wait until it is durable or refused. A checkpoint."""
        with suppress(TerzettoError):  # whoever submitted it hears that
            await self.slot.wait()


_TIMEOUT, _DECISION, _CANCEL = range(3)


@define(eq=False)
class _Line:
    """Who is about to speak to a run: a cancel goes before a decision, and that before a timeout."""

    ranks: list[int] = field(factory=list[int])
    moved: trio.Event = field(factory=trio.Event)


class Supervisor:
    """Index, admission, recovery, timers, drain."""

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
    ) -> None:
        self.store: Final = store
        self.registry: Final = registry
        self.admission: Final = admission
        self.clock: Final = clock
        self._persistence = persistence
        self._hub = hub
        settle = store.settle if isinstance(store, SettlingStore) else None
        self._services = Services(self, hub, persistence, clock, settle, tasks)
        self.closing = False
        self._nursery: trio.Nursery | None = None
        self._actors: dict[str, RunActor] = {}
        self._carried: set[str] = set()
        self._loading: dict[str, trio.Event] = {}
        self._arriving: dict[str, _Arrival] = {}
        self._slots: dict[str, tuple[str, Slot[Receipt]]] = {}
        """The run and the slot of every command that is not answered yet, by the command's id."""
        self._enders: dict[str, list[Slot[Result[Any]]]] = {}
        self._unclaimed: dict[str, str] = {}
        self._lines: dict[str, _Line] = {}
        self._timers = Timers(clock)
        self._look = trio.Event()
        self._quiet = trio.Event()
        self._ended = 0
        self._filling = False

    # -- the actor's own life --------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep runs until cancelled. A checkpoint. Whoever waits for an answer then gets `ActorStopped`."""
        try:
            await self._persistence.settled()  # nobody may load a run before what was left on its way has landed
            async with trio.open_nursery() as self._nursery:
                await self._nursery.start(self._recover)
                self._nursery.start_soon(self._timers.run, self._fire)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._forget()

    def _forget(self) -> None:
        """Answer everybody who waits, and know nothing: the next incarnation reads the store."""
        waiting: list[Slot[Any]] = [arrival.slot for arrival in self._arriving.values()]
        waiting.extend(slot for _, slot in self._slots.values())
        waiting.extend(slot for slots in self._enders.values() for slot in slots)
        for slot in waiting:
            slot.fail(ActorStopped("the supervisor"))  # each its own: whoever raises it adds a traceback
        self._halt(hard=True)  # what is on its way still lands, and nothing follows it
        self._arriving, self._slots, self._enders = {}, {}, {}
        self._actors, self._carried = {}, set()
        self._timers.clear()
        self.admission.clear()

    def store_changed(self) -> None:
        """The store went away or came back: look for runs that were left behind meanwhile. Not a checkpoint."""
        if self._persistence.available:
            self._look.set()

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
        self._check_open()
        if header.run_id in self._actors or header.run_id in self._arriving:
            return await self._again(header)
        self.admission.promise()
        arrival = self._arriving[header.run_id] = _Arrival(RunActor(machine, deps, self._services))
        arrival.actor.perform(first)
        return await arrival.slot.wait()

    async def _again(self, header: RunHeader) -> Submitted:
        arrival = self._arriving.get(header.run_id)
        actor = self._actors[header.run_id] if arrival is None else arrival.actor
        same_run(header, actor.machine.fold.header)
        if arrival is not None:
            await arrival.slot.wait()
        await trio.lowlevel.checkpoint()
        return Submitted(header.run_id, self.store.durable, reused=True)

    def _check_open(self) -> None:
        self._check_alive()
        if self.closing:
            raise ActorStopped("the runtime")
        if not self._persistence.available:
            raise StoreUnavailable("the store is gone for now: new work is refused, running work waits for it")

    def _check_alive(self) -> None:
        if self._nursery is None:  # nobody would ever answer
            raise ActorStopped("the supervisor")

    # -- commands --------------------------------------------------------------------------------------------

    async def decide(self, command: Decide) -> Receipt:
        """Resolve a barrier; the answer is durable. A checkpoint; a cancelled call may have been heard.

        Raises:
            Refused: the barrier is not open, or does not take this decision; it keeps waiting.
            UnknownRun: no run has this id.
        """
        actor = await self._in_line(command.run_id, _DECISION)
        try:
            barrier = name_barrier(actor.machine, command.barrier)
        except Refused:
            self._passivate(actor)
            raise
        at, slot = self.clock(), self._may_go_on(command.run_id)
        msg = Decided(barrier, command.decision, command.source, at, command.command_id, slot=slot)
        return await self._command(actor, msg, command.command_id)

    async def cancel(self, command: Cancel) -> CancelReceipt:
        """End a run; `requested` and `stopped` are durable when they are told. A checkpoint."""
        self._check_alive()
        try:
            actor = await self._in_line(command.run_id, _CANCEL)
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
        msg = CancelRequested(command.reason, self.clock(), command.command_id)
        receipt = await self._command(actor, msg, command.command_id)
        assert isinstance(receipt, CancelReceipt)
        return receipt

    async def resume(self, command: Resume) -> Receipt:
        """Let a paused run go on; the answer is durable. A checkpoint."""
        actor = await self._in_line(command.run_id, _DECISION)
        return await self._command(actor, ResumeRequested(self.clock(), command.command_id), command.command_id)

    async def _in_line(self, run_id: str, rank: int) -> RunActor:
        """The run's actor, once nobody who goes before is about to speak to it; speak before the next checkpoint."""
        line = self._lines.setdefault(run_id, _Line())
        line.ranks.append(rank)
        try:
            actor = await self._actor(run_id)
            while max(line.ranks) > rank:
                await line.moved.wait()
                actor = await self._actor(run_id)
            return actor
        finally:
            line.ranks.remove(rank)
            line.moved.set()
            line.moved = trio.Event()
            if not line.ranks:
                self._lines.pop(run_id)

    async def _command(self, actor: RunActor, msg: Input, command_id: str) -> Receipt:
        _, slot = self._slots.setdefault(command_id, (actor.run_id, Slot()))
        try:
            self._set_going(actor, msg)
            return await slot.wait()
        finally:
            self._slots.pop(command_id, None)
            self._passivate(actor)

    def _set_going(self, actor: RunActor, msg: Input) -> None:
        """Deliver something that may bring a parked run back to life."""
        actor.claim(msg)
        machine = actor.machine
        if machine.status is RunStatus.RUNNING and machine.owned and not machine.fenced:
            self.admission.take(actor.run_id)
            self._carry(actor)

    def _may_go_on(self, run_id: str) -> bool:
        """Whether a run that is decided now need not wait for a slot."""
        return not self.closing and (self.admission.free or run_id in self.admission.holders)

    # -- what runs tell --------------------------------------------------------------------------------------

    def rested(self, actor: RunActor, finish: Finish) -> None:
        """A run came to rest: queue it, or let it go from memory."""
        run_id = actor.run_id
        if finish.fenced:
            self._fenced(actor, finish)
        elif finish.status is RunStatus.QUEUED:
            self._queued(actor)
        else:
            self._ended += finish.status in TERMINAL
            self._let_go(actor, finish.status)
        self._fill()
        if not self._carried and not self._actors.get(run_id):
            self._quiet.set()

    def _queued(self, actor: RunActor) -> None:
        arrival = self._arriving.pop(actor.run_id, None)
        if arrival is not None:
            self._actors[actor.run_id] = actor
            self.admission.keep_promise()
            arrival.slot.answer(Submitted(actor.run_id, self.store.durable))
            if _faults.hook is not None:
                _faults.hook("receipt_sent")
        self.admission.leave(actor.run_id)
        if not self.closing:
            self.admission.enqueue(actor.run_id, returning=arrival is None)

    def _let_go(self, actor: RunActor, status: RunStatus) -> None:
        run_id = actor.run_id
        if self._actors.get(run_id) is actor:
            del self._actors[run_id]
        self.admission.leave(run_id)
        self._hub.idle(run_id)
        if status is RunStatus.AWAITING_INPUT:
            self._timers.set(run_id, deadline_of(actor.machine))
        elif status in TERMINAL:
            self._timers.drop(run_id)
            result = result_of(actor.machine.fold)
            for slot in self._enders.pop(run_id, ()):
                slot.answer(result)

    def _fenced(self, actor: RunActor, finish: Finish) -> None:
        """The store refused a write of this run: forget what we know about it."""
        run_id = actor.run_id
        if self._actors.get(run_id) is actor:
            del self._actors[run_id]
            self.admission.leave(run_id)
            self._hub.idle(run_id)
        for asked, slot in self._slots.values():
            if asked == run_id:
                slot.fail(self._refusal(run_id, finish))
        failure = actor.machine.fold.image.failure
        if self._arrived(actor) is not None:
            self.admission.keep_promise()
            self._arriving.pop(run_id).slot.fail(self._refusal(run_id, finish))
        elif finish.final and failure is not None and failure.code == FailureCode.STORE_REJECTED:
            self._unclaimed[run_id] = finish.fenced  # even that it fails cannot be stored
        elif finish.final and self._nursery is not None:
            self._nursery.start_soon(self._give_up, run_id, finish.fenced)

    def _refusal(self, run_id: str, finish: Finish) -> TerzettoError:
        """What those are told who wait for a write that was refused."""
        if finish.final:
            return StoreRejected(finish.fenced)
        return ActorStopped("the persistence actor") if self._persistence.stopped else Refused(run_id, finish.fenced)

    async def _give_up(self, run_id: str, reason: str) -> None:
        """Fail a run whose write can never be stored. A checkpoint."""
        with suppress(TerzettoError):  # it has ended meanwhile, or the store is gone and the next look finds it
            actor = await self._actor(run_id)
            if not actor.machine.owned:
                actor.claim(StoreGaveUp(reason, self.clock()))

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """Hand a receipt to whoever asked."""
        if command_id in self._slots:
            self._slots[command_id][1].answer(receipt)
        if _faults.hook is not None:
            _faults.hook("receipt_sent")

    def denied(self, command_id: str, error: Refused) -> None:
        """Hand a refusal to whoever asked."""
        if command_id in self._slots:
            self._slots[command_id][1].fail(error)

    def taken(self, actor: RunActor, row: RunRow) -> None:
        """A submitted id or key is there already: the same run, or a conflict."""
        if self._arrived(actor) is None:
            return
        slot = self._arriving.pop(actor.run_id).slot
        self.admission.keep_promise()
        try:
            same_run(actor.machine.fold.header, row.header)
        except RunConflict as error:
            slot.fail(error)
        else:
            slot.answer(Submitted(row.run_id, self.store.durable, reused=True))

    def _arrived(self, actor: RunActor) -> "_Arrival | None":
        arrival = self._arriving.get(actor.run_id)
        return arrival if arrival is not None and arrival.actor is actor else None

    # -- slots -----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        if self._filling:
            return  # a claimed run came to rest at once: the loop below goes on with the next
        self._filling = True
        try:
            while self._nursery is not None and not self.closing and (run_id := self.admission.next()) is not None:
                actor = self._actors.get(run_id)
                if actor is not None:
                    self._claim(actor)
                else:
                    self._nursery.start_soon(self._load_and_claim, run_id)
        finally:
            self._filling = False

    def _claim(self, actor: RunActor) -> None:
        try:
            actor.claim(Claimed(self.clock()))
        except Refused:  # it was cancelled while it waited, and that is on its way to the store
            self.admission.leave(actor.run_id)
        else:
            self._carry(actor)

    def _carry(self, actor: RunActor) -> None:
        if self._nursery is not None and not actor.rested and not actor.carried:
            actor.carried = True
            self._carried.add(actor.run_id)
            self._nursery.start_soon(self._main, actor, name=f"run {actor.run_id}")

    async def _main(self, actor: RunActor) -> None:
        try:
            await actor.main()
        finally:
            actor.carried = False
            if self._actors.get(actor.run_id) in (actor, None):
                self._carried.discard(actor.run_id)
            if not self._carried:
                self._quiet.set()

    async def _load_and_claim(self, run_id: str) -> None:
        try:
            actor = await self._actor(run_id)
            if run_id in self.admission.holders and not (actor.carried or self.closing):
                self._claim(actor)
        except StoreUnavailable:
            self.admission.leave(run_id)  # the next look finds it again
        except TerzettoError as error:
            self._unclaimed[run_id] = str(error)
            self.admission.leave(run_id)
        self._fill()  # if its slot was not used, somebody else waits for it

    # -- memory ----------------------------------------------------------------------------------------------

    async def _actor(self, run_id: str) -> RunActor:
        """The run's actor, read from the store if it is not in memory. A checkpoint where it has to be read."""
        self._check_alive()
        while run_id not in self._actors:
            if run_id in self._arriving:  # it may be in the store already, and has an actor: there must not be two
                await self._arriving[run_id].settled()
                continue
            loading = self._loading.get(run_id)
            if loading is not None:
                await loading.wait()
                continue
            self._loading[run_id] = done = trio.Event()
            try:
                machine, deps = await self._load(run_id)
                self._check_alive()
                self._actors[run_id] = RunActor(machine, deps, self._services)
            finally:
                del self._loading[run_id]
                done.set()
        return self._actors[run_id]

    async def _load(self, run_id: str) -> tuple[RunMachine[Any], Any]:
        row = await self.store.run(run_id)
        if row is None:
            raise UnknownRun(run_id)
        bound = self.registry.find(row.header.graph, row.header.version)
        if bound is None:
            raise Refused(
                run_id, f"graph {row.header.graph!r} {row.header.version!r} is not known here; it stays as it is"
            )
        fold = await load_fold(self.store, row, bound.graph.build())
        settled = self._services.settle is not None
        self._unclaimed.pop(run_id, None)
        machine = RunMachine(fold, settled=settled, promises=self.store.durable)
        for barrier in await self.store.barriers(run_id, only_open=False):
            if (winner := already_resolved(barrier)) is not None:
                machine.resolved[barrier.barrier] = winner
        return machine, bound.deps

    def _passivate(self, actor: RunActor) -> None:
        """Let an actor go that was only read to be asked something."""
        machine = actor.machine
        waits_for_slot = machine.status in (RunStatus.QUEUED, RunStatus.INTERRUPTED)
        if machine.at_rest and not waits_for_slot and self._actors.get(actor.run_id) is actor:
            self._let_go(actor, machine.status)

    # -- recovery and timers ---------------------------------------------------------------------------------

    async def _recover(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """A loop, not a one-shot: what should be live and is not is claimed."""
        started = False
        while True:
            self._look = trio.Event()
            with suppress(StoreUnavailable):  # the persistence actor tells when it is back
                await self._look_once()
            if not started:
                started = True
                task_status.started()
            with trio.move_on_after(RECOVERY_INTERVAL):
                await self._look.wait()

    async def _look_once(self) -> None:
        for row in reversed(await self.store.runs(statuses=_UNFINISHED, limit=None)):
            actor = self._actors.get(row.run_id)
            carried = actor is not None and actor.machine.owned and not actor.machine.at_rest
            here = row.run_id in self._arriving or carried  # one that was only read to be asked something is nobody's
            if not (here or self.closing):
                self.admission.enqueue(row.run_id, returning=row.status is not RunStatus.QUEUED)
        for row in await self.store.runs(statuses=(RunStatus.AWAITING_INPUT,), limit=None):
            if row.timer is not None and row.run_id not in self._actors:
                self._timers.set(row.run_id, row.timer)
        self._fill()

    async def _fire(self, run_id: str) -> None:
        """A parked run's deadline has passed: its barriers decide by themselves."""
        await trio.lowlevel.checkpoint()  # whoever is ready at this very moment goes before
        try:
            actor = await self._in_line(run_id, _TIMEOUT)
        except StoreUnavailable:
            self._timers.set(run_id, self.clock() + LONGEST)  # it may be back then
            return
        except TerzettoError as error:
            self._unclaimed[run_id] = str(error)
            return
        slot = self._may_go_on(run_id)
        for barrier in due_barriers(actor.machine, self.clock()):
            try:
                self._set_going(actor, TimerFired(barrier, self.clock(), slot=slot))
            except Refused:
                continue  # somebody decided in this very moment, and was first
        self._passivate(actor)
        if due_barriers(actor.machine, self.clock()):
            self._timers.drop(run_id)  # it cannot be carried out, and would be tried without a pause

    # -- the end of runs -------------------------------------------------------------------------------------

    async def result(self, run_id: str) -> Result[Any]:
        """Wait for a run's end. A checkpoint; a cancelled wait changes nothing.

        Raises:
            UnknownRun: no run has this id.
        """
        self._check_alive()
        slot: Slot[Result[Any]] = Slot()
        self._enders.setdefault(run_id, []).append(slot)
        try:
            if run_id not in self._actors:
                row = await self.store.run(run_id)
                if row is None:
                    raise UnknownRun(run_id)
                if row.status in TERMINAL:
                    machine, _ = await self._load(run_id)
                    return result_of(machine.fold)
            return await slot.wait()
        finally:
            slots = self._enders.get(run_id, [])
            if slot in slots:
                slots.remove(slot)
            if not slots:
                self._enders.pop(run_id, None)

    async def drain(self, deadline: float) -> None:
        """Refuse new work, let running work reach its commits, then interrupt what is left. A checkpoint.

        Args:
            deadline: seconds for running work.
        """
        self.closing = True
        self._halt(hard=False)
        with trio.move_on_after(deadline):
            await self._until_quiet()
        if self._carried:
            self._halt(hard=True)
            with trio.move_on_after(CANCEL_GRACE):
                await self._until_quiet()

    def _halt(self, *, hard: bool) -> None:
        for actor in list(self._actors.values()):
            actor.deliver(Halted("the runtime is shutting down", self.clock(), hard=hard))

    async def _until_quiet(self) -> None:
        while self._carried:
            self._quiet = trio.Event()
            await self._quiet.wait()

    def run_statistics(self, run_id: str) -> RunStatistics | None:
        """What a live run says of itself; None for one that is not in memory. Not a checkpoint."""
        actor = self._actors.get(run_id)
        return None if actor is None else actor.statistics()

    def statistics(self) -> SupervisorStatistics:
        """Numbers of this moment."""
        return SupervisorStatistics(
            live=len(self._actors),
            carried=len(self._carried),
            waiting=self.admission.waiting,
            pool_size=self.admission.pool_size,
            ended=self._ended,
            timers=len(self._timers),
            unclaimed=tuple(sorted(self._unclaimed.items())),
        )
