"""`terzetto_protocol.retry`: which errors are followed by another attempt, and after how long (SEMANTICS 9.8)."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.errors import InvalidInput, InvalidRequest, NonDeterministicOutput, QueueFull, TerzettoError
from terzetto_protocol.retry import USER_ERRORS, RetryAfter, RetryPolicy, asked_by, retry_after_of

NOW = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC).timestamp()


def delays(policy: RetryPolicy, chance: float = 0.0) -> list[float | None]:
    return [policy.delay(attempt, chance) for attempt in range(1, policy.max_attempts + 1)]


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


# Which errors


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), RuntimeError(), KeyError("k"), RetryAfter(1)])
def test_what_may_pass_is_retried(error):
    assert RetryPolicy().retries(error)


@pytest.mark.parametrize("error", [*(cls() for cls in USER_ERRORS), InvalidRequest(), UnicodeError(), SystemExit()])
def test_user_errors_are_not(error):
    """9.8: user errors (ValueError by default) are not retried."""
    assert not RetryPolicy().retries(error)


@pytest.mark.parametrize("error", [NonDeterministicOutput("r", "n", 0, "out"), InvalidInput("n", "pin", "no")])
def test_what_the_log_holds_is_never_tried_again(error):
    """5.7: the next attempt would meet the same value, whatever the policy says."""
    willing = RetryPolicy(never_on=(), retry_on=(Exception, type(error)))
    for policy in (RetryPolicy(), willing):
        assert not policy.retries(error)
        assert not policy.retries(ExceptionGroup("some", [OSError(), error]))


@pytest.mark.parametrize(
    "policy, error, retried",
    [
        (RetryPolicy(retry_on=(ConnectionError,)), ConnectionResetError(), True),
        (RetryPolicy(retry_on=(ConnectionError,)), FileNotFoundError(), False),
        (RetryPolicy(never_on=(OSError,)), ConnectionResetError(), False),
        (RetryPolicy(never_on=(OSError,), retry_on=(ConnectionError,)), ConnectionResetError(), True),
        (RetryPolicy(never_on=(ConnectionResetError,), retry_on=(OSError,)), ConnectionResetError(), False),
        (RetryPolicy(retry_on=(Exception, json.JSONDecodeError)), json.JSONDecodeError("no", "", 0), True),
        (RetryPolicy(retry_on=(OSError,), never_on=(OSError,)), OSError(), False),
        (RetryPolicy(never_on=()), ValueError(), True),
        (RetryPolicy(retry_on=()), OSError(), False),
        (RetryPolicy(retry_on=(BaseException,)), SystemExit(), True),
    ],
)
def test_the_nearest_class_decides(policy, error, retried):
    """9.8: retry_on / never_on."""
    assert policy.retries(error) is retried


@pytest.mark.parametrize(
    "policy, retried",
    [
        (RetryPolicy(retry_on=(ConnectionError,)), True),
        (RetryPolicy(never_on=(TerzettoError,)), True),
        (RetryPolicy(never_on=(RetryAfter,)), False),
    ],
)
def test_a_node_that_says_when_is_believed(policy, retried):
    assert policy.retries(RetryAfter(3)) is retried


@pytest.mark.parametrize(
    "leaves, retried",
    [
        ([OSError()], True),
        ([OSError(), ValueError()], False),
        ([OSError(), ExceptionGroup("inner", [OSError(), TypeError()])], False),
        ([OSError(), ExceptionGroup("inner", [OSError(), RetryAfter(1)])], True),
    ],
)
def test_a_group_is_retried_if_all_its_leaves_are(leaves, retried):
    """9.4: exception groups are reported as their leaves."""
    assert RetryPolicy().retries(ExceptionGroup("several", leaves)) is retried
    assert RetryPolicy().retries(BaseExceptionGroup("several", [*leaves, SystemExit()])) is False


# After how long


def test_max_attempts_counts_all_of_them():
    """9.8: max_attempts (total)."""
    assert [1.0, 2.0, None] == delays(RetryPolicy())
    assert [None] == delays(RetryPolicy(max_attempts=1))
    assert RetryPolicy(max_attempts=2).delay(7, 0.0) is None


def test_delays_grow_up_to_the_longest():
    """9.8: initial, factor, max."""
    assert [0.5, 1.5, 4.5, 5.0, 5.0, None] == delays(RetryPolicy(max_attempts=6, initial=0.5, factor=3, longest=5))
    assert [4.0, 4.0, None] == delays(RetryPolicy(initial=4, factor=1))
    assert [0.0, 0.0, None] == delays(RetryPolicy(initial=0))
    assert 0.0 == RetryPolicy(initial=0, max_attempts=10**7).delay(10**6, 0.0)


def test_jitter_only_shortens():
    """9.8: jitter. Nothing is longer than it is said to be."""
    policy = RetryPolicy(initial=10, factor=1, jitter=0.3)
    assert [10.0, 8.5] == [policy.delay(1, chance) for chance in (0.0, 0.5)]
    assert 7.0 == pytest.approx(policy.delay(1, math.nextafter(1.0, 0.0)))
    assert [10.0, 5.0] == [RetryPolicy(initial=10, jitter=1).delay(1, chance) for chance in (0.0, 0.5)]


@pytest.mark.parametrize(
    "asked, delay",
    [(None, 1.0), (0, 1.0), (0.5, 1.0), (30, 30), (61, 61), (600, 600)],
)
def test_what_the_server_asks_for_is_kept_as_a_minimum(asked, delay):
    assert RetryPolicy().delay(1, 0.0, asked) == delay


@pytest.mark.parametrize("asked", [600.5, math.inf, 10**400])
def test_who_is_asked_for_more_than_it_has_patience_gives_up(asked):
    assert RetryPolicy().delay(1, 0.0, asked) is None
    assert RetryPolicy(patience=5).delay(1, 0.0, 5.1) is None


def test_the_server_grants_no_attempts():
    assert RetryPolicy().delay(3, 0.0, 1.0) is None


SECONDS = st.floats(0, 1e6)
POLICIES = st.builds(
    lambda initial, more, **rest: RetryPolicy(initial=initial, longest=initial + more, max_attempts=2 * 10**6, **rest),
    SECONDS | st.just(5e-324),
    SECONDS,
    factor=st.floats(1, 1e308) | st.integers(1, 100),
    jitter=st.floats(0, 1),
    patience=SECONDS,
)
ATTEMPTS = st.integers(1, 10**6) | st.sampled_from([1, 1023, 1024, 1025, 10**6])
CHANCES = st.floats(0, 1, exclude_max=True)


@given(POLICIES, ATTEMPTS, CHANCES, st.none() | SECONDS)
def test_no_delay_leaves_its_bounds(policy, attempt, chance, asked):
    """9.8: whatever the numbers are, a delay is one, not below 0, not above what was said."""
    assert [] == list(policy.mistakes("retry"))
    delay = policy.delay(attempt, chance, asked)

    if delay is None:
        assert asked is not None
        assert asked > policy.patience
    else:
        assert (asked or 0.0) <= delay <= max(policy.longest, asked or 0.0)


@given(POLICIES, ATTEMPTS, ATTEMPTS)
def test_without_chance_no_delay_is_shorter_than_the_one_before(policy, one, other):
    earlier, later = sorted((one, other))
    assert policy.delay(earlier, 0.0) <= policy.delay(later, 0.0)


@given(POLICIES, ATTEMPTS, CHANCES, CHANCES)
def test_chance_takes_at_most_its_share(policy, attempt, one, other):
    whole, less, least = (policy.delay(attempt, chance) for chance in (0.0, *sorted((one, other))))
    assert whole >= less >= least >= whole * (1 - policy.jitter) * (1 - 1e-9)


# Who asked


class Busy(Exception):
    def __init__(self, retry_after: object) -> None:
        self.retry_after = retry_after


class Broken(Exception):
    @property
    def retry_after(self) -> float:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error, asked",
    [
        (OSError(), None),
        (RetryAfter(30), 30),
        (QueueFull(5, 0.25), 0.25),
        (Busy(2.5), 2.5),
        (ExceptionGroup("several", [OSError(), Busy(1), ExceptionGroup("inner", [RetryAfter(7)]), Busy(2)]), 7),
        (caused(OSError(), caused(OSError(), RetryAfter(4))), 4),
        (caused(RetryAfter(2), Busy(9)), 9),
        (ExceptionGroup("several", [caused(OSError(), RetryAfter(5))]), 5),
        (caused(OSError(), ExceptionGroup("several", [Busy(6)])), 6),
        (Busy(math.inf), math.inf),
        (Busy(10**400), 10**400),
    ],
)
def test_a_wish_is_found_wherever_it_is(error, asked):
    assert asked_by(error) == asked


@pytest.mark.parametrize("error", [Broken(), *map(Busy, [None, "30", True, math.nan, -1, Busy])])
def test_what_is_no_wish_is_not_taken_for_one(error):
    assert asked_by(error) is None
    assert 3 == asked_by(ExceptionGroup("several", [error, Busy(3), error]))


def test_causes_may_go_in_a_circle():
    first, second = OSError(), RetryAfter(8)
    assert 8 == asked_by(caused(first, caused(second, first)))


def test_a_wish_says_itself():
    assert "try again in 1.5 s" == str(RetryAfter(1.5))
    assert ("the model is busy", 30) == (str(RetryAfter(30, "the model is busy")), RetryAfter(30).retry_after)


@pytest.mark.parametrize(
    "header, seconds",
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("9" * 5000, math.inf),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 30.0),
        ("Sun Nov  6 08:49:37 1994", 30.0),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 53.0),
        ("Wed, 16 Nov 1994 08:49:07 GMT", 864_000.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("Saturday, 06-Nov-93 08:49:37 GMT", 0.0),
        ("Sunday, 06-Nov-44 08:49:07 GMT", (50 * 365 + 13) * 86400.0),
        ("Monday, 06-Nov-45 08:49:37 GMT", 0.0),
    ],
)
def test_a_header_is_read(header, seconds):
    assert retry_after_of(header, NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [
        "", "soon", "-1", "+1", "1e3", "1.", ".5", "nan", "inf", "0x10", "1 2", "\u0663", "1_000", "30s",
        "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Now 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT", "1994-11-06T08:49:37Z",
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_read_asks_for_nothing(header):
    assert retry_after_of(header, NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]+, [0-9 ]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"))
def test_no_header_breaks_anything(header):
    seconds = retry_after_of(header, NOW)
    assert seconds is None or seconds >= 0


# What makes no sense


@pytest.mark.parametrize(
    "wrong, mistake",
    [
        ({"max_attempts": 0}, "max_attempts: 0 would never run it"),
        ({"max_attempts": 2.5}, "max_attempts: 2.5 is not a whole number"),
        ({"max_attempts": True}, "max_attempts: True is not a whole number"),
        ({"initial": -1}, "initial: -1 is not a number of seconds from 0"),
        ({"initial": math.nan}, "initial: nan is not a number of seconds from 0"),
        ({"longest": math.inf}, "longest: inf is not a number of seconds from 0"),
        ({"longest": "60"}, "longest: '60' is not a number of seconds from 0"),
        ({"longest": False}, "longest: False is not a number of seconds from 0"),
        ({"patience": None}, "patience: None is not a number of seconds from 0"),
        ({"factor": 0.5}, "factor: 0.5 is not a number from 1 (1 keeps the delays equal, 2 doubles them)"),
        ({"jitter": 1.1}, "jitter: 1.1 is not a share (from 0, no chance, to 1, nothing but chance)"),
        ({"initial": 90}, "initial: 90 s is more than longest, 60.0 s"),
        ({"retry_on": OSError}, "retry_on: <class 'OSError'> is not a tuple of exception classes"),
        ({"never_on": (OSError, "no")}, "never_on: (<class 'OSError'>, 'no') is not a tuple of exception classes"),
        ({"retry_on": (int,)}, "retry_on: (<class 'int'>,) is not a tuple of exception classes"),
        (
            {"retry_on": (OSError, ValueError)},
            "retry_on: ValueError is in never_on too, which wins (take it out of one of them)",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path(wrong, mistake):
    """5.4: every mistake, with paths."""
    assert [f"nodes.fetch.retry.{mistake}"] == list(RetryPolicy(**wrong).mistakes("nodes.fetch.retry"))


def test_all_mistakes_are_told_at_once():
    wrong = RetryPolicy(
        max_attempts=-1, initial=-1, factor=0, longest=-1, patience=-1, jitter=-1, retry_on=[OSError], never_on=None
    )
    names = [mistake.partition(":")[0] for mistake in wrong.mistakes("r")]
    told = ["max_attempts", "initial", "longest", "patience", "factor", "jitter", "retry_on", "never_on"]

    assert [f"r.{name}" for name in told] == names


def test_what_nobody_changed_is_sound():
    assert [] == list(RetryPolicy().mistakes("retry"))
    assert RetryPolicy() == RetryPolicy(max_attempts=3, never_on=USER_ERRORS)
