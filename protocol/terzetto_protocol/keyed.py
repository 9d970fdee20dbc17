"""A state for people who want a dict: typed keys, each with its reducer, and the two mutations that change them.

The keys are the fields of a class, as in

    class Notes(KeyedState):
        topic: str = ""
        messages: Annotated[list[str], append] = []

Nodes record `Notes.put(topic="tea", messages=["hi"])` and `Notes.reset("topic")`, and read `ctx.state["topic"]`.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Final, Self, TypeVar, cast

import msgspec
from msgspec import NODEFAULT, UNSET, Struct
from msgspec.structs import FieldInfo

from .closest import closest
from .errors import InvalidRequest
from .fields import field_names, field_types, transient_fields
from .forms import Form
from .reducers import Reducer, bare_functions, reducer_of
from .state import Mutation

K = TypeVar("K", bound="KeyedState")


class _OwnPut:
    """`Notes.Put`: every class has one of its own, made when somebody first asks for it."""

    def __get__(self, state: object, of: type[K], /) -> type[Mutation[K]]:
        return cast("type[Mutation[K]]", _put_of(of))


class KeyedState(Struct):
    """A state whose keys are its fields: each is put through its reducer (`error` unless annotated).

    A graph lists `Put` and `Reset` among its mutations. Transient fields can be read by key, and nothing puts them.
    """

    Put = _OwnPut()

    class Reset(Struct, frozen=True, forbid_unknown_fields=True):
        """Give keys the defaults of their class; stored with nothing but their names."""

        keys: tuple[str, ...]

        def apply(self, state: "KeyedState", /) -> None:
            """Make every default anew; raises `InvalidRequest` for a key that is unknown or has no default.

            All or nothing: then no key has changed.
            """
            found = {name: _default(type(state), name) for name in self.keys}
            for name, value in found.items():
                setattr(state, name, value)

    @classmethod
    def put(cls, /, **values: object) -> Mutation[Self]:
        """A mutation that combines copies of these values with what the keys hold when it is applied.

        Raises `InvalidRequest` for an unknown key, and `NotStorable`, which names the key, for a value of another
        type than the declared one.
        """
        copies = {
            name: _key(cls, name).form.copy(value, f"key {name!r} of {cls.__name__}")[1]
            for name, value in values.items()
        }
        return cast("Mutation[Self]", _put_of(cls)(**copies))

    @classmethod
    def reset(cls, /, *names: str) -> Mutation[Self]:
        """A mutation that gives these keys the defaults of the class.

        Raises `InvalidRequest` for an unknown key, and for one without a default.
        """
        for name in names:
            _default(cls, name)
        return cls.Reset(names)

    def __getitem__(self, name: str, /) -> Any:
        if name not in self:
            raise KeyError(_unknown(type(self), name))
        return getattr(self, name)

    def __contains__(self, name: object, /) -> bool:
        return name in self.__struct_fields__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__struct_fields__)

    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of a key, or `default` when the class has no such key."""
        return getattr(self, name) if name in self else default

    def keys(self) -> tuple[str, ...]:
        """Every key, in order of declaration."""
        return self.__struct_fields__

    def items(self) -> list[tuple[str, Any]]:
        """Every key with its value, in order of declaration."""
        return [(name, getattr(self, name)) for name in self]


class _Puts(Struct, frozen=True):
    def apply(self, state: KeyedState, /) -> None:
        """Combine a copy of every value that was put with what the state has; raises `ReducerFailed`.

        All or nothing: then no key has changed.
        """
        merged: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not UNSET:
                reducer = _key(type(state), name).reducer
                merged[name] = reducer.reduce(name, getattr(state, name), deepcopy(value))
        for name, value in merged.items():
            setattr(state, name, value)


_TAKEN: Final = frozenset({"apply", *(name for name in vars(KeyedState) if not name.startswith("__"))})


def key_mistakes(of: type[KeyedState]) -> Iterator[str]:
    """What is wrong with the declared keys, for the graph's list of mistakes."""
    if of.__struct_config__.frozen:
        yield f"state: {of.__name__} is frozen, and its keys could never be put"
    for name, hint in field_types(of).items():
        reducer = reducer_of(hint)
        if name in _TAKEN:
            yield f"state.{name}: a KeyedState needs this name for itself; call the key otherwise"
        for function in bare_functions(hint):
            said = function.__name__
            yield f'state.{name}: {said} is no reducer: say one of terzetto.reducers, or Reducer("{said}", {said})'
        if not reducer.suits(hint):
            yield f"state.{name}: {reducer.name} combines only {' or '.join(cls.__name__ for cls in reducer.types)}"


class _Key(Struct, frozen=True):
    """What mutations need to know about one key."""

    form: Form[Any]
    reducer: Reducer
    field: FieldInfo


@cache
def _keys(of: type[KeyedState]) -> dict[str, _Key]:
    fields = {field.name: field for field in msgspec.structs.fields(of)}
    return {name: _Key(Form(hint), reducer_of(hint), fields[name]) for name, hint in _lasting(of).items()}


@cache
def _put_of(of: type[KeyedState]) -> type[Struct]:
    fields = [(name, hint, UNSET) for name, hint in _lasting(of).items()]  # what is UNSET is not encoded
    return msgspec.defstruct(
        "Put", fields, bases=(_Puts,), module=of.__module__, frozen=True, forbid_unknown_fields=True
    )


def _lasting(of: type[KeyedState]) -> dict[str, Any]:
    left_out = transient_fields(of)
    return {name: hint for name, hint in field_types(of).items() if name not in left_out}


def _key(of: type[KeyedState], name: str) -> _Key:
    """The key, when mutations of this state may name it."""
    found = _keys(of).get(name)
    if found is None and name in field_names(of):
        raise InvalidRequest(f"key {name!r} of {of.__name__} is transient: no mutation is stored for it")
    if found is None:
        raise InvalidRequest(_unknown(of, name))
    return found


def _default(of: type[KeyedState], name: str) -> Any:
    field = _key(of, name).field
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    if field.default is NODEFAULT:
        raise InvalidRequest(f"key {name!r} of {of.__name__} has no default that it could be reset to")
    return field.default


def _unknown(of: type[KeyedState], name: str) -> str:
    names = field_names(of)
    close = closest(name, names)
    hint = f"did you mean {close!r}?" if close else f"there are {', '.join(names[:10]) or 'none'}"
    return f"{of.__name__} has no key {name!r} ({hint})"
