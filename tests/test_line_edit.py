"""A line that is typed."""

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.keystrokes import Key, Pasted
from terzetto_protocol.line_edit import LineEdit

EDITING = ["left", "right", "home", "end", "backspace", "delete", "ctrl-w", "ctrl-u", "ctrl-k", "up", "f1"]


@pytest.mark.parametrize(
    "keys, text",
    [
        (["x"], "one twox|"),
        (["left", "left", "x"], "one tx|wo"),
        (["home", "x", "delete"], "x|ne two"),
        (["backspace", "backspace"], "one t|"),
        (["ctrl-w"], "one |"),
        (["left", "left", "left", "left", "left", "ctrl-k"], "on|"),
        (["left", "ctrl-u"], "|o"),
        (["home", "left", "end", "right", "!"], "one two!|"),
        (["tab", "up"], "one two|"),
        ([Pasted("a\r\nb\n")], "one twoa b|"),
    ],
)
def test_keys_edit_the_line(keys, text):
    line = LineEdit.at_end("one two")
    for key in keys:
        line.feed(key if isinstance(key, Pasted) else Key(key))

    assert text == f"{line.text[: line.cursor]}|{line.text[line.cursor :]}"


@given(st.lists(st.sampled_from(EDITING) | st.characters(categories=["L", "Zs"])))
def test_the_cursor_is_always_in_the_line(keys):
    line = LineEdit()
    for key in keys:
        line.feed(Key(key))
        assert 0 <= line.cursor <= len(line.text)


def test_a_line_has_an_end():
    line = LineEdit()
    for _ in range(3):
        line.feed(Pasted("a" * 50_000))

    assert (65536, 65536) == (len(line.text), line.cursor)
