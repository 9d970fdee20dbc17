"""What makes an invented world special: threads, blobs, a retention, sinks, and newer versions on the way."""

from random import Random

from attrs import frozen

from terzetto_protocol.retention import ALL, Keep, Retention

from ._scenario import Graphs, Release, Restart

_CLEANED = 25.0
"""Seconds after which a cleaner has looked at everything, twice where it has to wait first."""
_SWEPT = 65.0
"""Seconds after which blobs have been swept."""


@frozen
class Traits:
    """What a world has; most have none of it."""

    thread: bool = False
    """Whether all its runs are on one thread."""
    blobs: bool = False
    retention: Retention | None = None
    sinks: bool = False
    newer: bool = False
    """Whether processes that start later have newer versions of the graphs."""

    @property
    def may_split(self) -> bool:
        """Whether a frozen owner may come back: what is cleaned and lined up is one owner's to say."""
        return not (self.thread or self.blobs or self.retention)

    @property
    def linger(self) -> float:
        """Seconds for which the world goes on when every run rests."""
        if self.blobs:
            return _SWEPT
        return _CLEANED if self.retention else 0.0


def invent_traits(dice: Random) -> Traits:
    """Any of them."""
    return Traits(
        thread=dice.random() < 0.2,
        blobs=dice.random() < 0.1,
        retention=_retention(dice) if dice.random() < 0.15 else None,
        sinks=dice.random() < 0.2,
        newer=dice.random() < 0.15,
    )


def _retention(dice: Random) -> Retention:
    history = dice.choice((ALL, Keep(latest=1), Keep(latest=2), Keep(max_age=1.0)))
    return Retention(history=history, finished=dice.choice((ALL, Keep(latest=0), Keep(latest=1), Keep(max_age=12.0))))


def invent_release(dice: Random, graphs: Graphs) -> tuple[tuple[Release, ...], tuple[Restart, ...]]:
    """A newer version, and a restart after it, so that it is used."""
    at = 0.5 + 3.0 * dice.random()
    return (Release(at, graphs),), (Restart(at + dice.random(), dice.random()),)
