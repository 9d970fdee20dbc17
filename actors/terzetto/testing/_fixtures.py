"""What the fixtures of the pytest plugin are made of; nothing here needs pytest."""

import os
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, TypeAlias, TypeVar, final, runtime_checkable

import trio

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.graph import Bound

from .._chance import load_dice
from .._opening import open_runtime
from .._runtime import Runtime
from ..stores import MemoryStore, Store, open_store
from ._decider import Answer, ScriptedDecider
from ._scheduling import seeded_schedule
from ._simulated_luck import Weather
from ._simulated_store import SimulatedDisk, SimulatedStore
from ._virtual_time import run_virtually

R = TypeVar("R")
StoreMaker: TypeAlias = Callable[[Path], Store]
"""Makes a store that is empty and not open yet; it may use the folder."""

POSTGRES: Final = "TERZETTO_TEST_POSTGRES"
"""The variable that names a database for tests: the URL of any store in it."""
REDIS: Final = "TERZETTO_TEST_REDIS"
"""The variable that names a server for tests: the URL of any store on it."""
_LATENCY: Final = 0.002
"""Seconds that a call of the simulated store takes at most."""


@final
class RuntimeOpener:
    """Opens runtimes over one store: `async with runtime(graph) as opened: ...`, one after the other.

    The second one finds what the first one has stored. They are strict unless told otherwise; other options are
    those of `terzetto.open_runtime`.
    """

    def __init__(self, store: Store) -> None:
        self.store: Final = store

    def __call__(
        self, *graphs: Declaration[Any, None] | Bound[Any], strict: bool = True, **options: Any
    ) -> AbstractAsyncContextManager[Runtime]:
        """Open one; as `open_runtime`."""
        return open_runtime(self.store, graphs, strict=strict, **options)


@final
class DeciderMaker:
    """Makes deciders of scripts, and knows what nobody has asked them for: `decider({"gate": [Approve()]})`."""

    def __init__(self) -> None:
        self.made: Final[list[ScriptedDecider]] = []

    def __call__(self, script: Mapping[str, Sequence[Answer]]) -> ScriptedDecider:
        """Make one."""
        self.made.append(ScriptedDecider(script))
        return self.made[-1]

    @property
    def left(self) -> list[dict[str, list[Answer]]]:
        """What nobody has asked for, of each that has something left."""
        return [decider.left for decider in self.made if decider.left]


@runtime_checkable
class Room(Protocol):
    """A store of which something is left where it was, until it is disposed of."""

    async def dispose(self) -> None:
        """Remove the store, which is closed. A checkpoint."""
        ...


def dispose(store: Store) -> None:
    """Leave nothing of a test's store on the server that it was on; from outside of Trio."""
    if isinstance(store, Room):
        trio.run(store.dispose)


def stores_for(seed: int) -> dict[str, StoreMaker]:
    """Every store that comes with the library, by the name that tests have in their ids; servers are given by URL."""
    makers: dict[str, StoreMaker] = {
        "memory": lambda folder: MemoryStore(),
        "sqlite": lambda folder: open_store(f"sqlite:{folder / 'terzetto.db'}"),
        "simulated": lambda folder: _simulated(seed),
    }
    if postgres := os.environ.get(POSTGRES):
        makers["postgres"] = lambda folder: _postgres(postgres)
    if redis := os.environ.get(REDIS):
        makers["redis"] = lambda folder: _redis(redis)
    return makers


def _postgres(url: str) -> Store:
    from ._postgres_room import PostgresRoom

    return PostgresRoom(url)


def _redis(url: str) -> Store:
    from ._redis_room import RedisRoom

    return RedisRoom(url)


def _simulated(seed: int) -> Store:
    dice = Random(f"{seed} store")  # noqa: S311 - luck, and no secret
    return SimulatedStore(SimulatedDisk(), Weather(dice, trio.current_time, _LATENCY), shared=False)


def runner(seed: int | None) -> Callable[..., Any]:
    """What runs a program in virtual time; with a seed, the order of tasks, ids and jitter are the seed's.

    It takes a clock and instruments as `trio.run` does. If it is given any, they are used in place of virtual time.
    """

    def run(
        fn: Callable[[], Awaitable[R]],
        *,
        clock: trio.abc.Clock | None = None,
        instruments: Sequence[trio.abc.Instrument] = (),
    ) -> R:
        async def main() -> R:
            if seed is not None:
                load_dice(Random(f"{seed} dice"))  # noqa: S311 - luck, and no secret
            return await fn()

        def go() -> R:
            if clock is None and not instruments:
                return run_virtually(main)
            return trio.run(main, clock=clock, instruments=instruments)

        if seed is None:
            return go()
        with seeded_schedule(seed):
            return go()

    return run


def command_for(words: Sequence[str], places: Sequence[str], test: str, path: Path, folder: Path) -> str:
    """The command that runs one test again.

    Args:
        words: of the command that ran it.
        places: those of them that say where tests are; the new one has the same options.
        test: its id.
        path: its file.
        folder: where the command was given.
    """
    options = [word for word in words if word not in places]
    _, _, name = test.partition("::")
    return shlex.join(["python", "-m", "pytest", *options, f"{os.path.relpath(path, folder)}::{name}"])
