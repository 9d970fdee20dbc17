"""`terzetto_protocol.merging`: which fields branches changed, and over which of them they are in conflict."""

import dataclasses
import enum
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec import Struct

from terzetto_protocol.fields import transient
from terzetto_protocol.keyed import KeyedState
from terzetto_protocol.merging import Fields, conflicts
from terzetto_protocol.reducers import Reducer, append, error, replayed
from terzetto_protocol.state import StateForm


@attrs.define
class AttrsState:
    title: str = ""
    pages: list[int] = attrs.field(factory=list)
    log: Annotated[list[str], replayed] = attrs.field(factory=list)
    notes: Annotated[list[str], append] = attrs.field(factory=list)
    strict: Annotated[int, error] = 0
    own: Annotated[int, Reducer("own", max, parallel=False)] = 0
    cache: Annotated[int, transient] = 0


@dataclasses.dataclass
class DataState:
    title: str = ""
    pages: list[int] = dataclasses.field(default_factory=list)
    log: Annotated[list[str], replayed] = dataclasses.field(default_factory=list)
    notes: Annotated[list[str], append] = dataclasses.field(default_factory=list)
    strict: Annotated[int, error] = 0
    own: Annotated[int, Reducer("own", max, parallel=False)] = 0
    cache: Annotated[int, transient] = 0


class StructState(Struct):
    title: str = ""
    pages: list[int] = []
    log: Annotated[list[str], replayed] = []
    notes: Annotated[list[str], append] = []
    strict: Annotated[int, error] = 0
    own: Annotated[int, Reducer("own", max, parallel=False)] = 0
    cache: Annotated[int, transient] = 0


class Keys(KeyedState):
    title: str = ""
    pages: list[int] = []
    log: Annotated[list[str], replayed] = []
    notes: Annotated[list[str], append] = []
    strict: Annotated[int, error] = 0
    own: Annotated[int, Reducer("own", max, parallel=False)] = 0
    cache: Annotated[int, transient] = 0


STATES = [AttrsState, DataState, StructState, Keys]
CHANGES = {"title": "x", "pages": [1], "log": ["x"], "notes": ["x"], "strict": 1, "own": 1, "cache": 1}


def changed(before: Any, after: Any) -> tuple[str, ...]:
    return Fields(StateForm(type(before))).changed(before, after)


# -- what a branch changed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", STATES)
def test_a_state_that_is_what_it_was_has_no_changes(cls):
    assert changed(cls("x", [1], ["y"]), cls("x", [1], ["y"])) == ()


@pytest.mark.parametrize("cls", STATES)
@pytest.mark.parametrize("name", ["title", "pages", "strict", "own"])
def test_a_field_without_a_mark_belongs_to_one_branch(cls, name):
    """5.5: two branches changed the same top-level field; a reducer that is not parallel says nothing else."""
    assert changed(cls(), cls(**{name: CHANGES[name]})) == (name,)


@pytest.mark.parametrize("cls", STATES)
@pytest.mark.parametrize("name", ["log", "notes", "cache"])
def test_a_field_that_is_replayed_reduced_or_transient_belongs_to_all(cls, name):
    """5.5: and it is not `Annotated[..., terzetto.replayed]` or reduced; 4.7: transient fields are left out."""
    assert changed(cls(), cls(**{name: CHANGES[name]})) == ()


@pytest.mark.parametrize("cls", STATES)
def test_changes_are_told_in_order_of_declaration(cls):
    assert changed(cls(), cls(**dict(reversed(CHANGES.items())))) == ("title", "pages", "strict", "own")


def test_what_is_inside_of_a_field_is_the_fields():
    """5.5: the same *top-level* field: a list that was changed in its depth was changed."""
    assert changed(AttrsState(pages=[1, 2]), AttrsState(pages=[1, 3])) == ("pages",)


class Plain(Struct, eq=False):
    """Two of these are never equal."""

    n: int = 0


@attrs.define
class Page:
    title: str = ""
    note: str = attrs.field(default="", eq=False)


