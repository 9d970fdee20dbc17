"""Map-reduce: as many branches as there are subjects, each with a state of its own, and one result."""

import asyncio
import operator
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

import terzetto.langgraph

JOKES = {
    "lions": "Why don't lions like fast food? Because they can't catch it!",
    "elephants": "Why don't elephants use computers? They're afraid of the mouse!",
    "penguins": "Why don't penguins like talking to strangers? Because they find it hard to break the ice.",
}


class OverallState(TypedDict, total=False):
    topic: str
    subjects: list[str]
    jokes: Annotated[list[str], operator.add]
    best_selected_joke: str


class JokeState(TypedDict):
    subject: str


async def generate_topics(state: OverallState) -> OverallState:
    return {"subjects": list(JOKES)}


async def generate_joke(state: JokeState) -> OverallState:
    return {"jokes": [JOKES[state["subject"]]]}


def continue_to_jokes(state: OverallState) -> list[Send]:
    return [Send("generate_joke", {"subject": subject}) for subject in state.get("subjects", [])]


async def best_joke(state: OverallState) -> OverallState:
    return {"best_selected_joke": max(state.get("jokes", []), key=len)}


builder = StateGraph(OverallState)
builder.add_node("generate_topics", generate_topics)
builder.add_node("generate_joke", generate_joke)
builder.add_node("best_joke", best_joke)
builder.add_edge(START, "generate_topics")
builder.add_conditional_edges("generate_topics", continue_to_jokes, ["generate_joke"])
builder.add_edge("generate_joke", "best_joke")
builder.add_edge("best_joke", END)
graph = builder.compile(
    checkpointer=terzetto.langgraph.Checkpointer("sqlite:animals.db"),
)


async def main() -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    async for step in graph.astream({"topic": "animals"}, config):
        print(step)
    snapshot = await graph.aget_state(config)
    print(len(snapshot.values["jokes"]), snapshot.values["best_selected_joke"])


asyncio.run(main())
