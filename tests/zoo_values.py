"""Values of the zoo: what a node records or sends, and no store can give back."""

import math
from collections.abc import Callable
from typing import Any

from attrs import define, field
from msgspec import Struct

from terzetto_protocol.graph import Graph

from .zoo import Own


@define
class Box:
    """A state that takes anything."""

    value: Any = None
    trail: list[Any] = field(factory=list)


class Put(Struct, frozen=True):
    value: Any

    def apply(self, box: Box) -> None:
        box.value = self.value


class Grow(Struct, frozen=True):
    """Makes of a small record a large state."""

    times: int

    def apply(self, box: Box) -> None:
        box.value = "x" * self.times


class Compute(Struct, frozen=True):
    """Makes a state that cannot be stored of a record that can."""

    def apply(self, box: Box) -> None:
        box.value = math.nan


class Stranger(Struct, frozen=True):
    """No graph lists it."""


class Odd:
    """What says something else whenever it is asked."""

    def __eq__(self, other: object) -> bool:
        raise Own("compared")

    __hash__ = None  # type: ignore[assignment]


def itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


_UNKNOWN = "Encoding objects of type"

VALUES: dict[str, tuple[Callable[[], Any], str]] = {
    "NaN": (lambda: math.nan, "it holds a NaN or an infinity"),
    "inf": (lambda: [1.0, {"a": math.inf}], "it holds a NaN or an infinity"),
    "a surrogate": (lambda: "\ud800", "a text has a lone surrogate"),
    "a surrogate as a key": (lambda: {"\udfff": 1}, "a text has a lone surrogate"),
    "large": (lambda: "x" * 2_000_000, "bytes, and the limit is 1048576"),
    "deep": (lambda: deep(10_000), "it is nested too deep, or holds itself"),
    "itself": (itself, "it is nested too deep, or holds itself"),
    "a function": (lambda: print, _UNKNOWN),
    "an object": (object, _UNKNOWN),
    "odd": (Odd, _UNKNOWN),
    "a huge number": (lambda: 10**400, "can't serialize ints"),
    "a generator": (lambda: (number for number in range(3)), _UNKNOWN),
    "an error": (lambda: ValueError("v"), _UNKNOWN),
}
"""What is recorded or sent, and why it is not taken."""


def boxed(name: str, **options: Any) -> Graph[Box]:
    return Graph(name, state=Box, mutations=[Put, Grow, Compute], **options)
