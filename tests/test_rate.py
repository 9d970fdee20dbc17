"""`terzetto_protocol.rate`: a burst at once, and so many a second in the long run."""

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.rate import TokenBucket, TokenBuckets


def test_a_burst_passes_and_then_so_many_a_second():
    bucket = TokenBucket(2.0, 3)

    assert [0.0, 0.0, 0.0, 0.5, 0.5] == [bucket.take(10.0) for _ in range(5)]
    assert [0.0, 0.5] == [bucket.take(10.5), bucket.take(10.5)]
    assert 0.25 == bucket.take(10.75)


def test_what_was_not_used_is_kept_up_to_the_burst():
    bucket = TokenBucket(2.0, 3)
    bucket.take(0.0)

    assert [0.0, 0.0, 0.0, 0.5] == [bucket.take(1e9) for _ in range(4)]


def test_a_clock_that_goes_back_gives_nothing():
    bucket = TokenBucket(1.0, 1)
    assert [0.0, 1.0, 1.0] == [bucket.take(100.0), bucket.take(50.0), bucket.take(100.0)]
    assert 0.0 == bucket.take(101.0)


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50))
def test_who_waits_as_long_as_it_is_told_passes_and_nobody_passes_more_often(pauses):
    bucket, now, passed = TokenBucket(2.0, 3), 0.0, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        if wait:
            now += wait + 1e-6
            wait = bucket.take(now)
        passed += wait == 0.0

    assert len(pauses) == passed
    assert passed <= 3 + 2.0 * now + 1e-6


@pytest.mark.parametrize("burst", [1, 7])
def test_it_begins_full(burst):
    bucket = TokenBucket(0.5, burst)

    assert [0.0] * burst + [2.0] == [bucket.take(0.0) for _ in range(burst + 1)]


def test_each_asker_has_a_bucket():
    buckets = TokenBuckets(1.0, 1, 8)

    assert [0.0, 0.0, 1.0, 1.0] == [buckets.take(asker, 5.0) for asker in ("ann", "bob", "ann", "bob")]


def test_whoever_was_silent_for_longest_is_forgotten():
    buckets = TokenBuckets(1.0, 1, 2)
    for asker in ("ann", "bob", "ann", "eve"):
        buckets.take(asker, 5.0)

    assert [1.0, 2] == [buckets.take("ann", 5.0), len(buckets)]
    assert [0.0, 2] == [buckets.take("bob", 5.0), len(buckets)], "bob was forgotten, and begins anew"
