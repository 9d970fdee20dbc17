"""The trace of a simulation: when, who, what; the same bytes for the same seed."""

import hashlib
from collections.abc import Callable
from typing import Final


class Trace:
    """Lines in the order in which things happened.

    Args:
        clock: seconds since the beginning.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lines: Final[list[str]] = []
        self._clock = clock

    def say(self, who: str, what: str) -> None:
        """Note that somebody did something now. Not a checkpoint."""
        self.lines.append(f"{self._clock():10.4f} {who:<8} {what}")

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def digest(self) -> str:
        """What tells it from every other trace."""
        return hashlib.sha256(self.text.encode()).hexdigest()
