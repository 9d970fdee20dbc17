"""The people of a simulation: they submit, decide, cancel and read, hear answers, and remember what was promised."""

from collections.abc import Awaitable, Callable
from math import inf
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from terzetto_protocol.commands import Command
from terzetto_protocol.errors import QueueFull, RunConflict, StoreUnavailable, TerzettoError, describe
from terzetto_protocol.receipts import Receipt, Submitted
from terzetto_protocol.records import BarrierRow, Posted
from terzetto_protocol.statuses import RunStatus

from .._inbox import COMMANDS, RECEIPTS
from ._reader import Reader
from ._scenario import Act, Person, Submission
from ._simulated_store import SimulatedStore
from ._told import told, told_end

if TYPE_CHECKING:
    from .._runtime import Runtime
    from ._simulation import Simulation

T = TypeVar("T")

_PATIENCE: Final = 20.0
"""Seconds for which somebody waits for an answer."""
_SILENCE: Final = 5.0
"""Seconds after which a reader looks elsewhere, where two processes may believe that the store is theirs."""
_PAUSE: Final = 0.5
"""Seconds before somebody tries again, or looks again."""


class People:
    """Everybody outside of the processes."""

    def __init__(self, world: "Simulation") -> None:
        self._world: Final = world
        self.readers: Final[dict[str, Reader]] = {}

    # -- what they do ----------------------------------------------------------------------------------------

    async def submit(self, wish: Submission) -> None:
        """Submit, until there is an answer. A checkpoint."""
        await trio.sleep_until(wish.at)
        graph = self._world.graph(wish.graph)
        state = wish.state(graph) if callable(wish.state) else wish.state
        while True:
            run = await self._ask(
                "ann", f"submits {wish.run_id}",
                lambda runtime: runtime.submit(graph, state, run_id=wish.run_id, **wish.options),
            )  # fmt: skip
            if run is not None:
                self._hears("ann", Submitted(run.run_id, durable=True, reused=run.reused))
                return
            await trio.sleep(_PAUSE)

    async def act(self, act: Act) -> None:
        """Say something once. A checkpoint."""
        await trio.sleep_until(act.at)
        command, what = act.command, f"{type(act.command).__name__.lower()}s {act.command.run_id}"
        if act.way == "inbox":
            receipt = await self._post(act.who, what, command)
        elif act.way == "desk":
            receipt = await self._ask(act.who, what, lambda runtime: runtime.ask(command))
        else:
            receipt = await self._ask(act.who, what, lambda runtime: runtime.carry_out(command))
        if receipt is not None:
            self._hears(act.who, receipt)

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
        while True:
            result = await self._ask("", "", lambda runtime: runtime.get(run_id).result(), patience=1e9)
            if result is not None:
                told_end(self._world.ledger, result)
                return
            await trio.sleep(_PAUSE)

    async def read(self, reader: Reader) -> None:
        """Read a run's events to the end, wherever they are. A checkpoint."""
        while not reader.ended:
            await self._ask("", "", reader.follow, patience=1e9)
            if not reader.ended:
                await trio.sleep(_PAUSE)

    # -- how they do it --------------------------------------------------------------------------------------

    async def _ask(
        self, who: str, what: str, call: "Callable[[Runtime], Awaitable[T]]", patience: float = _PATIENCE
    ) -> T | None:
        """What a process that is up answers; None where there is no answer. A checkpoint."""
        life = await self._world.somebody()
        try:
            answer = await life.ask(call, patience)
        except TerzettoError as error:
            if isinstance(error, RunConflict):
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
