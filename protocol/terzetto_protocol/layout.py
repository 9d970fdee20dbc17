"""Where the boxes and arrows of a drawing go: rows of boxes from top to bottom, and no arrow across a box.

A link leads downwards, through a gap in every row that it passes; one that closes a cycle climbs from the right side
of its source to that of its target. All lengths are in pixels. Only the order of what is given decides, so that the
same boxes and links lie at the same points in every process. Nothing here recurses: a chain of any length is fine.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen

from .layout_cells import LANE, Grip, Line, Point
from .layout_places import MARGIN, align, anchor, nudge, spread
from .layout_rows import arrange
from .layout_sheet import Sheet

PASSES: Final = 10
"""How often all rows are gone through for their order, and again for their places."""
EFFORT: Final = 50_000
"""As many cells may be looked at in all passes together; where there are more, there are fewer passes."""


@frozen
class Box:
    """Something to be placed: a figure, or a whole drawing that was laid out before."""

    id: str
    width: float
    height: float
    slant: float = 0.0
    """How far the middle of its sides stands out: 0 for a rectangle, half the width for a circle."""


@frozen
class Link:
    """An arrow to be led from one box to another, with room for its label if that has a size.

    One that leads back to its own box has its label beside that; it should not be the higher one.
    """

    source: str
    target: str
    width: float = 0.0
    height: float = 0.0


@frozen
class Spot:
    """A rectangle, by its middle."""

    x: float
    y: float
    width: float
    height: float


@frozen
class Route:
    """The way of a link: upright wherever it passes a row; what is between two rows is free for a curve."""

    points: tuple[Point, ...]
    climbs: bool
    """Whether it begins and ends at the side of a box, with a quarter turn."""
    label: Spot | None


@frozen
class Layout:
    """Everything that was to be placed, from (0, 0) on; routes are in the order of their links."""

    width: float
    height: float
    boxes: Mapping[str, Spot]
    routes: tuple[Route, ...]


def layout(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Place boxes that have different ids; a link from or to any other is a `KeyError`."""
    sheet = Sheet(boxes, links)
    passes = max(2, min(PASSES, EFFORT // (1 + sum(map(len, sheet.rows)))))
    arrange(sheet.rows, passes)
    spread(sheet.cells.values())
    align(sheet.rows, passes)
    anchor(sheet.rows)
    nudge(sheet.lines)
    return _drawn(sheet)


def _drawn(sheet: Sheet) -> Layout:
    cells = [cell for row in sheet.rows for cell in row]
    width = max((cell.x + cell.right for cell in cells), default=MARGIN) + MARGIN
    height = max((cell.y + cell.reach for cell in cells), default=MARGIN) + MARGIN
    boxes = {name: Spot(cell.x, cell.y, 2 * cell.left, cell.height) for name, cell in sheet.cells.items()}
    return Layout(width, height, boxes, tuple(map(_route, sheet.lines, sheet.links)))


def _route(line: Line, link: Link) -> Route:
    first, last = line.grips[0], line.grips[-1]
    points = [*_end(first, 1), *_between(line.grips), *reversed(_end(last, -1))]
    climbs = first.side is not None
    kept = _straightened(reversed(points) if climbs else points)
    return Route(tuple(kept), climbs, _label(line, link) if link.height else None)


def _end(grip: Grip, down: int) -> list[Point]:
    """From the bottom (1) or the top (-1) of a box, or from its side and then down (1) or up (-1)."""
    cell = grip.cell
    if grip.side is None:
        return [(round(grip.x, 1), cell.y + down * cell.height / 2)]
    x, y = cell.x + grip.side[0], cell.y + grip.side[1]
    return [(x, y), (round(grip.x, 1), y + down * grip.bend)]


def _between(grips: Sequence[Grip]) -> Iterator[Point]:
    for upper, lower in pairwise(grips):
        if upper.cell is not lower.cell:
            yield round(upper.x, 1), upper.cell.y + upper.cell.reach
            yield round(lower.x, 1), lower.cell.y - lower.cell.reach


def _label(line: Line, link: Link) -> Spot:
    if line.label is not None:
        return Spot(line.label.x, line.label.y, link.width, link.height)
    enters, leaves = line.grips
    middle = sum(grip.side[1] for grip in (enters, leaves) if grip.side) / 2
    room = max(0.0, (enters.cell.height - link.height) / 2)
    y = enters.cell.y + max(-room, min(room, middle))
    return Spot(enters.x + (LANE + link.width) / 2, y, link.width, link.height)


def _straightened(points: Iterable[Point]) -> list[Point]:
    """Without those in the middle of an upright line, and without any twice."""
    kept: list[Point] = []
    for point in points:
        if len(kept) > 1 and kept[-2][0] == kept[-1][0] == point[0]:
            kept.pop()
        if kept[-1:] != [point]:
            kept.append(point)
    return kept
