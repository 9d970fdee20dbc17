"""The heads of threads: who is under way on each, and from where the next run starts.

It owns a lock per thread that somebody is about to join, and knows nothing else: the store says who is
under way. What kills it is the supervisor; whoever waits for a thread then goes to the next one.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import trio
from attrs import define, field

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.errors import HeadMissing, Malformed, MigrationFailed, MutationFailed, NotStorable, Refused
from terzetto_protocol.image import Snapshot, read_snapshot
from terzetto_protocol.inputs import CancelRequested
from terzetto_protocol.migrations import chain_from
from terzetto_protocol.records import RunHeader, RunRow, Taken
from terzetto_protocol.threads import UNDER_WAY, Busy, check_same_state, in_line

from ._roster import Roster
from ._run import RunActor
from .stores._contract import Store

S = TypeVar("S")

_VAIN: Final = (HeadMissing, Refused, Malformed, MigrationFailed, MutationFailed, NotStorable)
"""Why a run whose turn has come cannot begin."""


@define(eq=False)
class _Gate:
    lock: trio.Lock = field(factory=trio.Lock)
    users: int = 0


def _led_on(mine: RunHeader, blueprint: Blueprint[Any], theirs: RunHeader, found: Snapshot) -> bytes:
    """Another run's state as this run's graph stores it: by its migrations, where that was an older version of it.

    Raises `Refused` for a state of another type, and as `Upcaster`.
    """
    version = found.image.version or theirs.version
    chain = chain_from(blueprint.graph, version) if theirs.graph == blueprint.name else None
    led_on = chain == () and bool(found.image.version)  # to this very version, of which its header knows nothing
    if not (chain or led_on) and mine.version == blueprint.version:
        check_same_state(mine, theirs)
    caster = blueprint.upcaster(version) if chain else None
    return found.state if caster is None else caster.state(found.state)


class ThreadMoved(Exception):
    """Another owner of the store had a thread go on while a run here looked for its place: it looks again."""


class Heads:
    """Where threads are."""

    def __init__(self, store: Store, roster: Roster, clock: Callable[[], float]) -> None:
        self._store: Final = store
        self._roster: Final = roster
        self._clock: Final = clock
        self._gates: Final[dict[str, _Gate]] = {}

    @asynccontextmanager
    async def held(self, thread: str) -> AsyncGenerator[list[RunRow]]:
        """The runs that are under way on a thread, which nobody else joins as long as the block lasts. A checkpoint.

        They may end meanwhile, and `front` is then asked who is next.
        """
        gate = self._gates.setdefault(thread, _Gate())
        gate.users += 1
        try:
            async with gate.lock:
                self._roster.check()
                await self._roster.settled_on(thread)  # a cancelled submit may have left one that is on its way
                yield in_line(await self._store.runs(thread=thread, statuses=UNDER_WAY, limit=None))
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[thread]

    async def front(self, thread: str) -> RunRow | None:
        """The run whose turn on a thread has come: it is carried, or waits for a slot. A checkpoint."""
        async with self.held(thread) as line:
            return line[0] if line else None

    async def of(self, thread: str) -> str:
        """The run that is the thread's head, or empty. A checkpoint."""
        head = await self._store.head(thread)
        return "" if head is None else head.run_id

    # -- from where a run starts -----------------------------------------------------------------------------

    async def beginning(self, mine: RunHeader, blueprint: Blueprint[S], head: str) -> tuple[bytes, S]:
        """What a run begins with whose turn has come, encoded and as a copy. A checkpoint.

        It is the state with which the thread's `head` ended, and what was recorded with the submit is applied to it.

        Raises:
            HeadMissing: the thread has none.
            Refused: it is a state of another type.
            MutationFailed: what was recorded cannot be applied to it.
            NotStorable: what that makes would not come back from the store.
        """
        data, state = await self._final_state(mine, blueprint, head)
        if not mine.recorded:
            return data, state
        caster = blueprint.upcaster(mine.version)
        return blueprint.applied(mine.recorded if caster is None else caster.entries(mine.recorded), state)

    async def _final_state(self, mine: RunHeader, blueprint: Blueprint[S], head: str) -> tuple[bytes, S]:
        if not head:
            raise HeadMissing(mine.thread)
        return await self._state_of(head, mine, blueprint, at=None)

    async def stand_in(
        self, mine: RunHeader, blueprint: Blueprint[S], line: Sequence[RunRow], busy: Busy
    ) -> tuple[bytes, S]:
        """What a run without a state of its own has until its turn comes: its head's, or its predecessor's input.

        Of a predecessor whose beginning was pruned it is the newest state instead: it only stands in.

        A checkpoint; raises `HeadMissing` and `Refused`.
        """
        try:
            return await self._final_state(mine, blueprint, await self.of(mine.thread))
        except HeadMissing:
            if busy != "enqueue" or not line:
                raise
        return await self._state_of(line[0].run_id, mine, blueprint, at=1)

    async def _state_of(
        self, run_id: str, mine: RunHeader, blueprint: Blueprint[S], *, at: int | None
    ) -> tuple[bytes, S]:
        row = await self._store.run(run_id)
        found = await self._store.snapshot(run_id, at=at) or await self._store.snapshot(run_id)
        assert row is not None, "a head, and a run in line, is there"
        assert found is not None, "every run has a snapshot"
        data = _led_on(mine, blueprint, row.header, read_snapshot(found[1]))
        state = blueprint.state.unpack(data)
        first = blueprint.graph.again(state)
        return (data, state) if first is state else (blueprint.state.pack(first), first)

    async def take(self, actor: RunActor) -> Taken | None:
        """What a run begins with whose turn has come; None for one that cannot begin, and is ended. A checkpoint."""
        fold = actor.machine.fold
        try:
            base = await self.of(fold.header.thread)
            state = (await self.beginning(fold.header, fold.blueprint, base))[0] if fold.header.from_head else b""
        except _VAIN as error:
            actor.deliver(CancelRequested(str(error), self._clock()))
            return None
        return Taken(base, state)
