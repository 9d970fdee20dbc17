"""Agents of AutoGPT's builder as dataflows: blocks come from a registry, everything else from the exported JSON."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeAlias, TypeVar, cast

from attrs import field, frozen

from .agent_json import AGENT_EXECUTOR, AgentGraph, AgentLink, AgentNode, faults, read_agent
from .context import FlowContext
from .dataflow import Dataflow, FlowNode, OnNodeError, Output, Outputs, SubFlow
from .errors import GraphError, InvalidInput
from .flow_state import FlowState
from .pins import parse_pin
from .places import Effects
from .retry import RetryPolicy
from .signatures import inputs_of

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

BlockKind: TypeAlias = Literal["", "input", "output", "note"]


@frozen
class Block:
    """What stands behind a `block_id`."""

    id: str
    name: str
    fn: Callable[..., Any]
    outputs: Outputs | None
    kind: BlockKind
    options: Mapping[str, Any]


@frozen
class Blocks:
    """The blocks that agents may use: `@blocks.add("1f292d4a-...", outputs=["response"])`."""

    known: dict[str, Block] = field(factory=dict[str, Block])

    def add(
        self,
        block_id: str,
        /,
        *,
        name: str = "",
        outputs: Outputs | None = None,
        kind: BlockKind = "",
        effects: Effects = "repeatable",
        retry: RetryPolicy | None = None,
        run_timeout: float | None = None,
        idle_timeout: float | None = None,
        token_cost: float = 0.0,
    ) -> Callable[[Callable[Concatenate[FlowContext[D], P], R]], Callable[Concatenate[FlowContext[D], P], R]]:
        """Register the decorated function for a block, and leave it as it is.

        It is what `Dataflow.node` takes: its parameters are the block's inputs; with `**others` it takes any.

        Args:
            block_id: as the exported nodes name it.
            name: the first part of the names of its nodes; default: the function's.
            outputs: names of what it sends, or names with types; None: anything.
            kind: `"input"` gets a value of the agent as `value`, and `"output"` sends one as `output`, both under the
                `name` that their node has among its inputs; a `"note"` is only there to be read.
            effects, retry, run_timeout, idle_timeout, token_cost: as for `Graph.node`.
        """
        if not isinstance(cast("object", block_id), str):
            raise TypeError(f"say for which block id: @blocks.add('1f292d4a-...'), not {block_id!r:.80}")
        options = {
            "effects": effects,
            "retry": retry,
            "run_timeout": run_timeout,
            "idle_timeout": idle_timeout,
            "token_cost": token_cost,
        }

        def add(fn: Callable[Concatenate[FlowContext[D], P], R]) -> Callable[Concatenate[FlowContext[D], P], R]:
            self.known[block_id] = Block(block_id, name or fn.__name__, fn, outputs, kind, options)
            return fn

        return add


@frozen
class Agent:
    """An exported agent, ready to run: `await runtime.submit(agent.flow, agent.begin({"Guest": "Ann"}))`."""

    graph: AgentGraph
    """What the export says of itself."""
    flow: Dataflow[Any]
    names: Mapping[str, str]
    """Names of its own nodes by their ids."""
    inner: "dict[str, Agent]"
    """Agents that its nodes run, by the ids of those nodes."""

    def begin(
        self,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        nodes_input_masks: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> FlowState:
        """The state that a run begins with.

        Args:
            inputs: values by the names of its input blocks.
            nodes_input_masks: by ids (or names) of nodes, `"outer/inner"` for one of a sub-agent: values that this run
                uses for their inputs, whatever comes in.

        Raises:
            InvalidInput: there is no such input or node.
        """
        masks = {self.path_of(node): pins for node, pins in (nodes_input_masks or {}).items()}
        return self.flow.begin(inputs, masks=masks)

    def path_of(self, node: str) -> str:
        """The name of a node, given by its id or name, with its path; raises `InvalidInput` for an unknown one."""
        first, _, rest = node.partition("/")
        ids = {name: id_ for id_, name in self.names.items()}
        id_ = ids.get(first, first)
        if id_ not in self.names or (rest and id_ not in self.inner):
            raise InvalidInput(node, "", f"agent {self.graph.name!r} has no such node")
        return f"{self.names[id_]}/{self.inner[id_].path_of(rest)}" if rest else self.names[id_]


def load_agent(
    data: bytes, blocks: Blocks, *, deps: type[Any] | None = None, on_node_error: OnNodeError = "continue"
) -> Agent:
    """Make a dataflow of an agent as AutoGPT's builder exports it.

    Args:
        data: the JSON, as the file has it.
        blocks: every block that it uses.
        deps: type of what blocks get as `ctx.deps`; see `terzetto.bind`.
        on_node_error: as for `Dataflow`; AutoGPT goes on.

    Raises:
        Malformed: it is no agent; size and depth are checked before anything is read.
        GraphError: it cannot run here; all reasons at once, unknown blocks with the nodes that use them.
    """
    if not isinstance(cast("object", data), bytes):
        raise TypeError(f"load_agent takes the bytes of the exported JSON, not {data!r:.80}: Path(file).read_bytes()")
    graph = read_agent(data)
    wrong = faults(graph, [*blocks.known, AGENT_EXECUTOR])
    if wrong:
        raise GraphError(graph.name, wrong)
    agent = _Loader(blocks, deps, on_node_error, _agents(graph)).load(graph)
    agent.flow.build()
    return agent


def _agents(graph: AgentGraph) -> dict[tuple[str, int], AgentGraph]:
    found = {(graph.id, graph.version): graph}
    for inner in graph.sub_graphs:
        found |= _agents(inner)
    return found


@frozen
class _Loader:
    """Makes each agent of a file once, however many nodes run it: one may lead back to itself."""

    blocks: Blocks
    deps: type[Any] | None
    on_node_error: OnNodeError
    graphs: Mapping[tuple[str, int], AgentGraph]
    made: dict[tuple[str, int], Agent] = field(factory=dict[tuple[str, int], Agent])

    def load(self, graph: AgentGraph) -> Agent:
        key = graph.id, graph.version
        if key in self.made:
            return self.made[key]
        name, version = _slug(graph.name) or "agent", str(graph.version)
        flow = Dataflow[Any](name, deps=self.deps, version=version, on_node_error=self.on_node_error)
        nodes = [node for node in graph.nodes if not self._is_note(node)]
        agent = self.made[key] = Agent(graph, flow, self._names(nodes), {})
        self._declare_ends(agent, nodes)
        takers = {node.id: self._add(agent, node) for node in nodes}
        for link in graph.links:
            if link.source_id in takers and link.sink_id in takers:
                _link(flow, takers, link)
        self._join_ends(agent, nodes, takers)
        return agent

    def _is_note(self, node: AgentNode) -> bool:
        return node.block_id != AGENT_EXECUTOR and self.blocks.known[node.block_id].kind == "note"

    def _names(self, nodes: list[AgentNode]) -> dict[str, str]:
        """A readable name for each node: its block's, and as much of its id as tells it from the others."""
        names: dict[str, str] = {}
        for node in nodes:
            block = self.blocks.known.get(node.block_id)
            base = _slug("agent" if block is None else block.name) or "block"
            short = f"{base}-{node.id[:8]}"
            taken = short in names.values() or not _PLAIN.fullmatch(short)
            names[node.id] = f"{base}-{_slug(node.id)}" if taken else short
        return names

    def _declare_ends(self, agent: Agent, nodes: list[AgentNode]) -> None:
        """Its inputs and outputs, before any node that runs this very agent asks for them."""
        for node in nodes:
            kind = self._kind(node)
            name = str(node.input_default.get("name", ""))
            if kind == "input" and name not in agent.flow.inputs:
                agent.flow.input(name, default=node.input_default.get("value"))
            elif kind == "output":
                agent.flow.outputs[name] = Any

    def _kind(self, node: AgentNode) -> BlockKind:
        block = self.blocks.known.get(node.block_id)
        return "" if block is None else block.kind

    def _add(self, agent: Agent, node: AgentNode) -> FlowNode[Any, Any, Any] | SubFlow:
        flow, name = agent.flow, agent.names[node.id]
        if node.block_id == AGENT_EXECUTOR:
            default = node.input_default
            inner = self.load(self.graphs[default["graph_id"], default["graph_version"]])
            given: dict[str, Any] = default.get("inputs") or {}
            agent.inner[node.id] = inner
            masks: dict[str, dict[str, Any] | None] = default.get("nodes_input_masks") or {}
            return flow.subflow(
                name,
                inner.flow,
                defaults={key: value for key, value in given.items() if key in inner.flow.inputs},
                masks={_masked(inner, inner_node): pins or {} for inner_node, pins in masks.items()},
            )
        block = self.blocks.known[node.block_id]
        inputs, is_open, _ = inputs_of(block.fn)
        defaults = {key: value for key, value in node.input_default.items() if is_open or parse_pin(key)[0] in inputs}
        return flow.node(name=name, outputs=block.outputs, defaults=defaults, **block.options)(block.fn)

    def _join_ends(self, agent: Agent, nodes: list[AgentNode], takers: Mapping[str, Any]) -> None:
        """The agent's inputs lead to its input blocks, and what its output blocks send comes out of it."""
        for node in nodes:
            kind, name = self._kind(node), str(node.input_default.get("name", ""))
            if kind == "input":
                agent.flow.link(Output("inputs", name), takers[node.id], "value")
            elif kind == "output":
                agent.flow.output(name, takers[node.id].out("output"))


def _link(flow: Dataflow[Any], takers: Mapping[str, Any], link: AgentLink) -> None:
    flow.link(takers[link.source_id].out(link.source_name), takers[link.sink_id], link.sink_name, static=link.is_static)


def _masked(agent: Agent, node: str) -> str:
    try:
        return agent.path_of(node)
    except InvalidInput:
        return node  # a mistake, which `build` tells


_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def _slug(text: str) -> str:
    """A text as a name: what cannot stand in one becomes a hyphen."""
    found = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-").lower()[:50]
    return f"_{found}" if found[:1].isdigit() else found
