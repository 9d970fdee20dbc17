"""Rows as people and programs read them."""

from collections.abc import Sequence

import msgspec

from ._contest import Row

_HEAD = (
    "goal",
    "name",
    "ours",
    "against",
    "theirs",
    "unit",
    "ratio",
    "low - high",
    "target",
    "aim",
    "met",
    "limit",
    "of it",
)


def json_lines(rows: Sequence[Row]) -> str:
    """One object per line."""
    return "\n".join(msgspec.json.encode(row).decode() for row in rows)


def table(rows: Sequence[Row]) -> str:
    """Columns, and below them what was done and by whom how."""
    lines = [_HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*drawn, "", summary(rows), "", *_told(rows)])


def summary(rows: Sequence[Row]) -> str:
    """How many targets are met, and what is shown about the others, in a sentence or two."""
    missed = [row for row in rows if row.met is False]
    shown = [row for row in missed if row.limit_shown]
    beyond = [row for row in shown if not row.limit_meets]
    told = f"{sum(row.met is True for row in rows)} of {sum(row.met is not None for row in rows)} targets are met."
    if not missed:
        return told
    return (
        f"{told} Of the other {len(missed)}, {len(shown)} have their limit shown; "
        f"{len(beyond)} of these limits do not reach the target either."
    )


_COLUMNS = ("goal", "name", "beside", "target", "reached", "met", "limit", "of the limit")


def markdown(rows: Sequence[Row]) -> str:
    """The rows with a target, for a page."""
    lines = [_COLUMNS, tuple("---" for _ in _COLUMNS), *(_markdown_cells(row) for row in rows if row.met is not None)]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", summary(rows)])


def _markdown_cells(row: Row) -> tuple[str, ...]:
    met = "yes" if row.met else "no"
    return (
        row.goal,
        f"`{row.name}`",
        row.opponent,
        bound(row, row.target),
        figure(row.ratio),
        met,
        limit_ratio(row),
        of_limit(row),
    )


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
        limit_ratio(row),
        of_limit(row),
    )


def limit_ratio(row: Row) -> str:
    """The ratio of the limit, where it is to be shown; else nothing."""
    if row.limit_ratio is None or not row.limit_shown:
        return ""
    return figure(row.limit_ratio) if row.limit_meets else f"{figure(row.limit_ratio)} (missed too)"


def of_limit(row: Row) -> str:
    """How much of it is reached, where it is to be shown; else nothing."""
    return "" if row.of_limit is None or not row.limit_shown else f"{row.of_limit:.0%}"


def bound(row: Row, value: float | None) -> str:
    """A target or an aim, with the side on which the ratio should be."""
    if value is None:
        return ""
    return f"{'>=' if row.better == 'more' else '<='} {figure(value)}"


def _told(rows: Sequence[Row]) -> list[str]:
    works: dict[str, list[str]] = {}
    limits: dict[str, str] = {}
    for row in rows:
        work = f"{row.name}: {row.work}"
        works.setdefault(work, []).append(f"    {row.opponent}: {row.how}")
        if row.limit_shown:
            limits[work] = f"    limit ({figure(row.limit or 0)} {row.unit}): {row.limit_how}"
    return [line for work, ways in works.items() for line in (work, *ways, *filter(None, [limits.get(work)]))]


def figure(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
