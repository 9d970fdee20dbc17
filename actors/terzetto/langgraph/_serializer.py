"""LangGraph's serializer, which makes values of classes that the program declares, and of nothing else."""

import dataclasses
import sys
from enum import Enum
from typing import Any, Final

from langgraph.checkpoint.serde._msgpack import STRICT_MSGPACK_ENABLED
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import (
    JsonPlusSerializer,
    _create_msgpack_ext_hook,  # pyright: ignore[reportPrivateUsage] # its list alone cannot say what is declared
)

from terzetto_protocol.errors import InvalidRequest

_MARKS: Final = ("model_fields", "__fields__", "get_secret_value")
"""What classes of pydantic have, of both versions, and its secrets."""


class _Declared(set[tuple[str, ...]]):
    """An allow-list: classes of data in modules that the program has loaded.

    Names in stored data never make anything be imported, and name no function to be called.
    """

    def __contains__(self, key: object) -> bool:
        match key:
            case (str(module), str(name)):
                return _is_data(getattr(sys.modules.get(module), name, None))
            case _:
                return False


def _is_data(kind: Any) -> bool:
    return isinstance(kind, type) and _is_class_of_data(kind)


def _is_class_of_data(kind: type[Any]) -> bool:
    has: set[str] = set(dir(kind))
    return (
        dataclasses.is_dataclass(kind)
        or issubclass(kind, Enum)
        or (issubclass(kind, tuple) and "_fields" in has)
        or not has.isdisjoint(_MARKS)
    )


def serializer() -> SerializerProtocol:
    """LangGraph's, with its own list of safe types and what the program declares. It knows no pickle.

    Where `LANGGRAPH_STRICT_MSGPACK` says so, LangGraph's list is the only one, and each graph adds what it declares.
    """
    if STRICT_MSGPACK_ENABLED:
        return JsonPlusSerializer()
    return JsonPlusSerializer(allowed_msgpack_modules=None, __unpack_ext_hook__=_create_msgpack_ext_hook(_Declared()))


def check(serde: SerializerProtocol) -> SerializerProtocol:
    """Refuse a serializer that would fall back to pickle."""
    inner = serde.serde if isinstance(serde, EncryptedSerializer) else serde
    if getattr(inner, "pickle_fallback", False):
        raise InvalidRequest(
            "this serializer falls back to pickle, which runs whatever stands in the store: "
            "say JsonPlusSerializer(pickle_fallback=False)"
        )
    return serde
