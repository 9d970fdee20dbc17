"""Simulation: a whole world in virtual time, in which everything that is left to chance comes from one seed."""

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

import trio

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.errors import TerzettoError, describe
from terzetto_protocol.graph import Bound, unbind
from terzetto_protocol.limits import POOL_SIZE

from .. import _faults
from .._chance import load_dice
from .._clock import set_virtual_clock
from .._hub import Hub
from .._loading import load_fold
from .._opening import open_runtime
from ._hearing import Hearing
from ._ledger import Ledger
from ._life import Life
from ._logged import listening
from ._people import People
from ._plan import FaultPlan
from ._reader import Bytes, Reader
from ._scenario import Crash, CrashAt, Fault, Freeze, Restart, Scenario
from ._scheduling import seeded_schedule
from ._scribe import Scribe
from ._simulated_luck import Trouble, Weather
from ._simulated_store import SimulatedDisk, SimulatedStore
from ._trace import Trace
from ._world import LIFE, World

if TYPE_CHECKING:
    from .._runtime import Runtime

BEGINNING: Final = 1_700_000_000.0
"""UNIX time at which every simulation begins, seconds."""
_LOOK: Final = 0.5
"""Seconds between two looks whether everything rests."""
_CATCH_UP: Final = 60.0
"""Seconds that readers and sinks have to hear of an end."""


def simulate(scenario: Scenario, seed: int) -> "Simulation":
    """Run a world to its end, and say what happened and which promises were broken; the same seed does the same again.

    The whole tree runs: supervisor, runs, nodes, persistence and hub, over a simulated store. Time is virtual, so that
    nobody waits. Must not be called inside of `trio.run`, nor while another thread is in there. What it cannot
    simulate are threads: nodes that are plain functions, unless `thread=False`, have no place in it.

    Args:
        scenario: what happens.
        seed: decides everything that the scenario leaves open: the order of tasks, how long the store takes, what a
            crash leaves of writes that were under way, and what nodes and people draw from their dice.
    """
    from trio.testing import MockClock  # it loads pytest, if that is there

    simulation = Simulation(scenario, seed)
    before, collects = _faults.hook, gc.isenabled()
    gc.disable()  # a finaliser would run at a moment that depends on what this process did before
    try:
        with seeded_schedule(seed), listening(simulation.complain):
            trio.run(simulation.run, clock=MockClock(autojump_threshold=0))
    except Exception as error:  # noqa: BLE001 - whatever the world comes to is its result
        simulation.error = error
        simulation.complain(f"something was raised that nobody caught: {_leaves(error)}")
    finally:
        _faults.hook = before
        if collects:
            gc.enable()
    return simulation


