"""How types become bytes: the same comes back, by msgspec or by cattrs, or it is refused with the reason."""

import dataclasses
import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec import Struct

from terzetto_protocol.errors import Malformed, NotStorable
from terzetto_protocol.forms import Form, is_same, msgspec_can

T = TypeVar("T")


@attrs.frozen
class Circle:
    radius: float


@attrs.frozen
class Square:
    side: float
    at: datetime | None = None


@attrs.frozen
class Disc:
    radius: float


class Tagged(Struct, frozen=True, tag=True):
    x: int


class Tree(Struct, frozen=True):
    """It may hold others of its own kind, and they it."""

    name: str
    left: "Tree | None" = None


@attrs.define
class Drawing:
    """Only cattrs can do this: a union of attrs classes."""

    shapes: list[Circle | Square]
    count: int = 0
    scale: float = 1.0
    part: Tagged | None = None
    names: set[str] = attrs.field(factory=set)
    _hidden: list[int] = attrs.field(init=False, factory=list)


@attrs.define
class Private:
    _secret: int = 1
    shown: int = 2
    _made: list[int] = attrs.field(init=False, factory=list)


@dataclasses.dataclass
class Plain:
    text: str = ""
    tags: set[str] = dataclasses.field(default_factory=set)
    price: Decimal = Decimal(0)
    day: date = date(2025, 1, 1)
    id: UUID = dataclasses.field(default_factory=lambda: UUID(int=0))
    data: bytes = b""
    _private: int = 0


@attrs.define
class Box(Generic[T]):
    value: T


@attrs.define
class Loose:
    anything: Any


@attrs.define(eq=False)
class Unequal:
    items: list[Any]
    inner: "Unequal | None" = None


def round_trip(value: Any) -> Any:
    form: Form[Any] = Form(type(value))
    data, back = form.copy(value, "it")
    assert form.unpack(data, "it") == back
    assert form.pack(value, "it") == data
    return back


def test_who_does_what():
    """4.7: msgspec where it can, cattrs where it cannot."""
    assert msgspec_can(Plain)
    assert msgspec_can(Box[int])
    assert not msgspec_can(Drawing)
    assert not msgspec_can(Private)  # msgspec would leave out what begins with an underscore, without a word


def test_private_fields_come_back():
    """4.7: what cannot be stored faithfully is an error, and what can be is stored."""
    value = Private(5, 6)
    value._made.append(7)

    back = round_trip(value)

    assert (back._secret, back.shown, back._made) == (5, 6, [7])
    assert back._made is not value._made


def test_a_union_of_attrs_classes_comes_back():
    value = Drawing([Circle(1.5), Square(2, datetime(2025, 1, 1, tzinfo=UTC))], 3, 2, Tagged(1), {"b", "a"})
    value._hidden.append(1)

    back = round_trip(value)

    assert [type(shape) for shape in back.shapes] == [Circle, Square]
    assert back._hidden == [1]


