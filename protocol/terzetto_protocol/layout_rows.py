"""Rows: every box is below all that lead to it, and beside others so that few lines cross."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from .layout_cells import Cell, Tie

Way: TypeAlias = tuple[str, str]
"""The names that it leads from and to."""
Rows: TypeAlias = list[list[Cell]]


def ranked(names: Sequence[str], ways: Sequence[Way]) -> tuple[dict[str, int], set[int]]:
    """The rank of every name, from 0, and the numbers of those ways that close a cycle and are set aside."""
    order, closing = _unwound(names, ways)
    return _ranks(order, (way for number, way in enumerate(ways) if number not in closing)), closing


def _unwound(names: Sequence[str], ways: Sequence[Way]) -> tuple[list[str], set[int]]:
    """The names in an order in which ways lead onwards, but for those that close a cycle."""
    leaving: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for number, (source, target) in enumerate(ways):
        leaving[source].append((number, target))
    order: list[str] = []
    closing: set[int] = set()
    entered: set[str] = set()
    for root in names:
        walk = {} if root in entered else {root: iter(leaving[root])}
        entered.add(root)
        while walk:
            name, rest = next(reversed(walk.items()))
            for number, target in rest:
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


def _ranks(order: Sequence[str], ways: Iterable[Way]) -> dict[str, int]:
    before: dict[str, list[str]] = {name: [] for name in order}
    after: dict[str, list[str]] = {name: [] for name in order}
    for source, target in ways:
        after[source].append(target)
        before[target].append(source)
    rank: dict[str, int] = {}
    for name in order:
        rank[name] = max((rank[source] + 1 for source in before[name]), default=0)
    for name in reversed(order):  # what has more ways out than in is better near to where they lead
        if len(after[name]) > len(before[name]):
            rank[name] = min(rank[target] for target in after[name]) - 1
    return rank


def arrange(rows: Rows, passes: int) -> None:
    """Sort the cells of every row, each near the middle of those that it is tied to, as well as was found."""
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


def _number(rows: Iterable[Sequence[Cell]]) -> None:
    for row in rows:
        for place, cell in enumerate(row):
            cell.place = place


def _middle(ties: Sequence[Tie], default: float) -> float:
    return sum(tie.place for tie in ties) / len(ties) if ties else default


def _crossings(rows: Iterable[Sequence[Cell]]) -> int:
    count = 0
    for row in rows:
        passed: list[float] = []
        for cell in row:
            places = sorted(tie.place for tie in cell.below)
            count += sum(len(passed) - bisect_right(passed, place) for place in places)
            for place in places:
                insort(passed, place)
    return count
