"""The pool: which runs have a task.

It owns the slots and the tasks of the runs that hold one. A slot that comes free goes to the next run of
the admission queue, which is claimed from memory or read from the store first.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from terzetto_protocol.admission import Admission
from terzetto_protocol.errors import CarriedElsewhere, Refused, StoreUnavailable, TerzettoError
from terzetto_protocol.inputs import Claimed, Input
from terzetto_protocol.records import Taken
from terzetto_protocol.statuses import RunStatus

from ._carrying import Carrying
from ._left_open import close_left_open
from ._roster import Roster
from ._run import RunActor

LeaveAlone = Callable[[str, TerzettoError], None]
Take = Callable[[RunActor], Awaitable[Taken | None]]


class Pool:
    """Slots and tasks of runs."""

    def __init__(
        self,
        admission: Admission,
        roster: Roster,
        clock: Callable[[], float],
        leave_alone: LeaveAlone,
        take: Take,
        *,
        broke: Callable[[str], None],
        passivate: Callable[[RunActor], None],
    ) -> None:
        self._admission: Final = admission
        self._roster: Final = roster
        self._clock: Final = clock
        self._leave_alone: Final = leave_alone
        self._take: Final = take
        self._broke: Final = broke
        """Told when the task of a run that broke off has ended."""
        self._passivate: Final = passivate
        """Lets a run go from memory that has nothing to do there."""
        self._nursery: trio.Nursery | None = None
        self._carried: set[str] = set()
        self._filling = False
        self._quiet = trio.Event()
        self.closing = False
        """Whether no run gets a slot any more."""

    def __len__(self) -> int:
        return len(self._carried)

    def open(self, nursery: trio.Nursery) -> None:
        """Carry runs in this nursery. Not a checkpoint."""
        self._nursery = nursery

    def close(self) -> None:
        """Forget who had a slot and who waited for one. Not a checkpoint."""
        self._nursery = None
        self._carried = set()
        self._admission.clear()

    def fill(self) -> None:
        """Give free slots to those that wait. Not a checkpoint."""
        if self._filling:
            return  # a claimed run came to rest at once: the loop below goes on with the next
        self._filling = True
        try:
            while self._nursery is not None and not self.closing and (run_id := self._admission.next()) is not None:
                actor = self._roster.live.get(run_id)
                if actor is not None and not actor.machine.fold.takes_head:
                    self._claim(actor)
                else:
                    self._nursery.start_soon(self._load_and_claim, run_id)
        finally:
            self._filling = False

    async def _load_and_claim(self, run_id: str) -> None:
        try:
            actor = await self._roster.find(run_id)
            taken = await self._take(actor) if actor.machine.fold.takes_head else None
            if not self._roster.holds(actor):  # it was let go of meanwhile: the next look finds whose it is
                self._admission.leave(run_id)
            elif run_id in self._admission.holders and not (actor.carried or self.closing):
                self._claim(actor, taken)
            else:
                self._passivate(actor)
        except (StoreUnavailable, CarriedElsewhere):
            self._admission.leave(run_id)  # the next look finds it again, or its carrier goes on with it
        except TerzettoError as error:
            self._leave_alone(run_id, error)
            self._admission.leave(run_id)
        self.fill()  # if its slot was not used, somebody else waits for it

    def _claim(self, actor: RunActor, taken: Taken | None = None) -> None:
        try:
            actor.claim(Claimed(self._clock(), taken))
        except Refused:  # it was cancelled while it waited, and that is on its way to the store; or it has ended
            self._admission.leave(actor.run_id)
            self._passivate(actor)
        else:
            self.carry(actor)

    def carry(self, actor: RunActor) -> None:
        """Give the run a task, if it has none and needs one. Not a checkpoint."""
        if self._nursery is not None and not actor.rested and not actor.carried:
            actor.carried = True
            self._carried.add(actor.run_id)
            self._nursery.start_soon(self._main, actor, name=f"run {actor.run_id}")

    def set_going(self, actor: RunActor, msg: Input) -> None:
        """Deliver something that may bring a parked run back to life. Not a checkpoint; raises as `claim`."""
        actor.claim(msg)
        machine = actor.machine
        if machine.status is RunStatus.RUNNING and machine.owned and not machine.fenced:
            self._admission.take(actor.run_id)
            self.carry(actor)

    def may_go_on(self, run_id: str) -> bool:
        """Whether a run that is decided now need not wait for a slot."""
        return not self.closing and (self._admission.free or run_id in self._admission.holders)

    def leave_behind(self, actor: Carrying) -> None:
        """Count a run that rests as one without a task, though a body of it may not have returned. Not a checkpoint."""
        if self._roster.live.get(actor.run_id) in (actor, None):  # else another one carries the run by now
            self._carried.discard(actor.run_id)
        if not self._carried:
            self._quiet.set()

    async def _main(self, actor: RunActor) -> None:
        try:
            await actor.main()
            if trio.lowlevel.current_task().child_nurseries:
                await close_left_open()
        finally:
            actor.carried = False
            self.leave_behind(actor)
            if actor.broken:
                self._broke(actor.run_id)

    async def until_quiet(self) -> None:
        """Wait until no run has a task. A checkpoint, where one has."""
        while self._carried:
            self._quiet = trio.Event()
            await self._quiet.wait()
