"""Subgraphs: one that shares no state with its parent, stops inside, and is looked into while it waits."""

import operator
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

import terzetto.langgraph


class SubgraphState(TypedDict, total=False):
    bar: str
    baz: str


def subgraph_node_1(state: SubgraphState) -> SubgraphState:
    return {"baz": interrupt("Provide value:")}


def subgraph_node_2(state: SubgraphState) -> SubgraphState:
    return {"bar": state.get("bar", "") + state.get("baz", "")}


subgraph_builder = StateGraph(SubgraphState)
subgraph_builder.add_node("subgraph_node_1", subgraph_node_1)
subgraph_builder.add_node("subgraph_node_2", subgraph_node_2)
subgraph_builder.add_edge(START, "subgraph_node_1")
subgraph_builder.add_edge("subgraph_node_1", "subgraph_node_2")
subgraph = subgraph_builder.compile()


class ParentState(TypedDict, total=False):
    foo: str
    log: Annotated[list[str], operator.add]


def node_1(state: ParentState) -> ParentState:
    return {"foo": "hi! " + state.get("foo", ""), "log": ["node_1"]}


def node_2(state: ParentState) -> ParentState:
    response = subgraph.invoke({"bar": state.get("foo", "")})
    return {"foo": response["bar"], "log": ["node_2"]}


builder = StateGraph(ParentState)
builder.add_node("node_1", node_1)
builder.add_node("node_2", node_2)
builder.add_edge(START, "node_1")
builder.add_edge("node_1", "node_2")
graph = builder.compile(
    checkpointer=terzetto.langgraph.Checkpointer("sqlite:subgraphs.db"),
)

config: RunnableConfig = {"configurable": {"thread_id": "1"}}
for chunk in graph.stream({"foo": "foo"}, config, stream_mode="updates", subgraphs=True):
    print([name.split(":")[0] for name in chunk[0]], sorted(chunk[1]))

parent_state = graph.get_state(config)
subgraph_state = graph.get_state(config, subgraphs=True).tasks[0].state
print(parent_state.values, parent_state.next)
print(subgraph_state.values, subgraph_state.next)  # type: ignore[union-attr] # a snapshot, because it was asked for

for chunk in graph.stream(Command(resume=" bar"), config, stream_mode="updates", subgraphs=True):
    print([name.split(":")[0] for name in chunk[0]], sorted(chunk[1]))
print(graph.get_state(config).values)
