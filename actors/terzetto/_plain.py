"""What other libraries hand over, as plain data: texts, numbers, lists and dicts."""

from typing import Any, Final

import msgspec

from terzetto_protocol.codec import pack_plain, unpack_plain
from terzetto_protocol.errors import NotStorable, describe

_LENGTH: Final = 1000
"""Longest text that stands for what is no plain data, characters."""


def plain(value: object, what: str) -> Any:
    """The value as it can be stored; raises `NotStorable`.

    Dataclasses, attrs classes and models of pydantic become dicts, tuples and sets lists, dates and keys texts.
    """
    return unpack_plain(pack_plain(_built(value, what), what))


def presentable(value: object) -> Any:
    """The value as it can be shown to people: what is no plain data is described. Never raises for a value."""
    try:
        return plain(value, "it")
    except NotStorable as error:
        return {"unstorable": f"{_named(value)} ({error.reason[:_LENGTH]})"}


def _built(value: object, what: str) -> Any:
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_dumped)
    except RecursionError as error:
        raise NotStorable(what, "it is nested too deep, or holds itself") from error
    except Exception as error:  # a model's own code may raise anything
        raise NotStorable(what, describe(error)) from error


def _dumped(value: object) -> Any:
    """What msgspec does not know: models of pydantic say themselves what they are."""
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(f"a {type(value).__name__} is no plain data")


def _named(value: object) -> str:
    return f"a {type(value).__name__}"
