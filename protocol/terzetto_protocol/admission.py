"""Who gets a slot: a pool of live runs, and a bounded queue in front of it.

Decided and recovered runs go before new ones; inside each group it is first come, first served. Nothing
that was accepted is ever dropped.
"""

from collections import OrderedDict
from typing import Final

from attrs import define, field

from .errors import QueueFull, RunConflict
from .limits import POOL_SIZE, QUEUE_SIZE
from .records import RunHeader

RETRY_AFTER: Final = 1.0
"""Seconds; a slot frees when some run parks or ends, which nobody can foretell."""


@define
class Admission:
    """Slots and queue of one supervisor."""

    pool_size: int = POOL_SIZE
    """Runs that are live at once; may be changed while running."""
    queue_size: int = QUEUE_SIZE
    """New runs that wait before `check_room` raises."""
    holders: set[str] = field(factory=set[str])
    """Runs that hold a slot."""
    _returning: OrderedDict[str, None] = field(factory=OrderedDict[str, None], init=False)
    _new: OrderedDict[str, None] = field(factory=OrderedDict[str, None], init=False)
    _promised: int = field(default=0, init=False)

    @property
    def waiting(self) -> int:
        """Runs that wait for a slot."""
        return len(self._returning) + len(self._new)

    @property
    def free(self) -> bool:
        """Whether a run that comes now need not wait."""
        return len(self.holders) < self.pool_size and not self.waiting

    def check_room(self) -> None:
        """Raise `QueueFull` when there is no place for one more run."""
        room = max(0, self.pool_size - len(self.holders)) + self.queue_size - len(self._new) - self._promised
        if room <= 0:
            raise QueueFull(self.waiting, RETRY_AFTER)

    def promise(self) -> None:
        """Reserve a place for a run that is being submitted; raises `QueueFull` when there is none."""
        self.check_room()
        self._promised += 1

    def keep_promise(self) -> None:
        """The submitted run has come (or was refused): its reserved place is not needed any more."""
        self._promised -= 1

    def enqueue(self, run_id: str, *, returning: bool) -> None:
        """Let a run wait; one that is waiting already stays where it is."""
        if not (run_id in self._returning or run_id in self._new or run_id in self.holders):
            (self._returning if returning else self._new)[run_id] = None

    def next(self) -> str | None:
        """Give the next waiting run a slot, if there is one of each."""
        queue = self._returning or self._new
        if len(self.holders) >= self.pool_size or not queue:
            return None
        run_id, _ = queue.popitem(last=False)
        self.holders.add(run_id)
        return run_id

    def take(self, run_id: str) -> None:
        """Give this run a slot, whoever waits: it was live already, or its decision carries it on at once."""
        self.leave(run_id)
        self.holders.add(run_id)

    def leave(self, run_id: str) -> None:
        """The run holds no slot and waits for none."""
        self.holders.discard(run_id)
        self._returning.pop(run_id, None)
        self._new.pop(run_id, None)

    def clear(self) -> None:
        """Forget everybody: the supervisor that kept this is gone."""
        self.holders.clear()
        self._returning.clear()
        self._new.clear()
        self._promised = 0


def same_run(wanted: RunHeader, there: RunHeader) -> None:
    """Raise `RunConflict` unless both were submitted with the same graph and input."""
    if wanted.input_digest != there.input_digest:
        what = f"key {wanted.key!r}" if wanted.key and wanted.run_id != there.run_id else "id"
        raise RunConflict(there.run_id, f"this {what} belongs to a run of graph {there.graph!r} with another input")
