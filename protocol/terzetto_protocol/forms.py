"""How a user's type becomes bytes and comes back the same: msgspec where it can, cattrs where it cannot.

A type that neither can do is refused when the graph is built. What only a value shows (an undeclared type
inside, a subclass where its base was declared, a hook that changes it whenever it is made) is found when
it is encoded: the bytes are decoded again and compared.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast, get_origin

import attrs
import msgspec
from msgspec import Raw, inspect

from .codec import pack
from .errors import Malformed, NotStorable, describe
from .fields import Checker, checker_of, comes_back, field_names, has_fields
from .limits import MESSAGE_BYTES, STATE_BYTES

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_Decode: TypeAlias = Callable[[bytes | Raw], T]


_settled = msgspec.msgpack.Encoder(order="deterministic").encode


class Form(Generic[T]):
    """Encodes and decodes one user type; raises `TypeError` at once for one that can never be stored."""

    def __init__(self, of: type[T]) -> None:
        self.type = of
        self._decode: _Decode[T]
        self._decode_json: Callable[[bytes], T]
        self._plain: Callable[[T], object] | None = None
        check = checker_of(of) if msgspec_can(of) else None  # None for a type that holds itself: whoever looks ends
        self._check: Checker | None = None if check is None or not comes_back(of) else check
        """Whether a value is exactly of this type, where that proves that it comes back as it is."""
        if msgspec_can(of):
            self._decode, self._decode_json = msgspec.msgpack.Decoder(of).decode, msgspec.json.Decoder(of).decode
        else:
            self._decode, self._decode_json, self._plain = _by_cattrs(of)

    @property
    def is_plain(self) -> bool:
        """Whether msgspec encodes it as it is."""
        return self._plain is None

    def pack(self, value: T, what: str, limit: int = MESSAGE_BYTES) -> bytes:
        """Encode; raises `NotStorable` for what would not come back as it is."""
        if self._check is not None and self._check(value):
            return pack(value, what, limit)  # it is exactly what was declared: nobody need look at what comes back
        return self.copy(value, what, limit)[0]

    def copy(self, value: T, what: str, limit: int = MESSAGE_BYTES) -> tuple[bytes, T]:
        """The encoded value and what it will be when it comes back; raises `NotStorable` when that is another."""
        data = pack(value if self._plain is None else _plainly(self._plain, value, what), what, limit)
        try:
            back = self._decode(data)
        except Exception as error:  # a user's converter or __post_init__ may raise anything
            raise NotStorable(what, f"it would not come back: {_explain(error)}") from error
        if not is_same(value, back):
            raise NotStorable(what, "it would come back changed (an undeclared type inside, or a hook that alters it)")
        return data, back

    def canonical(self, value: T, what: str) -> bytes:
        """Bytes that are equal for equal values, whatever the order of what has none; raises `NotStorable`."""
        plain = value if self._plain is None else _plainly(self._plain, value, what)
        try:
            return pack(plain, what, STATE_BYTES, _settled)
        except NotStorable:  # it may be no worse than keys that are no texts, or a set of what has no order
            return pack(plain, what, STATE_BYTES, _settle)

    def unpack(self, data: bytes | Raw, what: str) -> T:
        """Decode; raises `Malformed` when the bytes are not of the declared type."""
        try:
            return self._decode(data)
        except Exception as error:  # as in copy
            raise Malformed(what, _explain(error)) from error

    def from_json(self, data: bytes, what: str) -> T:
        """Decode JSON; raises `Malformed` with the path of the mistake. Limits are the caller's to check."""
        try:
            return self._decode_json(data)
        except Exception as error:  # as in copy
            raise Malformed(what, _explain(error)) from error


def _settle(value: Any) -> bytes:
    """Bytes that are equal for equal values, whatever is in them; for what `_settled` has no order for."""
    if isinstance(value, dict):
        pairs = [(_settle(key), _settle(item)) for key, item in cast("dict[object, object]", value).items()]
        return _settled(sorted(pairs))
    if isinstance(value, set | frozenset):
        return _settled(sorted(map(_settle, cast("set[object]", value))))
    if isinstance(value, list | tuple):
        return _settled([_settle(item) for item in cast("list[object]", value)])
    cls: type[Any] = type(cast("object", value))
    if has_fields(cls):
        return _settled([_settle(getattr(value, name)) for name in field_names(cls)])
    return _settled(value)


