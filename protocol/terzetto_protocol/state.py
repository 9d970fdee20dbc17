"""State and mutations: how a user's types are encoded, checked and applied.

What is applied is what is stored: with a log, a recorded mutation is encoded at once and the decoded
copy is applied, so that the live state and a later fold of the log cannot differ, and nothing that
the node still holds can change what it recorded. Without a log a mutation whose type is frozen all
the way down is applied as it is.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar, get_args, get_origin
from uuid import UUID

import attrs
import msgspec
from msgspec import Raw, Struct

from .codec import pack
from .decisions import Recorded
from .errors import InvalidRequest, Malformed, MutationFailed, NotStorable, describe
from .limits import MESSAGE_BYTES, STATE_BYTES

S = TypeVar("S")
T = TypeVar("T")
S_contra = TypeVar("S_contra", contravariant=True)


class Mutation(Protocol[S_contra]):
    """A frozen, typed command that changes a state: the only way in which a state ever changes."""

    def apply(self, state: S_contra, /) -> None:
        """Change the state in place; must be deterministic and must not keep the state."""


Entry: TypeAlias = Recorded | Mutation[Any]
"""A recorded mutation: encoded, or as it is where nothing is stored and its type is deeply frozen."""


class Transient:
    """Marks a field that is left out of checkpoints: `Annotated[Client | None, terzetto.transient] = None`."""

    def __repr__(self) -> str:
        return "transient"


transient: Final = Transient()

_ATOMS: Final[tuple[type, ...]] = (
    bool, int, float, str, bytes, type(None), datetime, date, time, timedelta, Decimal, UUID, enum.Enum,
)  # fmt: skip


class Form(Generic[T]):
    """How one user type becomes bytes and comes back the same: msgspec where it can, cattrs where it cannot."""

    def __init__(self, of: type[T]) -> None:
        self.type = of
        self._decode: Callable[[bytes], T]
        try:
            self._decode = msgspec.msgpack.Decoder[T](of).decode
            self._plain: Callable[[T], object] | None = None
        except TypeError:
            self._decode, self._plain = _by_cattrs(of)

    def pack(self, value: T, what: str, limit: int = MESSAGE_BYTES) -> bytes:
        """Encode; raises `NotStorable` for what msgpack cannot carry."""
        if self._plain is not None:
            return pack(_guarded(self._plain, value, what), what, limit)
        return pack(value, what, limit)

    def unpack(self, data: bytes | Raw, what: str) -> T:
        """Decode; raises `Malformed` when the bytes are not of the declared type."""
        try:
            return self._decode(data)  # type: ignore[arg-type]  # Raw is a buffer, which the decoder takes
        except Exception as error:  # noqa: BLE001 - a user's converter or __post_init__ may raise anything
            raise Malformed(what, describe(error)) from error

    def copy(self, value: T, what: str, limit: int = MESSAGE_BYTES) -> tuple[bytes, T]:
        """The encoded value and what it will be when it comes back; raises `NotStorable` when that is impossible."""
        data = self.pack(value, what, limit)
        try:
            back = self._decode(data)
        except Exception as error:  # noqa: BLE001 - as in unpack
            raise NotStorable(what, f"it would not come back: {describe(error)}") from error
        if self._plain is not None and self.pack(back, what, limit) != data:
            raise NotStorable(what, "it would come back changed")
        return data, back


def _by_cattrs(of: type[T]) -> tuple[Callable[[bytes], T], Callable[[T], object]]:
    from cattrs.preconf.msgpack import make_converter  # noqa: PLC0415 - loaded only by graphs that need it

    converter = make_converter()
    return lambda data: converter.structure(msgspec.msgpack.decode(data), of), converter.unstructure


def _guarded(plain: Callable[[T], object], value: T, what: str) -> object:
    try:
        return plain(value)
    except Exception as error:  # noqa: BLE001 - a user's converter may raise anything
        raise NotStorable(what, describe(error)) from error


class StateForm(Generic[S]):
    """Encodes a graph's state as a projection: transient fields are left out, and rebuilt by `restore` afterwards."""

    def __init__(self, of: type[S], restore: Callable[[S], None] | None = None) -> None:
        self.type = of
        self._restore = restore
        self.transient = frozenset(transient_fields(of))
        self._form: Form[Any] = Form(_projection(of, self.transient) if self.transient else of)

    def pack(self, state: S) -> bytes:
        """Encode; raises `NotStorable`."""
        return self._form.pack(self._project(state), f"state {self.type.__name__}", STATE_BYTES)

    def unpack(self, data: bytes) -> S:
        """Decode and run the restore hook; raises `Malformed`."""
        value = self._form.unpack(data, f"state {self.type.__name__}")
        return self._rebuild(value)

    def copy(self, state: object) -> tuple[bytes, S]:
        """Encode and decode again; raises `InvalidRequest` for another type and `NotStorable`."""
        if not isinstance(state, self.type):
            raise InvalidRequest(f"the state must be a {self.type.__name__}, not {type(state).__name__} {state!r:.80}")
        data, value = self._form.copy(self._project(state), f"state {self.type.__name__}", STATE_BYTES)
        return data, self._rebuild(value)

    def from_json(self, data: bytes) -> S:
        """Decode JSON from outside; raises `Malformed` with the path of the mistake."""
        from .codec import check_json  # noqa: PLC0415 - only the edge needs it

        check_json(data, "input", STATE_BYTES)
        try:
            value = msgspec.json.decode(data, type=self._form.type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as error:
            raise Malformed("input", str(error)) from error
        return self._rebuild(value)

    def _project(self, state: S) -> Any:
        if not self.transient:
            return state
        fields = self._form.type.__struct_fields__
        return self._form.type(*(getattr(state, name) for name in fields))

    def _rebuild(self, value: Any) -> S:
        state: S = value
        if self.transient:
            state = self.type(**{name: getattr(value, name) for name in value.__struct_fields__})
        if self._restore is not None:
            self._restore(state)
        return state


def field_types(of: type) -> dict[str, Any]:
    """Declared fields of an attrs class, dataclass or msgspec Struct, with their types as written."""
    hints = typing.get_type_hints(of, include_extras=True)
    if issubclass(of, Struct):
        names: Iterable[str] = of.__struct_fields__
    elif attrs.has(of):
        names = [field.name for field in attrs.fields(of)]
    elif dataclasses.is_dataclass(of):
        names = [field.name for field in dataclasses.fields(of)]
    else:
        raise TypeError(f"{of.__name__} is not an attrs class, a dataclass or a msgspec Struct")
    return {name: hints.get(name, Any) for name in names}


def transient_fields(of: type) -> list[str]:
    """Names of the fields that are annotated as transient."""
    return [
        name
        for name, hint in field_types(of).items()
        if get_origin(hint) is Annotated and any(isinstance(mark, Transient) for mark in get_args(hint)[1:])
    ]


def _projection(of: type, left_out: frozenset[str]) -> Any:
    kept = [(name, hint) for name, hint in field_types(of).items() if name not in left_out]
    return msgspec.defstruct(f"{of.__name__}Projection", kept)


def is_frozen(cls: type) -> bool:
    """Whether instances refuse assignment to their fields."""
    if issubclass(cls, Struct):
        return bool(cls.__struct_config__.frozen)
    if attrs.has(cls):
        return cls.__setattr__ is not object.__setattr__ and "frozen" in getattr(cls.__setattr__, "__name__", "")
    params = getattr(cls, "__dataclass_params__", None)
    return params is not None and bool(params.frozen)


def is_deeply_frozen(hint: Any) -> bool:
    """Whether no value of this declared type can change, all the way down."""
    origin = get_origin(hint)
    if origin is Annotated:
        return is_deeply_frozen(get_args(hint)[0])
    if origin is Literal:
        return True
    if origin in (tuple, frozenset, typing.Union, types.UnionType):
        return all(arg is Ellipsis or is_deeply_frozen(arg) for arg in get_args(hint))
    if hint is None or not isinstance(hint, type):
        return hint is None
    if issubclass(hint, _ATOMS):
        return True
    return _has_fields(hint) and is_frozen(hint) and all(map(is_deeply_frozen, field_types(hint).values()))


def _has_fields(cls: type) -> bool:
    return issubclass(cls, Struct) or attrs.has(cls) or dataclasses.is_dataclass(cls)


class Vocabulary(Generic[S]):
    """The mutations of a graph by their registered names."""

    def __init__(self, mutations: Iterable[type[Mutation[S]]]) -> None:
        self.types: dict[str, type[Mutation[S]]] = {cls.__name__: cls for cls in mutations}
        self._forms: dict[str, Form[Mutation[S]]] = {name: Form(cls) for name, cls in self.types.items()}
        self._names = {cls: name for name, cls in self.types.items()}
        self._bare = frozenset(cls for cls in self.types.values() if is_deeply_frozen(cls))

    def note(self, mutation: Mutation[S]) -> Recorded:
        """Encode a mutation for the log; raises `NotStorable`, also for an unlisted one."""
        try:
            name = self._names[type(mutation)]
        except KeyError:
            raise self._unlisted(mutation) from None
        data, _ = self._forms[name].copy(mutation, f"mutation {name}")
        return Recorded(name, Raw(data))

    def keep(self, mutation: Mutation[S]) -> Entry:
        """As `note`, for runs without a log: a deeply frozen mutation stays what it is."""
        return mutation if type(mutation) in self._bare else self.note(mutation)

    def revive(self, entry: Entry) -> Mutation[S]:
        """The mutation of a stored entry; raises `Malformed` when the graph does not know it or its form."""
        if type(entry) is not Recorded:
            return typing.cast("Mutation[S]", entry)
        form = self._forms.get(entry.name)
        if form is None:
            raise Malformed(f"mutation {entry.name}", "the graph does not list it")
        return form.unpack(entry.body, f"mutation {entry.name}")

    def apply(self, entries: Iterable[Entry], state: S) -> None:
        """Apply in order; raises `MutationFailed`, after which the state must be rebuilt."""
        for entry in entries:
            try:
                self.revive(entry).apply(state)
            except Exception as error:  # noqa: BLE001 - a user's apply may raise anything
                name = entry.name if isinstance(entry, Recorded) else type(entry).__name__
                raise MutationFailed(name, error) from error

    def _unlisted(self, mutation: object) -> NotStorable:
        name = type(mutation).__name__
        return NotStorable(f"mutation {name}", f"it is not listed: say Graph(..., mutations=[{name}])")


