"""Messages of the console for tests: any of a type, invented."""

import enum
import functools
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec
from hypothesis import strategies as st
from msgspec import Meta, Raw, Struct

WORDS = st.text(alphabet='aé\u2028\U0001f3b5 "\\/\x00b', max_size=6)
NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 40) | FLOATS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
"""Whatever comes back from JSON as it was."""

_SIMPLE = {str: WORDS, int: NUMBERS, float: FLOATS, bool: st.booleans(), bytes: st.binary(max_size=6), Any: PLAIN}
_SIMPLE |= {Raw: PLAIN.map(msgspec.msgpack.encode).map(Raw), types.NoneType: st.none()}


@functools.cache
def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type of which frames are made."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        (meta,) = args[1:]
        return _limited(meta)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(any_of, args))
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(any_of(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(any_of(args[0]), any_of(args[1]), max_size=2)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    return st.deferred(lambda: _made(hint))


def _limited(meta: Meta) -> st.SearchStrategy[int]:
    return st.integers(meta.ge, 1 << 60 if meta.le is None else meta.le)


def _made(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    names = kind.__struct_fields__ if issubclass(kind, Struct) else [each.name for each in attrs.fields(kind)]
    return st.builds(kind, **{name: any_of(hints[name]) for name in names})
