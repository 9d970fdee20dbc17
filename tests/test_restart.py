"""`terzetto_protocol.restart`: rest-for-one, 3 restarts in 5 s, then no more (SEMANTICS 9.5)."""

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.restart import PERIOD, RESTARTS, Verdict, judge

ORDER = ("persistence", "supervisor", "inbox")


@pytest.mark.parametrize(
    "failed, restarted",
    [("persistence", ORDER), ("supervisor", ("supervisor", "inbox")), ("inbox", ("inbox",))],
)
def test_the_failed_one_and_all_after_it_are_restarted(failed, restarted):
    """9.5: rest-for-one."""
    assert Verdict(restarted, (10.0,)) == judge(ORDER, failed, (), 10.0)


def test_the_fourth_failure_in_five_seconds_is_too_many():
    """9.5: 3 restarts in 5 s, then orderly stop."""
    history: tuple[float, ...] = ()
    for at in (0.0, 1.0, 2.0):
        verdict = judge(ORDER, "inbox", history, at)
        assert ("inbox",) == verdict.restart
        history = verdict.history

    assert Verdict((), (0.0, 1.0, 2.0)) == judge(ORDER, "inbox", history, 4.999)
    assert Verdict(("inbox",), (1.0, 2.0, 5.0)) == judge(ORDER, "inbox", history, 5.0)


def test_whose_failures_they_were_does_not_matter():
    history = judge(ORDER, "inbox", (), 0.0).history
    history = judge(ORDER, "supervisor", history, 0.0).history
    history = judge(ORDER, "persistence", history, 0.0).history

    assert () == judge(ORDER, "inbox", history, 0.0).restart


@given(st.lists(st.floats(0, 3), max_size=40))
def test_no_five_seconds_see_more_than_three_restarts(pauses):
    at, history, restarts = 0.0, (), []
    for pause in pauses:
        at += pause
        verdict = judge(ORDER, "supervisor", history, at)
        history = verdict.history
        if verdict.restart:
            restarts.append(at)

    assert len(history) <= RESTARTS
    for first, later in zip(restarts, restarts[RESTARTS:], strict=False):
        assert later - first >= PERIOD
