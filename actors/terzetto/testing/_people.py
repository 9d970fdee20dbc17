"""The people of a simulation: they submit, decide, cancel and read, hear answers, and remember what was promised."""

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from terzetto_protocol.commands import Command
from terzetto_protocol.errors import (
    HeadMissing,
    InvalidRequest,
    QueueFull,
    RunConflict,
    StoreUnavailable,
    TerzettoError,
    ThreadBusy,
    describe,
)
from terzetto_protocol.receipts import Receipt, Submitted
from terzetto_protocol.records import BarrierRow, Posted
from terzetto_protocol.statuses import RunStatus

from .._inbox import COMMANDS, RECEIPTS
from ._reader import Reader
from ._scenario import Act, Person, Submission
from ._simulated_store import SimulatedStore
from ._told import told, told_end

if TYPE_CHECKING:
    from .._handles import Run
    from .._runtime import Runtime
    from ._simulation import Simulation

T = TypeVar("T")

_PATIENCE: Final = 20.0
"""Seconds for which somebody waits for an answer."""
_SILENCE: Final = 5.0
"""Seconds after which a reader looks elsewhere, where two processes may believe that the store is theirs."""
_IN_VAIN: Final = (RunConflict, ThreadBusy, HeadMissing, InvalidRequest)
"""What a submit comes to that would come to the same again."""
_PAUSE: Final = 0.5
"""Seconds before somebody tries again, or looks again."""


