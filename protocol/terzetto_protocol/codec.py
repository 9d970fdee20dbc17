"""Bytes to messages and back: limits before decoding, and nothing that would not come back the same.

Messages in memory and in stores are msgpack, at the edge JSON. Both refuse NaN, infinities, lone
surrogates and undeclared types when they encode, and oversized or too deeply nested bytes before
they decode. There is no fallback codec.
"""

import math
import re
from typing import Any, Final, Generic, TypeVar

import msgspec

from .errors import Malformed, NotStorable
from .limits import DEPTH, MESSAGE_BYTES

T = TypeVar("T")

# A msgpack float64 is 0xCB and eight bytes; NaN and the infinities have all exponent bits set. These three bytes
# may stand inside a string too, so a match only means: look closely. No match proves that there is none.
_NOT_FINITE: Final = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL)

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def pack(value: object, what: str, limit: int = MESSAGE_BYTES) -> bytes:
    """Encode a value as msgpack, or raise `NotStorable` saying what about it would not come back."""
    try:
        data = _pack(value)
    except UnicodeEncodeError as error:
        raise NotStorable(what, "a text has a lone surrogate, which is not Unicode") from error
    except RecursionError as error:
        raise NotStorable(what, "it is nested too deep, or holds itself") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise NotStorable(what, str(error)) from error
    check_packed(data, what, limit)
    return data


def check_packed(data: bytes, what: str, limit: int) -> None:
    """Raise `NotStorable` for packed bytes that are too large or hold a NaN or an infinity."""
    if len(data) > limit:
        raise NotStorable(what, f"it has {len(data)} bytes, and the limit is {limit}")
    if _NOT_FINITE.search(data) is not None and _holds_odd_float(_unpack(data)):
        raise NotStorable(what, "it holds a NaN or an infinity")


def _holds_odd_float(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(_holds_odd_float(key) or _holds_odd_float(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_holds_odd_float, value))
    return False


_JSON_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_JSON_BRACKET: Final = re.compile(rb"[\[\]{}]")


def check_json(data: bytes, what: str, limit: int = MESSAGE_BYTES, depth: int = DEPTH) -> None:
    """Raise `Malformed` for JSON text that is too large or nested too deep, without decoding it."""
    if len(data) > limit:
        raise Malformed(what, f"it has {len(data)} bytes, and the limit is {limit}")
    level = 0
    for bracket in _JSON_BRACKET.finditer(_JSON_STRING.sub(b"", data)):
        level += 1 if bracket[0] in b"[{" else -1
        if level > depth:
            raise Malformed(what, f"it is nested deeper than {depth} levels")


class Codec(Generic[T]):
    """Encodes and decodes one closed type (a message union), as msgpack for stores and as JSON for the edge."""

    def __init__(self, of: Any, what: str, limit: int = MESSAGE_BYTES) -> None:
        self._what, self._limit = what, limit
        self._from_json = msgspec.json.Decoder[T](of)
        self._from_packed = msgspec.msgpack.Decoder[T](of)

    def pack(self, message: T) -> bytes:
        """Encode as msgpack; raises `NotStorable`."""
        return pack(message, self._what, self._limit)

    def unpack(self, data: bytes) -> T:
        """Decode msgpack; raises `Malformed` and decodes nothing that is over the limit."""
        if len(data) > self._limit:
            raise Malformed(self._what, f"it has {len(data)} bytes, and the limit is {self._limit}")
        try:
            return self._from_packed.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(self._what, str(error)) from error

    def to_json(self, message: T) -> bytes:
        """Encode as JSON; raises `NotStorable`."""
        self.pack(message)  # refuses what JSON would silently turn into null
        return msgspec.json.encode(_plain(message))

    def from_json(self, data: bytes) -> T:
        """Decode JSON; size and depth are checked first, and everything undeclared is refused with its path."""
        check_json(data, self._what, self._limit)
        try:
            return self._from_json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(self._what, str(error)) from error


def _plain(message: object) -> Any:
    # `Raw` fields hold msgpack; plain data shows the same content in either encoding.
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message))


def readable(data: bytes) -> Any:
    """Stored msgpack as plain Python data (dicts, lists, texts, numbers), for people and for JSON."""
    return msgspec.msgpack.decode(data)
