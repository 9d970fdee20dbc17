"""LangGraph's graphs that the tests of checkpointers run."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def thread(name: str = "1", **others: Any) -> Any:
    """A config."""
    return {"configurable": {"thread_id": name, **others}}


def chain(*names: str) -> StateGraph[Any, Any, Any, Any]:
    """Nodes that each say their name, one after the other."""
    builder = StateGraph(Log)
    for before, name in zip((START, *names), names, strict=False):
        builder.add_node(name, lambda state, name=name: {"log": [name]})
        builder.add_edge(before, name)
    return builder