@attrs.define
class Book:
    first: Plain = attrs.field(factory=Plain)
    page: Page = attrs.field(factory=Page)
    size: int | float = 0


def test_a_value_whose_class_has_no_equality_is_compared_field_by_field():
    assert changed(Book(Plain(1)), Book(Plain(1))) == ()
    assert changed(Book(Plain(1)), Book(Plain(2))) == ("first",)


@pytest.mark.parametrize(
    "before, after, name",
    [
        (Book(page=Page("t", "one")), Book(page=Page("t", "two")), "page"),
        (Book(size=1), Book(size=1.0), "size"),
        (Book(size=0.0), Book(size=-0.0), "size"),
    ],
    ids=["left out of the comparison", "another type", "another sign"],
)
def test_a_field_was_changed_when_its_encoding_was(before, after, name):
    """5.5: its encoding differs from the base: what `==` makes of it is another question."""
    assert changed(before, after) == (name,)


small = st.builds(
    AttrsState,
    title=st.sampled_from("ab"),
    pages=st.lists(st.integers(0, 1), max_size=2),
    log=st.lists(st.sampled_from("ab"), max_size=1),
    strict=st.integers(0, 1),
    own=st.integers(0, 1),
)


@given(small, small)
def test_changes_are_the_fields_that_are_encoded_otherwise(before, after):
    """5.5: its encoding differs from the base, for every two states."""
    names = ("title", "pages", "strict", "own")
    form = StateForm(AttrsState)
    swapped = [attrs.evolve(before, **{name: getattr(after, name)}) for name in names]
    differing = [name for name, each in zip(names, swapped, strict=True) if form.pack(each) != form.pack(before)]

    assert list(changed(before, after)) == differing
    assert changed(before, after) == changed(after, before)


# -- conflicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([], {}),
        ([("a", "b")], {}),
        ([("a",), ("b",), ()], {}),
        ([("a",), ("b",), ("a",)], {"a": [0, 2]}),
        ([("b", "a"), ("a", "b"), ("a",)], {"b": [0, 1], "a": [0, 1, 2]}),
    ],
)
def test_a_field_that_several_branches_changed_is_told_with_their_numbers(changes, expected):
    """5.5: `MergeConflict` naming field and branches, in the order in which they were changed and declared."""
    found = conflicts(changes)

    assert found == expected
    assert list(found) == list(expected)


@given(st.lists(st.sets(st.sampled_from("abc")).map(sorted), max_size=5))
def test_there_is_a_conflict_exactly_where_two_changed_the_same(changes):
    found = conflicts(changes)

    for name in "abc":
        writers = [number for number, names in enumerate(changes) if name in names]
        assert found.get(name, []) == (writers if len(writers) > 1 else [])


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.define
class Keyed:
    """Keys and items that have no order of their own."""

    by_number: dict[int, list[str]] = attrs.field(factory=dict)
    by_pair: dict[tuple[int, str], set[Colour]] = attrs.field(factory=dict)


def test_keys_that_are_no_texts_are_no_change():
    before = Keyed({1: ["a"], 2: []}, {(1, "x"): {Colour.RED, Colour.BLUE}, (0, "y"): set()})
    after = Keyed({2: [], 1: ["a"]}, {(0, "y"): set(), (1, "x"): {Colour.BLUE, Colour.RED}})

    assert () == Fields(StateForm(Keyed)).changed(before, after)


@pytest.mark.parametrize(
    "after",
    [
        Keyed({1: ["b"]}, {(1, "x"): {Colour.RED}}),
        Keyed({2: ["a"]}, {(1, "x"): {Colour.RED}}),
        Keyed({1: ["a"]}, {(1, "x"): {Colour.BLUE}}),
        Keyed({1: ["a"]}, {(1, "x"): {Colour.RED}, (2, "x"): set()}),
    ],
)
def test_a_change_under_such_a_key_is_one(after):
    assert 1 == len(Fields(StateForm(Keyed)).changed(Keyed({1: ["a"]}, {(1, "x"): {Colour.RED}}), after))
