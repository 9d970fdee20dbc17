"""Places of a layout: lines are upright and straight where they can be, and nothing drifts."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.layout import Link, layout
from terzetto_protocol.layout_places import NUDGE, settled

from .test_layout import boxes_of


def test_a_chain_is_one_straight_line_downwards():
    plan = layout(boxes_of("a b c"), [Link("a", "b"), Link("b", "c", 40, 14)])

    assert len({spot.x for spot in plan.boxes.values()}) == 1
    assert [len(route.points) for route in plan.routes] == [2, 2]
    assert plan.boxes["a"].y < plan.boxes["b"].y < plan.boxes["c"].y


def test_branches_stand_side_by_side_below_the_middle_of_what_leads_to_them():
    plan = layout(boxes_of("a b c d"), [Link("a", "b"), Link("a", "c"), Link("b", "d"), Link("c", "d")])
    a, b, c, d = plan.boxes.values()

    assert b.y == c.y
    assert (b.x + c.x) / 2 == a.x == d.x


def test_a_long_line_is_straight_between_its_first_and_its_last_row():
    plan = layout(boxes_of("a b c d e"), [*(Link(*pair) for pair in pairwise("abcde")), Link("a", "e")])

    assert len({x for x, _ in plan.routes[-1].points[1:-1]}) == 1


def test_a_line_that_passes_a_row_goes_on_as_it_comes_or_as_it_leaves():
    plan = layout(boxes_of("a b c d"), [Link("a", "b"), Link("a", "d"), Link("b", "c"), Link("b", "d")])

    assert len(plan.routes[1].points) == 3


def test_no_line_goes_a_little_sideways_where_it_can_be_upright():
    links = [Link("a", "c"), Link("a", "e"), Link("b", "d"), Link("c", "d"), Link("c", "e")]
    steps = [
        abs(x - to_x)
        for route in layout(boxes_of("a b c d e"), links).routes
        for (x, _), (to_x, _) in pairwise(route.points)
    ]

    assert 0 in steps
    assert not [step for step in steps if 0 < step <= NUDGE]


numbers = st.floats(-1e3, 1e3)
cells = st.lists(st.tuples(numbers, st.floats(0.1, 10), st.floats(0, 100)), min_size=1, max_size=12)


@given(cells)
def test_settled_places_keep_their_gaps_and_do_not_drift(cells):
    wanted, weights, gaps = zip(*cells, strict=True)
    places = settled(wanted, weights, gaps[1:])

    assert all(b - a >= gap - 1e-6 for (a, b), gap in zip(pairwise(places), gaps[1:], strict=True))
    drift = sum(weight * (place - want) for place, weight, want in zip(places, weights, wanted, strict=True))
    assert drift == pytest.approx(0, abs=1e-4)


@given(cells)
def test_places_that_have_room_are_those_wanted(cells):
    wanted, weights, gaps = zip(*cells, strict=True)
    places = settled(wanted, weights, gaps[1:])

    assert settled(places, weights, [gap - 1e-3 for gap in gaps[1:]]) == pytest.approx(places)
