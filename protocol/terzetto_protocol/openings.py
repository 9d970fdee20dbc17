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
    opened = machine.fold.opened.by_id
    meant = (
        [asked]
        if asked in opened
        else [each for each, (_, name, _) in opened.items() if asked in ("", name, barrier_name(each))]
    )
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
    return barrier in machine.fold.opened.by_id


def due_barriers(machine: RunMachine[Any], now: float) -> list[str]:
    """Open barriers whose deadline has passed, in the order in which they opened."""
    return machine.fold.opened.due(now)


def due_retries(machine: RunMachine[Any], now: float) -> list[int]:
    """Visits whose next attempt is due, in their order."""
    entries = machine.fold.image.frontier.values() if machine.fold.retrying else ()
    return [e.visit for e in entries if e.due is not None and e.due <= now and machine.is_resting(e)]


def next_moment(machine: RunMachine[Any]) -> float | None:
    """When something happens by itself in a run that is carried, as UNIX time; its own deadline left out."""
    entries = machine.fold.image.frontier.values() if machine.fold.retrying else ()
    moments = [e.due for e in entries if e.due is not None and machine.is_resting(e)]
    if (moment := machine.fold.opened.next_moment) is not None:
        moments.append(moment)
    return min(moments, default=None)


def already_resolved(row: BarrierRow) -> AlreadyResolved | None:
    """What the second decider of a barrier hears; None while it is open."""
    if row.status is BarrierStatus.OPEN:
        return None
    if not row.decision:
        return AlreadyResolved(row.run_id, row.barrier, "none", "it was dropped")
    return AlreadyResolved(row.run_id, row.barrier, row.decision, row.source)
