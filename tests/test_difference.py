"""The difference of two states: what changed, where, and that nothing is left out."""

import ast
import json
import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.difference import SHORT_LIST, SHOWN, Change, difference, lines


def added(path: str, value: Any) -> Change:
    return Change(path, "added", after=value)


def removed(path: str, value: Any) -> Change:
    return Change(path, "removed", before=value)


def changed(path: str, before: Any, after: Any) -> Change:
    return Change(path, "changed", before, after)


def test_fields_and_what_is_in_them():
    before = {"title": "a", "files": [{"name": "x", "lines": 3}], "scores": {"ann": 1}, "old": None}
    after = {"title": "b", "files": [{"name": "x", "lines": 4}], "scores": {"ann": 1, "bob": 2}, "new": None}

    assert difference(before, after) == (
        changed("title", "a", "b"),
        changed("files[0].lines", 3, 4),
        added("scores.bob", 2),
        removed("old", None),
        added("new", None),
    )


@pytest.mark.parametrize(
    "key, path",
    [
        ("name", "a.name"),
        ("größe", "a.größe"),
        ("a b", 'a["a b"]'),
        ("", 'a[""]'),
        ("0", 'a["0"]'),
        ('q"]', 'a["q\\"]"]'),
        ("x.y", 'a["x.y"]'),
        ("line\n", 'a["line\\n"]'),
        (0, "a[0]"),
        (-1.5, "a[-1.5]"),
        (True, "a[True]"),
        (None, "a[None]"),
        (b"k", "a[b'k']"),
    ],
)
def test_keys_in_paths(key, path):
    """What looks like two different places is two."""
    assert difference({"a": {key: 1}}, {"a": {key: 2}}) == (changed(path, 1, 2),)


def test_whole_values():
    """A state need not be a dict, and where the kind changes nothing inside is compared."""
    assert difference(1, 2) == (changed("", 1, 2),)
    assert difference([1], [2]) == (changed("[0]", 1, 2),)
    assert difference({"a b": 1}, {"a b": 2}) == (changed('["a b"]', 1, 2),)
    assert difference({"x": [1]}, {"x": {"0": 1}}) == (changed("x", [1], {"0": 1}),)


@pytest.mark.parametrize("one, other", [(True, 1), (1, 1.0), (False, 0), (0, 0.0), ("", b""), (None, False), ([], {})])
def test_values_of_different_types_differ(one, other):
    for before, after in (one, other), (other, one):
        assert difference({"x": before}, {"x": after}) == (changed("x", before, after),)
        assert difference([[before]], [[after]]) == (changed("[0][0]", before, after),)
        assert difference([{"k": [before]}, 5], [{"k": [after]}, 5]) == (changed("[0].k[0]", before, after),)


@pytest.mark.parametrize("before, after", [(1, 2), (1.5, 2.5), ("a", "b"), (b"a", b"b"), (True, False)])
def test_values_of_one_type_differ(before, after):
    assert difference({"x": before}, {"x": after}) == (changed("x", before, after),)
    assert difference([before, 0], [after, 0]) == (changed("[0]", before, after),)
    assert difference([0, [before]], [0, [after]]) == (changed("[1][0]", before, after),)


def test_keys_of_different_types_differ():
    assert [*map(repr, difference({True: "a"}, {1: "a"}))] == [repr(removed("[True]", "a")), repr(added("[1]", "a"))]


@pytest.mark.parametrize(
    "before, after, changes",
    [
        ("ab", "abcd", [added("[2]", "c"), added("[3]", "d")]),
        ("abcd", "ab", [removed("[2]", "c"), removed("[3]", "d")]),
        ("ab", "xab", [added("[0]", "x")]),
        ("abcd", "abxcd", [added("[2]", "x")]),
        ("abcd", "acd", [removed("[1]", "b")]),
        ("abcd", "abXd", [changed("[2]", "c", "X")]),
        ("abcdef", "xabdefy", [added("[0]", "x"), removed("[2]", "c"), added("[6]", "y")]),
        ("abc", "aXYc", [changed("[1]", "b", "X"), added("[2]", "Y")]),
        ("abcd", "aXd", [changed("[1]", "b", "X"), removed("[2]", "c")]),
        ("aaa", "aa", [removed("[2]", "a")]),
        ("", "a", [added("[0]", "a")]),
    ],
)
def test_items_that_came_and_went(before, after, changes):
    """An append is an item that was added, and an insertion moves nobody."""
    assert list(difference(list(before), list(after))) == changes


