"""`terzetto schema`: the schemas of the protocol and of graphs, as text and for machines."""

import json

import pytest

from .pages import ROOT

EXPORTED = ROOT / "docs" / "protocol.schema.json"


def test_the_protocol_is_printed_as_it_is_documented(call):
    assert (0, EXPORTED.read_text(encoding="utf-8"), "") == call("schema")


def test_machines_get_it_on_one_line(call):
    code, output, _ = call("schema", "--json")

    assert (0, 1) == (code, output.count("\n"))
    assert json.loads(EXPORTED.read_text(encoding="utf-8")) == json.loads(output)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_graph_has_schemas_of_its_state_and_its_mutations(shop, call, options):
    code, output, _ = call("schema", "--graph", "shop:asking", *options)
    schema = json.loads(output)

    assert (0, "Graph asking 1") == (code, schema["title"])
    assert {"item", "amount", "paid"} == set(schema["state"]["$defs"]["Order"]["properties"])
    assert ["sum"] == schema["mutations"]["Paid"]["$defs"]["Paid"]["required"]


def test_a_graph_that_is_not_there_is_said_so(shop, call):
    code, output, errors = call("schema", "--graph", "shop:nothing")

    assert (2, "") == (code, output)
    assert "has no graph 'nothing'" in errors
