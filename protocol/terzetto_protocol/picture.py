"""A graph as a picture that needs nothing else: SVG, alone or in an HTML page, with what a run did at each place.

The same graph and the same visits give the same bytes in every process. A status has a sign as well as a colour.
Whatever is in names, labels and notes becomes text and nothing else, without what XML cannot say.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from .drawing import Arrow, Figure, arrows_of, figures_of
from .layout import MARGIN, Box, Layout, Link, Route, Spot, layout
from .statuses import VisitStatus

if TYPE_CHECKING:
    from .graph import Graph

LETTERS: Final = 36
"""A longer line is cut in the picture; all of it is told where one points at it."""

_V = VisitStatus


@frozen
class Shown:
    """What happened at a place."""

    status: VisitStatus | None = None
    """Of its last visit; None if it had none."""
    visits: int = 0
    note: str = ""
    """A line more, such as what it waits for or why it failed."""


def svg(graph: "Graph[Any, Any]", shown: Mapping[str, Shown] | None = None, title: str = "") -> str:
    """An SVG picture of a graph, built or not: hexagons are barriers, double sides `once` nodes, red lines `on_error`.

    Args:
        graph: whose nodes, barriers and edges are drawn.
        shown: what happened, by the name of the place; names that the graph does not have are passed over.
        title: its heading; default: the name of the graph.
    """
    start, *places, finish = figures_of(graph)
    named = {figure.id: place.name for figure, place in zip(places, graph.places, strict=True)}
    told = {key: shown[name] for key, name in named.items() if name in shown} if shown else {}
    # Every place where a run can be over has an end of its own, so that no long lines lead to a common one.
    arrows = [
        evolve(arrow, target=f"{finish.id}-{arrow.source}") if arrow.target == finish.id else arrow
        for arrow in arrows_of(graph)
    ]
    ends = dict.fromkeys(arrow.target for arrow in arrows if arrow.target.startswith(finish.id))
    return paint([start, *places, *(evolve(finish, id=end) for end in ends)], arrows, told, _clean(title) or graph.name)


def html(graph: "Graph[Any, Any]", shown: Mapping[str, Shown] | None = None, title: str = "") -> str:
    """The picture that `svg` makes of the same arguments as a page, which loads nothing and runs nothing."""
    return _PAGE % {"title": _text(title) or _text(graph.name), "picture": svg(graph, shown, title)}


def paint(figures: Sequence[Figure], arrows: Sequence[Arrow], told: Mapping[str, Shown], title: str) -> str:
    """An SVG picture of anything that consists of figures and arrows between them; `told` is by the figure's id."""
    known = {figure.id: told.get(figure.id, Shown()) for figure in figures}
    boxes = [_box(figure, list(_lines(figure, known[figure.id]))) for figure in figures]
    plan = layout(boxes, [_link(arrow) for arrow in arrows])
    names = {figure.id: "".join(figure.label[:1]) for figure in figures}
    routes = list(zip(arrows, plan.routes, strict=True))
    drawn = [
        *(_edge(arrow, route, names) for arrow, route in routes),
        *(_label(arrow, route.label) for arrow, route in routes if route.label),
        *(_place(figure, plan.boxes[figure.id], known[figure.id]) for figure in figures),
    ]
    statuses = [shown.status for shown in told.values()]
    counts = {status: statuses.count(status) for status in VisitStatus if status in statuses}
    return _frame(plan, drawn, counts, title)


# Text, the only way from names, labels and notes into the picture.


_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no way to say."""
_THIN: Final = frozenset("iljtfrI.,:;'|!()[]{} -")
_BROAD: Final = frozenset("mwMW@%&")
_SMALL, _LEGEND, _BOLD, _HEADING = 11.0, 12.0, 14.0, 17.0
"""Sizes of letters in pixels; bold ones are as wide as if they were larger."""


def _clean(text: str) -> str:
    return " ".join(_FORBIDDEN.sub("", text).split())


def _cut(text: str, letters: int = LETTERS) -> str:
    line = _clean(text)
    return line if len(line) <= letters else f"{line[: letters - 1]}…"


def _text(text: str) -> str:
    return escape(_clean(text))


def _element(name: str, *inner: str, **attributes: float | str) -> str:
    """An element; what is inside is markup, attributes are not."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value) if isinstance(value, str) else _number(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{said}>{''.join(inner)}</{name}>" if inner else f"<{name}{said}/>"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _point(x: float, y: float) -> str:
    return f"{_number(x)} {_number(y)}"


def _width(text: str, size: float) -> float:
    """About how wide a line is, in pixels, and rather too much: nobody knows the font that it will be in."""
    return size * sum(map(_em, text))


def _em(letter: str) -> float:
    if letter in _THIN:
        return 0.42
    if letter in _BROAD:
        return 0.97
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.74 if letter.isupper() else 0.64


