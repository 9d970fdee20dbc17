"""`terzetto_protocol.foreign_stream`: what is kept of a foreign producer, and what time does to it (SEMANTICS 8.6)."""

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.bridge import TERMINAL_STATES, ResumeResult
from terzetto_protocol.errors import IllegalTransition, InvalidRequest
from terzetto_protocol.foreign_stream import NO_PUBLISH, BridgeTerms, ForeignStream
from terzetto_protocol.limits import DEAD_LETTER, DEAD_LETTER_AWAITING, STREAM_RETENTION, STREAM_UNREAD
from terzetto_protocol.statuses import StreamStatus

ACTIVE, ENDED, CANCELLED, ERRORED, CLOSED = StreamStatus


def stream(**terms) -> ForeignStream:
    return ForeignStream("r", 7, 0.0, BridgeTerms(**terms))


def filled(count, **terms) -> ForeignStream:
    made = stream(**terms)
    for number in range(count):
        made.publish(f"e{number}", number, 10, 0.0)
    return made


def names(made: ForeignStream) -> list[str]:
    return [event.event for event in made.after(0, 1000)]


def test_ids_count_from_one_behind_the_birth():
    """8.1: ids rise, and are never used for something else."""
    made = filled(3)

    assert ["7-1", "7-2", "7-3"] == [event.id for event in made.after(0, 10)]
    assert "7-4" == made.end(ENDED, None, 1, 0.0).id
    assert 4 == made.tail


@pytest.mark.parametrize("kind, name", [(ENDED, "end"), (CANCELLED, "cancel"), (ERRORED, "error")])
def test_the_first_end_stays(kind, name):
    """8.3: a second terminal returns the first id; publishing after it raises, and nothing has changed."""
    made = filled(1)
    first = made.end(kind, {"why": 1}, 5, 1.0)
    for other in TERMINAL_STATES:
        assert first is made.end(other, None, 1, 2.0)

    assert (kind, name, {"why": 1}) == (made.status, first.event, first.data)
    for call in (lambda: made.publish("late", None, 1, 3.0), lambda: made.await_input(3.0)):
        with pytest.raises(IllegalTransition) as refused:
            call()
        assert ("stream", kind, ACTIVE) == (refused.value.machine, refused.value.source, refused.value.target)
    assert ["e0", name] == names(made)


@pytest.mark.parametrize("kind", [ACTIVE, CLOSED, "ended"])
def test_only_an_end_ends_it(kind):
    made = filled(1)
    with pytest.raises(InvalidRequest):
        made.end(kind, None, 1, 0.0)

    assert (ACTIVE, ["e0"]) == (made.status, names(made))


def test_the_window_keeps_the_last_events():
    """8.1: 256 events or 10 MiB by default; the oldest leave."""
    assert (4, ["e4", "e5", "e6"]) == (filled(7, window=3).floor, names(filled(7, window=3)))
    assert 256 == len(names(filled(300)))
    heavy = filled(5, window_bytes=30)  # each weighs 12
    assert ["e3", "e4"] == names(heavy)
    heavy.publish("huge", None, 1000, 0.0)
    assert ["huge"] == names(heavy)


def test_the_end_drives_nothing_out_and_stays():
    """8.3: the terminal event is always kept."""
    made = filled(3, window=3, window_bytes=40)
    made.end(ENDED, None, 1000, 0.0)

    assert ["e0", "e1", "e2", "end"] == names(made)


