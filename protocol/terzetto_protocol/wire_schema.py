"""The JSON Schema of everything that a client and a server of the console send each other."""

import inspect
from collections.abc import Iterable
from typing import Any, Final, Union, get_args

import msgspec
from msgspec import NODEFAULT, Raw

from .events import StreamItem
from .wire import MAJOR, MINOR, ClientFrame, ServerFrame, Told

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""Which JSON Schema it is."""


def wire_schema() -> dict[str, Any]:
    """One document: `$defs/Client` is what a client sends, `$defs/Server` what a server does, the others are parts."""
    told = _with_types(Told, {"events": _tuple_of(map(_described, get_args(StreamItem)))})
    server = _one_of(told if kind is Told else kind for kind in get_args(ServerFrame))
    (client, other), parts = _components(ClientFrame, server)
    frames = {
        "Client": {"title": "Client", "description": "What a client sends.", **client},
        "Server": {"title": "Server", "description": "What a server sends.", **other},
    }
    return {
        "$schema": DIALECT,
        "title": f"Terzetto console protocol {MAJOR}.{MINOR}",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in frames],
        "$defs": frames | dict(sorted(parts.items())),
    }


def _components(*kinds: Any) -> Any:
    """The schemas of types and of their parts, in which two of one name are told apart by their modules."""
    made = msgspec.json.encode(msgspec.json.schema_components(kinds))
    schemas, parts = msgspec.json.decode(made.replace(b"terzetto_protocol.", b""))
    for part in parts.values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])  # Python 3.13 does it by itself
    return schemas, parts


def schema_text(schema: Any) -> str:
    """A schema as it is printed and kept in a file."""
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2).decode() + "\n"


def _one_of(kinds: Iterable[Any]) -> Any:
    return Union[tuple(kinds)]  # noqa: UP007 - how many there are is not known here


def _tuple_of(kinds: Iterable[Any]) -> Any:
    return tuple[_one_of(kinds), ...]  # type: ignore[misc]  # made for msgspec, which reads it at run time


def _described(kind: type[Any]) -> Any:
    """An event as it stands in a frame: what it carries is any JSON there."""
    carried = {each.name: Any for each in msgspec.structs.fields(kind) if each.type is Raw}
    return _with_types(kind, carried) if carried else kind


def _with_types(kind: type[Any], types: dict[str, Any]) -> Any:
    """A struct like another, with other types for some of its fields."""
    fields = [(each.name, types.get(each.name, each.type), _default(each)) for each in msgspec.structs.fields(kind)]
    return msgspec.defstruct(
        kind.__name__,
        fields,
        namespace={"__doc__": inspect.getdoc(kind)},
        tag=kind.__struct_config__.tag,
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _default(field: Any) -> Any:
    if isinstance(field.default, Raw):
        return None
    if field.default_factory is not NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default
