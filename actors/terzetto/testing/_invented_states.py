"""What the runs of invented graphs come to: the states, and the mutations that change them."""

from typing import Final

from attrs import define, field
from msgspec import Struct

from terzetto_protocol.blobs import Blob

ROUNDS: Final = 2
"""How often a loop is gone round."""


@define
class Journey:
    """The state of every invented graph."""

    count: int = 0
    trail: list[str] = field(factory=list[str])
    """Every visit whose mutations count, once."""
    blobs: list[Blob] = field(factory=list[Blob])
    """What visits have put, and others read."""


@define
class Voyage(Journey):
    """The same in the second version of each graph."""

    calm: bool = True


class Went(Struct, frozen=True):
    """A visit was here."""

    where: str

    def apply(self, journey: Journey) -> None:
        """Put it on the trail."""
        journey.count += 1
        journey.trail.append(self.where)


class Came(Struct, frozen=True):
    """The same in the second version of each graph."""

    place: str

    def apply(self, journey: Journey) -> None:
        """Put it on the trail."""
        journey.count += 1
        journey.trail.append(self.place)


class Kept(Struct, frozen=True):
    """A visit has put a blob."""

    blob: Blob

    def apply(self, journey: Journey) -> None:
        """Remember it."""
        journey.blobs.append(self.blob)


def few(journey: Journey) -> bool:
    """Whether a loop may be gone round again."""
    return journey.count < 3 * ROUNDS


def three(journey: Journey) -> list[int]:
    """Up to three items of a map."""
    return [*range(1 + journey.count % 3)]


def fresh(journey: Journey) -> Journey:
    """With what a graph inside begins."""
    return Journey(journey.count)


def add(outer: Journey, inner: Journey) -> None:
    """What a graph inside came to."""
    outer.count = inner.count
    outer.trail.extend(inner.trail)
    outer.blobs.extend(inner.blobs)
