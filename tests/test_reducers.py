"""Reducers, and which fields several parallel branches may change."""

import copy
import dataclasses
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec import Meta, Struct

from terzetto_protocol import reducers
from terzetto_protocol.errors import ReducerFailed, TerzettoError
from terzetto_protocol.fields import transient, transient_fields
from terzetto_protocol.reducers import Reducer, mergeable_fields, reducer_of, replayed


def told(value):
    """The id of a case: without addresses, which are others in every process."""
    return re.sub(r"Reducer\(name='(\w+)'.*?\)\)|<class '(\w+)'>", r"\1\2", str(value))


def longest(old, new):
    return max(old, new, key=len)


LONGEST = Reducer("longest", longest)

COMBINED: list[tuple[Reducer, Any, Any, Any]] = [
    (reducers.error, "a", "b", "b"),
    (reducers.replace, "a", "b", "b"),
    (reducers.append, ["a"], ["b", "a"], ["a", "b", "a"]),
    (reducers.append, ("a",), ("b",), ("a", "b")),
    (reducers.merge, {"a": 1, "b": 1}, {"b": 2, "c": 2}, {"a": 1, "b": 2, "c": 2}),
    (reducers.merge, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"y": 2}}),
    (reducers.merge, {1}, {2}, {1, 2}),
    (reducers.add, 1, -3, -2),
    (reducers.add, timedelta(1), timedelta(2), timedelta(3)),
    (reducers.minimum, 2.5, 1.0, 1.0),
    (reducers.maximum, 2.5, 1.0, 2.5),
    (LONGEST, [1, 2], [3], [1, 2]),
]


@pytest.mark.parametrize("reducer, old, new, merged", COMBINED, ids=lambda value: getattr(value, "name", None))
def test_what_each_reducer_makes_of_two_values(reducer, old, new, merged):
    """4.1: error, replace, append, merge, sum, min, max, custom."""
    before = copy.deepcopy((old, new))

    assert merged == reducer.reduce("key", old, new)
    assert before == (old, new)


WRONG = [
    (reducers.append, ["a"], "b"),
    (reducers.append, 5, ["b"]),
    (reducers.merge, {"a": 1}, ["b"]),
    (reducers.add, 5, "6"),
    (reducers.maximum, 5, None),
    (LONGEST, [1], 2),
]


@pytest.mark.parametrize("reducer, old, new", WRONG, ids=lambda value: getattr(value, "name", None))
def test_values_that_cannot_be_combined_name_key_and_reducer(reducer, old, new):
    """4.1: type mismatches name the key."""
    with pytest.raises(ReducerFailed, match=f"key 'notes': reducer '{reducer.name}' raised TypeError: ") as caught:
        reducer.reduce("notes", old, new)

    assert isinstance(caught.value, TerzettoError)
    assert isinstance(caught.value.__cause__, TypeError)
    assert ("notes", reducer.name) == (caught.value.key, caught.value.reducer)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), GeneratorExit(), ZeroDivisionError()], ids=repr)
def test_whatever_a_custom_reducer_raises_names_the_key(error):
    """4.6: an apply that raises; 9.4: SystemExit and GeneratorExit are failures like any other."""

    def explode(old, new):
        raise error

    with pytest.raises(ReducerFailed, match="key 'k': reducer 'explode' raised ") as caught:
        Reducer("explode", explode).reduce("k", 1, 2)

    assert error is caught.value.__cause__


def test_keyboard_interrupt_is_nobodys_failure():
    """9.4: KeyboardInterrupt is re-raised."""

    def interrupt(old, new):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Reducer("interrupt", interrupt).reduce("k", 1, 2)


TEXTS = st.lists(st.sampled_from("abc"), max_size=3)
TABLES = st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3)
LAWFUL: list[tuple[Reducer, st.SearchStrategy[Any]]] = [
    (reducers.error, st.integers()),
    (reducers.replace, st.integers()),
    (reducers.append, TEXTS),
    (reducers.merge, TABLES),
    (reducers.add, st.integers()),
    (reducers.minimum, st.integers()),
    (reducers.maximum, st.integers()),
]


@pytest.mark.parametrize("reducer, values", LAWFUL, ids=lambda value: getattr(value, "name", ""))
@given(data=st.data())
def test_how_puts_are_grouped_does_not_matter(reducer, values, data):
    """5.5: law: reducing in sequence is the same, whether a branch put two values or their combination."""
    one, two, three = (data.draw(values) for _ in range(3))
    combine = reducer.combine

    assert combine(combine(one, two), three) == combine(one, combine(two, three))