# Places


_ROUND: Final[Mapping[str, float]] = {"start": 14.0, "end": 18.0}
_SLANT: Final[Mapping[str, float]] = {"barrier": 14.0}
_LINE: Final = 15.0
_SIGNS: Final[Mapping[VisitStatus, str]] = {
    _V.PENDING: "M-3.5 0h.01M0 0h.01M3.5 0h.01",
    _V.RUNNING: "M-2.2-3.6 3.8 0-2.2 3.6Z",
    _V.AWAITING_INPUT: "M-1.9-3V3M1.9-3V3",
    _V.WAITING_RETRY: "M3.5.9A3.6 3.6 0 1 1 2.6-2.5M3.4-4.6V-2H.8",
    _V.UNKNOWN: "M-2.3-1.9A2.3 2.3 0 1 1 1-.1Q0 .5 0 1.5M0 4.2h.01",
    _V.SUCCEEDED: "M-3.6.3-1.1 2.8 3.6-2.6",
    _V.FAILED: "M-2.8-2.8 2.8 2.8M2.8-2.8-2.8 2.8",
    _V.CANCELLED: "M-2.4-2.4H2.4V2.4H-2.4Z",
    _V.SKIPPED: "M-3.4-2.8-.6 0-3.4 2.8M.8-2.8 3.6 0 .8 2.8",
}
"""Drawn around (0, 0), for not every font has such letters."""


def _words(status: VisitStatus) -> str:
    return status.value.lower().replace("_", " ")


def _class(status: VisitStatus) -> str:
    return _words(status).replace(" ", "-")


def _lines(figure: Figure, shown: Shown) -> Iterator[tuple[str, str]]:
    """What is written in a figure, each line with its class."""
    if figure.shape.value not in _ROUND:
        for number, line in enumerate((*figure.label, shown.note)):
            if kept := _cut(line):
                kind = "name" if number == 0 else "more" if number < len(figure.label) else "note"
                yield kind, kept


def _box(figure: Figure, lines: Sequence[tuple[str, str]]) -> Box:
    if size := _ROUND.get(figure.shape.value):
        return Box(figure.id, size, size, slant=size / 2)
    texts = [_width(line, _BOLD if kind == "name" else _SMALL) for kind, line in lines]
    slant = _SLANT.get(figure.shape.value, 0.0)
    return Box(figure.id, max(64.0, 32 + max(texts, default=0.0) + 2 * slant), 21 + _LINE * len(texts), slant)


def _place(figure: Figure, spot: Spot, shown: Shown) -> str:
    inner = [_element("title", _text(_told(figure, shown))), *_outline(figure.shape.value, spot)]
    lines = list(_lines(figure, shown))
    for row, (kind, line) in enumerate(lines):
        y = spot.y + 4.5 + _LINE * (row - (len(lines) - 1) / 2)
        inner.append(_element("text", _text(line), class_=kind, x=spot.x, y=y))
    kinds = ["place", figure.shape.value]
    reach = spot.width / 2 - _SLANT.get(figure.shape.value, 0.0) - 4
    if shown.status:
        kinds.append(_class(shown.status))
        inner.append(_sign(shown.status, spot.x - reach, spot.y - spot.height / 2))
    if shown.visits > 1:
        inner.append(_count(f"×{shown.visits}", spot.x + reach + 4, spot.y + spot.height / 2))
    return _element("g", *inner, class_=" ".join(kinds))


def _told(figure: Figure, shown: Shown) -> str:
    """All that is known of a place, for whoever points at it."""
    visits = "1 visit" if shown.visits == 1 else f"{shown.visits} visits" if shown.visits else ""
    status = _words(shown.status) if shown.status else ""
    return ", ".join(filter(None, (*figure.label, status, visits, shown.note)))


def _outline(shape: str, spot: Spot) -> list[str]:
    x, y, right, down = spot.x, spot.y, spot.width / 2, spot.height / 2
    if shape in _ROUND:
        mark = _element("circle", class_="mark", cx=x, cy=y, r=right - (4 if shape == "end" else 0))
        return [_element("circle", class_="card", cx=x, cy=y, r=right), mark]
    if shape in _SLANT:
        flat = right - _SLANT[shape]
        corners = [(x - right, y), (x - flat, y - down), (x + flat, y - down)]
        corners += [(x + right, y), (x + flat, y + down), (x - flat, y + down)]
        return [_element("path", class_="card", d=f"M{'L'.join(_point(*corner) for corner in corners)}Z")]
    if shape == "once":
        sides = "".join(f"M{_point(x + way, y - down)}v{_number(2 * down)}" for way in (5 - right, right - 5))
        return [_card(spot, 3), _element("path", class_="inner", d=sides)]
    if shape == "graph":
        return [_card(spot, 9), _card(evolve(spot, width=spot.width - 8, height=spot.height - 8), 6, "inner")]
    if shape == "fork":
        bar = f"M{_point(x - right + 7, y + down)}h{_number(2 * right - 14)}"
        return [_card(spot, 9), _element("path", class_="inner bar", d=bar)]
    return [_card(spot, 9)]


