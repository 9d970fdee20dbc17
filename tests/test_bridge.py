"""`terzetto_protocol.bridge`: the words that are said over a stream bridge."""

import math

import pytest

from terzetto_protocol.bridge import (
    CANCELLED_SENTINEL,
    END_SENTINEL,
    HEARTBEAT_SENTINEL,
    TERMINAL_EVENTS,
    TERMINAL_STATES,
    ResumeResult,
    StreamEvent,
    check_event,
    check_terminal,
    gap,
    resume_of,
    resumed,
    sealed,
)
from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.statuses import STREAM_MOVES, StreamStatus


def test_words_between_events_have_the_names_that_users_know_and_no_id():
    """SEMANTICS 8.4: without an id."""
    words = [HEARTBEAT_SENTINEL, END_SENTINEL, CANCELLED_SENTINEL]

    assert ["__heartbeat__", "__end__", "__cancelled__"] == [word.event for word in words]
    assert {("", None)} == {(word.id, word.data) for word in words}
    assert StreamEvent(id="", event="__end__", data=None) == END_SENTINEL


def test_terminal_states_are_those_that_nothing_follows():
    """SEMANTICS 8.3, 8.4: CLOSED is the bridge going away, and no end of a run."""
    assert {StreamStatus.ENDED, StreamStatus.CANCELLED, StreamStatus.ERRORED} == TERMINAL_STATES == set(TERMINAL_EVENTS)
    assert STREAM_MOVES[StreamStatus.ACTIVE] - {StreamStatus.CLOSED} == TERMINAL_STATES
    assert [check_terminal(kind) for kind in TERMINAL_EVENTS] == list(TERMINAL_EVENTS)
    for kind in (StreamStatus.ACTIVE, StreamStatus.CLOSED):
        with pytest.raises(ValueError, match="how a stream ends"):
            check_terminal(kind)


@pytest.mark.parametrize(
    "result", [ResumeResult(3, "evicted", 2), ResumeResult(0, "fresh"), ResumeResult(1, "unknown", None)]
)
def test_the_first_word_says_how_a_cursor_was_resolved(result):
    """SEMANTICS 8.2."""
    assert result == resume_of(resumed(result))
    assert "" == resumed(result).id


def test_nothing_else_is_taken_for_it():
    for event in (HEARTBEAT_SENTINEL, gap("3", 4), StreamEvent("7", "__resume__", {"next_offset": 1})):
        assert resume_of(event) is None
    assert {"after": "3", "missed": 4} == gap("3", 4).data


@pytest.mark.parametrize("name", ["", "__end__", "__mine__", "x" * 201])
def test_names_that_events_may_not_have(name):
    with pytest.raises(InvalidRequest):
        check_event(name)


@pytest.mark.parametrize("name", ["end", "messages-tuple", "updates|inner", "größe", "__init"])
def test_names_that_they_may_have(name):
    assert name == check_event(name)


def test_what_is_sealed_shares_nothing():
    data = {"a": [1, {"b": None}], "t": (1, 2)}
    copy, size = sealed("e", data)
    data["a"][1]["b"] = "changed"

    assert {"a": [1, {"b": None}], "t": [1, 2]} == copy
    assert 10 < size < 20
    assert (None, 1) == sealed("e", None)


@pytest.mark.parametrize("data", [math.nan, {"x": math.inf}, "\ud800", object(), "x" * (1 << 20)])
def test_what_is_not_json_is_refused_with_the_name_of_its_event(data):
    with pytest.raises(NotStorable, match="the data of event 'e'"):
        sealed("e", data)
