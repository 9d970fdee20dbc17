"""Checkpointers on all four stores: URLs that nobody had before, and LangGraph's graphs that run on them."""

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

import terzetto.langgraph

STORES = ("memory", "sqlite", "redis", "postgres")
LASTING = STORES[1:]


def url_of(kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of a store of this kind that is empty."""
    match kind:
        case "memory":
            return "memory:"
        case "sqlite":
            return f"sqlite:{request.getfixturevalue('tmp_path')}/checkpoints.db"
        case _:
            return str(request.getfixturevalue(kind).url())


@pytest.fixture(params=STORES)
def url(request):
    """On all four stores."""
    return url_of(request.param, request)


@pytest.fixture(params=LASTING)
def lasting_url(request):
    """On all that outlast their process."""
    return url_of(request.param, request)


@pytest.fixture
def saver(url):
    with terzetto.langgraph.Checkpointer(url) as saver:
        yield saver


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
