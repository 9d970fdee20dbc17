"""Places: each cell as near as its row allows to right above or below those that it is tied to."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import Final

from .layout_cells import PORT, Cell, Line, Tie
from .layout_rows import Rows

MARGIN: Final = 24.0
"""Around everything."""
GAP: Final = 34.0
"""Between two boxes of one row."""
AIR: Final = 6.0
"""Between a box and the lane of a line that passes it."""
ROW: Final = 28.0
"""Between two rows, at least; more where a line has far to go sideways."""
FAR: Final = 60.0
"""How much more, at most."""
NUDGE: Final = 6.0
"""A line that would go sideways by no more than this is made upright, if its box has room for that."""


def spread(boxes: Iterable[Cell]) -> None:
    """Give every line its own point at the bottom or the top of its box, in the order of where it leads."""
    for cell in boxes:
        for ties in (cell.above, cell.below):
            ends = sorted((tie for tie in ties if not tie.own.side), key=lambda tie: tie.place)
            step = min(PORT, 2 * cell.flat / max(1, len(ends) - 1))
            for place, tie in enumerate(ends):
                tie.own.offset, tie.own.give = (place - (len(ends) - 1) / 2) * step, min(NUDGE, step / 2)


def align(rows: Rows, passes: int) -> None:
    """Give every cell its place: near to those above, to those below, to both, and then right below each other."""
    for row in rows:
        _settle(row, [0.0] * len(row), [1.0] * len(row))
    for turn in range(2 * passes):
        down, both = turn % 2 == 0, turn > passes
        for row in rows if down else reversed(rows):
            _pull(row, above=down or both, below=not down or both)
    runs = list(_runs(rows))
    for _ in range(passes):
        for run in runs:
            _tighten(run, rows)


def _pull(row: Sequence[Cell], *, above: bool, below: bool) -> None:
    ties = [[*(cell.above if above else ()), *(cell.below if below else ())] for cell in row]
    wanted = [_mean(some, cell.x) for cell, some in zip(row, ties, strict=True)]
    _settle(row, wanted, [sum(tie.strength for tie in some) or 0.01 for some in ties])


def _mean(ties: Sequence[Tie], default: float) -> float:
    weight = sum(tie.strength for tie in ties)
    return sum(tie.strength * tie.wanted for tie in ties) / weight if ties else default


def _settle(row: Sequence[Cell], wanted: Sequence[float], weights: Sequence[float]) -> None:
    gaps = [_apart(one, other) for one, other in pairwise(row)]
    for cell, x in zip(row, settled(wanted, weights, gaps), strict=True):
        cell.x = x


def _apart(one: Cell, other: Cell) -> float:
    """How far apart the middles of two neighbours in a row are, at least."""
    return one.right + other.left + (GAP, AIR, 0.0)[one.rail + other.rail]


def settled(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to those wanted (by least squares), each at least its gap to the right of the one before."""
    offsets = list(accumulate(gaps, initial=0.0))[: len(wanted)]
    heaps: list[tuple[float, float, int]] = []
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        heap = want - offset, weight, 1
        while heaps and heaps[-1][0] > heap[0]:  # neighbours that would overlap move as one from here on
            mean, other, count = heaps.pop()
            total = other + heap[1]
            heap = (mean * other + heap[0] * heap[1]) / total, total, count + heap[2]
        heaps.append(heap)
    means = [mean for mean, _, count in heaps for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _runs(rows: Rows) -> Iterator[list[Cell]]:
    """Chains of cells that might stand right below each other: nothing but one line leads from each to the next."""
    following = {cell: _following(cell) for row in rows for cell in row}
    followers = set(following.values())
    for head in (cell for cell in following if cell not in followers):
        run = [head]
        while (cell := following[run[-1]]) is not None:
            run.append(cell)
        yield run


def _following(cell: Cell) -> Cell | None:
    below = [tie.other.cell for tie in cell.below if not tie.climbs]
    alone = len(below) == 1 and sum(not tie.climbs for tie in below[0].above) == 1
    return below[0] if alone else None


def _tighten(run: Iterable[Cell], rows: Rows) -> None:
    """Put as many cells as have room for that right below each other, and the next ones likewise."""
    taken: list[Cell] = []
    low, high = -inf, inf
    for cell in run:
        lower, higher = _room(cell, rows[cell.row])
        if taken and max(low, lower) > min(high, higher):
            _put(taken, low, high)
            taken, low, high = [], -inf, inf
        taken.append(cell)
        low, high = max(low, lower), min(high, higher)
    _put(taken, low, high)


def _room(cell: Cell, row: Sequence[Cell]) -> tuple[float, float]:
    before, after = row[: cell.place][-1:], row[cell.place + 1 :][:1]
    low = max((other.x + _apart(other, cell) for other in before), default=-inf)
    return low, min((other.x - _apart(cell, other) for other in after), default=inf)


def _put(cells: Sequence[Cell], low: float, high: float) -> None:
    """Give all the same place: a line goes on as it comes or as it leaves, and a box is in the middle."""
    inner = set(cells)
    ties = [tie for cell in cells for tie in (*cell.above, *cell.below) if tie.other.cell not in inner]
    straight = [tie.wanted for tie in ties if tie.own.cell.rail and low <= tie.wanted <= high]
    x = straight[0] if straight else _mean(ties, cells[0].x)
    for cell in cells:
        cell.x = max(low, min(high, x))


def anchor(rows: Rows) -> None:
    """Give every cell its height on the sheet, and count all places from the margin on, rounded."""
    left = min((cell.x - cell.left for row in rows for cell in row), default=0.0) - MARGIN
    top = MARGIN
    for row in rows:
        reach = max(cell.height for cell in row) / 2
        far = max((abs(tie.wanted - cell.x) for cell in row for tie in cell.below), default=0.0)
        for cell in row:
            cell.y, cell.reach = top + reach, reach
        top += round(2 * reach + ROW + min(FAR, 0.1 * far))
    for row in rows:
        for cell in row:
            cell.x = round(cell.x - left, 1)


def nudge(lines: Iterable[Line]) -> None:
    """Let a line leave or enter a box a little off its point where that makes it upright."""
    for line in lines:
        for end, other in (line.grips[:2], line.grips[:-3:-1]):
            if abs(end.x - other.x) <= end.give:
                end.offset = other.x - end.cell.x
