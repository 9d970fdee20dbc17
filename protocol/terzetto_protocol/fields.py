"""What a user's class declares: its fields, and whether its instances can change.

Nothing here looks at values except `Checker`, which tells whether a value is exactly what was declared.
"""

import enum
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeGuard, cast, get_args, get_origin
from uuid import UUID

import attrs
import msgspec
from msgspec import Struct

from .closest import closest

Checker: TypeAlias = Callable[[Any], bool]
"""Whether a value is exactly of a declared type, all the way down, and storable as it is."""


class Transient:
    """Marks a field that is left out of checkpoints: `Annotated[Client | None, terzetto.transient] = None`."""

    def __repr__(self) -> str:
        return "transient"


transient: Final = Transient()


def has_fields(cls: object) -> TypeGuard[type[Any]]:
    """Whether this is an attrs class, a dataclass or a msgspec Struct, and not an instance of one."""
    if not isinstance(cls, type) or isinstance(cls, types.GenericAlias):
        return False
    found = cast("type[Any]", cls)
    return issubclass(found, Struct) or attrs.has(found) or hasattr(found, "__dataclass_fields__")


def field_names(of: type[Any]) -> list[str]:
    """Names of the declared fields, in order; raises `TypeError` for other kinds of types."""
    if not has_fields(of):
        name = getattr(of, "__name__", repr(of))
        raise TypeError(f"{name} is not an attrs class, a dataclass or a msgspec Struct")
    if issubclass(of, Struct):
        return list(of.__struct_fields__)
    if attrs.has(of):
        return [field.name for field in attrs.fields(of)]
    import dataclasses  # whoever has one has loaded it

    return [field.name for field in dataclasses.fields(of)]


def stored_names(of: type[Any]) -> set[str]:
    """Names under which the fields are stored: their own, unless a Struct renames them; and its tag."""
    if not issubclass(of, Struct):
        return set(field_names(of))
    tag = of.__struct_config__.tag_field
    return {*of.__struct_encode_fields__, *([] if tag is None else [tag])}


def no_field(name: str, names: Collection[str]) -> str:
    """What to say of a name that is no field's."""
    close = closest(name, names)
    hint = f"did you mean {close!r}?" if close else f"it has {', '.join(names) or 'none'}"
    return f"has no field {name!r} ({hint})"


def field_types(of: type[Any]) -> dict[str, Any]:
    """Declared fields with their types, with references resolved."""
    names = field_names(of)
    hints = typing.get_type_hints(of, include_extras=True)
    return {name: hints.get(name, Any) for name in names}


def transient_fields(of: type[Any]) -> list[str]:
    """Names of the fields that are annotated as transient."""
    return [name for name, hint in field_types(of).items() if _is_transient(hint)]


