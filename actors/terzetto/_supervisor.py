"""The supervisor: which runs are live, who gets a slot, and what happens when they come to rest.

It owns the roster, the pool, the timers and the nursery of them all. Runs are told things by its steering, which
delivers inputs; its keeping hears from them by the `Keeper` calls of their turns. What kills it (a bug in it, or the
persistence actor's death) takes its runs with it; they are claimed again by the next incarnation.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Final

import trio
from attrs import frozen

from terzetto_protocol.admission import Admission, same_run
from terzetto_protocol.backoff import backoff
from terzetto_protocol.errors import ActorStopped, CarriedElsewhere, StoreUnavailable, StuckNode
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.receipts import Submitted
from terzetto_protocol.records import RunHeader
from terzetto_protocol.registry import Registry
from terzetto_protocol.statuses import TERMINAL

from ._elsewhere import Elsewhere
from ._hub import Hub
from ._keeping import Keeping
from ._persistence import Persistence
from ._results import Result, result_of
from ._roster import Roster
from ._run import RunStatistics
from ._run_services import Services
from ._steering import Steering
from ._stored_blobs import StoredBlobs
from ._stuck import OnStuck, StuckBodies, log_stuck
from .stores._contract import Store


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


class Supervisor(Keeping):
    """A life as an actor, new runs, the ends of runs, drain."""

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
        self.blobs: Final = blobs
        self._stuck = StuckBodies(on_stuck)
        settle, settle_step = persistence.settler(), persistence.step_settler()
        services = Services(self, hub, persistence, clock, settle, settle_step, tasks, stuck=self._stuck, blobs=blobs)
        roster = Roster(store, registry, services, hub.catch_up)
        super().__init__(store, roster, hub=hub, persistence=persistence, admission=admission, clock=clock)
        self.steering: Final = Steering(
            store,
            roster,
            self._pool,
            self._answers,
            self._timers,
            heads=self.heads,
            blobs=blobs,
            clock=clock,
            leave_alone=self._leave_alone,
            passivate=self._passivate,
        )
        self.elsewhere: Final = Elsewhere(roster, self._answers, self._succession, clock)
        hub.lives = roster.lives

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
                self._pool.open(nursery)
                self._succession.open(nursery)
                await nursery.start(self._recovery.run)
                nursery.start_soon(self._timers.run, self.steering.come_due)
                nursery.start_soon(self._stuck.run)
                task_status.started()
                await trio.sleep_forever()
        finally:
            if self._nursery is nursery:
                self._nursery = None
                self._forget()

    def _forget(self) -> None:
        """Answer everybody who waits, and know nothing: the next incarnation reads the store."""
        self._succession.close()
        self._answers.stopped()
        self._stuck.forget()
        self._roster.close()  # what does not leave now is looked for by the next incarnation
        self._pool.close()
        self._timers.clear()

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
