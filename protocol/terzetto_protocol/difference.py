"""What is different between two states: a list of changes, each with the path of the place.

Both are plain data (dicts, lists, texts, numbers, bytes, True, False, None), as `codec.readable` or
`msgspec.to_builtins` gives it. Values of different types differ: True is not 1, and 1 is not 1.0. Only a
tuple is as good as a list, which it becomes when it is stored.
"""

import json
import reprlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from msgspec import Struct

SHORT_LIST: Final = 200
"""Longest piece of a list in which equal items are looked for, items; in longer ones they are paired by position."""
SHOWN: Final = 80
"""Longest text of a value in a line, characters."""
_LEAD: Final = 20
"""What is shown of two long texts before they begin to differ, characters."""

Kind: TypeAlias = Literal["added", "removed", "changed"]


class Change(Struct, frozen=True):
    """One place where two states differ.

    The path reads as Python would: `files[3].lines`, `scores["a b"]` for a key that is no identifier, and
    nothing for the state itself. Indexes count in the later state, but the last one of an item that was
    removed counts in the list it was removed from.
    """

    path: str
    kind: Kind
    before: Any = None
    """None for what was added."""
    after: Any = None
    """None for what was removed."""


def difference(before: Any, after: Any) -> tuple[Change, ...]:
    """Every change that leads from one state to the other, none when they are the same; the order is that of the data.

    What stands before and behind a changed piece of a list is recognised, and equal items inside when the
    piece is no longer than `SHORT_LIST`; a list of 50,000 items takes a fraction of a second.
    """
    return tuple(_changes("", before, after))


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if _is_list(before) and _is_list(after):
        yield from _in_lists(path, list(before), list(after))
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from _in_dicts(path, _by_key(before), _by_key(after))
    elif not _same(before, after):
        yield Change(path, "changed", before, after)


_Key: TypeAlias = tuple[type, Any]
"""A key with its type: 1 and True would find each other."""


def _by_key(table: Any) -> dict[_Key, Any]:
    return {(type(key), key): value for key, value in table.items()}


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _in_dicts(path: str, before: dict[_Key, Any], after: dict[_Key, Any]) -> Iterator[Change]:
    for key, value in before.items():
        if key in after:
            yield from _changes(_into(path, key[1]), value, after[key])
        else:
            yield Change(_into(path, key[1]), "removed", before=value)
    for key, value in after.items():
        if key not in before:
            yield Change(_into(path, key[1]), "added", after=value)


def _into(path: str, key: Any) -> str:
    if not isinstance(key, str):
        return f"{path}[{key!r}]"
    if not key.isidentifier():
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def _in_lists(path: str, before: list[object], after: list[object]) -> Iterator[Change]:
    for start, end, new_start, new_end in _pieces(before, after):
        for old, new in zip(range(start, end), range(new_start, new_end), strict=False):
            yield from _changes(f"{path}[{new}]", before[old], after[new])
        for old in range(start + new_end - new_start, end):
            yield Change(f"{path}[{old}]", "removed", before=before[old])
        for new in range(new_start + end - start, new_end):
            yield Change(f"{path}[{new}]", "added", after=after[new])


_Piece: TypeAlias = tuple[int, int, int, int]
"""Items of one list that became items of the other: from where to where in each."""


def _pieces(before: list[object], after: list[object]) -> Iterator[_Piece]:
    """The pieces of two lists that are not the same, in order."""
    head = _alike(before, after)
    old, new = before[head:], after[head:]
    tail = _alike(reversed(old), reversed(new))
    old, new = old[: len(old) - tail], new[: len(new) - tail]
    if max(len(old), len(new)) > SHORT_LIST:
        yield head, head + len(old), head, head + len(new)
        return
    matcher = SequenceMatcher(None, [*map(_frozen, old)], [*map(_frozen, new)], autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            yield head + start, head + end, head + new_start, head + new_end


def _alike(before: Iterable[object], after: Iterable[object]) -> int:
    """How many items are the same before the first that is not."""
    return sum(1 for _ in takewhile(bool, map(_same, before, after)))


def _same(before: Any, after: Any) -> bool:
    if _is_list(before) and _is_list(after):
        return len(before) == len(after) and all(map(_same, before, after))
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        old, new = _by_key(before), _by_key(after)
        return old.keys() == new.keys() and all(_same(value, new[key]) for key, value in old.items())
    return bool(before == after)


def _frozen(value: object) -> Hashable:
    """Something hashable that is equal for values that are the same, and for no others."""
    if isinstance(value, dict):
        return dict, frozenset((key, _frozen(item)) for key, item in _by_key(value).items())
    if _is_list(value):
        return list, tuple(map(_frozen, value))
    return type(value), value


_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """A line per change, for people: `+ path: value`, `- path: value` or `~ path: value -> value`, values shortened."""
    for change in changes:
        yield f"{_SIGNS[change.kind]} {change.path or '(all)'}: {_values(change)}"


def _values(change: Change) -> str:
    if change.kind == "added":
        return _shown(change.after)
    if change.kind == "removed":
        return _shown(change.before)
    before, after = change.before, change.after
    long = isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > SHOWN
    start = max(0, _alike(before, after) - _LEAD) if long else 0
    return f"{_shown(before, start)} -> {_shown(after, start)}"


def _shown(value: Any, start: int = 0) -> str:
    """A value as Python writes it, in about `SHOWN` characters; of a text, what begins at `start`."""
    if not isinstance(value, str):
        text = reprlib.repr(value)
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    end = start + SHOWN
    return f"{'...' if start else ''}{value[start:end]!r}{'...' if end < len(value) else ''}"
