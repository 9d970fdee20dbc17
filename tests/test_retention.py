"""`terzetto_protocol.retention`: what is kept, decided from seqs and times (SEMANTICS 3.3)."""

import math

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import FINISHED_GRACE
from terzetto_protocol.retention import ALL, Keep, Retention, expired, next_cut, oldest_kept, usable

NOW = 1000.0


def test_nothing_is_forgotten_unless_it_is_said():
    assert not Retention().forgets
    assert Retention(history=Keep(latest=1)).forgets
    assert Retention(finished=Keep(max_age=1.0)).forgets
    assert ALL.everything
    assert not Keep(latest=0).everything


@pytest.mark.parametrize(
    "make",
    [
        lambda: Keep(latest=-1),
        lambda: Keep(latest=True),
        lambda: Keep(max_age=0.0),
        lambda: Keep(max_age=math.inf),
        lambda: Retention(history=Keep(latest=0)),
    ],
)
def test_what_cannot_be_kept_to_is_refused(make):
    with pytest.raises(InvalidRequest):
        make()


@pytest.mark.parametrize(
    "checkpoints, first, end, found",
    [
        ([1], 1, None, [1]),
        ([1, 5, 9], 1, None, [1, 5, 9]),
        ([2, 5, 9], 5, None, [5, 9]),  # 2 stands alone
        ([1, 5, 9], 1, 9, [1, 5]),  # nothing goes on from the end
        ([1, 5, 9], 9, 9, [9]),
        ([], 1, None, []),
    ],
)
def test_a_log_is_cut_in_front_of_what_a_run_can_go_on_from(checkpoints, first, end, found):
    assert found == usable(checkpoints, first, end)


@pytest.mark.parametrize("latest, place", [(None, 0), (1, 3), (2, 2), (4, 0), (100, 0)])
def test_the_newest_checkpoints_are_counted(latest, place):
    assert place == oldest_kept([1, 5, 9, 12], latest)


@given(st.sets(st.integers(2, 60), min_size=1), st.integers(1, 70))
def test_a_long_log_is_cut_in_pieces(seqs, most):
    """Each piece ends in front of a checkpoint, gets nearer to the goal, and is as large as it may be, or has to be."""
    checkpoints = [1, *sorted(seqs)]
    first, goal = 1, checkpoints[-1]
    while first < goal:
        cut = next_cut(checkpoints, first, goal, most)
        assert cut in checkpoints
        assert first < cut <= goal
        further = [seq for seq in checkpoints if cut < seq <= goal]
        assert not further or further[0] - first > most
        assert cut - first <= most or cut == min(seq for seq in checkpoints if seq > first)
        first = cut


def ended(*ages: float) -> list[tuple[float, str]]:
    return [(NOW - age, f"r-{age}") for age in ages]


@pytest.mark.parametrize(
    "keep, count",
    [
        (ALL, 0),
        (Keep(latest=0), 5),
        (Keep(latest=2), 4),
        (Keep(latest=5), 1),
        (Keep(latest=9), 0),
        (Keep(max_age=100.0), 3),
        (Keep(max_age=1.0), 5),
        (Keep(latest=4, max_age=250.0), 2),
        (Keep(latest=1, max_age=250.0), 5),
    ],
)
def test_runs_that_ended_long_ago_or_are_too_many_go(keep, count):
    """With both limits what is within both stays; whoever has only just ended stays in any case."""
    assert count == expired(ended(500, 300, 100, 50, FINISHED_GRACE, FINISHED_GRACE - 1), keep, NOW)


def test_no_runs_no_work():
    assert 0 == expired([], Keep(latest=0), NOW)