def test_items_are_followed_where_they_went():
    """The item that changed is the same one as before, though another came before it."""
    before = [{"id": 1, "tags": ["a"]}, {"id": 2, "tags": []}, {"id": 3, "tags": []}]
    after = [{"id": 9, "tags": []}, {"id": 1, "tags": ["a"]}, {"id": 2, "tags": ["new"]}, {"id": 3, "tags": []}]

    assert difference(before, after) == (added("[0]", after[0]), added("[2].tags[0]", "new"))


def test_the_order_is_that_of_the_data():
    before = {"b": 1, "a": [1, 2], "z": 0}
    after = {"y": 0, "a": [0, 2, 3], "b": 2, "x": 0}

    assert [change.path for change in difference(before, after)] == ["b", "a[0]", "a[2]", "z", "y", "x"]


def test_a_tuple_is_as_good_as_a_list():
    """What one state holds as a tuple, another has from the store."""
    assert difference({"a": (1, [2, (3,)])}, {"a": [1, (2, [3])]}) == ()
    assert difference([(1, 2), 0, (3, 4)], [0, [3, 4]]) == (removed("[0]", (1, 2)),)
    assert difference({"a": (1, True)}, {"a": (1, 1, 2)}) == (changed("a[1]", True, 1), added("a[2]", 2))


def test_the_order_of_keys_is_no_difference():
    assert difference({"a": 1, "b": 2}, {"b": 2, "a": 1}) == ()


@pytest.mark.parametrize("where", [0, 25_000, 50_000])
def test_long_lists(where):
    """The head and the tail of 50,000 items are recognised, whatever came between them."""
    before = [{"number": number, "text": str(number), "tags": ["a", "b"]} for number in range(50_000)]
    after = [*before[:where], {"new": True}, *before[where:]]

    assert difference(before, [dict(item) for item in before]) == ()
    assert difference(before, after) == (added(f"[{where}]", {"new": True}),)
    assert difference(after, before) == (removed(f"[{where}]", {"new": True}),)


def test_long_pieces_are_paired_by_position():
    """What is different at both ends of a long list is compared item by item: much is told, and nothing is lost."""
    numbers = list(range(10, SHORT_LIST + 10))
    near = difference(numbers, [0, *numbers[1:], 1])
    far = difference([*numbers, 5, 6], [0, *numbers, 5, 7])

    assert near == (changed("[0]", 10, 0), added(f"[{SHORT_LIST}]", 1))
    assert far[:2] == (changed("[0]", 10, 0), changed("[1]", 11, 10))
    assert len(far) == SHORT_LIST + 3


def test_changes_can_be_stored_and_sent():
    changes = difference({"a": [1, b"x"]}, {"a": [True]})

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(changes), type=tuple[Change, ...]) == changes


keys = (
    st.sampled_from(["a", "b", "a b", "0", ""]) | st.text(max_size=3) | st.integers(-1, 2) | st.booleans() | st.none()
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, 1.0, 1.5, 2.0**60])
    | st.text(max_size=3)
    | st.binary(max_size=2)
)
states = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
few = st.recursive(
    st.sampled_from([0, 0.0, 1, 1.0, 1.5, True, "a", b"a", None]),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["a", "b", 1, True]), inner, max_size=3)
    ),
    max_leaves=12,
)
"""So few that two of them have much in common."""

_STEP = re.compile(r'\[("(?:[^"\\]|\\.)*")\]|\[([^"\]][^\]]*)\]|\.?([^.\[]+)')


def steps_of(path: str) -> list[tuple[type, Any]]:
    """A path taken apart; keys with their types, for 1 and True are two keys."""
    found: list[Any] = []
    for text, literal, name in _STEP.findall(path):
        found.append(json.loads(text) if text else ast.literal_eval(literal) if literal else name)
    return [(type(step), step) for step in found]


def apply_difference(before: Any, changes: Iterable[Change]) -> Any:
    return applied(before, [(steps_of(change.path), change) for change in changes])


