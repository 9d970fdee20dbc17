"""Smaller worlds that go wrong all the same: what is left out of a scenario, and how a command line says so."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from terzetto_protocol.errors import InvalidRequest

from ._scenario import Scenario

Kept: TypeAlias = Mapping[str, tuple[int, ...]]
"""Which things of a scenario are kept, by its fields; a field that is not named is kept whole."""

PARTS: Final = ("faults", "acts", "people", "submits")
"""Fields of a scenario of which something may be left out."""


def keep(scenario: Scenario, kept: Kept) -> Scenario:
    """The scenario with these things alone. Raises `InvalidRequest` for what is not there."""
    changes: dict[str, Any] = {}
    for part, numbers in kept.items():
        things = _things(scenario, part)
        if not all(0 <= number < len(things) for number in numbers):
            raise InvalidRequest(f"{part}={words(numbers)}: this world has {len(things)} {part}, numbered from 0")
        changes[part] = tuple(things[number] for number in numbers)
    return attrs.evolve(scenario, **changes)


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Kept:
    """Leave out, one by one, what the scenario goes wrong without.

    Args:
        scenario: one that goes wrong.
        fails: whether a smaller one does, too.
    """
    kept = {part: tuple(range(len(_things(scenario, part)))) for part in PARTS}
    for part in PARTS:
        for number in reversed(kept[part]):
            fewer = {**kept, part: tuple(each for each in kept[part] if each != number)}
            if (fewer[part] or part != "submits") and fails(keep(scenario, fewer)):
                kept = fewer
    return {part: numbers for part, numbers in kept.items() if len(numbers) < len(_things(scenario, part))}


def words(numbers: Sequence[int]) -> str:
    """Numbers as a command line has them."""
    return ",".join(map(str, numbers))


def parse(word: str) -> tuple[str, tuple[int, ...]]:
    """A part and numbers of `faults=0,2`; raises `InvalidRequest`."""
    part, equals, numbers = word.partition("=")
    if part not in PARTS or not equals or not all(number.isdecimal() for number in numbers.split(",") if numbers):
        raise InvalidRequest(f"{word!r} is not PART=NUMBERS, as in faults=0,2; parts: {', '.join(PARTS)}")
    return part, tuple(int(number) for number in numbers.split(",") if number)


def _things(scenario: Scenario, part: str) -> tuple[object, ...]:
    things: tuple[object, ...] = getattr(scenario, part)
    return things
