"""Rows as people and programs read them."""

from collections.abc import Sequence

import msgspec

from ._contest import Row

_HEAD = ("name", "ours", "raw", "unit", "ratio", "min - max", "aim", "met")


def json_lines(rows: Sequence[Row]) -> str:
    """One object per line."""
    return "\n".join(msgspec.json.encode(row).decode() for row in rows)


def table(rows: Sequence[Row]) -> str:
    """Columns, and below them what was done and beside what."""
    lines = [_HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    told = [f"{row.name}: {row.work}\n    beside: {row.against_what}" for row in rows]
    return "\n".join([*drawn, "", *told])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        _figure(row.ours),
        _figure(row.against),
        row.unit,
        _figure(row.ratio),
        f"{_figure(row.min)} - {_figure(row.max)} ({len(row.ratios)} turns)",
        _aim(row),
        {True: "yes", False: "no", None: ""}[row.met],
    )


def _aim(row: Row) -> str:
    if row.aim is None:
        return ""
    bound = ">=" if row.better == "more" else "<="
    return f"{bound} {_figure(row.aim)}" + ("" if row.aim_of == "ratio" else f" {row.unit}")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
