"""Who writes into the trace and the second book of a simulation what becomes durable, as it does."""

from collections.abc import Callable, Sequence
from typing import Final

from terzetto_protocol.records import Record, Write

from ._ledger import Ledger
from ._reader import Bytes
from ._simulated_store import Witness
from ._trace import Trace


class Scribe(Witness):
    """Writes down everything that happens to the disk.

    Args:
        trace: shown to people.
        ledger: held against the promises.
        shown: what readers were shown, which is forgotten with a run.
        stirred: called each time that a write was applied.
    """

    def __init__(self, trace: Trace, ledger: Ledger, shown: Bytes, stirred: Callable[[], None]) -> None:
        self._trace: Final = trace
        self._ledger: Final = ledger
        self._shown: Final = shown
        self._stirred: Final = stirred

    def applied(self, write: Write) -> None:
        """A write was applied. Not a checkpoint, as none of these is."""
        self._stirred()
        record = self._ledger.applied(write)
        self._trace.say("disk", line(write.run_id, record))

    def moved(self, thread: str, left: str, head: str) -> None:
        """The head of a thread was put back from one run to another, or to none."""
        self._trace.say("disk", f"thread {thread} goes back from {left} to {head or 'nothing'}")
        self._ledger.threads.moved(thread, left, head, self._ledger.logs.get(left))

    def pruned(self, run_id: str, first: int) -> None:
        """A run's log begins with this commit now, if it did not before."""
        self._trace.say("disk", f"{run_id} is pruned in front of #{first}")
        self._ledger.pruned(run_id, first)

    def deleted(self, run_id: str) -> None:
        """A run has gone."""
        self._trace.say("disk", f"{run_id} is deleted")
        self._ledger.deleted(run_id)
        self._shown.forget(run_id)

    def kept(self, run_id: str, digest: str) -> None:
        """A run keeps a blob from now on."""
        self._trace.say("disk", f"{run_id} keeps {digest[:13]}")
        self._ledger.blobs.named(run_id, [digest])

    def swept(self, digests: Sequence[str]) -> None:
        """These blobs have gone."""
        for digest in digests:
            self._trace.say("disk", f"{digest[:13]} is swept")
        self._ledger.blobs.swept(digests)


def line(run_id: str, record: Record) -> str:
    """A commit in a line."""
    parts = [f"{run_id}#{record.seq}.{record.epoch} {record.kind.value}"]
    if record.visit:
        parts.append(f"{record.path + '/' if record.path else ''}{record.place}@{record.visit}")
    if record.outcome is not None:
        parts.append(record.outcome.value)
    return " ".join([*parts, "->", record.status.value])
