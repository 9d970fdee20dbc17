"""`terzetto_protocol.backoff`: doubling, bounded, whatever is asked."""

import pytest

from terzetto_protocol.backoff import FIRST, LONGEST, backoff


def test_it_doubles_from_the_first_wait_up_to_the_longest():
    assert [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0] == [backoff(failures) for failures in range(1, 9)]
    assert FIRST == backoff(1)


@pytest.mark.parametrize("failures", [10, 17, 1_000, 10**9, 10**400])
def test_it_never_overflows(failures):
    """A store may be gone for a year."""
    assert LONGEST == backoff(failures)
