"""A simulated process: it opens a runtime over its handle on the store, dies, and is started again."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from terzetto_protocol.errors import StoreInUse, StoreUnavailable, describe

from ._world import LIFE

if TYPE_CHECKING:
    from .._runtime import Runtime
    from ._simulated_store import SimulatedStore

T = TypeVar("T")

_LINGER: Final = 2.0
"""Seconds at most for which a process goes on that stood still and lost the store."""


class Life:
    """One process from its start to its end.

    Args:
        name: what the trace calls it.
        store: its handle.
        say: told what happens to it.
    """

    def __init__(self, name: str, store: "SimulatedStore", say: Callable[[str, str], None]) -> None:
        self.name: Final = name
        self.store: Final = store
        self.down = 1.0
        """Seconds before it is started again."""
        self.runtime: Runtime | None = None
        """Its runtime, once it is open."""
        self.alive = True
        self.over: Final = trio.Event()
        """Set when another process may be started in its place."""
        self.frozen = False
        """Whether it has lost the store, and may not know that yet."""
        self._say: Final = say
        self._scope: Final = trio.CancelScope()
        self._owned = False
        self._stop: Final = trio.Event()
        self._clients: Final[dict[trio.CancelScope, None]] = {}

    @property
    def was_up(self) -> bool:
        """Whether it ever owned the store."""
        return self._owned

    @property
    def is_up(self) -> bool:
        """Whether people find it."""
        return self.alive and not self.frozen and self.runtime is not None

    def crash(self, why: str, down: float) -> None:
        """Die here and now: from this call on nothing that it does reaches anybody. Not a checkpoint."""
        if self.alive:
            self._say(self.name, f"dies: {why}")
            self.alive, self.down = False, down
            self.store.cut()
            self._scope.cancel(reason="the simulated process died")
            for scope in self._clients:
                scope.cancel(reason="the simulated process died")

    def stop(self, down: float) -> None:
        """Leave in good order. Not a checkpoint."""
        self._say(self.name, "is asked to stop")
        self.down = down
        self._stop.set()

    async def freeze(self, seconds: float, down: float, dice: Random) -> None:
        """Stand still, lose the store, go on for a moment and die. A checkpoint."""
        self._say(self.name, f"stands still for {seconds:.3f} s and loses the store")
        self.frozen, self.down = True, down
        self.store.freeze(seconds)
        self.over.set()
        await trio.sleep(seconds + _LINGER * dice.random())
        self.crash("it had lost the store", self.down)

    async def live(self, open_runtime: "Callable[[Life], AbstractAsyncContextManager[Runtime]]") -> None:
        """Run until it dies or is stopped. A checkpoint."""
        LIFE.set(self)
        with self._scope:
            try:
                async with open_runtime(self) as runtime:
                    self.runtime, self._owned = runtime, True
                    self._say(self.name, "owns the store")
                    await self._stop.wait()
            except StoreInUse:
                self._say(self.name, "finds the store in use")
            except StoreUnavailable as error:
                self._say(self.name, f"cannot open the store: {describe(error)}")
        self.runtime, self.alive = None, False
        self.over.set()
        for scope in self._clients:
            scope.cancel(reason="the simulated process ended")

    async def ask(self, call: "Callable[[Runtime], Awaitable[T]]", patience: float) -> T | None:
        """What a client hears of this process; None when it dies or is too slow. A checkpoint; raises as the call."""
        LIFE.set(self)
        scope = trio.CancelScope(deadline=trio.current_time() + patience)
        self._clients[scope] = None
        try:
            with scope:
                if self.runtime is not None:
                    answer = await call(self.runtime)
                    return answer if self.alive else None
        finally:
            LIFE.set(None)
            del self._clients[scope]
        return None
