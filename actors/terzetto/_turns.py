"""Whether a task has let others run since it was looked at: Trio counts that for tests, and keeps it to itself."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final

import trio

_COUNT: Final = "_schedule_points"


def _nobody_counts(_: trio.lowlevel.Task) -> int:
    return 0


times_scheduled: Final[Callable[[trio.lowlevel.Task], int]] = (
    attrgetter(_COUNT) if hasattr(trio.lowlevel.Task, _COUNT) else _nobody_counts
)
"""How often a task was scheduled; always 0 under a Trio that does not tell, so that a run yields where it need not."""
