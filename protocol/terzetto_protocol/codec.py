"""Bytes to messages and back: limits before decoding, and nothing that would not come back the same.

Messages in memory and in stores are msgpack, at the edge JSON. Both refuse NaN, infinities, lone
surrogates and undeclared types when they encode, and oversized or too deeply nested bytes before
they decode. There is no fallback codec.
"""

import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from .errors import Malformed, NotStorable
from .limits import DEPTH, MESSAGE_BYTES, PAYLOAD_DEPTH

T = TypeVar("T")

# A msgpack float is 0xCB and eight bytes (or 0xCA and four, which others may write); NaN and the infinities have all
# exponent bits set. These bytes may stand inside a text too, so a match only means: look closely. No match proves
# that there is none.
_NOT_FINITE: Final = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]", re.DOTALL)
_NIL: Final = b"\xc0"
UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeError, OverflowError, RecursionError)
"""What decoding raises for bytes that are no message."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def pack(value: object, what: str, limit: int = MESSAGE_BYTES, encode: Callable[[object], bytes] = _pack) -> bytes:
    """Encode a value as msgpack, or raise `NotStorable` saying what about it would not come back."""
    try:
        data = encode(value)
    except UnicodeEncodeError as error:
        raise NotStorable(what, "a text has a lone surrogate, which is not Unicode") from error
    except RecursionError as error:
        raise NotStorable(what, "it is nested too deep, or holds itself") from error
    except (TypeError, ValueError, OverflowError, AttributeError, msgspec.MsgspecError) as error:
        raise NotStorable(what, str(error)) from error
    check_packed(data, what, limit)
    return data


def check_packed(data: bytes, what: str, limit: int) -> None:
    """Raise `NotStorable` for packed bytes that are too large or hold a NaN or an infinity."""
    if len(data) > limit:
        large = "keep what is so large in a blob, and its name here: `await ctx.blob(...)`"
        raise NotStorable(what, f"it has {len(data)} bytes, and the limit is {limit} ({large})")
    if _NOT_FINITE.search(data) is None:
        return
    try:
        odd = _holds_odd_float(_unpack(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotStorable(what, str(error)) from error
    if odd:
        raise NotStorable(what, "it holds a NaN or an infinity")


def _holds_odd_float(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return any(map(_holds_odd_float, _items(value)))


def _items(value: object) -> list[object]:
    """What a container of plain data holds, keys included."""
    if isinstance(value, dict):
        table = cast("dict[object, object]", value)
        return [*table.keys(), *table.values()]
    return list(cast("list[object]", value)) if isinstance(value, list | tuple) else []


def pack_plain(value: object, what: str, limit: int = MESSAGE_BYTES) -> bytes:
    """Encode what people are to be shown: the same in msgpack and in JSON, which has texts, numbers and lists.

    Dates, UUIDs, decimals and keys become texts, bytes become base64. Raises `NotStorable` as `pack` does.
    """
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
    except RecursionError as error:
        raise NotStorable(what, "it is nested too deep, or holds itself") from error
    except (TypeError, ValueError, OverflowError, AttributeError, msgspec.MsgspecError) as error:
        raise NotStorable(what, str(error)) from error
    if _is_deeper(plain, PAYLOAD_DEPTH):
        raise NotStorable(what, f"it is nested deeper than {PAYLOAD_DEPTH} levels")
    return pack(plain, what, limit)


def unpack_plain(data: bytes) -> Any:
    """What `pack_plain` packed, as plain data."""
    return _unpack(data)


def check_plain(data: bytes, what: str) -> None:
    """Raise `NotStorable` for packed bytes that do not come back as plain data, or are nested too deep to be shown."""
    try:
        value = _unpack(data)
    except UNDECODABLE as error:
        raise NotStorable(what, str(error)) from error
    if _is_deeper(value, PAYLOAD_DEPTH):
        raise NotStorable(what, f"it is nested deeper than {PAYLOAD_DEPTH} levels")


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list | tuple):
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in _items(cast("object", value)))


def check_text(text: str, what: str) -> str:
    """Return a text that can be encoded, or raise `NotStorable` (`TypeError` for something else)."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        raise NotStorable(what, "it has a lone surrogate, which is not Unicode") from error
    return text


