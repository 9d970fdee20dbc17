"""`terzetto_protocol.pieces`: long answers in pieces lose nothing, and none is much longer than it may be."""

import json

import msgspec
import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.errors import InvalidRequest, Malformed
from terzetto_protocol.limits import MESSAGE_BYTES, WIRE_PIECE
from terzetto_protocol.pieces import Assembly, fitting, history_of, piece_of, text_of
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.views import CommitView, MutationView
from terzetto_protocol.wire import Reply, write_frame
from terzetto_protocol.wire_asks import ReadCommit, ReadDiff, ReadState

from .frames import PLAIN


def commit(seq, size=0, detail=None):
    mutations = (MutationView("Wrote", "x" * size),) if size else ()
    return CommitView(
        seq,
        "visit",
        0.0,
        1,
        "",
        "n",
        seq,
        1,
        None,
        RunStatus.RUNNING,
        mutations,
        (),
        ({"type": "NodeFinished"},),
        detail,
    )


@given(PLAIN | st.text(max_size=200), st.integers(4, 50))
def test_the_pieces_together_are_what_was_asked_for(value, size):
    text, ask, assembly = text_of(value), ReadState("r"), Assembly(ReadState("r"))
    while ask is not None:
        piece = piece_of(text, "state", "r", 7, offset=ask.offset, size=size)
        assert (len(text), 7) == (piece.total, piece.seq)
        assert 0 < len(piece.text.encode()) <= size
        ask = assembly.take(piece)
        assert ask is None or 7 == ask.at

    assert value == assembly.value()


@pytest.mark.parametrize(
    "first, second",
    [
        (ReadState("r"), ReadState("r", 7, 4)),
        (ReadDiff("r", 3), ReadDiff("r", 3, 7, 4)),
        (ReadCommit("r", 7), ReadCommit("r", 7, 4)),
    ],
)
def test_the_next_piece_is_asked_for_by_the_commit_that_the_first_one_names(first, second):
    assert second == Assembly(first).take(piece_of(b'"abcdef"', "state", "r", 7, offset=0, size=4))


@pytest.mark.parametrize("offset", [-1, 2, 4, 9])
def test_no_piece_begins_inside_of_a_character_or_behind_the_end(offset):
    with pytest.raises(InvalidRequest, match=f"no piece of this state begins at {offset}"):
        piece_of('"éé'.encode()[:4], "state", "r", 1, offset=offset)


def test_what_has_changed_between_two_pieces_is_noticed():
    assembly = Assembly(ReadState("r"))
    assembly.take(piece_of(b'"abcdef"', "state", "r", 7, offset=0, size=4))
    for piece in (piece_of(b'"abcdeg"', "state", "r", 7, offset=4), piece_of(b'"abcdef"', "state", "r", 7, offset=0)):
        with pytest.raises(Malformed, match="has changed meanwhile"):
            assembly.take(piece)


def test_pieces_of_no_json_are_malformed():
    assembly = Assembly(ReadState("r"))
    assert None is assembly.take(piece_of(b'{"a', "state", "r", 7, offset=0))

    with pytest.raises(Malformed, match="what the pieces say"):
        assembly.value()


@pytest.mark.parametrize("char", ["x", '"', "\\", "\x00", "é", "\U0001f3b5"])
def test_a_piece_fits_into_a_message_whatever_is_in_it(char):
    text = text_of(char * WIRE_PIECE)
    piece = piece_of(text, "state", "r", 1, offset=0)

    assert len(write_frame(Reply(1, piece))) < MESSAGE_BYTES


@given(st.lists(st.text(max_size=20)), st.integers(1, 60))
def test_a_list_ends_where_it_becomes_too_long_and_has_one_item_at_least(items, size):
    taken = fitting(items, size)

    assert items[: len(taken)] == taken
    assert bool(items) == bool(taken)
    assert len(taken) < 2 or len(json.dumps(taken, ensure_ascii=False).encode()) <= 2 * size + 2
    assert len(taken) == len(items) or len(msgspec.json.encode(items[: len(taken) + 1])) > size


def test_a_history_says_where_more_of_it_is():
    assert (None, (2, 1)) == _told(history_of("r", [commit(2), commit(1)]))
    assert (4, (5, 4)) == _told(history_of("r", [commit(5), commit(4)]))
    assert (None, ()) == _told(history_of("r", []))


def _told(history):
    return history.next, tuple(each.seq for each in history.commits)


def test_a_history_ends_where_it_becomes_too_long():
    history = history_of("r", [commit(9, 600), commit(8, 600), commit(7, 600)], size=2000)

    assert (8, (9, 8)) == _told(history)
    assert () == history.cut


def test_a_commit_that_is_too_large_comes_without_what_makes_it_so():
    large = commit(8, 3000, {"type": "note", "text": "x"})
    history = history_of("r", [commit(9), large, commit(7)], size=2000)

    assert ((8,), (9, 8, 7)) == (history.cut, _told(history)[1])
    assert msgspec.structs.replace(large, mutations=(), events=(), detail=None) == history.commits[1]
    assert commit(7) == history.commits[2]
