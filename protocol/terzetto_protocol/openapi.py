"""The OpenAPI document of the HTTP server, made of its routes."""

import inspect
from typing import Any, Final

import msgspec

from .http_requests import ROUTES, Route
from .limits import WIRE_LIST
from .problems import MEDIA_TYPE, Problem
from .sse import MEDIA_TYPE as EVENTS
from .statuses import RunStatus

OPENAPI: Final = "3.1.0"
_JSON: Final = "application/json"
_SCHEMAS: Final = "#/components/schemas/{name}"
_QUERY: Final[dict[str, Any]] = {
    "status": {"type": "array", "items": {"enum": [status.value for status in RunStatus]}},
    "thread": {"type": "string"},
    "before": {"type": "string"},
    "limit": {"type": "integer", "minimum": 0, "maximum": WIRE_LIST, "default": 100},
}


def openapi_document(version: str) -> dict[str, Any]:
    """What can be asked, how, and what comes back.

    Args:
        version: the server's.
    """
    kinds = [kind for route in ROUTES for kind in (route.body, *route.answers.values()) if kind is not None]
    schemas, parts = msgspec.json.schema_components([*kinds, Problem], ref_template=_SCHEMAS)
    for part in parts.values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    known = dict(zip([*kinds, Problem], schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    bearer = {"type": "http", "scheme": "bearer", "description": "Scopes: read, decide, control."}
    return {
        "openapi": OPENAPI,
        "info": {"title": "Terzetto", "version": version},
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {"schemas": dict(sorted(parts.items())), "securitySchemes": {"bearer": bearer}},
    }


def _operation(route: Route, known: dict[Any, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(route, status, known.get(kind)) for status, kind in route.answers.items()}
    problem = {"description": "A problem", "content": {MEDIA_TYPE: {"schema": known[Problem]}}}
    operation = {
        "operationId": route.operation,
        "summary": route.summary,
        "description": f"Takes the scope `{route.scope}`.",
        "parameters": [*map(_in_path, route.parameters), *_others(route)],
        "responses": answers | {"default": problem},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": known[route.body]}}}
    return operation


def _answer(route: Route, status: int, schema: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"description": route.summary}
    if route.operation == "events" and status == 200:
        return told | {"content": {EVENTS: {"schema": {"type": "string"}}}}
    if route.operation == "openapi":
        return told | {"content": {_JSON: {"schema": {"type": "object"}}}}
    return told if schema is None else told | {"content": {_JSON: {"schema": schema}}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _others(route: Route) -> list[dict[str, Any]]:
    if route.operation == "list":
        return [{"name": name, "in": "query", "schema": schema} for name, schema in _QUERY.items()]
    if route.operation == "events":
        cursor = {"type": "string", "description": "The id of the last event that was seen."}
        return [{"name": "Last-Event-ID", "in": "header", "schema": cursor}]
    return []
