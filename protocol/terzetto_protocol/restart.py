"""When a system actor that failed may be started again: rest-for-one, with a limit on how often."""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

RESTARTS: Final = 3
"""Restarts that are allowed inside `PERIOD`."""
PERIOD: Final = 5.0
"""Seconds."""


@frozen
class Verdict:
    """Which actors to start again (none: stop in good order), and the restarts to remember."""

    restart: tuple[str, ...]
    history: tuple[float, ...]


def judge(order: Sequence[str], failed: str, history: Sequence[float], at: float) -> Verdict:
    """Rest-for-one: the failed actor and all that were started after it, unless it happened too often.

    Args:
        order: the actors in the order in which they were started.
        failed: which one failed.
        history: times of earlier restarts, seconds.
        at: now, seconds on the same clock.
    """
    recent = tuple(moment for moment in history if at - moment < PERIOD)
    if len(recent) >= RESTARTS:
        return Verdict((), recent)
    return Verdict(tuple(order[list(order).index(failed) :]), (*recent, at))
