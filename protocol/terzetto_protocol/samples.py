"""A state to begin with, as JSON to be edited: made of its schema, for who has to type one."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_EMPTY: Final[Mapping[str, Any]] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
}


def sample(schema: Mapping[str, Any] | None) -> str:
    """What has to be said, empty, and what is something by default, with that; `{}` where nothing is known."""
    fields = _resolved(schema or {})
    required = fields.get("required", ())
    made = {
        name: field.get("default", _EMPTY.get(str(_resolved(field, schema).get("type"))))
        for name, field in fields.get("properties", {}).items()
        if name in required or (field.get("default") and isinstance(field["default"], str | int | float))
    }
    return msgspec.json.encode(made).decode()


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """What a reference leads to; a schema that refers to nothing is itself."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = (whole or schema).get("$defs", {}).get(name, {}) if name else schema
    return found
