"""Bytes of a terminal as keys."""

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.keystrokes import Key, Keystrokes, Pasted


def names(typed):
    return [each.name if isinstance(each, Key) else each for each in typed]


@pytest.mark.parametrize(
    "data, keys",
    [
        (b"ab", ["a", "b"]),
        ("ö日".encode(), ["ö", "日"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOH\x1bOM", ["up", "home", "enter"]),
        (b"\x1b[1;5A\x1b[1;2B", ["up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[3~\x1b[1~\x1b[4~\x1b[Z", ["page-up", "page-down", "delete", "home", "end", "back-tab"]),
        (b"\r\n\t\x7f\x08\x15\x0c", ["enter", "enter", "tab", "backspace", "backspace", "ctrl-u", "ctrl-l"]),
        (b"\x00\x1c\x9c", ["\ufffd"]),
        (b"\x1bax", ["x"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x1b[24~\x1b[?1;2c\x1b[<0;1;1M\x1b]11;rgb:0/0/0\x07\x1bP1$r\x1b\\q", ["q"]),
        (b"\x1b[200~a\x1bq\n\x1b[201~b", [Pasted("a\x1bq\n"), "b"]),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_bytes_become_keys_however_they_are_cut(data, keys, piece):
    strokes = Keystrokes()
    typed = [key for begin in range(0, len(data), piece) for key in strokes.feed(data[begin : begin + piece])]

    assert keys == names(typed)
    assert not strokes.waiting


def test_an_escape_alone_is_the_key_once_nothing_follows():
    strokes = Keystrokes()

    assert [] == strokes.feed(b"\x1b")
    assert strokes.waiting
    assert [Key("escape")] == strokes.flush()
    assert not strokes.waiting
    assert [] == strokes.flush()


def test_half_a_sequence_is_no_key():
    strokes = Keystrokes()
    strokes.feed(b"\x1b[1;")

    assert [] == strokes.flush()
    assert [Key("q")] == strokes.feed(b"q")


def test_what_is_broken_ends_with_what_has_come():
    strokes = Keystrokes()

    assert [] == strokes.feed(b"\x1b[\x01aq")
    assert [Key("q")] == strokes.feed(b"q")


def test_a_paste_may_take_its_time():
    strokes = Keystrokes()

    assert [] == strokes.feed(b"\x1b[200~ab\x1b[20")
    assert not strokes.waiting
    assert [] == strokes.flush()
    assert [Pasted("ab"), Key("c")] == strokes.feed(b"1~c")


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\x1b[200~", b"\x1b[201~", b"\x1b[", b"\x1b", b"\x1b]"])))
def test_no_bytes_are_too_much(pieces):
    strokes = Keystrokes()
    typed = [key for piece in pieces for key in strokes.feed(piece)]

    for each in [*typed, *strokes.flush()]:
        assert isinstance(each, Pasted) or len(each.name) > 1 or each.name.isprintable()


def test_what_never_ends_is_forgotten():
    strokes = Keystrokes()
    strokes.feed(b"\x1b]" + b"a" * 100_000)

    assert not strokes.waiting
    assert [Key("q")] == strokes.feed(b"q")
