"""What a class declares: its fields, their defaults, and whether its instances can change."""

import dataclasses
import enum
import typing
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, NewType, TypeVar

import attrs
import msgspec
import pytest
from msgspec import Struct

from terzetto_protocol.fields import (
    argument_of,
    checker_of,
    field_defaults,
    field_names,
    field_types,
    is_deeply_frozen,
    is_frozen,
    transient,
    transient_fields,
)

T = TypeVar("T")


@attrs.define
class AttrsState:
    text: str
    _hidden: int = 2
    client: Annotated[object | None, transient] = None
    late: list[int] = attrs.field(init=False, factory=list)
    shared: ClassVar[int] = 5


@dataclasses.dataclass
class DataState:
    text: str
    _hidden: int = 2
    client: Annotated[object | None, transient] = None
    late: list[int] = dataclasses.field(init=False, default_factory=list)
    shared: ClassVar[int] = 5


class StructState(Struct):
    text: str
    _hidden: int = 2
    client: Annotated[object | None, transient] = None
    late: list[int] = msgspec.field(default_factory=list)
    shared: ClassVar[int] = 5


@pytest.mark.parametrize("cls", [AttrsState, DataState, StructState])
def test_the_three_kinds_of_classes_tell_the_same(cls):
    """4.1: a state is an attrs class, a dataclass or a msgspec Struct."""
    assert field_names(cls) == ["text", "_hidden", "client", "late"]
    assert field_types(cls)["text"] is str
    assert transient_fields(cls) == ["client"]
    defaults = field_defaults(cls)
    assert sorted(defaults) == ["_hidden", "client", "late"]
    assert (defaults["_hidden"], defaults["late"].factory()) == (2, [])


def test_the_constructor_is_asked_in_its_own_words():
    assert [argument_of(AttrsState, name) for name in ("text", "_hidden", "late")] == ["text", "hidden", ""]
    assert [argument_of(DataState, name) for name in ("text", "_hidden", "late")] == ["text", "_hidden", ""]
    assert argument_of(StructState, "late") == "late"


@pytest.mark.parametrize("other", [int, object, list[int], "text", 5, type("Plain", (), {})])
def test_other_types_are_refused_by_name(other):
    with pytest.raises(TypeError, match="is not an attrs class, a dataclass or a msgspec Struct"):
        field_names(other)


@attrs.frozen
class FrozenAttrs:
    x: int = 0


@attrs.define(on_setattr=attrs.setters.frozen)
class FrozenByHook:
    x: int = 0


@attrs.define
class InheritsFrozen(FrozenAttrs):
    y: int = 0


class PlainSubclass(FrozenAttrs):
    """Declares nothing."""


@attrs.define
class LooseAttrs:
    x: int = 0


@dataclasses.dataclass(frozen=True)
class FrozenData:
    x: int = 0


@dataclasses.dataclass
class LooseData:
    x: int = 0


class FrozenStruct(Struct, frozen=True):
    x: int = 0


class LooseStruct(Struct):
    x: int = 0


FROZEN: list[type[Any]] = [FrozenAttrs, FrozenByHook, InheritsFrozen, PlainSubclass, FrozenData, FrozenStruct]
LOOSE: list[type[Any]] = [LooseAttrs, LooseData, LooseStruct]


@pytest.mark.parametrize("cls", FROZEN + LOOSE)
def test_is_frozen_says_what_assignment_does(cls):
    """4.1: a mutation is a frozen class."""
    instance = cls()
    try:
        instance.x = 1
    except AttributeError:
        assert is_frozen(cls)
    else:
        assert not is_frozen(cls)


class Colour(enum.Enum):
    RED = 1


@attrs.frozen
class Holds:
    inner: FrozenAttrs
    names: tuple[str, ...] = ()
    when: datetime | None = None


@attrs.frozen
class HoldsList:
    items: list[int]


@attrs.frozen
class HoldsLoose:
    inner: LooseAttrs


@attrs.frozen
class Tree:
    kids: "tuple[Tree, ...]" = ()


@attrs.frozen
class Box(Generic[T]):
    value: T


@attrs.frozen
class Hooked:
    x: int

    def __attrs_post_init__(self) -> None:
        pass


SIMPLE = [int, str, bytes, float, bool, None, Colour, datetime, Literal["a", 1]]
DEEP: list[Any] = [
    *SIMPLE,
    *FROZEN,
    Holds,
    int | None,
    typing.Optional[str],  # noqa: UP045 - the old spelling is another type
    tuple[int, str],
    tuple[FrozenAttrs, ...],
    frozenset[str],
    Annotated[int, "note"],
]
SHALLOW: list[Any] = [
    *LOOSE, HoldsList, HoldsLoose, Tree, Box, Box[int], Hooked, list[int], dict[str, int], set[int], Any, object, tuple,
    frozenset, int | list[int], tuple[list[int], ...], T,
    NewType("Name", str), Annotated[str, msgspec.Meta(max_length=3)],
]  # fmt: skip


@pytest.mark.parametrize("hint", DEEP, ids=str)
def test_deeply_frozen(hint):
    """4.5: what cannot change anywhere may stay what it is."""
    assert is_deeply_frozen(hint)


@pytest.mark.parametrize("hint", SHALLOW, ids=str)
def test_not_deeply_frozen(hint):
    """4.5: whatever may change, or be another after decoding, is copied."""
    assert not is_deeply_frozen(hint)


class Text(str):
    __slots__ = ("extra",)


EXACT: list[tuple[Any, Any]] = [
    (int, 5),
    (float, 1.5),
    (str, "größe"),
    (bool, True),
    (Literal["a", 1], "a"),
    (int | None, None),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2)),
    (frozenset[str], frozenset("ab")),
    (Holds, Holds(FrozenAttrs(1), ("a",), datetime(2025, 1, 1, tzinfo=UTC))),
    (Colour, Colour.RED),
]
INEXACT: list[tuple[Any, Any]] = [
    (int, True),
    (int, "5"),
    (float, 1),
    (float, float("nan")),
    (float, float("inf")),
    (str, "\ud800"),
    (str, Text("a")),
    (bytes, bytearray(b"a")),
    (Literal["a", 1], True),
    (tuple[int, str], [1, "a"]),
    (tuple[int, str], (1, "a", 2)),
    (tuple[int, ...], (1, "a")),
    (frozenset[str], {"a"}),
    (Holds, Holds(LooseAttrs())),  # type: ignore[arg-type]
    (Holds, Holds(FrozenAttrs([]))),  # type: ignore[arg-type]
    (FrozenAttrs, InheritsFrozen()),
]


@pytest.mark.parametrize("hint, value", EXACT)
def test_a_value_of_the_declared_type_is_exact(hint, value):
    check = checker_of(hint)

    assert check is not None
    assert check(value)


@pytest.mark.parametrize("hint, value", INEXACT)
def test_a_value_that_only_looks_like_it_is_not_exact(hint, value):
    """4.5: a declaration says nothing about a value that breaks it."""
    check = checker_of(hint)

    assert check is not None
    assert not check(value)
