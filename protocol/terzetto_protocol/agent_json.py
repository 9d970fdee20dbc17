"""Agents as AutoGPT's builder exports them: their JSON as typed data, and everything that is wrong with one.

The shape belongs to somebody else and grows with every release of theirs, so what is not declared here is
ignored on purpose. What a node says about its links is among it: the graph's `links` say the same.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, cast

from msgspec import Struct, field

from .codec import Codec
from .errors import InvalidRequest, Malformed
from .pins import assemble, parse_pin

AGENT_BYTES: Final = 4 * 1024 * 1024
"""Largest exported agent, bytes; every link is in it three times."""
AGENT_EXECUTOR: Final = "e189baac-8c20-45a1-94a7-55177ea42565"
"""The block that runs another agent: `graph_id` and `graph_version` among a node's `input_default` say which."""


class AgentLink(Struct, frozen=True):
    """What comes out of one node's pin goes into another's; a static one keeps its last value."""

    source_id: str
    sink_id: str
    source_name: str
    sink_name: str
    is_static: bool = False
    id: str = ""


class AgentNode(Struct, frozen=True):
    """A use of a block, with values for the pins that no link fills."""

    id: str
    block_id: str
    input_default: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the builder draws it with, its `position` above all."""


class AgentGraph(Struct, frozen=True):
    """An agent, or one of those that it runs."""

    name: str
    id: str = ""
    version: int = 1
    description: str = ""
    is_active: bool = True
    instructions: str | None = None
    recommended_schedule_cron: str | None = None
    nodes: tuple[AgentNode, ...] = ()
    links: tuple[AgentLink, ...] = ()
    sub_graphs: "tuple[AgentGraph, ...]" = ()
    """Every agent that this one runs, directly or not, side by side."""
    input_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A JSON schema of what its input blocks take, by their names; likewise for its output blocks."""
    output_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])


_AGENT: Final[Codec[AgentGraph]] = Codec(AgentGraph, "agent", AGENT_BYTES)
_Placed: TypeAlias = tuple[str, AgentGraph]
"""A graph, and the path that leads to what is in it."""


def read_agent(data: bytes) -> AgentGraph:
    """Decode an exported agent; raises `Malformed` with the path of the mistake, and checks size and depth first."""
    return _AGENT.from_json(data)


def faults(agent: AgentGraph, known_blocks: Collection[str]) -> list[str]:
    """Everything that keeps an agent from running here, with paths; empty means that it can. Cycles are no fault.

    Args:
        agent: as `read_agent` gives it.
        known_blocks: ids of the blocks that there are.
    """
    graphs = list(_graphs("", agent))
    checks = _repeated_ids, _ends, _pins
    return [
        *_unknown_blocks(graphs, frozenset(known_blocks)),
        *_repeated("", "graphs", (graph.id for _, graph in graphs)),
        *(fault for path, graph in graphs for check in checks for fault in check(path, graph)),
        *_missing_agents(graphs),
    ]


def _graphs(path: str, graph: AgentGraph) -> Iterator[_Placed]:
    yield path, graph
    for number, inner in enumerate(graph.sub_graphs):
        yield from _graphs(f"{path}sub_graphs[{number}].", inner)


def _unknown_blocks(graphs: list[_Placed], known: frozenset[str]) -> Iterator[str]:
    users: dict[str, list[str]] = {}
    for _, graph in graphs:
        for node in graph.nodes:
            if node.block_id not in known:
                users.setdefault(node.block_id, []).append(node.id)
    for block, nodes in users.items():
        yield f"block {block!r} is unknown; nodes that use it: {', '.join(nodes)}"


def _repeated(path: str, what: str, ids: Iterable[str]) -> Iterator[str]:
    for id_, count in Counter(ids).items():
        if id_ and count > 1:
            yield f"{path}{what}: {count} {what} have the id {id_!r}"


def _repeated_ids(path: str, graph: AgentGraph) -> Iterator[str]:
    yield from _repeated(path, "nodes", (node.id for node in graph.nodes))
    yield from _repeated(path, "links", (link.id for link in graph.links))


def _ends(path: str, graph: AgentGraph) -> Iterator[str]:
    nodes = {node.id for node in graph.nodes}
    for number, link in enumerate(graph.links):
        for end, id_ in ("source_id", link.source_id), ("sink_id", link.sink_id):
            if id_ not in nodes:
                yield f"{path}links[{number}].{end}: no node {id_!r}"


def _pins(path: str, graph: AgentGraph) -> Iterator[str]:
    sinks: dict[str, dict[str, None]] = {}
    for number, link in enumerate(graph.links):
        yield from _malformed(f"{path}links[{number}].source_name", [link.source_name])
        sinks.setdefault(link.sink_id, {})[link.sink_name] = None
    for number, node in enumerate(graph.nodes):
        yield from _inputs(f"{path}nodes[{number}]", {**node.input_default, **sinks.get(node.id, {})})


def _inputs(path: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """Pins that cannot be, or that cannot be filled together; nobody knows yet what the links will bring."""
    wrong = list(_malformed(path, inputs))
    if not wrong:
        try:
            assemble(inputs)
        except InvalidRequest as error:
            wrong = [f"{path}: {error}"]
    yield from wrong


def _malformed(path: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            parse_pin(name)
        except Malformed as error:
            yield f"{path}: {error}"


def _missing_agents(graphs: list[_Placed]) -> Iterator[str]:
    versions: dict[str, list[int]] = {}
    for _, graph in graphs:
        versions.setdefault(graph.id, []).append(graph.version)
    for path, graph in graphs:
        for number, node in enumerate(graph.nodes):
            if node.block_id == AGENT_EXECUTOR:
                yield from _missing_agent(f"{path}nodes[{number}].input_default", node, versions)
                yield from _tables(f"{path}nodes[{number}].input_default", node)


def _missing_agent(path: str, node: AgentNode, versions: Mapping[str, list[int]]) -> Iterator[str]:
    id_, version = node.input_default.get("graph_id"), node.input_default.get("graph_version")
    if not isinstance(id_, str) or not id_ or id_ not in versions:
        yield f"{path}.graph_id: sub-agent {id_!r:.80} is not in this file"
    elif version not in versions[id_]:
        there = ", ".join(map(str, versions[id_]))
        yield f"{path}.graph_version: sub-agent {id_!r} is in this file as version {there}, not {version!r:.80}"


def _tables(path: str, node: AgentNode) -> Iterator[str]:
    """What an executor gives to its agent and to the nodes of that, where it is no table."""
    masks = node.input_default.get("nodes_input_masks")
    given = {"inputs": node.input_default.get("inputs"), "nodes_input_masks": masks}
    if isinstance(masks, dict):
        given |= {f"nodes_input_masks.{inner}": pins for inner, pins in cast("dict[str, Any]", masks).items()}
    for name, value in given.items():
        if not isinstance(value, dict | None):
            yield f"{path}.{name}: it is {value!r:.80}, and no object"