def msgspec_can(of: Any) -> bool:
    """Whether msgspec stores all of such a value and decodes it strictly."""
    try:
        found = inspect.type_info(of)
    except TypeError:
        return False
    return all(map(_is_kept, _parts(found, [])))


def _is_kept(part: inspect.Type) -> bool:
    if isinstance(part, inspect.CustomType):
        return part.cls is object
    # Fields of attrs classes that begin with an underscore are left out by msgspec, without a word.
    cls: Any = part.cls if isinstance(part, inspect.DataclassType) else None
    cls = get_origin(cls) or cls  # a generic class with its arguments has the fields of the class
    return cls is None or not attrs.has(cls) or not any(name.startswith("_") for name in field_names(cls))


def _parts(found: object, seen: list[object]) -> Iterator[inspect.Type]:
    """A type and every type inside it, once each."""
    if any(found is other for other in seen):
        return
    seen.append(found)
    inner: list[object] = []
    if isinstance(found, inspect.Type):
        yield found
        inner = [getattr(found, name) for name in found.__struct_fields__]
    elif isinstance(found, inspect.Field):
        inner = [found.type]
    elif isinstance(found, tuple):
        inner = list(cast("tuple[object, ...]", found))
    for item in inner:
        yield from _parts(item, seen)


def _by_cattrs(of: type[T]) -> tuple[_Decode[T], Callable[[bytes], T], Callable[[T], object]]:
    converter = _converter()
    try:
        hook = converter.get_structure_hook(of)
    except Exception as error:  # cattrs and its strategies raise several kinds
        raise TypeError(_explain(error)) from error
    return (
        lambda data: hook(msgspec.msgpack.decode(data), of),
        lambda data: hook(msgspec.json.decode(data), of),
        converter.unstructure,
    )


def _converter() -> "Converter":
    """A converter that leaves to msgspec whatever msgspec can do: that checks types, where cattrs coerces."""
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

    def structure(cls: type[Any]) -> Callable[[Any, Any], Any]:
        return make_dict_structure_fn(cls, made, _cattrs_include_init_false=True)

    def unstructure(cls: type[Any]) -> Callable[[Any], Any]:
        return make_dict_unstructure_fn(cls, made, _cattrs_include_init_false=True)

    made = Converter()
    made.register_structure_hook_factory(attrs.has, structure)
    made.register_unstructure_hook_factory(attrs.has, unstructure)
    made.register_structure_hook_func(msgspec_can, msgspec.convert)
    return made


def _plainly(plain: Callable[[T], object], value: T, what: str) -> object:
    try:
        return plain(value)
    except Exception as error:  # a wrong type inside makes the generated code raise anything
        raise NotStorable(what, describe(error)) from error


def _explain(error: Exception) -> str:
    """What is wrong, with the path where it is; cattrs reports it as a tree of exceptions."""
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    if type(error).__module__.startswith("cattrs"):
        from cattrs import transform_error
        from cattrs.errors import StructureHandlerNotFoundError

        if isinstance(error, StructureHandlerNotFoundError):
            return f"values of type {getattr(error.type_, '__name__', error.type_)} cannot be stored"
        return "; ".join(transform_error(error))
    return describe(error)


def is_same(value: object, back: object) -> bool:
    """Whether a decoded value is what was encoded: equal, or, where a class has no equality, equal field by field."""
    try:
        return bool(value == back) or _is_alike(value, back)
    except Exception:  # noqa: BLE001 - a user's __eq__ may raise anything: what cannot be compared proves nothing
        return False


def _is_alike(value: object, back: object) -> bool:
    if type(value) is not type(back):
        return False
    if isinstance(value, list | tuple):
        one, other = cast("list[object]", value), cast("list[object]", back)
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(value, dict):
        first, second = cast("dict[object, object]", value), cast("dict[object, object]", back)
        return first.keys() == second.keys() and all(is_same(item, second[key]) for key, item in first.items())
    if not has_fields(type(value)):
        return False
    return all(is_same(getattr(value, name), getattr(back, name)) for name in field_names(type(value)))
