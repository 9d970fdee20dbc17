"""Which barrier is meant, which are due, and what those who come second are told."""

from typing import Any

from .errors import Refused
from .machine import RunMachine
from .receipts import AlreadyResolved
from .records import BarrierRow
from .statuses import BarrierStatus


def name_barrier(machine: RunMachine[Any], asked: str) -> str:
    """The id of the barrier that is meant; raises `Refused` when it could be several, or none is open."""
    waiting = [entry for entry in machine.fold.image.frontier.values() if entry.opening is not None]
    meant = [entry.barrier for entry in waiting if asked in ("", entry.place)]
    if len(meant) == 1:
        return meant[0]
    if len(meant) > 1:
        raise Refused(machine.run_id, f"several barriers are open, say which: {', '.join(meant)}")
    if asked:
        recent = [barrier for barrier in machine.resolved if barrier.rpartition("@")[0] == asked]
        return recent[-1] if recent else asked
    raise Refused(machine.run_id, f"no barrier is open (the run is {machine.status})")


def due_barriers(machine: RunMachine[Any], now: float) -> list[str]:
    """Open barriers whose deadline has passed, in the order of their visits."""
    return [
        entry.barrier
        for entry in machine.fold.image.frontier.values()
        if entry.opening is not None and entry.opening.deadline is not None and entry.opening.deadline <= now
    ]


def due_retries(machine: RunMachine[Any], now: float) -> list[int]:
    """Visits whose next attempt is due, in their order."""
    entries = machine.fold.image.frontier.values()
    return [e.visit for e in entries if e.due is not None and e.due <= now and machine.is_resting(e)]


def next_moment(machine: RunMachine[Any]) -> float | None:
    """When something happens by itself in a run that is carried, as UNIX time; its own deadline left out."""
    entries = machine.fold.image.frontier.values()
    moments = (e.next_moment for e in entries if e.opening is not None or machine.is_resting(e))
    return min((moment for moment in moments if moment is not None), default=None)


def already_resolved(row: BarrierRow) -> AlreadyResolved | None:
    """What the second decider of a barrier hears; None while it is open."""
    if row.status is BarrierStatus.OPEN:
        return None
    return AlreadyResolved(row.run_id, row.barrier, row.decision or "none", row.source or "the run ended")
