"""Human in the loop: a graph stops and asks, a person decides, and the graph goes on."""

from typing import Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

import terzetto.langgraph


class State(TypedDict, total=False):
    action_details: str
    status: Literal["pending", "approved", "rejected"]


def approval_node(state: State) -> Command[Literal["proceed", "cancel"]]:
    decision = interrupt({"question": "Approve this action?", "details": state.get("action_details")})
    return Command(goto="proceed" if decision else "cancel")


def proceed(state: State) -> State:
    return {"status": "approved"}


def cancel(state: State) -> State:
    return {"status": "rejected"}


builder = StateGraph(State)
builder.add_node("approval", approval_node)
builder.add_node("proceed", proceed)
builder.add_node("cancel", cancel)
builder.add_edge(START, "approval")
builder.add_edge("proceed", END)
builder.add_edge("cancel", END)
graph = builder.compile(
    checkpointer=terzetto.langgraph.Checkpointer("sqlite:approvals.db"),
)

for thread, decision in (("approval-123", True), ("approval-124", False)):
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    initial = graph.invoke({"action_details": "Transfer $500", "status": "pending"}, config)
    print(initial["__interrupt__"][0].value)
    resumed = graph.invoke(Command(resume=decision), config)
    print(resumed["status"])