SUITED: list[tuple[Reducer, Any]] = [
    (reducers.append, list[str]),
    (reducers.append, list),
    (reducers.append, tuple[int, ...]),
    (reducers.append, Annotated[list[str], "note"]),
    (reducers.append, list[int] | list[str]),
    (reducers.merge, dict[str, int]),
    (reducers.merge, set[str]),
    (reducers.merge, frozenset[str]),
    (reducers.add, int),
    (reducers.add, int | float),
    (reducers.add, Annotated[Decimal, Meta(ge=0)]),
    (reducers.maximum, str),
    (reducers.minimum, datetime),
    (reducers.replace, Any),
    (LONGEST, list[int]),
]
UNSUITED: list[tuple[Reducer, Any]] = [
    (reducers.append, int),
    (reducers.append, str),
    (reducers.append, dict[str, int]),
    (reducers.append, list[str] | None),
    (reducers.append, Annotated[str, "note"]),
    (reducers.merge, list[str]),
    (reducers.add, str),
    (reducers.add, list[int]),
    (reducers.add, int | None),
]


@pytest.mark.parametrize("reducer, hint", SUITED, ids=told)
def test_a_reducer_suits_the_types_that_it_combines(reducer, hint):
    assert reducer.suits(hint)


@pytest.mark.parametrize("reducer, hint", UNSUITED, ids=told)
def test_a_reducer_that_could_never_combine_is_found_without_values(reducer, hint):
    """4.1: a sum of what is no number, or an append to what is no list."""
    assert not reducer.suits(hint)


Log = Annotated[list[str], reducers.append]

MARKED = [
    (int, reducers.error),
    (Annotated[int, "note", transient], reducers.error),
    (Log, reducers.append),
    (Annotated[list[int], Meta(max_length=3), LONGEST], LONGEST),
    (Annotated[Log, "note"], reducers.append),
    (Annotated[Log, reducers.replace], reducers.replace),
    (Log | None, reducers.error),
]


@pytest.mark.parametrize("hint, reducer", MARKED, ids=told)
def test_the_outermost_reducer_of_an_annotation_counts(hint, reducer):
    assert reducer is reducer_of(hint)


@attrs.define
class AttrsState:
    plain: int = 0
    count: Annotated[int, replayed] = 0
    late: "Annotated[int, 'note', replayed]" = 0
    log: Log = attrs.field(factory=list)
    client: Annotated[object | None, transient] = None
    strict: Annotated[int, reducers.error] = 0
    last: Annotated[str, reducers.replace] = ""
    own: Annotated[int, Reducer("own", longest, parallel=False)] = 0
    inner: "tuple[Annotated[int, replayed], ...]" = ()


@dataclasses.dataclass
class DataState:
    plain: int = 0
    count: Annotated[int, replayed] = 0
    late: "Annotated[int, 'note', replayed]" = 0
    log: Log = dataclasses.field(default_factory=list)
    client: Annotated[object | None, transient] = None
    strict: Annotated[int, reducers.error] = 0
    last: Annotated[str, reducers.replace] = ""
    own: Annotated[int, Reducer("own", longest, parallel=False)] = 0
    inner: "tuple[Annotated[int, replayed], ...]" = ()


class StructState(Struct):
    plain: int = 0
    count: Annotated[int, replayed] = 0
    late: "Annotated[int, 'note', replayed]" = 0
    log: Log = []
    client: Annotated[object | None, transient] = None
    strict: Annotated[int, reducers.error] = 0
    last: Annotated[str, reducers.replace] = ""
    own: Annotated[int, Reducer("own", longest, parallel=False)] = 0
    inner: "tuple[Annotated[int, replayed], ...]" = ()


STATES = [AttrsState, DataState, StructState]


@pytest.mark.parametrize("cls", STATES)
def test_branches_may_change_what_is_replayed_or_reduced(cls):
    """5.5: two branches changed the same field and it is not `Annotated[..., terzetto.replayed]` or reduced."""
    assert {"count", "late", "log", "last"} == mergeable_fields(cls)
    assert ["client"] == transient_fields(cls)


@pytest.mark.parametrize("cls", STATES)
def test_inherited_fields_keep_their_marks_and_declared_anew_they_lose_them(cls):
    fields = {"__annotations__": {"count": int, "more": Annotated[int, replayed]}, "count": 1, "more": 2}
    child = type(cls)("Child", (cls,), fields)
    made = {AttrsState: attrs.define(slots=False), DataState: dataclasses.dataclass}.get(cls, lambda it: it)(child)

    assert {"late", "log", "last", "more"} == mergeable_fields(made)


def test_of_the_supplied_reducers_only_error_keeps_branches_apart():
    """5.5: the strict merge knows what two branches may change; the default, `error`, they may not."""
    supplied = [it for it in vars(reducers).values() if isinstance(it, Reducer)]

    assert ["error"] == [it.name for it in supplied if not it.parallel]
    assert ["error", "replace", "append", "merge", "add", "minimum", "maximum"] == [it.name for it in supplied]


def test_a_reducer_that_cannot_be_called_is_refused_where_it_is_declared():
    with pytest.raises(TypeError, match="'combine' must be callable"):
        Reducer("longest", [])  # type: ignore[arg-type] # the mistake under test


def test_marks_are_values_that_show_their_name():
    assert "replayed" == repr(replayed)
    assert "Reducer(name='append'" in repr(reducers.append)
    assert datetime(2026, 1, 1, tzinfo=UTC) == reducers.minimum.reduce(
        "when", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    )
