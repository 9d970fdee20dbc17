"""Layouts: nothing lies on anything else, arrows lead downwards, and only the order of what is given decides."""

from itertools import combinations, pairwise

import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from terzetto_protocol.layout import Box, Link, Route, Spot, layout

sizes = st.tuples(st.integers(18, 200), st.integers(18, 80))


@st.composite
def sheets(draw, *, cycles=True):
    """Boxes of all shapes, and links between them with and without labels."""
    boxes = []
    for number, (width, height) in enumerate(draw(st.lists(sizes, min_size=1, max_size=9))):
        boxes.append(Box(f"b{number}", width, height, draw(st.sampled_from([0, width / 8, width / 2]))))
    places = st.integers(0, len(boxes) - 1)
    ends = draw(st.lists(st.tuples(places, places), max_size=18))
    pairs = ends if cycles else [(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]]
    labels = st.sampled_from([(0, 0), (20, 10), (150, 18)])
    return boxes, [Link(boxes[source].id, boxes[target].id, *draw(labels)) for source, target in pairs]


def edges_of(spot: Spot) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    x, y = spot.width / 2, spot.height / 2
    return spot.x - x, spot.y - y, spot.x + x, spot.y + y


def overlap(one, other) -> bool:
    """Whether two rectangles share more than an edge."""
    return all(min(one[2 + i], other[2 + i]) - max(one[i], other[i]) > 1e-6 for i in (0, 1))


def pieces(route: Route):
    """The rectangles that the pieces of a route stay in, whatever curve is drawn."""
    for (x, y), (to_x, to_y) in pairwise(route.points):
        yield min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)


def crosses(piece, spot: Spot) -> bool:
    left, top, right, bottom = piece
    grown = left - 1e-3, top - 1e-3, right + 1e-3, bottom + 1e-3
    return all(min(grown[2 + i], edges_of(spot)[2 + i]) - max(grown[i], edges_of(spot)[i]) > 1e-2 for i in (0, 1))


@given(sheets())
def test_no_box_and_no_label_lies_on_another(sheet):
    plan = layout(*sheet)
    spots = [*plan.boxes.values(), *(route.label for route in plan.routes if route.label)]

    assert not [pair for pair in combinations(map(edges_of, spots), 2) if overlap(*pair)]


@given(sheets())
def test_everything_lies_on_the_sheet_and_has_its_size(sheet):
    boxes, links = sheet
    plan = layout(boxes, links)
    spots = [plan.boxes[box.id] for box in boxes] + [route.label for route in plan.routes if route.label]

    assert [(it.width, it.height) for it in spots] == [(it.width, it.height) for it in (*boxes, *links) if it.height]
    for left, top, right, bottom in map(edges_of, spots):
        assert 0 < left < right < plan.width
        assert 0 < top < bottom < plan.height
    for route in plan.routes:
        assert all(0 < x < plan.width and 0 < y < plan.height for x, y in route.points)


@given(sheets())
def test_a_link_leads_down_from_box_to_box_or_climbs_at_their_right(sheet):
    boxes, links = sheet
    plan = layout(boxes, links)

    for route, link in zip(plan.routes, links, strict=True):
        (left, _, right, bottom), (to_left, top, to_right, _) = (
            edges_of(plan.boxes[name]) for name in (link.source, link.target)
        )
        (x, y), (to_x, to_y) = route.points[0], route.points[-1]
        if route.climbs:
            assert all(before[1] > after[1] - 1e-6 for before, after in pairwise(route.points))
            assert plan.boxes[link.source].x < x <= right
            assert plan.boxes[link.target].x < to_x <= to_right
        else:
            assert bottom < top
            assert (y, to_y) == (bottom, top)
            assert left < x < right
            assert to_left < to_x < to_right
            assert all(before[1] < after[1] for before, after in pairwise(route.points))


@given(sheets())
def test_no_link_crosses_another_box_or_label(sheet):
    """Several links that hold on to the side of one box, where one of them is a loop, may come close to its label."""
    boxes, links = sheet
    plan = layout(boxes, links)
    routes = list(zip(plan.routes, links, strict=True))

    for route, link in routes:
        ends = {link.source, link.target}
        others = [spot for name, spot in plan.boxes.items() if name not in ends]
        labels = [
            it.label for it, of in routes if it.label and of is not link and not (ends & {of.source} & {of.target})
        ]
        assert not [(piece, spot) for piece in pieces(route) for spot in (*others, *labels) if crosses(piece, spot)]


@given(sheets(cycles=False))
def test_only_what_closes_a_cycle_climbs(sheet):
    assert not any(route.climbs for route in layout(*sheet).routes)


@given(sheets())
def test_only_the_order_decides_and_not_the_ids(sheet):
    boxes, links = sheet
    names = {box.id: f"{hash(box.id)}" for box in boxes}
    plan = layout(boxes, links)
    other = layout(
        [evolve(box, id=names[box.id]) for box in boxes],
        [evolve(link, source=names[link.source], target=names[link.target]) for link in links],
    )

    assert other == evolve(plan, boxes={names[name]: spot for name, spot in plan.boxes.items()})


def boxes_of(names: str) -> list[Box]:
    return [Box(name, 60, 30) for name in names.split()]


def test_two_links_between_the_same_boxes_are_two_lines():
    first, second = layout(boxes_of("a b"), [Link("a", "b"), Link("a", "b")]).routes

    assert not {x for x, _ in first.points} & {x for x, _ in second.points}


def test_a_link_that_closes_a_cycle_climbs_and_a_loop_has_its_label_beside_it():
    plan = layout(boxes_of("a b"), [Link("a", "b"), Link("b", "a", 30, 14), Link("b", "b", 30, 14)])
    loop = plan.routes[2]

    assert [route.climbs for route in plan.routes] == [False, True, True]
    assert loop.label
    assert max(x for x, _ in loop.points) < edges_of(loop.label)[0]


def test_two_loops_at_one_box_lie_round_each_other():
    plan = layout([Box("a", 60, 36)], [Link("a", "a", 80, 18), Link("a", "a", 80, 18)])
    inner, outer = plan.routes

    assert inner.label
    assert outer.label
    assert not overlap(edges_of(inner.label), edges_of(outer.label))
    assert not [piece for piece in pieces(outer) if crosses(piece, inner.label)]
    assert not [piece for piece in pieces(inner) if crosses(piece, outer.label)]


def test_nothing_and_something_unknown():
    assert layout([], []).routes == ()
    with pytest.raises(KeyError, match="nobody"):
        layout(boxes_of("a"), [Link("a", "nobody")])