def applied(value: Any, changes: list[tuple[list[tuple[type, Any]], Change]]) -> Any:
    """The later value, from the earlier one and its changes alone, as the description of `Change` has it."""
    if changes and not changes[0][0]:
        assert len(changes) == 1
        return changes[0][1].after
    if isinstance(value, list):
        parts = {(int, number): item for number, item in enumerate(value)}
    else:
        parts = {(type(key), key): item for key, item in value.items()} if changes else {}
    mine = [(steps[0], change) for steps, change in changes if len(steps) == 1]
    for step, change in mine:
        if change.kind == "removed":
            del parts[step]
    if isinstance(value, list):
        items = list(parts.values())
        for (_, number), change in mine:
            if change.kind == "added":
                items.insert(number, change.after)
        parts = {(int, number): item for number, item in enumerate(items)}
    parts.update({step: change.after for step, change in mine if change.kind == "added"})
    inside: dict[tuple[type, Any], list[Any]] = {}
    for steps, change in changes:
        if len(steps) > 1 or change.kind == "changed":
            inside.setdefault(steps[0], []).append((steps[1:], change))
    for step, inner in inside.items():
        parts[step] = applied(parts[step], inner)
    if isinstance(value, list):
        return list(parts.values())
    return {key: item for (_, key), item in parts.items()} if changes else value


def exactly(value: Any) -> Any:
    """Equal for values that are the same, types and all, and for no others."""
    if isinstance(value, dict):
        return frozenset((type(key), key, exactly(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(exactly, value))
    return type(value), value


@given(states | few, states | few)
def test_the_changes_lead_from_one_state_to_the_other(before, after):
    """The law: nothing is left out, and every path says one place."""
    assert exactly(apply_difference(before, difference(before, after))) == exactly(after)


@given(st.lists(few, max_size=8), st.lists(few, max_size=8))
def test_the_changes_lead_from_one_list_to_the_other(before, after):
    assert exactly(apply_difference(before, difference(before, after))) == exactly(after)


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5), st.integers(0, 3))
def test_the_law_holds_for_pieces_that_are_too_long_to_compare(few_numbers, times, first):
    before, after = [*few_numbers, 9] * 30 * times, [first, *few_numbers[1:], 8] * 31 * times

    assert apply_difference(before, difference(before, after)) == after


@given(states | few)
def test_a_state_does_not_differ_from_itself(state):
    assert difference(state, state) == ()
    assert difference(state, deepcopy(state)) == ()


@given(states | few, states | few)
def test_only_what_differs_is_told(before, after):
    changes = difference(before, after)

    assert all(exactly(change.before) != exactly(change.after) for change in changes if change.kind == "changed")
    assert len({(change.path, change.kind) for change in changes}) == len(changes)
    assert (changes == ()) == (exactly(before) == exactly(after))


def test_lines_for_people():
    changes = difference(
        {"name": "a", "n": 1, "gone": [1, 2], "b": b"x"}, {"name": "b", "n": 1.0, "b": b"y", "new": {"k": None}}
    )

    assert list(lines(changes)) == [
        "~ name: 'a' -> 'b'",
        "~ n: 1 -> 1.0",
        "- gone: [1, 2]",
        "~ b: b'x' -> b'y'",
        "+ new: {'k': None}",
    ]
    assert list(lines(difference(1, "1"))) == ["~ (all): 1 -> '1'"]


def test_long_values_are_shortened():
    values = ["x" * 10_000, list(range(10_000)), {str(n): "y" * 1000 for n in range(1000)}, b"z" * 10_000, 10**100]

    for value in values:
        (line,) = lines(difference({}, {"new": value}))
        assert len(line) < SHOWN + 20
        assert "..." in line


def test_long_texts_are_shown_where_they_begin_to_differ():
    before = "same " * 1000 + "old" + " end" * 1000
    (line,) = lines(difference({"text": before}, {"text": before.replace("old", "new")}))

    assert line.startswith("~ text: ...'same same same same old end")
    assert "-> ...'same same same same new end" in line
    assert line.endswith("...")
    assert list(lines(difference("a" * SHOWN, "a" * SHOWN + "b"))) == [
        f"~ (all): ...{'a' * 20!r} -> ...{'a' * 20 + 'b'!r}"
    ]


def test_lines_do_not_break():
    (line,) = lines(difference({"a\nb": "x"}, {"a\nb": "\x1b[2Jx\n"}))

    assert line == "~ [\"a\\nb\"]: 'x' -> '\\x1b[2Jx\\n'"
