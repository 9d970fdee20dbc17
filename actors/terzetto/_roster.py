"""The roster: which runs are in memory.

It owns the index of live runs, of those that arrive (submitted, and not durable yet) and of those that
are being read from the store, so that a run never has two actors. It is open as long as its supervisor
lives; closing it halts every run, whose last writes still land, and forgets them.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import trio

from terzetto_protocol.errors import ActorStopped, TerzettoError, UnknownRun
from terzetto_protocol.inputs import Halted
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.receipts import Submitted
from terzetto_protocol.registry import Registry

from ._loading import load_machine
from ._mailbox import Slot
from ._run import RunActor
from ._run_services import Services
from .stores._contract import Store


class Arrival:
    """A run that is being submitted: nobody may touch it before it is durable."""

    def __init__(self, actor: RunActor) -> None:
        self.actor: Final = actor
        self.slot: Final[Slot[Submitted]] = Slot()

    async def settled(self) -> None:
        """Wait until it is durable or refused. A checkpoint."""
        with suppress(TerzettoError):  # whoever submitted it hears that
            await self.slot.wait()


class Roster:
    """Every run that has an actor.

    Args:
        store: where runs are read.
        registry: the graphs that carry them.
        services: what their actors share.
        catch_up: `await catch_up(run_id, event_id)` has readers shown what a run has told by now, before it goes on.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        services: Services,
        catch_up: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._catch_up: Final = catch_up
        self._store: Final = store
        self._registry: Final = registry
        self._services: Final = services
        self._open = False
        self.live: Final[dict[str, RunActor]] = {}
        self.arriving: Final[dict[str, Arrival]] = {}
        self.unclaimed: Final[dict[str, str]] = {}
        """Runs that nobody here can carry, and why."""
        self._loading: Final[dict[str, trio.Event]] = {}
        self.watchers: Final[list[Callable[[str], None]]] = []
        """Told of each run that begins to live, comes to rest or is deleted; they wait for nothing."""

    def open(self) -> None:
        """Take runs. Not a checkpoint."""
        self._open = True

    def close(self) -> None:
        """Halt and forget every run. Not a checkpoint; twice is once."""
        self._open = False
        for arrival in self.arriving.values():
            arrival.slot.fail(ActorStopped("the supervisor"))
        self.halt(hard=True)  # what is on its way still lands, and nothing follows it
        self.arriving.clear()
        self.live.clear()

    def check(self) -> None:
        """Raise `ActorStopped` where nobody would ever answer."""
        if not self._open:
            raise ActorStopped("the supervisor")

    def halt(self, *, hard: bool) -> None:
        """Tell every run to stop where it stands. Not a checkpoint."""
        for actor in list(self.live.values()):
            actor.deliver(Halted("the runtime is shutting down", self._services.clock(), hard=hard))

    # -- runs that arrive ------------------------------------------------------------------------------------

    def arrive(self, machine: RunMachine[Any], deps: Any) -> Arrival:
        """Make the actor of a new run; nobody else gets at it until `settle_in`."""
        arrival = self.arriving[machine.run_id] = Arrival(RunActor(machine, deps, self._services))
        if (reading := self._loading.pop(machine.run_id, None)) is not None:
            reading.set()  # what is read may be this very run, which has its actor now: there must not be two
        return arrival

    def arrived(self, actor: RunActor) -> Arrival | None:
        """Take the arrival of this very actor off the list; None when it was not arriving."""
        arrival = self.arriving.get(actor.run_id)
        if arrival is None or arrival.actor is not actor:
            return None
        return self.arriving.pop(actor.run_id)

    async def settled_on(self, thread: str) -> None:
        """Wait until no run is being submitted on this thread, but durable or refused. A checkpoint where one is."""
        for arrival in [one for one in self.arriving.values() if one.actor.machine.fold.header.thread == thread]:
            await arrival.settled()

    def settle_in(self, actor: RunActor) -> None:
        """A new run is durable: it lives."""
        self.live[actor.run_id] = actor
        self._tell(actor.run_id)

    # -- runs that live --------------------------------------------------------------------------------------

    async def find(self, run_id: str) -> RunActor:
        """The run's actor, read from the store if it is not in memory. A checkpoint where it has to be read.

        Raises:
            UnknownRun: no run has this id.
            Refused: no graph here can carry it.
        """
        self.check()
        while run_id not in self.live:
            if run_id in self.arriving:  # it may be in the store already, and has an actor: there must not be two
                await self.arriving[run_id].settled()
            elif run_id in self._loading:
                await self._loading[run_id].wait()
            else:
                await self._read(run_id)
        return self.live[run_id]

    async def _read(self, run_id: str) -> None:
        self._loading[run_id] = done = trio.Event()
        try:
            machine, deps = await self.load(run_id)
            if done.is_set():
                return  # it was submitted meanwhile, and its actor tells what it does
            await self._catch_up(run_id, machine.fold.image.event_id)
            self.check()
            if done.is_set():
                return
            if self._loading.get(run_id) is not done:
                raise UnknownRun(run_id)  # it was deleted meanwhile, and what has its id now is another run
            self.live[run_id] = RunActor(machine, deps, self._services)
            self.unclaimed.pop(run_id, None)
        finally:
            if self._loading.get(run_id) is done:
                del self._loading[run_id]
            done.set()

    async def load(self, run_id: str) -> tuple[RunMachine[Any], Any]:
        """A run as the store has it, and its deps; without an actor. A checkpoint; raises as `find`."""
        return await load_machine(self._store, self._registry, run_id, settled=self._services.settle is not None)

    async def has(self, run_id: str) -> bool:
        """Whether the run lives; of one that arrives, once that is settled. A checkpoint where it arrives."""
        if run_id in self.arriving:
            await self.arriving[run_id].settled()
        return run_id in self.live

    def lives(self, run_id: str) -> bool:
        """Whether the run has an actor."""
        return run_id in self.live or run_id in self.arriving

    def holds(self, actor: RunActor) -> bool:
        """Whether this very actor is the run's."""
        return self.live.get(actor.run_id) is actor

    def drop(self, actor: RunActor) -> None:
        """Let an actor go."""
        if self.holds(actor):
            del self.live[actor.run_id]
            self._tell(actor.run_id)

    def forget(self, run_id: str) -> None:
        """A run that had ended was deleted: let go of an actor that was only read to be asked something."""
        self.live.pop(run_id, None)
        self._loading.pop(run_id, None)
        self._tell(run_id)

    def _tell(self, run_id: str) -> None:
        for watcher in self.watchers:
            watcher(run_id)