class People:
    """Everybody outside of the processes."""

    def __init__(self, world: "Simulation") -> None:
        self._world: Final = world
        self.readers: Final[dict[str, Reader]] = {}
        self.said = 0
        """How many acts are over, answered or not."""
        self._given_up: Final[set[str]] = set()

    # -- what they do ----------------------------------------------------------------------------------------

    async def submit(self, wish: Submission) -> None:
        """Submit, until there is an answer. A checkpoint."""
        await trio.sleep_until(wish.at)
        goes_on = "thread" in wish.options
        while not self.is_done(wish.run_id):
            try:
                call = partial(_submit, wish, goes_on=goes_on)
                run = await self._ask("ann", f"submits {wish.run_id}", call, raises=_IN_VAIN)
            except HeadMissing:
                goes_on = False
            except (ThreadBusy, RunConflict, InvalidRequest) as error:
                self._gives_up(wish, error)
            else:
                if run is not None:
                    self._hears("ann", Submitted(run.run_id, durable=True, reused=run.reused))
                    return
                await trio.sleep(_PAUSE)

    def _gives_up(self, wish: Submission, error: ThreadBusy | RunConflict | InvalidRequest) -> None:
        """A thread is busy with what may not be forgotten, or a try that nobody answered was of an older version."""
        world, run_id = self._world, wish.run_id
        if isinstance(error, RunConflict):
            fine = bool(world.scenario.releases) and run_id in world.ledger.logs
        elif isinstance(error, ThreadBusy):
            fine = world.ledger.threads.knows(error.thread, error.run_id)
        else:
            fine = "thread" in wish.options
        world.ledger.check(run_id, fine, describe(error))
        world.trace.say("ann", f"submits {wish.run_id}, and leaves it at that: {describe(error)}")
        self._given_up.add(wish.run_id)

    def is_done(self, run_id: str) -> bool:
        """Whether nobody tries to submit this run any more. Not a checkpoint."""
        return run_id in self.readers or run_id in self._given_up

    async def act(self, act: Act) -> None:
        """Say something once. A checkpoint."""
        await trio.sleep_until(act.at)
        receipt = await self._say(act)
        self.said += 1
        if receipt is not None:
            self._hears(act.who, receipt)

    async def _say(self, act: Act) -> Receipt | None:
        command, what = act.command, f"{type(act.command).__name__.lower()}s {act.command.run_id}"
        if act.way == "inbox":
            return await self._post(act.who, what, command)
        if act.way == "desk":
            return await self._ask(act.who, what, lambda runtime: runtime.ask(command))
        return await self._ask(act.who, what, lambda runtime: runtime.carry_out(command))

    async def decide(self, person: Person, dice: Random) -> None:
        """Look at open barriers and paused runs again and again. A checkpoint, until cancelled."""
        await trio.sleep_until(person.since)
        while trio.current_time() < person.until:
            await trio.sleep(person.every * (0.5 + dice.random()))
            logs = self._world.ledger.logs.values()
            if any(log.open for log in logs):  # else there is nothing to look at, and looking takes time
                for row in await self._ask("", "", lambda runtime: runtime.store.barriers()) or ():
                    await self._decide(person, row, dice)
            if any(log.status == "PAUSED" for log in logs):
                for run in await self._ask("", "", lambda runtime: runtime.runs(statuses=[RunStatus.PAUSED])) or ():
                    await self._resume(person, run.run_id)

    async def _decide(self, person: Person, row: BarrierRow, dice: Random) -> None:
        decision = person.choose(row, dice)
        if decision is None:
            return
        receipt = await self._ask(
            person.name, f"decides {row.run_id} {row.barrier}: {type(decision).__name__}",
            lambda runtime: runtime.decide(row.run_id, row.barrier, decision, source=person.name),
        )  # fmt: skip
        if receipt is not None:
            self._hears(person.name, receipt)

    async def _resume(self, person: Person, run_id: str) -> None:
        receipt = await self._ask(person.name, f"resumes {run_id}", lambda runtime: runtime.resume(run_id))
        if receipt is not None:
            self._hears(person.name, receipt)

    async def wait(self, run_id: str) -> None:
        """Wait for a run's end, wherever it is. A checkpoint."""
        logs = self._world.ledger.logs
        log = logs.get(run_id)
        while log is not None and logs.get(run_id) is log:  # else it was deleted
            result = await self._ask("", "", lambda runtime: runtime.get(run_id).result(), patience=1e9)
            if result is not None:
                if logs.get(run_id) is log:
                    told_end(self._world.ledger, result)
                return
            await trio.sleep(_PAUSE)

    async def read(self, reader: Reader) -> None:
        """Read a run's events to the end, wherever they are. A checkpoint."""
        logs = self._world.ledger.logs
        log = logs.get(reader.run_id)
        while not reader.ended and logs.get(reader.run_id) is log:
            await self._ask("", "", reader.follow, patience=1e9)
            if not reader.ended:
                await trio.sleep(_PAUSE)

    # -- how they do it --------------------------------------------------------------------------------------

    async def _ask(
        self,
        who: str,
        what: str,
        call: "Callable[[Runtime], Awaitable[T]]",
        patience: float = _PATIENCE,
        raises: tuple[type[TerzettoError], ...] = (),
    ) -> T | None:
        """What a process that is up answers; None where there is no answer. A checkpoint; raises what it is told to."""
        life = await self._world.somebody()
        try:
            answer = await life.ask(call, patience)
        except TerzettoError as error:
            if isinstance(error, raises) and life.alive:
                raise
            if who and life.alive:
                kind = "has no luck" if isinstance(error, StoreUnavailable | QueueFull) else "is refused"
                self._world.trace.say(who, f"{what}, and {kind}: {describe(error)}")
            return None
        if who and answer is None:
            self._world.trace.say(who, f"{what}, and hears nothing")
        return answer

    async def _post(self, who: str, what: str, command: Command) -> Receipt | None:
        """Leave a command in the store, as another process, and wait for the receipt. A checkpoint."""
        world = self._world
        body = COMMANDS.pack(command)
        async with SimulatedStore(world.disk, guest=True, name=who) as store:
            await store.post(Posted(command.command_id, command.run_id, body, world.now()))
            world.trace.say(who, f"leaves a note: {what}")
            with trio.move_on_after(_PATIENCE):
                while True:
                    await trio.sleep(_PAUSE)
                    receipt = await store.receipt(command.command_id)
                    if receipt is not None:
                        return RECEIPTS.unpack(receipt)
        world.trace.say(who, f"{what}, and finds no receipt")
        return None

    def _hears(self, who: str, receipt: Receipt) -> None:
        world = self._world
        shown = f"is told: {receipt}"
        world.trace.say(who, shown)
        told(world.ledger, receipt)
        if isinstance(receipt, Submitted) and receipt.run_id not in self.readers:
            reader = self.readers[receipt.run_id] = Reader(
                receipt.run_id, world.ledger, world.shown, _SILENCE if world.may_split else inf
            )
            world.nursery.start_soon(self.read, reader)
            world.nursery.start_soon(self.wait, receipt.run_id)


async def _submit(wish: Submission, runtime: "Runtime", *, goes_on: bool) -> "Run[Any]":
    """Submit to this process, which has its own version of the graph; `goes_on` without a state of one's own."""
    graph = runtime.registry.latest(wish.graph).graph
    if goes_on:
        return await runtime.submit(graph, run_id=wish.run_id, **wish.options)
    state = wish.state(graph) if callable(wish.state) else wish.state
    return await runtime.submit(graph, state, run_id=wish.run_id, **wish.options)
