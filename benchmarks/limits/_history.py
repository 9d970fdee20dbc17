"""The limit of what a growing state costs in bytes beside its commits: the two snapshots that 3.1 promises.

The run's first commit and that with which it ends are checkpoints, from which anybody can read the run. The second
holds all that the state has become. More of them bound what a recovery has to read, but which and how many, nobody
promised. The commits themselves weigh what they weigh: this goal is about what comes on top.
"""

from typing import Final

from .._states import History, Said, line_of
from ._visit import encode

HOW: Final = "the same commits, and two snapshots: of the state that the run began with, and of that at its end"


def snapshots(steps: int) -> int:
    """Bytes of the two."""
    history = History()
    first = len(encode(history))
    for number in range(steps):
        Said(line_of(number)).apply(history)
    return first + len(encode(history))