def _is_transient(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(isinstance(mark, Transient) for mark in get_args(hint)[1:])


def field_defaults(of: type[Any]) -> dict[str, Any]:
    """What each field with a default begins with, as the argument of `attrs.field(default=...)`."""
    if issubclass(of, Struct):
        found = {field.name: (field.default, field.default_factory) for field in msgspec.structs.fields(of)}
        return _made(found, msgspec.NODEFAULT)
    if attrs.has(of):
        return {field.name: field.default for field in attrs.fields(of) if field.default is not attrs.NOTHING}
    import dataclasses  # as above

    found = {field.name: (field.default, field.default_factory) for field in dataclasses.fields(of)}
    return _made(found, dataclasses.MISSING)


def _made(found: Mapping[str, tuple[Any, Any]], nothing: object) -> dict[str, Any]:
    made = {name: attrs.Factory(factory) for name, (_, factory) in found.items() if factory is not nothing}
    return made | {name: default for name, (default, _) in found.items() if default is not nothing}


def argument_of(of: type[Any], name: str) -> str:
    """What the constructor calls this field; empty when it does not take it."""
    if issubclass(of, Struct):
        return name
    if attrs.has(of):
        field = attrs.fields_dict(of)[name]
        return field.alias or name if field.init else ""
    return name if of.__dataclass_fields__[name].init else ""


def is_frozen(cls: type[Any]) -> bool:
    """Whether instances refuse assignment to their fields; a subclass that declares nothing is as its base."""
    if issubclass(cls, Struct):
        return bool(cls.__struct_config__.frozen)
    for base in cls.__mro__:
        if "__attrs_props__" in vars(base):
            props = attrs.inspect(base)
            return props.is_frozen or props.on_setattr_hook is attrs.setters.frozen
    params: Any = getattr(cls, "__dataclass_params__", None)
    return params is not None and bool(params.frozen)


def is_deeply_frozen(hint: Any) -> bool:
    """Whether no value that is exactly of this declared type can change, all the way down."""
    return checker_of(hint) is not None


_ATOMS: Final[Iterable[type[Any]]] = (int, bool, bytes, type(None), datetime, date, time, timedelta, Decimal, UUID)
_HOOKS: Final = ("__post_init__", "__attrs_post_init__", "__attrs_pre_init__")


def checker_of(hint: Any, outer: tuple[type[Any], ...] = ()) -> Checker | None:
    """A check that a value is exactly of this type, deeply frozen and storable; None where none can promise that."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is None:
        return _checker_of_class(type(None) if hint is None else hint, outer)
    if origin is Annotated:
        constrained = any(isinstance(mark, msgspec.Meta) for mark in args[1:])
        return None if constrained else checker_of(args[0], outer)
    if origin is Literal:
        return lambda value: any(value == arg and type(value) is type(arg) for arg in args)
    parts = [checker_of(arg, outer) for arg in args if arg is not Ellipsis]
    checks = [part for part in parts if part is not None]
    return None if len(checks) < len(parts) else _checker_of_parts(origin, args, checks)


def _checker_of_parts(origin: Any, args: tuple[Any, ...], checks: list[Checker]) -> Checker | None:
    if origin in (typing.Union, types.UnionType):
        return lambda value: any(check(value) for check in checks)
    if origin is frozenset or (origin is tuple and args[-1:] == (Ellipsis,)):
        return _checker_of_items(origin, checks[0])
    return _checker_of_tuple(checks) if origin is tuple else None


def _checker_of_items(origin: Any, check: Checker) -> Checker:
    def exactly(value: Any) -> bool:
        return type(value) is origin and all(map(check, value))

    return exactly


def _checker_of_tuple(checks: list[Checker]) -> Checker:
    def exactly(value: Any) -> bool:
        if type(value) is not tuple:
            return False
        items = cast("tuple[object, ...]", value)
        return len(items) == len(checks) and all(check(item) for check, item in zip(checks, items, strict=True))

    return exactly


def _checker_of_class(cls: Any, outer: tuple[type[Any], ...]) -> Checker | None:
    if cls is str:
        return _is_text
    if cls is float:
        return _is_finite
    if cls in _ATOMS or _is_enum(cls):
        return lambda value: type(value) is cls
    if cls in outer or not has_fields(cls) or not is_frozen(cls) or any(hasattr(cls, hook) for hook in _HOOKS):
        return None  # recursive, mutable, or made anew with every decoding: only a decoded copy is safe
    return _checker_of_fields(cls, (*outer, cls))


_EXACT: Final = frozenset({str, int, float, bool, bytes, type(None)})


def comes_back(hint: Any) -> bool:
    """Whether every value that its checker lets pass is decoded as what was encoded, so that nobody need look."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return comes_back(args[0])
    if origin in (typing.Union, types.UnionType):
        return len(args) == 2 and type(None) in args and all(map(comes_back, args))
    if origin is tuple:
        return all(comes_back(arg) for arg in args if arg is not Ellipsis)
    if origin is not None or hint is None or hint in _EXACT:
        return origin is None
    return has_fields(hint) and _is_taken_as_it_is(hint) and all(map(comes_back, field_types(hint).values()))


def _is_taken_as_it_is(cls: type[Any]) -> bool:
    """Whether nothing about a class makes something else of what its fields are given."""
    if issubclass(cls, Struct):
        return not cls.__struct_config__.omit_defaults
    if attrs.has(cls):
        return all(field.init and field.converter is None and field.validator is None for field in attrs.fields(cls))
    import dataclasses  # as above

    return all(field.init for field in dataclasses.fields(cls))


def _is_enum(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, enum.Enum)


def _checker_of_fields(cls: type[Any], outer: tuple[type[Any], ...]) -> Checker | None:
    checks: list[tuple[str, Checker]] = []
    for name, hint in field_types(cls).items():
        check = checker_of(hint, outer)
        if check is None:
            return None
        checks.append((name, check))
    if len(checks) == 1:
        return _checker_of_field(cls, *checks[0])

    def exactly(value: Any) -> bool:
        if type(value) is not cls:
            return False
        for name, check in checks:  # noqa: SIM110 - all() costs twice as much, for every mutation without a log
            if not check(getattr(value, name)):
                return False
        return True

    return exactly


def _checker_of_field(cls: type[Any], name: str, check: Checker) -> Checker:
    return lambda value: type(value) is cls and check(getattr(value, name))


def _is_text(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)