class Simulation:
    """What happened in one simulated world."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario: Final = scenario
        self.seed: Final = seed
        self.problems: Final[list[str]] = []
        """Promises that were broken; empty is good. The world ends with the first."""
        self.error: Exception | None = None
        """What was raised and not caught, if anything was."""
        self.trace: Final = Trace(trio.current_time)
        """Everything that happened."""
        self.disk: Final = SimulatedDisk()
        """What is durable, as a store that may be asked."""
        self.ledger: Final = Ledger(self.complain)
        self.shown: Final = Bytes(self.ledger)
        self.world: Final = World(self.dice("world"), self.trace, self.ledger)
        """What the nodes did outside."""
        self.states: Final[dict[str, Any]] = {}
        """With which state each run ended, or rests; filled when everything is over."""
        self.people: Final = People(self)
        self.lives: list[Life] = []
        """Processes that are alive, oldest first."""
        self.nursery: trio.Nursery
        self.may_split: Final = any(isinstance(fault, Freeze) for fault in scenario.faults)
        """Whether two processes may believe that the store is theirs."""
        self.hearings: Final[list[Hearing]] = []
        """Sinks, one for each run that a process heard of."""
        self._releases: Final = [(0.0, tuple(scenario.graphs(self.world)))] + [
            (release.at, tuple(release.graphs(self.world))) for release in scenario.releases
        ]
        self._choice = self.dice("choice")
        self._broken = trio.Event()
        self._over = False
        self._moved = 0.0
        """When something became durable for the last time."""
        self._points = Counter[str]()

    # -- what others ask of it -------------------------------------------------------------------------------

    def dice(self, whose: str) -> Random:
        """Dice of somebody's own, so that what one draws changes nothing for the others."""
        return Random(f"{self.seed} {whose}")  # noqa: S311 - a simulation, no secret

    def now(self) -> float:
        """UNIX time in the simulation. Not a checkpoint."""
        return BEGINNING + trio.current_time()

    def complain(self, problem: str) -> None:
        """A promise was broken: nothing after that matters. Not a checkpoint."""
        if not self.problems:
            self.trace.lines.append(f"!! {problem}")
            self.problems.append(problem)
            self._broken.set()

    async def somebody(self) -> Life:
        """A process that is up, and owns the store as far as anybody knows. A checkpoint where there is none."""
        while True:
            up = [life for life in self.lives if life.is_up]
            if up:
                return up[0] if len(up) == 1 else self._choice.choice(up)
            await trio.sleep(_LOOK)

    # -- its own life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Everything, from the beginning to the end. A checkpoint."""
        load_dice(self.dice("ids"))
        set_virtual_clock(BEGINNING)
        self.disk.witness = Scribe(self.trace, self.ledger, self.shown, self._stirred)
        async with trio.open_nursery() as self.nursery:
            self.nursery.start_soon(self._end_early)
            self._begin()
            await self._rest()
            await trio.sleep(self.scenario.linger)
            await self._close()
            self.nursery.cancel_scope.cancel(reason="the simulation is over")
        if not self.problems:
            await self._look_back()

    def _begin(self) -> None:
        scenario, start = self.scenario, self.nursery.start_soon
        for number in range(scenario.processes):
            start(self._keep_up, number)
        for submission in scenario.submits:
            start(self.people.submit, submission)
        for act in scenario.acts:
            start(self.people.act, act)
        for person in scenario.people:
            start(self.people.decide, person, self.dice(person.name))
        for fault in scenario.faults:
            start(self._strike, fault)
        points = sorted({fault.point for fault in scenario.faults if isinstance(fault, CrashAt)})
        if points:
            _faults.hook = self._plan(points)

    def _plan(self, points: list[str]) -> FaultPlan:
        plan = FaultPlan()
        for point in points:
            plan.at(point).calls(partial(self._passed, point))
        return plan

    async def _end_early(self) -> None:
        await self._broken.wait()
        self._over = True
        for life in self.lives:
            life.crash("the simulation is over", 0.0)
        self.nursery.cancel_scope.cancel(reason="a promise was broken")

    async def _keep_up(self, number: int) -> None:
        dice = self.dice(f"process {number}")
        scenario = self.scenario
        troubles = [fault for fault in scenario.faults if isinstance(fault, Trouble)]
        weather = Weather(self.dice(f"weather {number}"), trio.current_time, scenario.latency, troubles)
        count = 0
        while not self._over:
            name = f"p{number}.{count}"
            store = SimulatedStore(self.disk, weather, shared=scenario.is_shared, name=name, lease=scenario.lease)
            life = Life(name, store, self.trace.say)
            life.down = 0.5 + dice.random()
            self.lives = [each for each in self.lives if each.alive] + [life]
            self.nursery.start_soon(life.live, self._open)
            await life.over.wait()
            count += life.was_up
            if not self._over:
                await trio.sleep(life.down)

    def _open(self, life: Life) -> "AbstractAsyncContextManager[Runtime]":
        options = dict(self.scenario.options)
        if self.scenario.sinks:
            options["sinks"] = partial(self._hear, life)
        return open_runtime(life.store, graphs=self._graphs(), **options)

    def _graphs(self) -> Sequence[Declaration[Any, Any] | Bound[Any]]:
        """What a process carries that starts now."""
        return [graphs for at, graphs in self._releases if at <= trio.current_time()][-1]

    def _hear(self, life: Life, run_id: str) -> list[Hearing]:
        hearing = Hearing(run_id, life, self.ledger, self.shown)
        self.hearings.append(hearing)
        return [hearing]

    async def _strike(self, fault: Fault) -> None:
        if isinstance(fault, Trouble | CrashAt):
            return
        await trio.sleep_until(fault.at)
        life = self._owner()
        if life is None or not life.alive:
            return
        if isinstance(fault, Crash):
            life.crash("it was killed", fault.down)
        elif isinstance(fault, Restart):
            life.stop(fault.down)
        else:
            await life.freeze(fault.seconds, fault.down, self.dice(f"freeze {fault.at}"))

    def _owner(self) -> Life | None:
        """Who owns the store; one of those who do, where there is a lease."""
        if self.scenario.lease is None:
            return next((life for life in self.lives if life.store is self.disk.owner), None)
        up = [life for life in self.lives if life.is_up]
        return self._choice.choice(up) if up else None

    def _passed(self, point: str) -> None:
        """Somebody passed a fault point; some die of it."""
        life = LIFE.get()
        if life is None or not life.alive:
            return
        self._points[point] += 1
        for fault in self.scenario.faults:
            if isinstance(fault, CrashAt) and (fault.point, fault.count) == (point, self._points[point]):
                life.crash(f"it was killed at {point}", fault.down)

    def _stirred(self) -> None:
        self._moved = trio.current_time()

    # -- the end ---------------------------------------------------------------------------------------------

    async def _rest(self) -> None:
        """Law 5: when nothing goes wrong any more, every run comes to rest within a time that is bounded."""
        scenario, ledger = self.scenario, self.ledger
        await trio.sleep_until(scenario.calm)
        quiet = 4.0 * max((person.every for person in scenario.people if person.until == float("inf")), default=0.0)
        with trio.move_on_after(scenario.patience):
            await _until(lambda: self._all_rest() and (self._all_ended() or trio.current_time() >= self._moved + quiet))
            return
        for wish in scenario.submits:
            is_done = self.people.is_done(wish.run_id)
            ledger.check(wish.run_id, is_done, f"not submitted {scenario.patience:g} s after the calm")
        for log in ledger.logs.values():
            fine = log.rests or ledger.threads.waits(log)
            ledger.check(log.run_id, fine, f"still {log.status} {scenario.patience:g} s after the last fault")
        ledger.check("any", fine=False, promise="something goes on and on")

    def _all_ended(self) -> bool:
        return all(log.has_ended for log in self.ledger.logs.values())

    def _all_rest(self) -> bool:
        logs = self.ledger.logs.values()
        people, scenario = self.people, self.scenario
        if people.said < len(scenario.acts) or not all(people.is_done(wish.run_id) for wish in scenario.submits):
            return False
        if any(life.frozen and life.alive for life in self.lives):
            return False
        # Who waits for a person inside of a node keeps its slot; whoever else is not at rest then waits for one.
        full = sum(log.asks for log in logs) >= scenario.options.get("pool_size", POOL_SIZE)
        return full or all(log.rests or self.ledger.threads.waits(log) for log in logs)

    async def _close(self) -> None:
        """Readers hear of every end, and every process leaves in good order."""
        if not self.may_split:  # who reads where the store was lost is told nothing of what goes on elsewhere
            with trio.move_on_after(_CATCH_UP):
                await _until(lambda: all(each.ended for each in self._who_hears_the_end()))
            for each in self._who_hears_the_end():
                self.ledger.check(each.run_id, each.ended, f"its {each.kind} was never told the end")
        self._over = True
        for life in self.lives:
            restarts = 0 if life.runtime is None else life.runtime.statistics().restarts
            self.ledger.check("any", not restarts, f"a system actor of {life.name} had to be started again")
            life.stop(0.0)
        await _until(lambda: not any(life.alive for life in self.lives))

    def _who_hears_the_end(self) -> list[Reader | Hearing]:
        """Readers of runs that have ended, and sinks in processes that are alive."""
        logs = self.ledger.logs
        everybody: list[Reader | Hearing] = [*self.people.readers.values()]
        everybody += [hearing for hearing in self.hearings if hearing.life.alive]
        return [each for each in everybody if each.run_id in logs and logs[each.run_id].has_ended]

    async def _look_back(self) -> None:
        """3 D4, law 1: what is left can be read back, all of it, and is what was seen."""
        graphs = {unbind(each).graph.name: unbind(each).graph for each in self._graphs()}
        hub = Hub(self.disk)
        for run_id, log in self.ledger.logs.items():
            row = await self.disk.run(run_id)
            assert row is not None, "it is durable"
            try:
                fold = await load_fold(self.disk, row, graphs[row.header.graph].build())
                self.states[run_id] = fold.state
            except TerzettoError as error:
                self.complain(f"run {run_id}: its log cannot be read back: {describe(error)}")
            if log.has_ended:
                reader = Reader(run_id, self.ledger, self.shown)
                async with hub.events(run_id) as events:
                    async for item in events:
                        reader.take(item)
                self.ledger.check(run_id, reader.ended, "who reads it later is not shown the end")
        for problem in self.scenario.check(self):
            self.complain(problem)


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - it looks at everything, and nobody is to tell it
        await trio.sleep(_LOOK)


def _leaves(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(_leaves(each) for each in group.exceptions)
    return describe(error)
