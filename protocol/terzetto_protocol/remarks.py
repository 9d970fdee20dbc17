"""What a body says besides what it records or sends."""

from typing import Final

from msgspec import Struct

from .records import Observed


class Remarks(Struct, frozen=True):
    """Where to go, and what to note with the commit."""

    next: str | None = None
    """None: by the edges; empty: the run ends; else the name of a place."""
    pause: bool = False
    """Whether the run is to be parked at this commit."""
    observed: Observed | None = None
    """What it reported and went on."""
    checkpoint: str | None = None
    """The label of the checkpoint that it asked for; None where it asked for none."""


NO_REMARKS: Final = Remarks()
"""What nearly every body says, and the only object that says it."""
THE_END: Final = Remarks(next="")
"""What a body says that ends its run and nothing else; another object may say it too."""
