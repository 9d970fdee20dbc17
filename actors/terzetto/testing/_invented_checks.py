"""What has to be true of invented worlds in the end, besides what always has to be."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._invented_states import Journey
from ._ledger_log import Log

if TYPE_CHECKING:
    from ._simulation import Simulation


def holds_together(simulation: "Simulation") -> Iterator[str]:
    """3, 4: what runs came to: each visit counts once, a thread goes on from its head, and blobs are kept."""
    logs, states = simulation.ledger.logs, simulation.states
    for run_id, log in logs.items():
        journey = states.get(run_id)
        if not isinstance(journey, Journey):
            continue
        yield from (f"run {run_id}: {where} counts twice" for where, n in Counter(journey.trail).items() if n > 1)
        if journey.count != len(journey.trail):
            yield f"run {run_id}: it counted {journey.count} visits, and {journey.trail} are on its trail"
        there = {where.rpartition("@")[2] for where in journey.trail if where.startswith(f"{run_id} ")}
        if not log.begins_elsewhere:
            lost = [visit for visit in _succeeded(log) if visit not in there]
            yield from (f"run {run_id}: visit {visit} is not on its trail" for visit in lost)
        base = states.get(log.base or "")
        if log.header.from_head and isinstance(base, Journey) and journey.trail[: len(base.trail)] != base.trail:
            yield f"run {run_id}: it went on from {journey.trail}, and run {log.base} ended with {base.trail}"
        unkept = {blob.digest for blob in journey.blobs} - simulation.ledger.blobs.kept[run_id]
        yield from (f"run {run_id}: its state names {digest}, and it does not keep it" for digest in sorted(unkept))


def _succeeded(log: Log) -> Iterator[str]:
    """Visits of nodes outside of branches that have ended well, each of which puts itself on the trail."""
    for record in log.records:
        if record.kind == "visit" and not record.path and record.outcome == "SUCCEEDED":
            yield str(record.visit)
