"""The OpenAPI document has every route, and every part that it names."""

import json
import re

from terzetto_protocol.http_requests import ROUTES
from terzetto_protocol.openapi import openapi_document

DOCUMENT = openapi_document("1.2.3")


def test_every_route_is_there():
    there = {(method, path, it["operationId"]) for path, of in DOCUMENT["paths"].items() for method, it in of.items()}

    assert {(route.method.lower(), route.path, route.operation) for route in ROUTES} == there
    assert ("3.1.0", "1.2.3") == (DOCUMENT["openapi"], DOCUMENT["info"]["version"])


def test_every_part_that_is_named_is_there():
    named = set(re.findall(r"#/components/schemas/([^\"]+)", json.dumps(DOCUMENT)))

    assert set() == named - DOCUMENT["components"]["schemas"].keys()
    assert {"Execute", "Stop", "Answering", "Problem", "Submitted", "RunView", "Runs"} <= named


def test_every_parameter_of_a_path_is_described():
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            described = {one["name"] for one in operation["parameters"] if one["in"] == "path"}

            assert set(re.findall(r"\{(\w+)\}", path)) == described


def test_every_operation_can_end_with_a_problem():
    ends = [it["responses"]["default"]["content"] for of in DOCUMENT["paths"].values() for it in of.values()]

    assert [{"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}] * len(ROUTES) == ends


def test_bodies_refuse_what_they_do_not_know():
    for name in ("Execute", "Stop", "Answering"):
        assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False
