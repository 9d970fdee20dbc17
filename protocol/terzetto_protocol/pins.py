"""Pins that reach into a value: `items_$_0` is items[0], `row_#_key` is row["key"], `user_@_name` is user.name.

AutoGPT's builder draws links to a part of what a node sends or takes and writes the part into the pin's
name. Values between nodes are plain data, so an attribute is a key like any other, and a step is an index
or a key.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from attrs import Factory, define

from .errors import InvalidRequest, Malformed
from .limits import DEPTH

PIN_ITEMS: Final = 10_000
"""Items of lists that the pins of one node make up together, gaps included; so no index reaches it."""

Step: TypeAlias = int | str
"""Into a list by an index, or into a dict by a key."""


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING
"""What `take` finds where nothing is; None is a value."""

_SEPARATOR: Final = re.compile(r"_([#$@])_")
_INDEX: Final = re.compile(r"[0-9]{1,9}")


def parse_pin(name: str) -> tuple[str, tuple[Step, ...]]:
    """Take a pin's name apart, outermost step first; raises `Malformed` for one that says no place."""
    base, *rest = _SEPARATOR.split(name)
    marks, texts = rest[::2], rest[1::2]
    if not base:
        raise Malformed(_called(name), "it names nothing that could be reached into")
    if len(marks) > DEPTH:
        raise Malformed(_called(name), f"it goes {len(marks)} steps deep, and the limit is {DEPTH}")
    return base, tuple(_step(name, mark, text) for mark, text in zip(marks, texts, strict=True))


def _step(name: str, mark: str, text: str) -> Step:
    if not text:
        raise Malformed(_called(name), f"nothing stands after _{mark}_")
    if mark != "$":
        return text
    if _INDEX.fullmatch(text) is None or int(text) >= PIN_ITEMS:
        raise Malformed(_called(name), f"an index is a number from 0 to {PIN_ITEMS - 1}, not {text[:20]!r}")
    return int(text)


def _called(name: str) -> str:
    return f"pin {name!r:.200}"


def take(value: Any, steps: Sequence[Step]) -> Any:
    """The part of a value that the steps lead to, or `MISSING` when they lead nowhere; never raises."""
    for step in steps:
        found = _into_list(value, step) if isinstance(step, int) else _into_dict(value, step)
        if found is MISSING:
            return MISSING
        value = found
    return value


def _into_list(value: object, index: int) -> Any:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return items[index] if 0 <= index < len(items) else MISSING


def _into_dict(value: object, key: str) -> Any:
    return cast("dict[object, object]", value).get(key, MISSING) if isinstance(value, dict) else MISSING


@define
class _Branch:
    """A place that pins lead to or through: the first of them, what was put there, and what goes into it."""

    pin: str
    value: Any = MISSING
    parts: "dict[Step, _Branch]" = Factory(dict[Step, "_Branch"])


def assemble(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make one value per base name of everything that pins brought; nothing that was passed in is changed.

    The order of the pins does not matter: what leads further goes into a copy of what a shorter name
    brought (`rows_$_0` into the default of `rows`, say), where None counts as nothing. List items that
    nobody brought are None.

    Raises:
        Malformed: a name is none.
        InvalidRequest: pins want different kinds of things in one place, or lists longer than `PIN_ITEMS`.
    """
    root = _tree(values)
    items = _items(root)
    if items > PIN_ITEMS:
        raise InvalidRequest(f"pins make up lists of {items} items together, and the limit is {PIN_ITEMS}")
    return {str(base): _value(branch) for base, branch in root.parts.items()}


def _tree(values: Mapping[str, Any]) -> _Branch:
    root = _Branch("")
    for name, value in values.items():
        base, steps = parse_pin(name)
        branch = root
        for step in (base, *steps):
            branch = branch.parts.setdefault(step, _Branch(name))
        if branch.value is not MISSING:
            raise InvalidRequest(f"{_called(branch.pin)} and {_called(name)} bring a value for the same place")
        branch.pin, branch.value = name, value
    return root


def _items(branch: _Branch) -> int:
    """How many list items the pins ask for, counted before any list is made."""
    longest = max((step + 1 for step in branch.parts if isinstance(step, int)), default=0)
    return longest + sum(map(_items, branch.parts.values()))


def _value(branch: _Branch, default: Any = MISSING) -> Any:
    """What is to be at this place; `default` is what a shorter name brought there."""
    value = default if branch.value is MISSING else branch.value
    if not branch.parts:
        return value
    kind, pin = _kind(branch)
    if value is MISSING or value is None:
        value = kind()
    if not isinstance(value, kind):
        raise InvalidRequest(f"{_called(pin)} makes a {kind.__name__} where {type(value).__name__} is")
    return _with_items(branch, value) if kind is list else _with_keys(branch, value)


def _kind(branch: _Branch) -> tuple[type[Any], str]:
    """What the parts go into, list or dict, and a pin that says so."""
    pins = {list if isinstance(step, int) else dict: part.pin for step, part in branch.parts.items()}
    if len(pins) > 1:
        one, other = map(_called, pins.values())
        raise InvalidRequest(f"{one} and {other} make a list and a dict of the same value")
    return next(iter(pins.items()))


def _with_keys(branch: _Branch, table: dict[Any, Any]) -> dict[Any, Any]:
    return {**table, **{step: _value(part, table.get(step, MISSING)) for step, part in branch.parts.items()}}


def _with_items(branch: _Branch, items: list[Any]) -> list[Any]:
    indexes = [step for step in branch.parts if isinstance(step, int)]
    made = items + [None] * (max(indexes) + 1 - len(items))
    for index in indexes:
        made[index] = _value(branch.parts[index], made[index])
    return made
