"""Agents exported by AutoGPT's builder: what is read of them, and how mistakes in them are told."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.agent_json import (
    AGENT_BYTES,
    AGENT_EXECUTOR,
    AgentGraph,
    AgentLink,
    AgentNode,
    faults,
    read_agent,
)
from terzetto_protocol.errors import Malformed
from terzetto_protocol.limits import DEPTH
from terzetto_protocol.pins import parse_pin

FOLDER = Path(__file__).parent / "agents"
NAMES = "linear", "loop", "sub_agent"

INPUT = "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b"
TEMPLATE = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30"
OUTPUT = "363ae599-353e-4804-937e-b2ee3cef3da4"
CONDITION = "715696a0-e1da-45c8-b209-c2fa9c3b0be6"
BLOCKS = {
    INPUT: "Agent Input",
    "7fcd3bcb-8e1b-4e69-903d-32d3d4a92158": "Agent Short Text Input",
    OUTPUT: "Agent Output",
    "1ff065e9-88e8-4358-9d82-8dc91f622ba9": "Store Value",
    "1f292d4a-41a4-4977-9684-7c8d560b9f91": "AI Text Generator",
    TEMPLATE: "Fill Text Template",
    CONDITION: "Condition",
    "a912d5c7-6e00-4542-b2a9-8034136930e4": "Create List",
    "aeb08fc1-2fc1-4141-bc8e-f758f183a822": "Add to List",
    "f66a3543-28d3-4ab5-8945-9b336371e2ce": "Step Through Items",
    "3c9c2f42-b0c3-435f-ba35-05f7a25c772a": "Count Items",
    "6595ae1f-b924-42cb-9a41-551a0611c4b4": "Send Web Request",
    "cc10ff7b-7753-4ff2-9af6-9399b1a7eddc": "Note",
    AGENT_EXECUTOR: "Agent Executor",
}


def exported(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def blocks_of(agent: AgentGraph) -> list[str]:
    return [BLOCKS[node.block_id] for node in agent.nodes]


@pytest.mark.parametrize("name", NAMES)
def test_an_export_is_read_whole(name):
    """Every node and link of the file, whatever else stands in it."""
    plain = json.loads(exported(name))
    agent = read_agent(exported(name))

    assert (agent.id, agent.version, agent.name) == (plain["id"], plain["version"], plain["name"])
    assert [(node.id, node.block_id, node.input_default, node.metadata) for node in agent.nodes] == [
        (node["id"], node["block_id"], node["input_default"], node["metadata"]) for node in plain["nodes"]
    ]
    assert agent.links == tuple(AgentLink(**link) for link in plain["links"])
    assert [inner.id for inner in agent.sub_graphs] == [inner["id"] for inner in plain["sub_graphs"]]
    assert agent.input_schema == plain["input_schema"]
    assert agent.output_schema == plain["output_schema"]


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_export_has_no_faults(name):
    assert faults(read_agent(exported(name)), BLOCKS) == []


def test_the_three_have_what_agents_have():
    """Inputs and outputs; static links, a loop and pins into values; a sub-agent and a link from an error pin."""
    linear, loop, outer = (read_agent(exported(name)) for name in NAMES)
    reaching = {parse_pin(name)[1] for link in loop.links for name in (link.source_name, link.sink_name)}

    assert blocks_of(linear)[-1] == "Agent Output"
    assert linear.input_schema["required"] == ["Guest"]
    assert {link.is_static for link in loop.links} == {True, False}
    assert any(link.source_id == link.sink_id for link in loop.links)
    assert reaching == {(), ("name",), ("river",), ("town",), ("tone",), (0,), (1,)}
    assert "Agent Executor" in blocks_of(outer)
    assert any(link.source_name == "error" for graph in (outer, *outer.sub_graphs) for link in graph.links)
    assert outer.recommended_schedule_cron == "0 7 * * 1"


def test_what_an_export_need_not_say():
    """Agents that were written for the interface, and not by the builder, say less."""
    link = {"source_id": "a", "sink_id": "b", "source_name": "result", "sink_name": "value"}
    data = json.dumps({"name": "n", "nodes": [{"id": "a", "block_id": "x"}], "links": [link]}).encode()

    assert read_agent(data) == AgentGraph(
        "n", nodes=(AgentNode("a", "x"),), links=(AgentLink("a", "b", "result", "value"),)
    )


def changed(data: bytes, *path: Any, to: Any) -> bytes:
    plain = here = json.loads(data)
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = to
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    "path, to, reason",
    [
        (("name",), None, "Expected `str`, got `null` - at `$.name`"),
        (("version",), "2", "Expected `int`, got `str` - at `$.version`"),
        (("nodes",), {}, "Expected `array`, got `object` - at `$.nodes`"),
        (("nodes", 1, "id"), 7, "Expected `str`, got `int` - at `$.nodes[1].id`"),
        (("nodes", 1), {"id": "a"}, "Object missing required field `block_id` - at `$.nodes[1]`"),
        (("nodes", 0, "input_default"), [], "Expected `object`, got `array` - at `$.nodes[0].input_default`"),
        (("links", 2, "is_static"), 1, "Expected `bool`, got `int` - at `$.links[2].is_static`"),
        (("links", 2), {}, "Object missing required field `source_id` - at `$.links[2]`"),
        (("sub_graphs", 0, "links", 1, "sink_name"), None, "at `$.sub_graphs[0].links[1].sink_name`"),
    ],
)
def test_a_mistake_is_told_with_its_path(path, to, reason):
    with pytest.raises(Malformed) as caught:
        read_agent(changed(exported("sub_agent"), *path, to=to))

    assert caught.value.what == "agent"
    assert caught.value.reason.endswith(reason)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"name": "\\ud800"}', b'{"name": NaN}', b'{"name": "a"} x']
)
def test_what_is_no_agent_is_malformed(data):
    with pytest.raises(Malformed, match="agent is malformed"):
        read_agent(data)


def test_size_and_depth_are_looked_at_first():
    """12: limits hold before anything is decoded."""
    with pytest.raises(Malformed, match=f"the limit is {AGENT_BYTES}"):
        read_agent(b" " * (AGENT_BYTES + 1))
    with pytest.raises(Malformed, match=f"deeper than {DEPTH} levels"):
        read_agent(changed(exported("linear"), "nodes", 0, "input_default", to={"a": nested(DEPTH)}))


def nested(levels: int) -> list[Any]:
    return [nested(levels - 1)] if levels else []


@given(st.binary(max_size=60) | st.sampled_from(NAMES).flatmap(lambda name: cut(exported(name))))
def test_any_bytes_are_read_or_malformed(data):
    try:
        agent = read_agent(data)
    except Malformed:
        return
    assert isinstance(faults(agent, ()), list)


def cut(data: bytes) -> st.SearchStrategy[bytes]:
    """An export with a piece of it missing."""
    ends = st.tuples(st.integers(0, len(data)), st.integers(0, 200))
    return ends.map(lambda piece: data[: piece[0]] + data[piece[0] + piece[1] :])


def node(id: str, block: str = TEMPLATE, **input_default: Any) -> AgentNode:
    return AgentNode(id, block, input_default)


def link(source: str, sink: str, id: str = "") -> AgentLink:
    """`a.output` to `b.value`."""
    (source_id, _, source_name), (sink_id, _, sink_name) = source.partition("."), sink.partition(".")
    return AgentLink(source_id, sink_id, source_name, sink_name, id=id)


def agent_of(*nodes: AgentNode, links: tuple[AgentLink, ...] = (), **fields: Any) -> AgentGraph:
    return AgentGraph("n", nodes=nodes, links=links, **fields)


def test_unknown_blocks_are_told_at_once_with_the_nodes_that_use_them():
    inner = agent_of(node("d", "lost"), node("e"))
    agent = agent_of(node("a", "lost"), node("b", "gone"), node("c", "lost"), sub_graphs=(inner,))

    assert faults(agent, [TEMPLATE]) == [
        "block 'lost' is unknown; nodes that use it: a, c, d",
        "block 'gone' is unknown; nodes that use it: b",
    ]


def test_links_to_missing_nodes():
    inner = agent_of(node("d"), links=(link("a.output", "d.value"),))
    links = link("a.output", "b.value"), link("x.output", "a.value"), link("y.output", "z.value")
    agent = agent_of(node("a"), node("b"), links=links, sub_graphs=(inner,))

    assert faults(agent, BLOCKS) == [
        "links[1].source_id: no node 'x'",
        "links[2].source_id: no node 'y'",
        "links[2].sink_id: no node 'z'",
        "sub_graphs[0].links[0].source_id: no node 'a'",
    ]


def test_ids_that_come_twice():
    """A node's id is its graph's business, a graph's the file's; links may have none."""
    links = link("a.x", "a.x", "l"), link("a.y", "a.y", "l"), link("a.z", "a.z"), link("a.w", "a.w")
    inner = agent_of(node("a"), node("b"), node("b"), id="g")
    agent = agent_of(node("a"), node("a"), node("a"), links=links, id="g", sub_graphs=(inner,))

    assert faults(agent, BLOCKS) == [
        "graphs: 2 graphs have the id 'g'",
        "nodes: 3 nodes have the id 'a'",
        "links: 2 links have the id 'l'",
        "sub_graphs[0].nodes: 2 nodes have the id 'b'",
    ]


def test_pins_that_say_no_place():
    links = link("a.output_$_x", "b.values_#_"), link("a.", "b.values_#_k")
    agent = agent_of(node("a", **{"list_$_9999999": 1}), node("b", **{"_@_k": 1}), links=links)

    assert faults(agent, BLOCKS) == [
        "links[0].source_name: pin 'output_$_x' is malformed: an index is a number from 0 to 9999, not 'x'",
        "links[1].source_name: pin '' is malformed: it names nothing that could be reached into",
        "nodes[0]: pin 'list_$_9999999' is malformed: an index is a number from 0 to 9999, not '9999999'",
        "nodes[1]: pin '_@_k' is malformed: it names nothing that could be reached into",
        "nodes[1]: pin 'values_#_' is malformed: nothing stands after _#_",
    ]


def test_pins_of_one_node_that_cannot_be_filled_together():
    links = link("a.output", "b.values_$_0"), link("a.output", "c.format_#_k"), link("a.output", "d.format")
    nodes = (
        node("a"),
        node("b", **{"values_#_k": 1}),
        node("c", format="text"),
        node("d", **{"format": 1, "format_#_k": 1}),
    )
    agent = agent_of(*nodes, links=links)

    assert faults(agent, BLOCKS) == [
        "nodes[1]: pin 'values_#_k' and pin 'values_$_0' make a list and a dict of the same value",
        "nodes[2]: pin 'format_#_k' makes a dict where str is",
    ]


def test_sub_agents_that_are_missing():
    def runs(**which: Any) -> AgentNode:
        return node("n", AGENT_EXECUTOR, **which)

    inner = agent_of(runs(graph_id="root", graph_version=1), id="inner", version=3)
    nodes = (
        runs(graph_id="inner", graph_version=3),
        runs(graph_id="inner", graph_version=2),
        runs(graph_id="lost"),
        runs(),
    )
    odd = runs(graph_id=["inner"]), runs(graph_id="inner", graph_version=[3]), runs(graph_id="")
    agent = agent_of(*nodes, *odd, id="root", sub_graphs=(inner,))

    assert faults(agent, BLOCKS)[1:] == [
        "nodes[1].input_default.graph_version: sub-agent 'inner' is in this file as version 3, not 2",
        "nodes[2].input_default.graph_id: sub-agent 'lost' is not in this file",
        "nodes[3].input_default.graph_id: sub-agent None is not in this file",
        "nodes[4].input_default.graph_id: sub-agent ['inner'] is not in this file",
        "nodes[5].input_default.graph_version: sub-agent 'inner' is in this file as version 3, not [3]",
        "nodes[6].input_default.graph_id: sub-agent '' is not in this file",
    ]


def test_what_an_executor_gives_to_its_agent_has_to_be_tables():
    """Bad input is told, with its path."""

    def gives(**what: Any) -> AgentNode:
        return node("n", AGENT_EXECUTOR, graph_id="root", graph_version=1, **what)

    nodes = gives(inputs=[1]), gives(nodes_input_masks="x"), gives(inputs={}, nodes_input_masks={"a": 5, "b": {}})
    fine = gives(inputs=None, nodes_input_masks=None), gives(nodes_input_masks={"a": None})

    assert faults(agent_of(*nodes, *fine, id="root"), BLOCKS)[1:] == [
        "nodes[0].input_default.inputs: it is [1], and no object",
        "nodes[1].input_default.nodes_input_masks: it is 'x', and no object",
        "nodes[2].input_default.nodes_input_masks.a: it is 5, and no object",
    ]


def test_links_may_go_round_and_agents_may_run_themselves():
    again = node("b", AGENT_EXECUTOR, graph_id="root", graph_version=1)
    links = link("a.output", "b.value"), link("b.output", "a.value"), link("a.output", "a.other")

    assert faults(agent_of(node("a"), again, links=links, id="root"), BLOCKS) == []


def test_all_mistakes_are_told_at_once():
    plain = json.loads(exported("sub_agent"))
    plain["nodes"].append(deepcopy(plain["nodes"][0]))
    plain["nodes"][1]["block_id"] = "lost"
    plain["links"][0]["sink_id"] = "x"
    plain["links"][1]["source_name"] = "a_$_b"
    plain["sub_graphs"][0]["version"] = 4
    told = faults(read_agent(json.dumps(plain).encode()), BLOCKS)

    assert [fault.split()[0] for fault in told] == [
        "block",
        "nodes:",
        "links[0].sink_id:",
        "links[1].source_name:",
        "nodes[2].input_default.graph_version:",
    ]
