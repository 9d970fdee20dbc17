# pyright: basic, reportMissingImports=false
"""LangGraph's own graph on one saver or another. Each saver is imported by whom it is asked for."""

import operator
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any, TypedDict

os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"

from langgraph.graph import START, StateGraph

from .. import _servers
from .._setting import Setting

STEPS = 100
Opening = Callable[[], AbstractContextManager[Any]]
_numbers = count(1)


class State(TypedDict):
    count: int
    log: Annotated[list[str], operator.add]


def chain_rate(opening: Opening, runs: int) -> float:
    """Steps per second of so many chains, one after the other, each a thread of its own; the first is not timed."""
    with opening() as saver:
        graph = _chain(saver)
        _walk(graph)
        began = perf_counter()
        for _ in range(runs):
            _walk(graph)
        return runs * STEPS / (perf_counter() - began)


def _chain(saver: Any) -> Any:
    graph = StateGraph(State)
    names = [f"step {number}" for number in range(STEPS)]
    for name, before in zip(names, [START, *names], strict=False):
        graph.add_node(name, _step)
        graph.add_edge(before, name)
    return graph.compile(checkpointer=saver)


def _step(state: State) -> dict[str, Any]:
    return {"count": state["count"] + 1, "log": ["x"]}


def _walk(graph: Any) -> None:
    config = {"configurable": {"thread_id": f"thread {next(_numbers)}"}, "recursion_limit": STEPS + 10}
    assert graph.invoke({"count": 0, "log": []}, config, durability="sync")["count"] == STEPS


def on_memory(setting: Setting) -> float:
    from langgraph.checkpoint.memory import InMemorySaver

    return chain_rate(lambda: nullcontext(InMemorySaver()), setting.sizes.chains)


def on_sqlite(setting: Setting) -> float:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with TemporaryDirectory(dir=setting.folder) as place:
        return chain_rate(lambda: SqliteSaver.from_conn_string(f"{place}/checkpoints.db"), setting.sizes.chains)


def on_postgres(setting: Setting) -> float:
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(_servers.postgres(setting.folder).url().partition("?")[0]) as saver:
        saver.setup()
        return chain_rate(lambda: nullcontext(saver), setting.sizes.chains)


def on_redis(setting: Setting) -> float:
    from langgraph.checkpoint.redis import RedisSaver

    with RedisSaver.from_conn_string(_servers.redis(setting.folder).url().partition("?")[0]) as saver:
        saver.setup()
        return chain_rate(lambda: nullcontext(saver), setting.sizes.chains)
