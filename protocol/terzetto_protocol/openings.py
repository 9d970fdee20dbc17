"""Which barrier is meant, which are due, and what those who come second are told."""

from typing import Any

from .errors import Refused
from .ids import barrier_name
from .machine import RunMachine
from .receipts import AlreadyResolved
from .records import BarrierRow
from .statuses import BarrierStatus


def name_barrier(machine: RunMachine[Any], asked: str, keep: str = "") -> str:
    """The id of the barrier that is meant; raises `Refused` when it could be several, or none is open.

    Where the decision may be kept, what is not open is taken as it was said; and always, for a standing one.
    """
    if keep == "always" and asked:
        return asked
    opened = [each for entry in machine.fold.image.frontier.values() for each in entry.open_barriers]
    meant = [barrier for barrier, name, _ in opened if asked in ("", name)]
    if len(meant) == 1:
        return meant[0]
    if len(meant) > 1:
        raise Refused(machine.run_id, f"several barriers are open, say which: {', '.join(meant)}")
    if asked and keep and "@" not in asked:
        return asked
    if asked:
        recent = [
            barrier for barrier in machine.resolved if asked in (barrier_name(barrier), barrier.rpartition("@")[0])
        ]
        return recent[-1] if recent else asked
    raise Refused(machine.run_id, f"no barrier is open (the run is {machine.status})")


def is_open(machine: RunMachine[Any], barrier: str) -> bool:
    """Whether somebody may decide this barrier."""
    return any(barrier == each for entry in machine.fold.image.frontier.values() for each, _, _ in entry.open_barriers)


def due_barriers(machine: RunMachine[Any], now: float) -> list[str]:
    """Open barriers whose deadline has passed, in the order of their visits."""
    return [
        barrier
        for entry in machine.fold.image.frontier.values()
        for barrier, _, opening in entry.open_barriers
        if opening.deadline is not None and opening.deadline <= now
    ]


def due_retries(machine: RunMachine[Any], now: float) -> list[int]:
    """Visits whose next attempt is due, in their order."""
    entries = machine.fold.image.frontier.values()
    return [e.visit for e in entries if e.due is not None and e.due <= now and machine.is_resting(e)]


def next_moment(machine: RunMachine[Any]) -> float | None:
    """When something happens by itself in a run that is carried, as UNIX time; its own deadline left out."""
    entries = machine.fold.image.frontier.values()
    moments = (e.next_moment for e in entries if e.due is None or machine.is_resting(e))
    return min((moment for moment in moments if moment is not None), default=None)


def already_resolved(row: BarrierRow) -> AlreadyResolved | None:
    """What the second decider of a barrier hears; None while it is open."""
    if row.status is BarrierStatus.OPEN:
        return None
    return AlreadyResolved(row.run_id, row.barrier, row.decision or "none", row.source or "it was dropped")
