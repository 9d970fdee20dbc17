"""Sheets: boxes and links as cells in their rows, before anybody knows where those are."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from .layout_cells import LANE, PORT, Cell, Grip, Line, tie
from .layout_rows import Rows, ranked

if TYPE_CHECKING:
    from .layout import Box, Link

_End: TypeAlias = tuple[int, bool]
"""The number of a link, and whether it leaves there."""


class Sheet:
    """All cells in their rows, and the lines that tie them to each other."""

    def __init__(self, boxes: "Sequence[Box]", links: "Sequence[Link]") -> None:
        self._rank, self._closing = ranked([box.id for box in boxes], [(link.source, link.target) for link in links])
        self.links: Final = links
        # A label stands in a row of its own, next to that of the source of its link.
        labelled = {self._gap(number) for number, link in enumerate(links) if link.height}
        self._row: Final = list(accumulate((1 + (gap in labelled) for gap in range(len(boxes))), initial=0))
        last = max((self._row[rank] for rank in self._rank.values()), default=-1)
        self.rows: Final[Rows] = [[] for _ in range(last + 1)]
        self.cells: Final = {box.id: self._stand(box) for box in boxes}
        ends = self._ends()
        self.lines: Final = [self._lead(number, ends) for number in range(len(links))]

    def _gap(self, number: int) -> int:
        """The rank below which the label of a link stands; that of a loop is beside its box."""
        link = self.links[number]
        return -1 if link.source == link.target else self._rank[link.source] - (number in self._closing)

    def _stand(self, box: "Box") -> Cell:
        row = self._row[self._rank[box.id]]
        return self._add(Cell(row, box.width / 2, box.width / 2, box.height, box.slant, rail=False))

    def _rail(self, row: int, label: "Link | None") -> Cell:
        width, height = (LANE, 0.0) if label is None else (label.width + LANE, label.height)
        return self._add(Cell(row, width / 2, width / 2, height))

    def _add(self, cell: Cell) -> Cell:
        self.rows[cell.row].append(cell)
        return cell

    def _ends(self) -> dict[_End, Grip]:
        """Where the links that close a cycle leave and enter their boxes; the shortest one is innermost."""
        touching: dict[str, list[int]] = {name: [] for name in self.cells}
        height = {n: self._rank[self.links[n].source] - self._rank[self.links[n].target] for n in sorted(self._closing)}
        for number in sorted(height, key=height.__getitem__):
            for name in dict.fromkeys((self.links[number].source, self.links[number].target)):
                touching[name].append(number)
        return {end: grip for name, numbers in touching.items() for end, grip in self._side(name, numbers)}

    def _side(self, name: str, numbers: Sequence[int]) -> Iterator[tuple[_End, Grip]]:
        """The grips at the right side of a box, from above in an order in which the lines do not cross there."""
        cell, links = self.cells[name], self.links
        loops = [number for number in numbers if links[number].source == links[number].target]
        outs = [number for number in numbers if links[number].source == name and number not in loops]
        ins = [number for number in numbers if links[number].target == name and number not in loops]
        lanes = _lanes(cell, {number: links[number].width for number in loops}, outs, ins)
        ends = [(number, True) for number in outs] + [(number, False) for number in reversed(loops)]
        ends += [(number, True) for number in loops] + [(number, False) for number in reversed(ins)]
        step = min(PORT, 0.8 * cell.height / max(1, len(ends) - 1))
        for place, end in enumerate(ends):
            y = (place - (len(ends) - 1) / 2) * step
            x = cell.left - cell.slant * abs(y) * 2 / cell.height
            yield end, Grip(cell, lanes[end[0]], (x, y), min(step / 2, cell.height / 2 - abs(y)))

    def _lead(self, number: int, ends: Mapping[_End, Grip]) -> Line:
        link = self.links[number]
        upper = ends.get((number, False)) or Grip(self.cells[link.source])
        lower = ends.get((number, True)) or Grip(self.cells[link.target])
        label = self._row[self._gap(number)] + 1 if link.height else -1
        between = range(upper.cell.row + 1, lower.cell.row)
        rails = {row: self._rail(row, link if row == label else None) for row in between}
        line = Line([upper, *map(Grip, rails.values()), lower], rails.get(label))
        for one, other in pairwise(line.grips):
            tie(one, other)
        return line


def _lanes(cell: Cell, loops: Mapping[int, float], outs: Sequence[int], ins: Sequence[int]) -> dict[int, float]:
    """Where the lines at the side of a box climb, from its middle; it grows by them and by the labels of loops."""
    lanes: dict[int, float] = {}
    for number, width in loops.items():
        lanes[number] = cell.right + LANE
        cell.right += LANE + width
    lanes |= {number: cell.right + LANE * place for some in (outs, ins) for place, number in enumerate(some, 1)}
    cell.right += LANE * max(len(outs), len(ins)) + (LANE / 2 if lanes else 0.0)
    return lanes
