"""What a simulated store's calls meet: the weather of a scenario, and dice."""

from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Final, Literal, TypeAlias

from attrs import frozen

Fate: TypeAlias = Literal["", "fails", "is lost", "hangs"]
"""What becomes of a call: done; not done; done, and its answer is lost; the same, after a long time."""


@frozen
class Trouble:
    """A time in which a store behaves badly: each number is the share of its calls that this happens to."""

    at: float
    """When it begins, seconds."""
    seconds: float
    """How long it lasts."""
    fails: float = 0.0
    """Nothing happened, and the caller is told so."""
    loses: float = 0.0
    """It was done, and the caller is not told so."""
    hangs: float = 0.0
    """Nobody is told anything before the trouble is over; then it was done or not."""
    slow: float = 0.0
    """Seconds that a call takes at most, beyond what it takes anyway."""

    @property
    def until(self) -> float:
        """When it is over."""
        return self.at + self.seconds


@frozen
class Luck:
    """What one call meets."""

    fate: Fate
    delay: float
    """Seconds."""
    early: bool
    """Whether it has happened before these seconds, and not after them: who dies in between never knows."""


class Weather:
    """Decides for one call after the other, by seed.

    Args:
        dice: where luck comes from.
        clock: seconds since the beginning.
        latency: seconds that a call takes at most where nothing is wrong.
        troubles: when something is.
    """

    def __init__(
        self, dice: Random, clock: Callable[[], float], latency: float = 0.0, troubles: Sequence[Trouble] = ()
    ) -> None:
        self._dice: Final = dice
        self._clock: Final = clock
        self._latency: Final = latency
        self._troubles: Final = troubles
        self._clear = max((trouble.until for trouble in troubles), default=-inf)

    def next(self, *, writes: bool) -> Luck:
        """What the next call meets. Not a checkpoint."""
        dice, now = self._dice.random, self._clock()
        delay = self._latency * dice() if self._latency and (writes or dice() < 0.5) else 0.0
        if now < self._clear:
            for trouble in self._troubles:
                if trouble.at <= now < trouble.until:
                    return self._bad(trouble, now, delay)
        return Luck("", delay, early=dice() < 0.5)

    def _bad(self, trouble: Trouble, now: float, delay: float) -> Luck:
        dice = self._dice.random
        drawn, early = dice(), dice() < 0.5
        delay += trouble.slow * dice()
        if drawn < trouble.fails:
            return Luck("fails", delay, early=False)
        if drawn < trouble.fails + trouble.loses:
            return Luck("is lost", delay, early)
        if drawn < trouble.fails + trouble.loses + trouble.hangs:
            return Luck("hangs", trouble.until - now, early)
        return Luck("", delay, early)