@pytest.mark.parametrize(
    "cursor, result",
    [
        (None, ResumeResult(4, "fresh", 4)),
        ("", ResumeResult(4, "fresh", 4)),
        ("7-7", ResumeResult(7, "resumed")),
        ("7-5", ResumeResult(5, "resumed")),
        ("7-4", ResumeResult(4, "resumed")),
        ("7-1", ResumeResult(4, "evicted", 3)),
        ("6-1", ResumeResult(4, "evicted", None)),
        ("7-8", ResumeResult(4, "unknown", 4)),
        ("7-0", ResumeResult(4, "unknown", 4)),
        ("8-1", ResumeResult(4, "unknown", 4)),
        ("7", ResumeResult(4, "invalid", 4)),
        ("7-1 ", ResumeResult(4, "invalid", 4)),
        ("\N{ARABIC-INDIC DIGIT SEVEN}-1", ResumeResult(4, "invalid", 4)),
        ("7-" + "9" * 30, ResumeResult(4, "invalid", 4)),
    ],
)
def test_how_cursors_are_resolved(cursor, result):
    """8.2: the gap count is exact inside a stream; of another stream of this id nobody knows."""
    assert result == filled(7, window=3).resolve(cursor)


def test_silence_is_an_error_after_a_while():
    """8.6: dead letter after 600 s without a publish."""
    made = filled(1)
    made.publish("e", None, 1, 100.0)

    assert 100 + DEAD_LETTER == made.due
    assert not made.pass_time(made.due - 0.1)
    assert ACTIVE is made.status
    made.pass_time(made.due)
    assert (ERRORED, "error", NO_PUBLISH) == (made.status, made.terminal.event, made.terminal.data)
    assert 100 + DEAD_LETTER + STREAM_UNREAD == made.due, "counted from when it was over, not from when one looked"


def test_awaiting_input_is_shown_once_and_has_more_time():
    """8.4, 8.6: visible in the stream; 7,200 s; what is published next ends it."""
    made = filled(1)
    assert "awaiting_input" == made.await_input(50.0).event
    assert made.await_input(60.0) is None
    assert (True, 50 + DEAD_LETTER_AWAITING) == (made.awaiting_input, made.due)

    made.publish("decided", None, 1, 7000.0)
    assert (False, 7000 + DEAD_LETTER) == (made.awaiting_input, made.due)
    assert made.await_input(7001.0) is not None
    assert ["e0", "awaiting_input", "decided", "awaiting_input"] == names(made)


def test_what_has_ended_is_kept_for_a_while():
    """8.6: 300 s after the end, 60 s without readers; a reconnect within that finds it."""
    made = filled(1)
    made.end(ENDED, None, 1, 1000.0)

    assert 1000 + STREAM_UNREAD == made.due
    made.come()
    assert made.due is None
    assert not made.pass_time(9999.0), "it is read"
    made.leave(1100.0)
    assert 1100 + STREAM_UNREAD == made.due
    assert not made.pass_time(1159.0)
    made.come()
    made.leave(1290.0)
    assert 1000 + STREAM_RETENTION == made.due
    assert made.pass_time(1300.0)


@pytest.mark.parametrize(
    "terms", [{"window": 0}, {"window_bytes": -1}, {"streams": 0}, {"dead_letter": 0}, {"unread": float("nan")}]
)
def test_terms_that_are_none(terms):
    with pytest.raises(InvalidRequest, match=next(iter(terms))):
        BridgeTerms(**terms)


@given(
    window=st.integers(1, 5),
    sizes=st.lists(st.integers(0, 40), max_size=30),
    cursor=st.integers(1, 40),
    ends=st.booleans(),
)
def test_a_cursor_and_its_count_add_up_to_everything(window, sizes, cursor, ends):
    """8.2: after a cursor comes every event once, or it is counted."""
    made = stream(window=window, window_bytes=60)
    ids = [made.publish("e", None, size, 0.0).id for size in sizes]
    if ends:
        ids.append(made.end(ENDED, None, 1, 0.0).id)
    result = made.resolve(f"7-{cursor}")
    rest = [event.id for event in made.after(result.next_offset, 100)]
    seen = cursor if result.status in {"resumed", "evicted"} else 0

    assert len(ids) == seen + result.gap_count + len(rest)
    assert ids[len(ids) - len(rest) :] == rest
    assert (result.status == "unknown") == (cursor > len(ids))
