"""A sink of a simulated process: what it is told of one run is held against what is durable, and what came before.

It may miss what was told before it heard of the run, and what comes after its process has died; nothing in between.
"""

from typing import TYPE_CHECKING, Final

from terzetto_protocol.events import BarrierOpened, BarrierResolved, Event, RunEnded

from .._sinks import Checkpoint
from ._ledger import Ledger
from ._reader import Bytes

if TYPE_CHECKING:
    from ._life import Life


class Hearing:
    """All kinds of sinks at once, for one run in one process."""

    def __init__(self, run_id: str, life: "Life", ledger: Ledger, shown: Bytes) -> None:
        self.kind: Final = "sink"
        self.run_id: Final = run_id
        self.life: Final = life
        self.ended = False
        """Whether it was told the end."""
        self._ledger: Final = ledger
        self._shown: Final = shown
        self._last = 0
        self._durable: int | None = None
        self._provisional: Final[set[int]] = set()
        self._seq: int | None = None

    async def emit(self, event: Event, /) -> None:
        """8.7: each event at most once, in order, and no durable one is missed. Not a checkpoint."""
        log = self._ledger.logs.get(self.run_id)
        if log is None or not self._knows:
            return
        name = f"a sink was told event {event.id} ({type(event).__name__})"
        self._check(event.id > self._last and not self.ended, f"{name} after event {self._last}")
        self._last = event.id
        if not event.durable:
            self._provisional.add(event.id)
            return
        self._check(log.tells(event.id), f"{name} before it was durable")
        told = [] if self._durable is None else log.told_between(self._durable, event.id)
        missing = [number for number in told if number not in self._provisional]
        self._check(not missing, f"{name}, and not {missing} before it")
        self._durable = event.id
        self._shown.showed(event)
        self.ended = isinstance(event, RunEnded)

    async def on_checkpoint(self, checkpoint: Checkpoint, /) -> None:
        """8.7: each commit at least once, in order, and never before it is stored. Not a checkpoint."""
        log = self._ledger.logs.get(self.run_id)
        if log is None or not self._knows:
            return
        seq, last = checkpoint.seq, self._seq
        name = f"a sink was told commit {seq} ({checkpoint.kind})"
        there = seq <= len(log.records) and log.records[seq - 1].status is checkpoint.status
        self._check(there, f"{name}, which is not there")
        fine = last is None or seq == last + 1 or (seq > last and last + 1 < log.first)
        self._check(fine, f"{name} after commit {last}")
        self._seq = seq

    async def on_barrier_opened(self, event: BarrierOpened, /) -> None:
        """8.7: who waits, once that is stored. Not a checkpoint."""
        log = self._ledger.logs.get(self.run_id)
        if log is not None and self._knows:
            fine = event.barrier in log.open or any(event.barrier in told for told in (log.resolved, log.closed))
            self._check(fine, f"a sink was told that {event.barrier} opened, and it never was")

    async def on_barrier_resolved(self, event: BarrierResolved, /) -> None:
        """8.7: who does not wait any more, once that is stored. Not a checkpoint."""
        log = self._ledger.logs.get(self.run_id)
        if log is not None and self._knows:
            fine = event.barrier in log.resolved
            self._check(fine, f"a sink was told that {event.barrier} was decided, and it was not")

    @property
    def _knows(self) -> bool:
        """Whether its process is alive, and has not lost the store."""
        return self.life.alive and not self.life.frozen

    def _check(self, fine: object, promise: str) -> None:
        self._ledger.check(self.run_id, fine, promise)
