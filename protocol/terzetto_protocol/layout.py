"""Where the boxes and arrows of a drawing go: rows of boxes from top to bottom, and no arrow across a box.

A link leads downwards, through a gap in every row that it passes; one that closes a cycle climbs from the right side
of its source to that of its target. All lengths are in pixels. Only the order of what is given decides, so that the
same boxes and links lie at the same points in every process. Nothing here recurses: a chain of any length is fine.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import Final, TypeAlias

from attrs import define, field, frozen

MARGIN: Final = 24.0
"""Around everything."""
GAP: Final = 34.0
"""Between two boxes of one row."""
AIR: Final = 6.0
"""Between a box and the lane of a line that passes it."""
LANE: Final = 16.0
"""Between two lines that run beside each other."""
PORT: Final = 16.0
"""Between two lines that start from one box, or end there."""
ROW: Final = 28.0
"""Between two rows, at least; more where a line has far to go sideways."""
FAR: Final = 60.0
"""How much more, at most."""
NUDGE: Final = 6.0
"""A line that would go sideways by no more than this is made upright, if its box has room for that."""
PASSES: Final = 10
"""How often all rows are gone through for their order, and again for their places."""
EFFORT: Final = 50_000
"""As many cells may be looked at in all passes together; where there are more, there are fewer passes."""

Point: TypeAlias = tuple[float, float]
_End: TypeAlias = tuple[int, bool]
"""The number of a link, and whether it leaves there."""


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
    sheet = _Sheet(boxes, links)
    passes = max(2, min(PASSES, EFFORT // (1 + sum(map(len, sheet.rows)))))
    _arrange(sheet.rows, passes)
    _spread(sheet)
    _align(sheet.rows, passes)
    _anchor(sheet.rows)
    _nudge(sheet.lines)
    return _drawn(sheet)


# Rows: every box is below all that lead to it, when links that close a cycle are set aside.


def _unwound(names: Sequence[str], links: Sequence[Link]) -> tuple[list[str], set[int]]:
    """The names in an order in which links lead onwards, and the numbers of those links that close a cycle."""
    leaving: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for number, link in enumerate(links):
        leaving[link.source].append((number, link.target))
    order: list[str] = []
    closing: set[int] = set()
    entered: set[str] = set()
    for root in names:
        walk = {} if root in entered else {root: iter(leaving[root])}
        entered.add(root)
        while walk:
            name, ways = next(reversed(walk.items()))
            for number, target in ways:
                if target in walk:
                    closing.add(number)
                elif target not in entered:
                    entered.add(target)
                    walk[target] = iter(leaving[target])
                    break
            else:
                order.append(name)
                del walk[name]
    return order[::-1], closing


def _ranks(order: Sequence[str], links: Iterable[Link]) -> dict[str, int]:
    """The rank of every name, from 0, given links that all lead onwards in this order."""
    before: dict[str, list[str]] = {name: [] for name in order}
    after: dict[str, list[str]] = {name: [] for name in order}
    for link in links:
        after[link.source].append(link.target)
        before[link.target].append(link.source)
    rank: dict[str, int] = {}
    for name in order:
        rank[name] = max((rank[source] + 1 for source in before[name]), default=0)
    for name in reversed(order):  # what has more ways out than in is better near to where they lead
        if len(after[name]) > len(before[name]):
            rank[name] = min(rank[target] for target in after[name]) - 1
    return rank


# Cells: whatever takes room in a row. A line has one in every row between its ends.


@define(eq=False)
class _Cell:
    row: int
    left: float
    right: float
    height: float
    slant: float = 0.0
    rail: bool = True
    """Whether it only lets a line through."""
    place: int = 0
    x: float = 0.0
    y: float = 0.0
    reach: float = 0.0
    """Half the height of its row."""
    above: "list[_Tie]" = field(factory=list["_Tie"])
    below: "list[_Tie]" = field(factory=list["_Tie"])

    @property
    def flat(self) -> float:
        """Half of what its top and its bottom offer to lines."""
        return max(0.0, self.left - self.slant - LANE / 2)


@define(eq=False)
class _Grip:
    """Where a line holds on to a cell."""

    cell: _Cell
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
        return self.cell.x + self.offset


@frozen(eq=False)
class _Tie:
    """A piece of a line, from a cell to one in the next row, and how much it matters to the first."""

    own: _Grip
    other: _Grip
    strength: float

    @property
    def climbs(self) -> bool:
        return bool(self.own.side or self.other.side)

    @property
    def place(self) -> float:
        return self.other.cell.place + (0.4 if self.other.side else 0.0)

    @property
    def wanted(self) -> float:
        return self.other.x - self.own.offset


@frozen
class _Line:
    """A link by its grips, from the upper box to the lower one, and the cell in which its label stands."""

    grips: list[_Grip]
    label: _Cell | None = None


class _Sheet:
    """All cells in their rows, and the lines that tie them to each other."""

    def __init__(self, boxes: Sequence[Box], links: Sequence[Link]) -> None:
        order, closing = _unwound([box.id for box in boxes], links)
        self._closing: Final = closing
        self._rank: Final = _ranks(order, (link for number, link in enumerate(links) if number not in closing))
        self.links: Final = links
        # A label stands in a row of its own, next to that of the source of its link.
        labelled = {self._gap(number) for number, link in enumerate(links) if link.height}
        self._row: Final = list(accumulate((1 + (gap in labelled) for gap in range(len(boxes))), initial=0))
        last = max((self._row[rank] for rank in self._rank.values()), default=-1)
        self.rows: Final[list[list[_Cell]]] = [[] for _ in range(last + 1)]
        self.cells: Final = {box.id: self._stand(box) for box in boxes}
        ends = self._ends()
        self.lines: Final = [self._lead(number, ends) for number in range(len(links))]

    def _gap(self, number: int) -> int:
        """The rank below which the label of a link stands; that of a loop is beside its box."""
        link = self.links[number]
        return -1 if link.source == link.target else self._rank[link.source] - (number in self._closing)

    def _stand(self, box: Box) -> _Cell:
        row = self._row[self._rank[box.id]]
        return self._add(_Cell(row, box.width / 2, box.width / 2, box.height, box.slant, rail=False))

    def _rail(self, row: int, label: Link | None) -> _Cell:
        width, height = (LANE, 0.0) if label is None else (label.width + LANE, label.height)
        return self._add(_Cell(row, width / 2, width / 2, height))

    def _add(self, cell: _Cell) -> _Cell:
        self.rows[cell.row].append(cell)
        return cell

    def _ends(self) -> dict[_End, _Grip]:
        """Where the links that close a cycle leave and enter their boxes; the shortest one is innermost."""
        touching: dict[str, list[int]] = {name: [] for name in self.cells}
        height = {n: self._rank[self.links[n].source] - self._rank[self.links[n].target] for n in sorted(self._closing)}
        for number in sorted(height, key=height.__getitem__):
            for name in dict.fromkeys((self.links[number].source, self.links[number].target)):
                touching[name].append(number)
        return {end: grip for name, numbers in touching.items() for end, grip in self._side(name, numbers)}

    def _side(self, name: str, numbers: Sequence[int]) -> Iterator[tuple[_End, _Grip]]:
        """The grips at the right side of a box, from above in an order in which the lines do not cross there."""
        cell, links = self.cells[name], self.links
        loops = [number for number in numbers if links[number].source == links[number].target]
        outs = [number for number in numbers if links[number].source == name and number not in loops]
        ins = [number for number in numbers if links[number].target == name and number not in loops]
        lanes: dict[int, float] = {}
        for number in loops:
            lanes[number] = cell.right + LANE
            cell.right += LANE + links[number].width
        lanes |= {number: cell.right + LANE * place for some in (outs, ins) for place, number in enumerate(some, 1)}
        cell.right += LANE * max(len(outs), len(ins)) + (LANE / 2 if numbers else 0.0)
        ends = [(number, True) for number in outs] + [(number, False) for number in reversed(loops)]
        ends += [(number, True) for number in loops] + [(number, False) for number in reversed(ins)]
        step = min(PORT, 0.8 * cell.height / max(1, len(ends) - 1))
        for place, end in enumerate(ends):
            y = (place - (len(ends) - 1) / 2) * step
            x = cell.left - cell.slant * abs(y) * 2 / cell.height
            yield end, _Grip(cell, lanes[end[0]], (x, y), min(step / 2, cell.height / 2 - abs(y)))

    def _lead(self, number: int, ends: Mapping[_End, _Grip]) -> _Line:
        link = self.links[number]
        upper = ends.get((number, False)) or _Grip(self.cells[link.source])
        lower = ends.get((number, True)) or _Grip(self.cells[link.target])
        label = self._row[self._gap(number)] + 1 if link.height else -1
        between = range(upper.cell.row + 1, lower.cell.row)
        rails = {row: self._rail(row, link if row == label else None) for row in between}
        line = _Line([upper, *map(_Grip, rails.values()), lower], rails.get(label))
        for one, other in pairwise(line.grips):
            _tie(one, other)
        return line


def _tie(upper: _Grip, lower: _Grip) -> None:
    """Long lines are straight before anything else is, and a box does not move for lines that climb beside it."""
    strength = 16.0 if upper.cell.rail and lower.cell.rail else 1.0
    if upper.cell is not lower.cell:
        upper.cell.below.append(_Tie(upper, lower, 0.01 if upper.side else strength))
        lower.cell.above.append(_Tie(lower, upper, 0.01 if lower.side else strength))


# Order: each cell near the middle of those that it is tied to, for as few crossings as that gives.


def _arrange(rows: list[list[_Cell]], passes: int) -> None:
    _number(rows)
    best = _crossings(rows), [list(row) for row in rows]
    for turn in range(passes):
        down = turn % 2 == 0
        for row in rows if down else reversed(rows):
            middles = {cell: _middle(cell.above if down else cell.below, cell.place) for cell in row}
            row.sort(key=middles.__getitem__)
            _number([row])
        best = min(best, (_crossings(rows), [list(row) for row in rows]), key=lambda found: found[0])
    rows[:] = best[1]
    _number(rows)


def _number(rows: Iterable[Sequence[_Cell]]) -> None:
    for row in rows:
        for place, cell in enumerate(row):
            cell.place = place


def _middle(ties: Sequence[_Tie], default: float) -> float:
    return sum(tie.place for tie in ties) / len(ties) if ties else default


def _crossings(rows: Iterable[Sequence[_Cell]]) -> int:
    count = 0
    for row in rows:
        passed: list[float] = []
        for cell in row:
            places = sorted(tie.place for tie in cell.below)
            count += sum(len(passed) - bisect_right(passed, place) for place in places)
            for place in places:
                insort(passed, place)
    return count


# Places: each cell as near as its row allows to right above or below those that it is tied to.


def _spread(sheet: _Sheet) -> None:
    """Give every line its own point at the bottom or the top of its box, in the order of where it leads."""
    for cell in sheet.cells.values():
        for ties in (cell.above, cell.below):
            ends = sorted((tie for tie in ties if not tie.own.side), key=lambda tie: tie.place)
            step = min(PORT, 2 * cell.flat / max(1, len(ends) - 1))
            for place, tie in enumerate(ends):
                tie.own.offset, tie.own.give = (place - (len(ends) - 1) / 2) * step, min(NUDGE, step / 2)


def _align(rows: Sequence[Sequence[_Cell]], passes: int) -> None:
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


def _pull(row: Sequence[_Cell], *, above: bool, below: bool) -> None:
    ties = [[*(cell.above if above else ()), *(cell.below if below else ())] for cell in row]
    wanted = [_mean(some, cell.x) for cell, some in zip(row, ties, strict=True)]
    _settle(row, wanted, [sum(tie.strength for tie in some) or 0.01 for some in ties])


def _mean(ties: Sequence[_Tie], default: float) -> float:
    weight = sum(tie.strength for tie in ties)
    return sum(tie.strength * tie.wanted for tie in ties) / weight if ties else default


def _settle(row: Sequence[_Cell], wanted: Sequence[float], weights: Sequence[float]) -> None:
    gaps = [_apart(one, other) for one, other in pairwise(row)]
    for cell, x in zip(row, settled(wanted, weights, gaps), strict=True):
        cell.x = x


def _apart(one: _Cell, other: _Cell) -> float:
    """How far apart the middles of two neighbours in a row are, at least."""
    return one.right + other.left + {0: GAP, 1: AIR, 2: 0.0}[one.rail + other.rail]


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


def _runs(rows: Iterable[Sequence[_Cell]]) -> Iterator[list[_Cell]]:
    """Chains of cells that might stand right below each other: nothing but one line leads from each to the next."""
    following = {cell: _following(cell) for row in rows for cell in row}
    followers = set(following.values())
    for head in (cell for cell in following if cell not in followers):
        run = [head]
        while (cell := following[run[-1]]) is not None:
            run.append(cell)
        yield run


def _following(cell: _Cell) -> _Cell | None:
    below = [tie.other.cell for tie in cell.below if not tie.climbs]
    alone = len(below) == 1 and sum(not tie.climbs for tie in below[0].above) == 1
    return below[0] if alone else None


def _tighten(run: Iterable[_Cell], rows: Sequence[Sequence[_Cell]]) -> None:
    """Put as many cells as have room for that right below each other, and the next ones likewise."""
    taken: list[_Cell] = []
    low, high = -inf, inf
    for cell in run:
        lower, higher = _room(cell, rows[cell.row])
        if taken and max(low, lower) > min(high, higher):
            _put(taken, low, high)
            taken, low, high = [], -inf, inf
        taken.append(cell)
        low, high = max(low, lower), min(high, higher)
    _put(taken, low, high)


def _room(cell: _Cell, row: Sequence[_Cell]) -> tuple[float, float]:
    before, after = row[: cell.place][-1:], row[cell.place + 1 :][:1]
    low = max((other.x + _apart(other, cell) for other in before), default=-inf)
    return low, min((other.x - _apart(cell, other) for other in after), default=inf)


def _put(cells: Sequence[_Cell], low: float, high: float) -> None:
    """Give all the same place: a line goes on as it comes or as it leaves, and a box is in the middle."""
    inner = set(cells)
    ties = [tie for cell in cells for tie in (*cell.above, *cell.below) if tie.other.cell not in inner]
    straight = [tie.wanted for tie in ties if tie.own.cell.rail and low <= tie.wanted <= high]
    x = straight[0] if straight else _mean(ties, cells[0].x)
    for cell in cells:
        cell.x = max(low, min(high, x))


def _anchor(rows: Iterable[Sequence[_Cell]]) -> None:
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


def _nudge(lines: Iterable[_Line]) -> None:
    """Let a line leave or enter a box a little off its point where that makes it upright."""
    for line in lines:
        for end, other in (line.grips[:2], line.grips[:-3:-1]):
            if abs(end.x - other.x) <= end.give:
                end.offset = other.x - end.cell.x


# Points: the ways of the lines through the cells.


def _drawn(sheet: _Sheet) -> Layout:
    cells = [cell for row in sheet.rows for cell in row]
    width = max((cell.x + cell.right for cell in cells), default=MARGIN) + MARGIN
    height = max((cell.y + cell.reach for cell in cells), default=MARGIN) + MARGIN
    boxes = {name: Spot(cell.x, cell.y, 2 * cell.left, cell.height) for name, cell in sheet.cells.items()}
    return Layout(width, height, boxes, tuple(map(_route, sheet.lines, sheet.links)))


def _route(line: _Line, link: Link) -> Route:
    first, last = line.grips[0], line.grips[-1]
    points = [*_end(first, 1), *_between(line.grips), *reversed(_end(last, -1))]
    climbs = first.side is not None
    kept = _straightened(reversed(points) if climbs else points)
    return Route(tuple(kept), climbs, _label(line, link) if link.height else None)


def _end(grip: _Grip, down: int) -> list[Point]:
    """From the bottom (1) or the top (-1) of a box, or from its side and then down (1) or up (-1)."""
    cell = grip.cell
    if grip.side is None:
        return [(round(grip.x, 1), cell.y + down * cell.height / 2)]
    x, y = cell.x + grip.side[0], cell.y + grip.side[1]
    return [(x, y), (round(grip.x, 1), y + down * grip.bend)]


def _between(grips: Sequence[_Grip]) -> Iterator[Point]:
    for upper, lower in pairwise(grips):
        if upper.cell is not lower.cell:
            yield round(upper.x, 1), upper.cell.y + upper.cell.reach
            yield round(lower.x, 1), lower.cell.y - lower.cell.reach


def _label(line: _Line, link: Link) -> Spot:
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
