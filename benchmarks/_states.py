"""States and what changes them, for Terzetto and for the raw loops beside it; nothing of ours is imported here."""

from attrs import Factory, define, field, frozen

LINES = 10


@define
class Tally:
    """What a chain works on."""

    count: int = 0
    log: list[str] = Factory(lambda: ["x"] * LINES)


@frozen
class Counted:
    """One step: count, and shift a log of ten lines."""

    line: str

    def apply(self, tally: Tally, /) -> None:
        tally.count += 1
        tally.log = [*tally.log[1:], self.line]


@define
class History:
    """A state that only grows."""

    lines: list[str] = field(factory=list[str])


@frozen
class Said:
    """One line more."""

    line: str

    def apply(self, history: History, /) -> None:
        history.lines.append(self.line)


def line_of(number: int) -> str:
    """What a step says of which the state keeps everything."""
    return f"line {number} of a conversation that grows"


@define
class Nothing:
    """A state without content."""


def checked_rate(end: Tally, count: int, took: float) -> float:
    """How many a second, if all were done."""
    assert end.count == count, (end.count, count)
    return count / took
