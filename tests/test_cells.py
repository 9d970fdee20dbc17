"""How wide texts are on a terminal, and what of them is shown there."""

import unicodedata

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.cells import cut, padded, tail, visible, width, wrapped


@pytest.mark.parametrize(
    "text, seen",
    [
        ("plain", "plain"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\tb\nc", "a b c"),
        ("\x9b2J", "\\x9b2J"),
        ("gnp\u202egpj", "gnp\\u202egpj"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("a\u00a0b", "a b"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("Ann löst 日本", "Ann löst 日本"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, seen):
    assert seen == visible(text)


@given(st.text())
def test_nothing_visible_is_obeyed(text):
    seen = visible(text)

    assert not [char for char in seen if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]
    assert seen == visible(seen)
    assert visible(text, ascii_only=True).isascii()


@pytest.mark.parametrize("text, cells", [("", 0), ("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("…", 1)])
def test_wide_and_combining_characters_are_counted(text, cells):
    assert cells == width(text)


@pytest.mark.parametrize(
    "text, room, left, right",
    [
        ("abc", 3, "abc", "abc"),
        ("abcd", 3, "ab…", "…cd"),
        ("日本語", 4, "日…", "…語"),
        ("ab", 0, "", ""),
        ("ab", 1, "…", "…"),
    ],
)
def test_a_long_text_is_cut_and_says_so(text, room, left, right):
    assert (left, right) == (cut(text, room), tail(text, room))


@given(st.text().map(visible), st.integers(0, 30))
def test_everything_is_as_wide_as_it_is_said_to_be(text, room):
    assert room == width(padded(text, room))
    assert width(tail(text, room)) <= room
    assert all(width(line) <= room for line in wrapped(text, room))


def test_lines_are_broken_between_words():
    assert ["one two", "three", "fourfou", "rfour"] == list(wrapped("one two three fourfourfour", 7))
    assert [""] == list(wrapped("", 7))
