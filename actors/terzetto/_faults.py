"""Named points at which a test may end the process, delay it or count.

In production `hook` is None, and a point costs one attribute test. `TERZETTO_CRASH_AT=point:k` kills the
process at the k-th pass of a point, and is looked at only when `TERZETTO_FAULTS=1`.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from terzetto_protocol.errors import InvalidRequest

POINTS: Final[Mapping[str, str]] = {
    "submit_durable": "a new run is stored, its submitter not told yet",
    "node_start": "a body is about to run",
    "intent_durable": "the intent of a `once` visit is stored, its body has not begun",
    "effect_done": "a body has returned, nothing of it is known outside its task",
    "mutation_recorded": "a body's batch, not empty, is about to be decided on",
    "commit_applied": "a commit moved the run in memory, the store has not heard of it",
    "commit_sent": "a commit was handed to the persistence actor",
    "commit_durable": "a transaction is stored, nobody was told",
    "decision_durable": "a decision is stored, nobody was told",
    "event_published": "a durable event was handed to the hub",
    "receipt_sent": "a receipt was handed to whoever asked",
}
"""Every point, and what is true when it is passed."""

hook: Callable[[str], None] | None = None
"""Called with the name of each point that is passed."""


def install_from_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Arm `TERZETTO_CRASH_AT`, if `TERZETTO_FAULTS=1` allows it; raises `InvalidRequest` for an unknown point."""
    wanted = environ.get("TERZETTO_CRASH_AT", "")
    if environ.get("TERZETTO_FAULTS") != "1" or not wanted:
        return
    point, _, count = wanted.partition(":")
    if point not in POINTS or not (count or "1").isdecimal():
        raise InvalidRequest(f"TERZETTO_CRASH_AT={wanted!r} is not POINT or POINT:COUNT; points: {', '.join(POINTS)}")
    global hook  # noqa: PLW0603 - one process dies at one point
    hook = _killer(point, int(count or "1"))


def _killer(point: str, count: int) -> Callable[[str], None]:
    passed: Counter[str] = Counter()

    def kill(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
