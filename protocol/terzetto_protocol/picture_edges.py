"""Edges of a picture: lines with their heads and labels, along the routes that the layout found."""

from collections.abc import Mapping
from itertools import pairwise

from .figures import Arrow, Line
from .layout import Link, Route, Spot
from .picture_markup import SMALL, cut, element, length, point, rectangle, text_of, width_of


def link_of(arrow: Arrow) -> Link:
    """What the layout has to find a route for."""
    text = cut(arrow.label)
    return Link(arrow.source, arrow.target, *((width_of(text, SMALL) + 10, 18.0) if text else ()))


def edge(arrow: Arrow, route: Route, names: Mapping[str, str]) -> str:
    """The line and its head; whoever points at it is told the names of both ends."""
    told = f"{names[arrow.source]} → {names[arrow.target]}" + (f": {arrow.label}" if arrow.label else "")
    line = element("path", class_="line", d=_way(route))
    return element("g", element("title", text_of(told)), line, _head(arrow, route), class_=f"edge {arrow.line.value}")


def label(arrow: Arrow, spot: Spot) -> str:
    """The label, on ground of its own."""
    text = element("text", text_of(cut(arrow.label)), x=spot.x, y=spot.y + 4)
    return element("g", rectangle(spot, 5, "pill"), text, class_=f"label {arrow.line.value}")


def _head(arrow: Arrow, route: Route) -> str:
    x, y = route.points[-1]
    if arrow.line is Line.BRANCH:
        middle = (x + 4, y) if route.climbs else (x, y - 4)
        return element("circle", class_="open head", cx=middle[0], cy=middle[1], r=3.5)
    barbs = "l8-4.5-2 4.5 2 4.5Z" if route.climbs else "l-4.5-8 4.5 2 4.5-2Z"
    return element("path", class_="head", d=f"M{point(x, y)}{barbs}")


def _way(route: Route) -> str:
    """The line up to its head: curves between the rows, and corners where it leaves and enters a side."""
    *points, (x, y) = route.points
    points.append((x + 6, y) if route.climbs else (x, y - 6))
    steps = [f"M{point(*points[0])}"]
    for number, (one, other) in enumerate(pairwise(points), 1):
        if route.climbs and number in (1, len(points) - 1):
            corner = (other[0], one[1]) if number == 1 else (one[0], other[1])
            steps.append(f"Q{point(*corner)} {point(*other)}")
        elif one[0] == other[0]:
            steps.append(f"V{length(other[1])}")
        else:
            middle = (one[1] + other[1]) / 2
            steps.append(f"C{point(one[0], middle)} {point(other[0], middle)} {point(*other)}")
    return "".join(steps)
