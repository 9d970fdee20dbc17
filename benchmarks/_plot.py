"""The goals as a picture: how far each ratio is from its target, on a logarithmic scale, as SVG by itself."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from ._contest import Row
from ._table import bound, figure, limit_ratio

_LINE, _TOP, _BOTTOM = 22, 56, 40
_LABELS, _BARS, _FIGURES = 330, 380, 330
_WIDTH = _LABELS + _BARS + _FIGURES
_MET, _UNMET, _GREY, _INK = "#1b7f5c", "#c2571a", "#c8c8c8", "#222222"
_MARGIN = 0.1
"""Decades to either side of the target that are drawn at least."""
_EXCEEDED = 0.1
"""Score of some where none is allowed."""


def picture(rows: Sequence[Row]) -> str:
    """A bar for each row that has a target: right of the line it is met, and a tick shows the aim."""
    promised = [row for row in rows if row.target is not None]
    scale = _Scale([score for row in promised for score in _scores(row)])
    height = _TOP + _LINE * len(promised) + _BOTTOM
    return "\n".join([*_head(height), *_axis(scale, height), *_bars(promised, scale), "</svg>", ""])


class _Scale:
    """Where on the sheet how many times the target is."""

    def __init__(self, scores: Sequence[float]) -> None:
        decades = [log10(score) for score in scores]
        self.least = floor(min([*decades, -_MARGIN]))
        self.most = ceil(max([*decades, _MARGIN]))

    def at(self, score: float) -> float:
        return _LABELS + _BARS * (log10(score) - self.least) / (self.most - self.least)


def _scores(row: Row) -> Iterator[float]:
    """All that is drawn of a row."""
    yield _score(row, row.ratio)
    if row.aim:
        yield _score(row, row.aim)
    if row.limit_shown and row.limit_ratio:
        yield _score(row, row.limit_ratio)


def _score(row: Row, ratio: float) -> float:
    """How many times as good as the target."""
    target = row.target
    assert target is not None
    if not target or not ratio:  # nothing is allowed, or nothing was needed
        return 1.0 if ratio <= target else _EXCEEDED
    return ratio / target if row.better == "more" else target / ratio


def _head(height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13">'
    )
    yield "<title>The goals, and what was measured</title>"
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    yield _text(16, 24, "Times the target (right of the line: met; tick: aim; ring: limit)", weight="600")
    yield _text(_LABELS + _BARS + 12, 24, "ratio, target", weight="600")


def _axis(scale: _Scale, height: int) -> Iterator[str]:
    for decade in range(scale.least, scale.most + 1):
        x, is_target = scale.at(10.0**decade), decade == 0
        colour, width = (_INK, 1.5) if is_target else (_GREY, 1)
        yield _line(x, _TOP - 10, height - _BOTTOM + 6, colour, width)
        yield _text(x, height - _BOTTOM + 24, "target" if is_target else f"{10.0**decade:g}x", anchor="middle")


def _bars(rows: Sequence[Row], scale: _Scale) -> Iterator[str]:
    zero = scale.at(1.0)
    for number, row in enumerate(rows):
        y = _TOP + _LINE * number
        end = scale.at(_score(row, row.ratio))
        left, width = min(zero, end), max(abs(end - zero), 1.0)
        colour = _MET if row.met else _UNMET
        yield _text(16, y + 12, f"{row.goal} {row.name} / {row.opponent}")
        yield f'<rect x="{left:.1f}" y="{y + 1}" width="{width:.1f}" height="14" fill="{colour}"/>'
        if row.aim:
            aim = scale.at(_score(row, row.aim))
            yield _line(aim, y - 1, y + 17, _INK, 2)
        if row.limit_shown and row.limit_ratio:
            yield _ring(scale.at(_score(row, row.limit_ratio)), y + 8)
        yield _text(_LABELS + _BARS + 12, y + 12, f"{figure(row.ratio)} ({bound(row, row.target)}, {_sign(row)})")


def _sign(row: Row) -> str:
    if row.met:
        return "met"
    return f"not met; limit {limit_ratio(row)}" if row.limit_shown else "not met"


def _ring(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="#ffffff" stroke="{_INK}" stroke-width="2"/>'


def _line(x: float, top: float, bottom: float, colour: str, width: float) -> str:
    ends = f'x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400") -> str:
    style = f'fill="{_INK}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
