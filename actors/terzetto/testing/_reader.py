"""Somebody who reads a run's events from beginning to end, through every crash, and counts what is missing."""

from math import inf
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from terzetto_protocol.errors import ActorStopped, StoreUnavailable, UnknownRun
from terzetto_protocol.events import Cursor, Event, Gap, Heartbeat, RunEnded, StreamItem

from ._ledger import Ledger

if TYPE_CHECKING:
    from .._runtime import Runtime

_FRAME: Final = 32
_encode: Final = msgspec.msgpack.encode


class Bytes:
    """What was shown under each id, by whomever: the same id means the same bytes (SEMANTICS 3, D4)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger: Final = ledger
        self._shown: Final[dict[tuple[str, int], bytes]] = {}

    def showed(self, event: Event) -> None:
        """A durable event was seen. Not a checkpoint."""
        data = _encode(event)
        before = self._shown.setdefault((event.run_id, event.id), data)
        self._ledger.check(event.run_id, before == data, f"event {event.id} was other bytes before")

    def forget(self, run_id: str) -> None:
        """The run was deleted: another may have its id, and the ids of its events. Not a checkpoint."""
        for seen in [seen for seen in self._shown if seen[0] == run_id]:
            del self._shown[seen]


class Reader:
    """One reader of one run.

    Args:
        run_id: the run.
        ledger: what is durable.
        bytes_shown: what others were shown.
        patience: seconds of silence after which it looks for another process to read in.
    """

    def __init__(self, run_id: str, ledger: Ledger, bytes_shown: Bytes, patience: float = inf) -> None:
        self.kind: Final = "reader"
        self.run_id: Final = run_id
        self.ended = False
        """Whether it was shown the end."""
        self.last = 0
        """Id of the last event that it was shown."""
        self._patience: Final = patience
        self._ledger: Final = ledger
        self._bytes: Final = bytes_shown
        self._durable = 0
        self._provisional: Final[set[int]] = set()
        """Events that were not durable when they were shown, as those of a run that holds its commits back."""
        self._missing = 0.0
        """Events of which it was told that it does not get them."""

    async def follow(self, runtime: "Runtime") -> None:
        """Read on in this process, until it or the run ends. A checkpoint."""
        run = runtime.get(self.run_id)
        try:
            async with run.events(last_event_id=self.last or None, heartbeat=self._patience) as events:
                async for item in events:
                    if isinstance(item, Heartbeat):
                        return
                    self.take(item)
        except (UnknownRun, ActorStopped, StoreUnavailable):
            await trio.lowlevel.checkpoint()  # the caller tries again, where the run may be by then

    def take(self, item: StreamItem) -> None:
        """Look at an item. Not a checkpoint."""
        if isinstance(item, Cursor):
            self._missing = inf if item.missed is None else item.missed
            if item.how == "unknown" and self._patience < inf:
                self.last = self._durable = 0  # who stood still knows less than who took over, and says so
        elif isinstance(item, Gap):
            self._missing += inf if item.missed is None else item.missed
        elif not isinstance(item, Heartbeat):
            self._take_event(item)
            self.last = item.id

    def _take_event(self, event: Event) -> None:
        run_id, check, log = self.run_id, self._ledger.check, self._ledger.logs.get(self.run_id)
        name = f"event {event.id} ({type(event).__name__})"
        check(run_id, not self.ended, f"{name} after the end")
        check(run_id, event.id > self.last, f"{name} after event {self.last}")
        if event.id >> _FRAME == self.last >> _FRAME:
            hole = event.id - self.last - 1
            check(run_id, hole <= self._missing, f"{name} after event {self.last}, and nothing was said of a gap")
            self._missing -= hole
        if not event.durable:
            self._provisional.add(event.id)
            return
        if log is None or not log.tells(event.id):
            check(run_id, fine=False, promise=f"{name} was shown before it was durable")
            return
        missing = [number for number in log.told_between(self._durable, event.id) if number not in self._provisional]
        check(run_id, not missing, f"{name} came, and {missing} before it did not")
        self._durable = event.id
        self._bytes.showed(event)
        if isinstance(event, RunEnded):
            check(run_id, log.status == event.status.value, f"{name} says {event.status}, and it is {log.status}")
            self.ended = True
