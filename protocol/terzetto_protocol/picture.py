"""A graph as a picture that needs nothing else: SVG, alone or in an HTML page, with what a run did at each place.

The same graph and the same visits give the same bytes in every process. A status has a sign as well as a colour.
Whatever is in names, labels and notes becomes text and nothing else, without what XML cannot say.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from .figures import Arrow, Figure, arrows_of, figures_of
from .layout import Layout, layout
from .layout_places import MARGIN
from .picture_edges import edge, label, link_of
from .picture_look import PAGE, STYLE
from .picture_markup import LETTERS, clean, cut, element, point, text_of, width_of
from .picture_places import box_of, place
from .picture_signs import legend, word_of
from .shown import Shown
from .statuses import VisitStatus

if TYPE_CHECKING:
    from .declaration import Declaration

_TOP: Final = 44.0
"""Room for the heading, pixels."""
_HEADING: Final = 17.0
"""Bold letters of 16 pixels are as wide as others of this size."""


def svg(graph: "Declaration[Any, Any]", shown: Mapping[str, Shown] | None = None, title: str = "") -> str:
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
    return paint([start, *places, *(evolve(finish, id=end) for end in ends)], arrows, told, clean(title) or graph.name)


def html(graph: "Declaration[Any, Any]", shown: Mapping[str, Shown] | None = None, title: str = "") -> str:
    """The picture that `svg` makes of the same arguments as a page, which loads nothing and runs nothing."""
    return PAGE % {"title": text_of(title) or text_of(graph.name), "picture": svg(graph, shown, title)}


def paint(figures: Sequence[Figure], arrows: Sequence[Arrow], told: Mapping[str, Shown], title: str) -> str:
    """An SVG picture of anything that consists of figures and arrows between them; `told` is by the figure's id."""
    known = {figure.id: told.get(figure.id, Shown()) for figure in figures}
    names = {figure.id: "".join(figure.label[:1]) for figure in figures}
    plan = layout([box_of(figure, known[figure.id]) for figure in figures], list(map(link_of, arrows)))
    routes = list(zip(arrows, plan.routes, strict=True))
    drawn = [
        *(edge(arrow, route, names) for arrow, route in routes),
        *(label(arrow, route.label) for arrow, route in routes if route.label),
        *(place(figure, plan.boxes[figure.id], known[figure.id]) for figure in figures),
    ]
    statuses = [shown.status for shown in told.values()]
    items = {status: f"{word_of(status)} {statuses.count(status)}" for status in VisitStatus if status in statuses}
    return _frame(plan, drawn, items, title)


def _frame(plan: Layout, drawn: Iterable[str], items: Mapping[VisitStatus, str], title: str) -> str:
    """All of it on paper, below a heading and above a legend."""
    heading = cut(title, 2 * LETTERS)
    room = max(plan.width, 360.0 if items else 0.0, width_of(heading, _HEADING) + 2 * MARGIN)
    signs, below = legend(items, room - 2 * MARGIN)
    height = _TOP + plan.height + below
    inner = [
        element("title", text_of(title)),
        element("desc", text_of(", ".join(items.values()))),
        element("style", STYLE),
        element("rect", class_="paper", width=room, height=height, rx=12),
        element("text", text_of(heading), class_="heading", x=MARGIN, y=38),
        element("g", *drawn, transform=f"translate({point(round((room - plan.width) / 2), _TOP)})"),
        element("g", *signs, class_="legend", transform=f"translate({point(MARGIN, _TOP + plan.height)})"),
    ]
    box = f"0 0 {point(room, height)}"
    xmlns = "http://www.w3.org/2000/svg"
    return element("svg", *inner, xmlns=xmlns, class_="terzetto", role="img", width=room, height=height, viewBox=box)
