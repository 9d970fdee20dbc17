"""Rows as people and programs read them."""

from collections.abc import Sequence

import msgspec

from ._contest import Row

_HEAD = ("goal", "name", "ours", "against", "theirs", "unit", "ratio", "low - high", "target", "aim", "met")


def json_lines(rows: Sequence[Row]) -> str:
    """One object per line."""
    return "\n".join(msgspec.json.encode(row).decode() for row in rows)


def table(rows: Sequence[Row]) -> str:
    """Columns, and below them what was done and by whom how."""
    lines = [_HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*drawn, "", *_told(rows)])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.goal,
        row.name,
        figure(row.ours),
        row.opponent,
        figure(row.against),
        row.unit,
        figure(row.ratio),
        f"{figure(row.low)} - {figure(row.high)} ({row.turns} turns)",
        bound(row, row.target),
        bound(row, row.aim),
        {True: "yes", False: "no", None: ""}[row.met],
    )


def bound(row: Row, value: float | None) -> str:
    """A target or an aim, with the side on which the ratio should be."""
    if value is None:
        return ""
    return f"{'>=' if row.better == 'more' else '<='} {figure(value)}"


def _told(rows: Sequence[Row]) -> list[str]:
    works: dict[str, list[str]] = {}
    for row in rows:
        works.setdefault(f"{row.name}: {row.work}", []).append(f"    {row.opponent}: {row.how}")
    return [line for work, ways in works.items() for line in (work, *ways)]


def figure(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