def _card(spot: Spot, corner: float, kind: str = "card") -> str:
    left, top = spot.x - spot.width / 2, spot.y - spot.height / 2
    return _element("rect", class_=kind, x=left, y=top, width=spot.width, height=spot.height, rx=corner)


def _sign(status: VisitStatus, x: float, y: float) -> str:
    path = _element("path", class_="solid" if _SIGNS[status].endswith("Z") else "thin", d=_SIGNS[status])
    return _element("g", _element("circle", r=8.5), path, class_="sign", transform=f"translate({_point(x, y)})")


def _count(words: str, right: float, y: float) -> str:
    width = _width(words, _SMALL) + 10
    pill = _element("rect", x=right - width, y=y - 8, width=width, height=16, rx=8)
    return _element("g", pill, _element("text", words, x=right - width / 2, y=y + 4), class_="count")


# Edges


def _link(arrow: Arrow) -> Link:
    label = _cut(arrow.label)
    return Link(arrow.source, arrow.target, *((_width(label, _SMALL) + 10, 18.0) if label else ()))


def _edge(arrow: Arrow, route: Route, names: Mapping[str, str]) -> str:
    told = f"{names[arrow.source]} → {names[arrow.target]}" + (f": {arrow.label}" if arrow.label else "")
    line = _element("path", class_="line", d=_way(route))
    return _element("g", _element("title", _text(told)), line, _head(arrow, route), class_=f"edge {arrow.line.value}")


def _head(arrow: Arrow, route: Route) -> str:
    x, y = route.points[-1]
    if arrow.line.value == "branch":
        middle = (x + 4, y) if route.climbs else (x, y - 4)
        return _element("circle", class_="open head", cx=middle[0], cy=middle[1], r=3.5)
    return _element(
        "path", class_="head", d=f"M{_point(x, y)}{'l8-4.5-2 4.5 2 4.5Z' if route.climbs else 'l-4.5-8 4.5 2 4.5-2Z'}"
    )


def _way(route: Route) -> str:
    """The line up to its head: curves between the rows, and corners where it leaves and enters a side."""
    *points, (x, y) = route.points
    points.append((x + 6, y) if route.climbs else (x, y - 6))
    steps = [f"M{_point(*points[0])}"]
    for number, (one, other) in enumerate(pairwise(points), 1):
        if route.climbs and number in (1, len(points) - 1):
            corner = (other[0], one[1]) if number == 1 else (one[0], other[1])
            steps.append(f"Q{_point(*corner)} {_point(*other)}")
        elif one[0] == other[0]:
            steps.append(f"V{_number(other[1])}")
        else:
            middle = (one[1] + other[1]) / 2
            steps.append(f"C{_point(one[0], middle)} {_point(other[0], middle)} {_point(*other)}")
    return "".join(steps)


def _label(arrow: Arrow, spot: Spot) -> str:
    text = _element("text", _text(_cut(arrow.label)), x=spot.x, y=spot.y + 4)
    return _element("g", _card(spot, 5, "pill"), text, class_=f"label {arrow.line.value}")


# The frame: heading, paper, legend and looks.


def _frame(plan: Layout, drawn: Iterable[str], counts: Mapping[VisitStatus, int], title: str) -> str:
    heading = _cut(title, 2 * LETTERS)
    items = {status: f"{_words(status)} {count}" for status, count in counts.items()}
    room = max(plan.width, 360.0 if items else 0.0, _width(heading, _HEADING) + 2 * MARGIN)
    legend, below = _legend(items, room - 2 * MARGIN)
    height = _TOP + plan.height + below
    inner = [
        _element("title", _text(title)),
        _element("desc", _text(", ".join(items.values()))),
        _element("style", _STYLE),
        _element("rect", class_="paper", width=room, height=height, rx=12),
        _element("text", _text(heading), class_="heading", x=MARGIN, y=38),
        _element("g", *drawn, transform=f"translate({_point(round((room - plan.width) / 2), _TOP)})"),
        _element("g", *legend, class_="legend", transform=f"translate({_point(MARGIN, _TOP + plan.height)})"),
    ]
    box = f"0 0 {_point(room, height)}"
    xmlns = "http://www.w3.org/2000/svg"
    return _element("svg", *inner, xmlns=xmlns, class_="terzetto", role="img", width=room, height=height, viewBox=box)


_TOP: Final = 44.0


