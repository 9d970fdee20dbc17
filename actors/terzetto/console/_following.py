"""Who follows runs: told what has changed about them as they are listed, several times a second at most.

A run changes while it lives, so the live ones are looked at; one that begins to live, comes to rest or is deleted is
told of. What is read from the store is read once for all followers.
"""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from typing import Final

import trio

from terzetto_protocol.errors import StoreUnavailable, TerzettoError
from terzetto_protocol.limits import CONSOLE_CHANGES
from terzetto_protocol.views import RunLine
from terzetto_protocol.wire_asks import FollowRuns

from .._runtime import Runtime
from ._lines import lines_of

_AT_ONCE: Final = 100
"""Runs that are read at once; the others have their turn next."""
_IN_A_FRAME: Final = 250
"""Runs that one frame lists."""


class Follower:
    """One subscription.

    Args:
        ask: which runs.
        since: UNIX time; a run that is older may have been listed before, whatever it is now.
    """

    def __init__(self, ask: FollowRuns, since: float) -> None:
        self._ask: Final = ask
        self._since: Final = since
        self._known: Final[dict[str, bool]] = {}
        """Runs that were told, and whether they are among those that were asked for."""
        self._waiting: dict[str, RunLine | None] = {}
        self._stirred = trio.Event()

    def hear(self, run_id: str, line: RunLine | None) -> None:
        """Hear how a run is listed now, None for one that was deleted. Not a checkpoint."""
        if line is None:
            self._known.pop(run_id, None)
        elif self._ask.graph not in ("", line.graph) or self._ask.thread not in ("", line.thread):
            return
        else:
            fits = not self._ask.statuses or line.status in self._ask.statuses
            if not (fits or self._known.get(run_id, line.submitted < self._since)):
                return
            if self._ask.statuses:
                self._known[run_id] = fits
        self._waiting[run_id] = line
        self._stirred.set()

    async def next(self) -> tuple[list[RunLine], list[str]]:
        """What has changed, and what was deleted; one of both at least. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._stirred = trio.Event()
            await self._stirred.wait()
        taken = list(islice(self._waiting, _IN_A_FRAME))
        found = {run_id: self._waiting.pop(run_id) for run_id in taken}
        return [line for line in found.values() if line], [run_id for run_id, line in found.items() if not line]


class Following:
    """All followers of one server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime: Final = runtime
        self._followers: Final[dict[Follower, None]] = {}
        self._stored: dict[str, int] = {}
        self._moved: Final[dict[str, None]] = {}
        self._needed = trio.Event()

    @contextmanager
    def followed(self, ask: FollowRuns) -> Generator[Follower]:
        """A follower, told of everything that changes from here on. Not a checkpoint."""
        if not self._followers:
            self._stored = self._runtime.supervisor.stored()
            self._moved.clear()
        follower = Follower(ask, self._runtime.supervisor.clock())
        self._followers[follower] = None
        self._needed.set()
        try:
            yield follower
        finally:
            del self._followers[follower]

    async def run(self) -> None:
        """Look and tell, until cancelled. A checkpoint."""
        with self._runtime.supervisor.watched(self._note):
            while True:
                if not self._followers:
                    self._needed = trio.Event()
                    await self._needed.wait()
                await trio.sleep(CONSOLE_CHANGES)
                self._look()
                try:
                    await self._tell()
                except StoreUnavailable:
                    continue  # what was not told is told when the store is back

    def _note(self, run_id: str) -> None:
        if self._followers:
            self._moved[run_id] = None

    def _look(self) -> None:
        """Find the runs that have changed. Not a checkpoint."""
        before, self._stored = self._stored, self._runtime.supervisor.stored()
        for run_id, seq in self._stored.items():
            if before.get(run_id) != seq:
                self._moved[run_id] = None
        self._moved.update(dict.fromkeys(before.keys() - self._stored.keys()))

    async def _tell(self) -> None:
        for run_id in list(islice(self._moved, _AT_ONCE)):
            del self._moved[run_id]  # before it is read: what changes meanwhile is new again
            try:
                row = await self._runtime.store.run(run_id)
                lines = [] if row is None else await lines_of(self._runtime.store, [row])
            except StoreUnavailable:
                self._moved[run_id] = None
                raise
            except TerzettoError:  # it is damaged: whoever asks for it hears that, and the others are told
                continue
            for follower in self._followers:
                follower.hear(run_id, lines[0] if lines else None)
