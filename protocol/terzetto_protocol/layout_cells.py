"""What a layout moves about: cells in rows, lines that hold on to them, and the ties between one row and the next.

A box is a cell, and so is a line in every row that it passes.
"""

from typing import Final, TypeAlias

from attrs import define, field, frozen

LANE: Final = 16.0
"""Between two lines that run beside each other."""
PORT: Final = 16.0
"""Between two lines that start from one box, or end there."""

Point: TypeAlias = tuple[float, float]


@define(eq=False)
class Cell:
    """Whatever takes room in a row."""

    row: int
    left: float
    """From its middle, as `right`."""
    right: float
    height: float
    slant: float = 0.0
    rail: bool = True
    """Whether it only lets a line through."""
    place: int = 0
    """Its number in the row."""
    x: float = 0.0
    y: float = 0.0
    reach: float = 0.0
    """Half the height of its row."""
    above: "list[Tie]" = field(factory=list["Tie"])
    below: "list[Tie]" = field(factory=list["Tie"])

    @property
    def flat(self) -> float:
        """Half of what its top and its bottom offer to lines."""
        return max(0.0, self.left - self.slant - LANE / 2)


@define(eq=False)
class Grip:
    """Where a line holds on to a cell."""

    cell: Cell
    offset: float = 0.0
    """How far right of the middle the line is: at the top or the bottom, or in its lane if it climbs."""
    side: Point | None = None
    """Where a line that climbs meets the box, from its middle."""
    bend: float = 0.0
    """How round the corner from there to its lane is."""
    give: float = 0.0
    """How far it may be moved sideways without coming near to another."""

    @property
    def x(self) -> float:
        """Where the line is."""
        return self.cell.x + self.offset


@frozen(eq=False)
class Tie:
    """A piece of a line, from a cell to one in the next row, and how much it matters to the first."""

    own: Grip
    other: Grip
    strength: float

    @property
    def climbs(self) -> bool:
        """Whether it is at the side of a box."""
        return bool(self.own.side or self.other.side)

    @property
    def place(self) -> float:
        """Where in the next row it leads."""
        return self.other.cell.place + (0.4 if self.other.side else 0.0)

    @property
    def wanted(self) -> float:
        """Where its cell would have to be for it to be upright."""
        return self.other.x - self.own.offset


@frozen
class Line:
    """A link by its grips, from the upper box to the lower one, and the cell in which its label stands."""

    grips: list[Grip]
    label: Cell | None = None


def tie(upper: Grip, lower: Grip) -> None:
    """Join two cells: long lines are straight before anything else is, and what climbs beside a box moves it hardly."""
    strength = 16.0 if upper.cell.rail and lower.cell.rail else 1.0
    if upper.cell is not lower.cell:
        upper.cell.below.append(Tie(upper, lower, 0.01 if upper.side else strength))
        lower.cell.above.append(Tie(lower, upper, 0.01 if lower.side else strength))