def _legend(items: Mapping[VisitStatus, str], room: float) -> tuple[list[str], float]:
    """What the signs mean and how many places have them, in as many lines as that takes; and its height."""
    x, y, drawn = 0.0, 8.0, list[str]()
    for status, words in items.items():
        width = _width(words, _LEGEND) + 40
        if x and x + width > room:
            x, y = 0.0, y + 26
        text = _element("text", words, x=x + 24, y=y + 4)
        drawn.append(_element("g", _sign(status, x + 9, y), text, class_=_class(status)))
        x += width
    return drawn, y + 26 if drawn else 0.0


# Looks. Every colour is a pair: on light paper, and on dark paper.


_PAPER, _INK, _SOFT, _FRAME = "#faf7f2|#161315", "#231d1a|#eee7e2", "#6a5f58|#aa9e99", "#b9aca0|#5f555a"
_RAIL, _WRONG = "#8f8279|#857b78", "#c1272d|#ff7a75"
_TONES: Final[Mapping[VisitStatus, tuple[str, str]]] = {
    _V.PENDING: ("#857a72|#9c918b", "#f6f1ea|#262124"),
    _V.RUNNING: ("#1f63b5|#6fb0ff", "#e8f1fc|#17263b"),
    _V.AWAITING_INPUT: ("#9a6700|#f2c14e", "#fff4d6|#332810"),
    _V.WAITING_RETRY: ("#c2500a|#ff9a56", "#ffeede|#38220f"),
    _V.UNKNOWN: ("#7d3fb0|#c79bf2", "#f6ecfd|#2c1c3b"),
    _V.SUCCEEDED: ("#237a47|#66cc8d", "#e8f6ec|#14291c"),
    _V.FAILED: ("#b8251c|#ff8379", "#fdeae8|#3a1714"),
    _V.CANCELLED: ("#59636e|#98a4b0", "#eef1f3|#22282e"),
    _V.SKIPPED: ("#8a8178|#8c827c", "#faf7f2|#1b181a"),
}
"""Line and ground."""
_FORMS: Final[Mapping[str, str]] = {
    "text": "font:11px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;text-anchor:middle",
    ".name": "font-size:13px;font-weight:600",
    ".heading": "font-size:16px;font-weight:600;text-anchor:start",
    ".legend text": "font-size:12px;text-anchor:start",
    ".count text": "font-weight:600",
    ".line,.inner,.thin": "fill:none",
    ".line,.card,.inner,.open": "stroke-width:1.5",
    ".bar": "stroke-width:4",
    ".fallback .line": "stroke-dasharray:1.5 4.5;stroke-linecap:round",
    ".error .line": "stroke-dasharray:6 4",
    ".skipped .card": "stroke-dasharray:4 3",
    ".sign circle,.count rect": "stroke-width:2",
    ".sign path": "stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round",
}
_PAINTS: Final[Mapping[str, str]] = {
    "text,.mark": f"fill:{_INK}",
    ".more,.label text": f"fill:{_SOFT}",
    ".paper,.pill,.solid,.count text": f"fill:{_PAPER}",
    ".card": f"fill:#fffdfa|#1f1b1e;stroke:{_FRAME}",
    ".inner": f"stroke:{_FRAME}",
    ".end .card": f"stroke:{_INK}",
    ".line": f"stroke:{_RAIL}",
    ".head": f"fill:{_RAIL}",
    ".open": f"fill:{_PAPER};stroke:{_RAIL}",
    ".error .line": f"stroke:{_WRONG}",
    ".error .head,.error text": f"fill:{_WRONG}",
    ".sign circle,.sign path": f"stroke:{_PAPER}",
    ".count rect": f"fill:{_INK};stroke:{_PAPER}",
    **{f".{_class(status)} .card": f"fill:{ground};stroke:{line}" for status, (line, ground) in _TONES.items()},
    **{f".{_class(status)} .inner": f"stroke:{line}" for status, (line, _) in _TONES.items()},
    **{f".{_class(status)} .sign circle": f"fill:{line}" for status, (line, _) in _TONES.items()},
}


def _css(rules: Mapping[str, str]) -> str:
    """For pictures only: a page may have them in the midst of other things."""
    scoped = {",".join(f".terzetto {part}" for part in parts.split(",")): said for parts, said in rules.items()}
    return "".join(f"{parts}{{{said}}}" for parts, said in scoped.items())


def _by_light(css: str) -> str:
    """The rules with the colours for light paper, and again with those for dark paper where that is preferred."""
    light, dark = (re.sub(r"(#\w+)\|(#\w+)", rf"\{which}", css) for which in (1, 2))
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"


_STYLE: Final = _css(_FORMS) + _by_light(_css(_PAINTS))
_PAGE: Final = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%(title)s</title>
<style>:root{{color-scheme:light dark}}body{{margin:0}}svg{{display:block;margin:1rem auto}}
{_by_light(f"body{{background:{_PAPER}}}")}</style>
%(picture)s</html>
"""
