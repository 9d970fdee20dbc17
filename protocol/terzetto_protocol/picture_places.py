"""Places of a picture: their outlines by their shapes, and what a run did at each."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from attrs import evolve

from .figures import Figure, Shape
from .layout import Box, Spot
from .picture_markup import BOLD, SMALL, cut, element, length, point, rectangle, text_of, width_of
from .picture_signs import class_of, sign, word_of

if TYPE_CHECKING:
    from .shown import Shown

_ROUND: Final[Mapping[Shape, float]] = {Shape.START: 14.0, Shape.END: 18.0}
"""How wide they are; there is nothing written in them."""
_SLANT: Final[Mapping[Shape, float]] = {Shape.BARRIER: 14.0}
"""How far the middle of their sides stands out."""
_LINE: Final = 15.0
"""From one line of text to the next, pixels."""


def box_of(figure: Figure, shown: "Shown") -> Box:
    """What the layout has to find room for."""
    if size := _ROUND.get(figure.shape):
        return Box(figure.id, size, size, slant=size / 2)
    widths = [width_of(line, BOLD if kind == "name" else SMALL) for kind, line in _lines(figure, shown)]
    slant = _SLANT.get(figure.shape, 0.0)
    return Box(figure.id, max(64.0, 32 + max(widths, default=0.0) + 2 * slant), 21 + _LINE * len(widths), slant)


def place(figure: Figure, spot: Spot, shown: "Shown") -> str:
    """The figure with its text, a sign for its status, and how many visits it had if there were several."""
    told = element("title", text_of(_told(figure, shown)))
    inner = [told, *_outline(figure.shape, spot), *_text(figure, spot, shown)]
    kinds = ["place", figure.shape.value]
    reach = spot.width / 2 - _SLANT.get(figure.shape, 0.0) - 4
    if shown.status:
        kinds.append(class_of(shown.status))
        inner.append(sign(shown.status, spot.x - reach, spot.y - spot.height / 2))
    if shown.visits > 1:
        inner.append(_count(f"×{shown.visits}", spot.x + reach + 4, spot.y + spot.height / 2))
    return element("g", *inner, class_=" ".join(kinds))


def _lines(figure: Figure, shown: "Shown") -> Iterator[tuple[str, str]]:
    """What is written in a figure, each line with its class."""
    if figure.shape not in _ROUND:
        for number, line in enumerate((*figure.label, shown.note)):
            if kept := cut(line):
                kind = "name" if number == 0 else "more" if number < len(figure.label) else "note"
                yield kind, kept


def _text(figure: Figure, spot: Spot, shown: "Shown") -> Iterator[str]:
    lines = list(_lines(figure, shown))
    for row, (kind, line) in enumerate(lines):
        y = spot.y + 4.5 + _LINE * (row - (len(lines) - 1) / 2)
        yield element("text", text_of(line), class_=kind, x=spot.x, y=y)


def _told(figure: Figure, shown: "Shown") -> str:
    """All that is known of a place, for whoever points at it."""
    visits = "1 visit" if shown.visits == 1 else f"{shown.visits} visits" if shown.visits else ""
    status = word_of(shown.status) if shown.status else ""
    return ", ".join(filter(None, (*figure.label, status, visits, shown.note)))


def _outline(shape: Shape, spot: Spot) -> list[str]:
    x, y, right, down = spot.x, spot.y, spot.width / 2, spot.height / 2
    match shape:
        case Shape.START | Shape.END:
            mark = element("circle", class_="mark", cx=x, cy=y, r=right - (4 if shape is Shape.END else 0))
            return [element("circle", class_="card", cx=x, cy=y, r=right), mark]
        case Shape.BARRIER:
            flat = right - _SLANT[shape]
            corners = [(x - right, y), (x - flat, y - down), (x + flat, y - down)]
            corners += [(x + right, y), (x + flat, y + down), (x - flat, y + down)]
            return [element("path", class_="card", d=f"M{'L'.join(point(*corner) for corner in corners)}Z")]
        case Shape.ONCE:
            sides = "".join(f"M{point(x + way, y - down)}v{length(2 * down)}" for way in (5 - right, right - 5))
            return [rectangle(spot, 3, "card"), element("path", class_="inner", d=sides)]
        case Shape.GRAPH:
            inside = evolve(spot, width=spot.width - 8, height=spot.height - 8)
            return [rectangle(spot, 9, "card"), rectangle(inside, 6, "inner")]
        case Shape.FORK:
            bar = f"M{point(x - right + 7, y + down)}h{length(2 * right - 14)}"
            return [rectangle(spot, 9, "card"), element("path", class_="inner bar", d=bar)]
        case Shape.NODE:
            return [rectangle(spot, 9, "card")]


def _count(words: str, right: float, y: float) -> str:
    width = width_of(words, SMALL) + 10
    pill = element("rect", x=right - width, y=y - 8, width=width, height=16, rx=8)
    return element("g", pill, element("text", words, x=right - width / 2, y=y + 4), class_="count")
