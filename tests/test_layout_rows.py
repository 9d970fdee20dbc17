"""Rows of a layout: boxes below what leads to them, with few crossings, however many they are."""

from itertools import pairwise

from hypothesis import given, strategies as st

from terzetto_protocol.layout import Box, Link, layout
from terzetto_protocol.layout_rows import ranked

from .test_layout import boxes_of


def test_boxes_are_ordered_so_that_lines_do_not_cross():
    plan = layout(boxes_of("a b c d"), [Link("a", "d"), Link("b", "c")])

    assert plan.boxes["a"].x < plan.boxes["b"].x
    assert plan.boxes["d"].x < plan.boxes["c"].x


def test_a_box_without_anything_above_it_is_near_to_where_it_leads():
    plan = layout(boxes_of("a b c late"), [Link("a", "b"), Link("b", "c"), Link("late", "c")])

    assert plan.boxes["late"].y == plan.boxes["b"].y


def test_more_than_a_walk_could_recurse_through():
    names = [f"n{number}" for number in range(2_000)]
    plan = layout([Box(name, 60, 30) for name in names], [Link(*pair) for pair in pairwise(names)])

    assert len({spot.x for spot in plan.boxes.values()}) == 1


ways = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=20)


@given(ways)
def test_every_way_leads_to_a_lower_rank_but_those_that_close_a_cycle(ways):
    ranks, closing = ranked("abcdefgh", ways)
    lead = {way: ranks[way[1]] - ranks[way[0]] for number, way in enumerate(ways) if number not in closing}

    assert all(rows > 0 for rows in lead.values())
    assert all(ranks[source] >= ranks[target] for source, target in (ways[number] for number in closing))
    assert min(ranks.values()) == 0


def test_only_what_leads_back_closes_a_cycle():
    ways = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "c"), ("a", "c")]

    assert ranked("abc", ways) == ({"a": 0, "b": 1, "c": 2}, {2, 3})
