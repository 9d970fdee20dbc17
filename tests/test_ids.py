"""Identities: what a run may be called, and ids that are never made twice."""

import hashlib
import string

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.ids import (
    LAST_EVENT_ID,
    barrier_id,
    check_run_id,
    effect_key,
    event_id,
    input_digest,
    split_event_id,
)
from terzetto_protocol.limits import ID_LENGTH

ALNUM = string.ascii_letters + string.digits
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
epochs = st.integers(0, LAST_EVENT_ID >> 32)
counters = st.integers(0, 2**32 - 1)


@given(st.sampled_from(ALNUM), st.text(ALNUM + "._-", max_size=ID_LENGTH - 1))
def test_allowed_run_ids_are_returned(first, rest):
    """1: a run has an id `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`."""
    assert check_run_id(first + rest) == first + rest


@pytest.mark.parametrize(
    "run_id",
    [
        "",
        ".a",
        "-a",
        "_a",
        "a b",
        "a/b",
        "a\n",
        "\na",
        "ä",
        "a\x00",
        "../x",
        "a" * (ID_LENGTH + 1),
        "\ud800",
        "a:b",
        "²",
    ],
)
def test_other_run_ids_are_refused_by_name(run_id):
    """1: else refused; a refusal names the value."""
    with pytest.raises(InvalidRequest) as caught:
        check_run_id(run_id)

    assert repr(run_id) in str(caught.value)


@pytest.mark.parametrize("run_id", [None, 5, b"r-1", ["r-1"]])
def test_what_is_no_text_is_refused_too(run_id):
    with pytest.raises(InvalidRequest, match="is not a run id"):
        check_run_id(run_id)


def test_the_longest_run_id_is_allowed():
    """12: ids 128 characters."""
    assert check_run_id("r" * 128) == "r" * 128


@given(epochs, counters)
def test_event_ids_can_be_split_again(epoch, counter):
    """8.1: event id = `epoch << 32 | n` as one integer (below 2^53)."""
    number = event_id(epoch, counter)

    assert split_event_id(number) == (epoch, counter)
    assert 0 <= number < 2**53


@given(epochs, counters, epochs, counters)
def test_event_ids_rise_with_epoch_and_counter(epoch, counter, other_epoch, other_counter):
    """D4: ids rise strictly and are never reused for something else."""
    one, other = event_id(epoch, counter), event_id(other_epoch, other_counter)

    assert (one < other) == ((epoch, counter) < (other_epoch, other_counter))
    assert (one == other) == ((epoch, counter) == (other_epoch, other_counter))


@pytest.mark.parametrize("pair", [(1, 2**32), (2**21, 0), (-1, 0), (0, -1)])
def test_pairs_that_would_collide_are_refused(pair):
    """D4: never reused, not even when a counter overflows."""
    with pytest.raises(InvalidRequest, match="no event id"):
        event_id(*pair)


def test_barrier_ids_read_like_places():
    """6.1: id = (run, path, visit, name, k), stable over restarts."""
    assert barrier_id("", "sign-off", 3) == "sign-off@3"
    assert barrier_id("outer/inner", "sign-off", 3) == "outer/inner/sign-off@3"
    assert barrier_id("", "ask", 3, 2) == "ask@3.2"


parts = st.tuples(st.lists(names, max_size=3).map("/".join), names, st.integers(1, 10**6), st.integers(0, 1000))


@given(parts, parts)
def test_different_barriers_have_different_ids(one, other):
    same_place = "/".join(filter(None, one[:2])) == "/".join(filter(None, other[:2]))

    assert (barrier_id(*one) == barrier_id(*other)) == (same_place and one[2:] == other[2:])


def test_an_effect_key_never_changes():
    """7: key = hash(run, path, visit): the same for every attempt, epoch and process."""
    assert effect_key("r-1", "outer/inner", 3) == "1801c10aebed832027aad1a52da5f49e"


@given(st.tuples(names, names, st.integers(0, 10**6)), st.tuples(names, names, st.integers(0, 10**6)))
def test_different_visits_have_different_keys(one, other):
    assert (effect_key(*one) == effect_key(*other)) == (one == other)


def test_an_input_digest_never_changes():
    """10.2: a run that is submitted again, by a later version too, is the same run."""
    plain, parent = (hashlib.sha256(data).hexdigest() for data in (b"g\x001\0state", b"g\x001\0state\0p@3:"))

    assert (plain, parent) == (input_digest("g", "1", b"state"), input_digest("g", "1", b"state", "p@3:"))