_JSON_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_LEVELS: Final = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]


def check_json(data: bytes, what: str, limit: int = MESSAGE_BYTES, depth: int = DEPTH) -> None:
    """Raise `Malformed` for JSON text that is too large or nested too deep, without decoding it."""
    if len(data) > limit:
        raise Malformed(what, f"it has {len(data)} bytes, and the limit is {limit}")
    brackets = _JSON_STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    if max(accumulate(map(_LEVELS.__getitem__, brackets)), default=0) > depth:
        raise Malformed(what, f"it is nested deeper than {depth} levels")


class Codec(Generic[T]):
    """Encodes and decodes one closed type (a message union), as msgpack for stores and as JSON for the edge.

    Args:
        of: the type.
        what: how errors call a message.
        limit: largest message, bytes.
        trusted: skip the check that a message is what its type declares: for messages that only typed code makes.
    """

    def __init__(self, of: Any, what: str, limit: int = MESSAGE_BYTES, *, trusted: bool = False) -> None:
        self._what, self._limit, self._trusted = what, limit, trusted
        self._from_json: msgspec.json.Decoder[T] = msgspec.json.Decoder(of)
        self._from_packed: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(of)

    def pack(self, message: T) -> bytes:
        """Encode as msgpack; raises `NotStorable`."""
        data = pack(message, self._what, self._limit)
        if not self._trusted:
            self._compare(message, data, self.unpack)
        return data

    def unpack(self, data: bytes) -> T:
        """Decode msgpack; raises `Malformed` and decodes nothing that is over the limit."""
        if len(data) > self._limit:
            raise Malformed(self._what, f"it has {len(data)} bytes, and the limit is {self._limit}")
        try:
            return self._from_packed.decode(data)
        except UNDECODABLE as error:
            raise Malformed(self._what, str(error)) from error

    def copy(self, message: T) -> T:
        """The message as it would come back, which shares nothing with anybody; raises `NotStorable`."""
        return self.unpack(self.pack(message))

    def to_json(self, message: T) -> bytes:
        """Encode as JSON; raises `NotStorable`, also for what only msgpack can carry."""
        plain = readable(pack(message, self._what, self._limit))  # refuses what JSON would silently turn into null
        try:
            data = msgspec.json.encode(plain)
            if self._trusted:
                check_json(data, self._what, self._limit)
        except Malformed as error:
            raise NotStorable(self._what, error.reason) from error
        except (TypeError, ValueError, RecursionError) as error:
            raise NotStorable(self._what, str(error)) from error
        if not self._trusted:
            self._compare(message, data, self.from_json)  # what msgpack has changed has changed here, too
        return data

    def from_json(self, data: bytes) -> T:
        """Decode JSON; size and depth are checked first, and everything undeclared is refused with its path."""
        check_json(data, self._what, self._limit)
        try:
            message: T = repacked(self._from_json.decode(data))
        except UNDECODABLE as error:
            raise Malformed(self._what, str(error)) from error
        return message

    def _compare(self, message: T, data: bytes, decode: Any) -> None:
        try:
            same = decode(data) == message
        except Malformed as error:
            raise NotStorable(self._what, error.reason) from error
        if not same:
            raise NotStorable(self._what, f"{message!r:.200} would come back changed")


_HOLDING: Final = (Raw, tuple, Struct)
"""What may hold msgpack."""


def repacked(message: Any) -> Any:
    """Raw fields hold msgpack wherever a message came from: here they still hold a piece of its JSON."""
    if isinstance(message, Raw):
        data = bytes(message)
        return message if data == _NIL else Raw(_pack(msgspec.json.decode(data)))  # the default is msgpack already
    if isinstance(message, tuple):
        return tuple(map(repacked, cast("tuple[object, ...]", message)))
    if not isinstance(message, Struct):
        return message
    changed: dict[str, Any] = {}
    for name in message.__struct_fields__:
        old = getattr(message, name)
        if isinstance(old, _HOLDING) and (new := repacked(old)) is not old:
            changed[name] = new
    return msgspec.structs.replace(message, **changed) if changed else message


def readable(data: bytes) -> Any:
    """Stored msgpack as plain Python data (dicts, lists, texts, numbers), for people and for JSON."""
    return _unpack(data)
