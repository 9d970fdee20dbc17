"""A program that is killed: a LangGraph graph of many steps, which says what was acknowledged.

`checkpoint_child.py URL STEPS`: it runs until it has made so many steps, or is killed.
"""

import operator
import sys
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

import terzetto.langgraph

STEPS = 400
CONFIG: Any = {"configurable": {"thread_id": "killed"}, "recursion_limit": STEPS * 3}


class Counting(TypedDict):
    seen: Annotated[list[int], operator.add]


def count(state: Counting) -> Counting:
    return {"seen": [len(state["seen"])]}


def ask(state: Counting) -> Counting:
    return {"seen": [interrupt(f"how much after {len(state['seen'])}?")]}


def counting(saver: Any, steps: int = STEPS) -> Any:
    """Counts, and then asks a person for the last number."""
    builder = StateGraph(Counting)
    builder.add_node("count", count)
    builder.add_node("ask", ask)
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if len(state["seen"]) < steps else "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=saver)


class Telling(terzetto.langgraph.Checkpointer):
    """Says what has been acknowledged."""

    def put(self, *args: Any, **others: Any) -> Any:
        config = super().put(*args, **others)
        print(config["configurable"]["checkpoint_id"], flush=True)
        return config


if __name__ == "__main__":
    with Telling(sys.argv[1]) as saver:
        counting(saver, int(sys.argv[2])).invoke({"seen": []}, CONFIG, durability="sync")