@given(st.sets(st.text()), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
def test_a_set_inside_comes_back_whatever_its_order(names, scale, count):
    value = Drawing([], count, scale, names=names)

    assert round_trip(value) == value


@given(st.builds(Plain, price=st.decimals(allow_nan=False)))
def test_what_msgspec_can_do_comes_back(value):
    assert round_trip(value) == value


@pytest.mark.parametrize(
    "broken",
    [
        Drawing([], count="5"),  # type: ignore[arg-type]
        Drawing([], count=5.5),  # type: ignore[arg-type]
        Drawing([Circle("1")]),  # type: ignore[arg-type]
        Drawing([Disc(1.0)]),  # type: ignore[list-item]
        Drawing((Circle(1.0),)),  # type: ignore[arg-type]
        Drawing([], part=5),  # type: ignore[arg-type]
        Plain(text=5),  # type: ignore[arg-type]
        Plain(tags=["a"]),  # type: ignore[arg-type]
        Plain(price=Decimal("NaN")),
    ],
)
def test_wrong_types_inside_are_refused_and_never_coerced(broken):
    """4.7: undeclared types are a typed error; nothing guesses."""
    with pytest.raises(NotStorable, match="it cannot be stored"):
        round_trip(broken)


Colour = enum.Enum("Colour", "RED")


@pytest.mark.parametrize(
    "value", [(1, 2), {1, 2}, frozenset(), Colour.RED, Decimal(1), Circle(1.0), UUID(int=1), date(2025, 1, 1), [(1,)]]
)
def test_what_an_undeclared_field_would_bring_back_changed_is_refused(value):
    """4.7: tuple to list, enum to text, class to dict: not the same."""
    for holder in (Loose(value), Box(value)):
        with pytest.raises(NotStorable, match="come back changed"):
            round_trip(holder)


@pytest.mark.parametrize(
    "value", [None, 1, 1.5, "a", b"a", [1, [2]], {"a": {1: "b"}}, datetime(2025, 1, 1, tzinfo=UTC)]
)
def test_plain_data_may_stand_in_an_undeclared_field(value):
    assert round_trip(Loose(value)).anything == value


@attrs.frozen
class Wide(Circle):
    line: int = 3


@attrs.define
class OneShape:
    shape: Circle


def test_a_subclass_is_not_sliced_to_its_base():
    with pytest.raises(NotStorable, match="come back changed"):
        round_trip(OneShape(Wide(1.0)))


def test_a_large_integer_is_not_rounded():
    with pytest.raises(NotStorable, match="come back changed"):
        round_trip(Circle(2**60 + 1))


@attrs.define
class Counts:
    n: int

    def __attrs_post_init__(self) -> None:
        self.n += 1


@attrs.define
class Converted:
    n: int = attrs.field(converter=int)
    name: str = attrs.field(default="", validator=attrs.validators.max_len(3))


def test_a_hook_that_alters_what_it_decodes_is_refused():
    """4.4: what is folded is what was live."""
    with pytest.raises(NotStorable, match="a hook that alters it"):
        round_trip(Counts(1))


def test_converters_and_validators_run_as_always():
    assert round_trip(Converted("5")) == Converted(5)  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="<= 3"):
        Form(Converted).unpack(b"\x82\xa1n\x01\xa4name\xa4abcd", "it")


def test_classes_without_equality_are_compared_by_their_fields():
    value = Unequal([1], Unequal([{"a": [2]}]))

    back = Form(Unequal).copy(value, "it")[1]

    assert back.inner is not None
    assert back.inner.items == [{"a": [2]}]
    with pytest.raises(NotStorable):
        Form(Unequal).copy(Unequal([(1,)]), "it")
    assert not is_same(Unequal([1]), Unequal([2]))
    assert not is_same(Unequal([Unequal([1])]), Unequal([Unequal([1]), 2]))


class Sulky(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison today")

    __hash__ = str.__hash__


def test_what_cannot_be_compared_proves_nothing():
    assert not is_same(Sulky(), Sulky())


class Client:
    pass


@attrs.define
class HasClient:
    client: Client


@attrs.define
class Ambiguous:
    shape: Circle | Disc


@attrs.define
class Dangling:
    other: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "cls, reason",
    [
        (HasClient, "type Client cannot be stored"),
        (Ambiguous, "disambiguate"),
        (Dangling, "Nowhere"),
        (Client, "Client"),
    ],
)
def test_types_that_nobody_can_store_are_refused_before_any_value(cls, reason):
    with pytest.raises((TypeError, NameError), match=reason):
        Form(cls)


@pytest.mark.parametrize("data", [b"\xc1", b"", b"\x81\xa5count\xa15", b"\x80", b"\x05"])
def test_bytes_of_another_shape_are_malformed(data):
    for cls in (Drawing, Converted):
        with pytest.raises(Malformed, match="it is malformed"):
            Form(cls).unpack(data, "it")


def test_a_mistake_in_json_is_named_with_its_path():
    with pytest.raises(Malformed, match=r"Expected `str`, got `int` - at `\$\.text`"):
        Form(Plain).from_json(b'{"text": 5}', "it")
    with pytest.raises(Malformed, match=r"invalid value for type, expected .* @ \$\.shapes\[0\]"):
        Form(Drawing).from_json(b'{"shapes": [{"radius": "1"}]}', "it")


def test_json_makes_the_same_as_msgpack():
    assert Form(Plain).from_json(b'{"data": "/w==", "day": "2025-02-03"}', "it") == Plain(
        data=b"\xff", day=date(2025, 2, 3)
    )
    assert Form(Drawing).from_json(b'{"shapes": [{"side": 2}]}', "it") == Drawing([Square(2.0)])


def test_a_type_that_holds_itself():
    """4.7: nothing about it has to be known beforehand: what comes back is looked at."""
    tree = Tree("a", Tree("b"))
    form = Form(Tree)

    assert tree == form.unpack(form.pack(tree, "the tree"), "the tree")
