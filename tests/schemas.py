"""JSON Schema for tests: as much of it as the exported schemas use, and an error for all else."""

from typing import Any

_KNOWN = {
    "$ref", "$defs", "$schema", "title", "description", "default", "discriminator", "type", "enum", "const", "anyOf",
    "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "minimum",
    "maximum", "contentEncoding",
}  # fmt: skip
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def mistakes(value: Any, schema: Any, root: Any, path: str = "$") -> list[str]:
    """What is wrong with a value, with its places; nothing where it is as the schema says."""
    if isinstance(schema, bool):
        return [] if schema else [f"{path}: nothing may be here"]
    assert set(schema) <= _KNOWN, set(schema) - _KNOWN
    if "$ref" in schema:
        return mistakes(value, _lookup(root, schema["$ref"]), root, path)
    if "anyOf" in schema:
        tried = [mistakes(value, each, root, path) for each in schema["anyOf"]]
        return [] if [] in tried else min(tried, key=lambda found: -max(map(_depth, found)))
    found = [] if _is_of(value, schema.get("type")) else [f"{path}: {value!r:.80} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r:.80} is none of {schema['enum']}")
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{path}: {value} is out of range")
    return found + _inside(value, schema, root, path)


def _inside(value: Any, schema: Any, root: Any, path: str) -> list[str]:
    found = []
    if isinstance(value, dict):
        own = schema.get("properties", {})
        found += [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        others = schema.get("additionalProperties", True)
        for name, item in value.items():
            found += mistakes(item, own.get(name, others), root, f"{path}.{name}")
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        for number, item in enumerate(value):
            kind = first[number] if number < len(first) else schema.get("items", True)
            found += mistakes(item, kind, root, f"{path}[{number}]")
    return found


def _is_of(value: Any, name: str | None) -> bool:
    if name is None:
        return True
    if name in ("integer", "number"):
        return isinstance(value, int | float) and not isinstance(value, bool) and (name == "number" or value % 1 == 0)
    return isinstance(value, _TYPES[name])


def _lookup(root: Any, reference: str) -> Any:
    assert reference.startswith("#/$defs/")
    return root["$defs"][reference.removeprefix("#/$defs/")]


def _depth(mistake: str) -> int:
    return mistake.partition(":")[0].count(".")
