"""Time travel: go back to a checkpoint, run on from there, and fork it with another state."""

from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

import terzetto.langgraph


class State(TypedDict, total=False):
    topic: str
    joke: str


def generate_topic(state: State) -> State:
    return {"topic": "socks in the dryer"}


def write_joke(state: State) -> State:
    return {"joke": f"Why do {state.get('topic')} elope? They were tired of being paired off."}


workflow = StateGraph(State)
workflow.add_node("generate_topic", generate_topic)
workflow.add_node("write_joke", write_joke)
workflow.add_edge(START, "generate_topic")
workflow.add_edge("generate_topic", "write_joke")
workflow.add_edge("write_joke", END)
graph = workflow.compile(
    checkpointer=terzetto.langgraph.Checkpointer("sqlite:jokes.db"),
)

# 1. Run the graph
config: RunnableConfig = {"configurable": {"thread_id": "jokes"}}
print(graph.invoke({}, config)["joke"])

# 2. Identify a checkpoint
states = list(graph.get_state_history(config))
for state in states:
    print(state.metadata["step"] if state.metadata else None, state.next)
selected_state = states[1]
print(selected_state.next, selected_state.values)

# 3. Update the state
new_config = graph.update_state(selected_state.config, values={"topic": "chickens"})

# 4. Resume execution from the checkpoint
print(graph.invoke(None, new_config)["joke"])

# What was before the fork is still there, and runs on as it did
print(graph.invoke(None, selected_state.config)["joke"])
print(len(list(graph.get_state_history(config))), "checkpoints")
