"""Errors say whose doing it was, keep their data, and can be shown whatever is in them."""

import inspect

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol import errors
from terzetto_protocol.errors import (
    GraphError,
    IllegalTransition,
    InvalidRequest,
    NotStorable,
    QueueFull,
    Refused,
    RunFailed,
    StaleEpoch,
    TerzettoError,
    describe,
)
from terzetto_protocol.limits import ERROR_LENGTH

ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", ALL)
def test_there_is_one_base_and_every_leaf_says_what_it_means(cls):
    assert issubclass(cls, TerzettoError)
    assert cls.__doc__


@pytest.mark.parametrize(
    "error, message",
    [
        (GraphError("g", ["start: no"]), "graph 'g' cannot be built:\n  start: no"),
        (Refused("r", "not now"), "run 'r': not now"),
        (IllegalTransition("r", "run", None, "FAILED"), "run 'r': a run may not go from nothing to FAILED"),
        (IllegalTransition("r", "run", "A", "B", "why"), "run 'r': a run may not go from A to B (why)"),
        (NotStorable("state S", "it is a cat"), "state S cannot be stored: it is a cat"),
        (QueueFull(5, 0.25), "5 runs are waiting for a slot already; try again in 0.25 s"),
        (RunFailed("r", "FAILED", "node_error", "no"), "run 'r' ended FAILED (node_error): no"),
        (RunFailed("r", "CANCELLED", "", "enough"), "run 'r' ended CANCELLED: enough"),
        (StaleEpoch("r", 1, 2), "run 'r' was claimed again: epoch 1 is stale, 2 owns it"),
    ],
)
def test_messages_name_the_run_and_the_value(error, message):
    """Refused means: a typed error that names the run, the node and the value."""
    assert str(error) == message


def test_what_the_caller_did_wrong_is_a_value_error_too():
    assert issubclass(InvalidRequest, ValueError)
    assert issubclass(NotStorable, ValueError)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    "error, text",
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (ValueError("  \n "), "ValueError"),
        (KeyError("k"), "KeyError: 'k'"),
        (ValueError("two\nlines\r\n  and more "), "ValueError: two lines and more"),
        (ValueError("a\ud800"), "ValueError: a\\ud800"),
        (SystemExit(3), "SystemExit: 3"),
        (Mute(), "Mute (its message cannot be shown)"),
    ],
)
def test_an_exception_is_described_in_one_line(error, text):
    """9.4: empty messages become the type's name."""
    assert describe(error) == text


@given(st.text(st.characters(), max_size=30))
def test_any_message_can_be_stored(text):
    line = describe(ValueError(text))

    assert line.encode()
    assert len(line.splitlines()) == 1


def test_a_long_message_is_cut():
    """12: a failure has to fit into its commit."""
    line = describe(ValueError("x" * 2_000_000))

    assert len(line) < ERROR_LENGTH + 100
    assert line.endswith("x... (2000000 characters)")
