# pyright: basic, reportMissingImports=false
"""LangGraph. Its routers are async: a sync one would go to a thread pool at every step, at a third of the time."""

import asyncio
import operator
import os
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any, NotRequired, TypedDict

os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from .._cancel import DEPTH, MILLISECONDS
from .._import import figure
from .._large import BULK_LINE, BULK_LINES, folder_bytes
from .._many import STEPS
from .._resume import MICROSECONDS
from .._setting import Peer, Setting, Way
from .._states import LINES
from .._stream import PACE
from . import _savers
from ._asyncio import cancelled, gathered, rate_of

_IMPORT = "from langgraph.graph import StateGraph"
_FIRST_RUN = """
import asyncio
from typing import TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict):
    count: int

async def node(state):
    return {"count": 1}

graph = StateGraph(State)
graph.add_node("node", node)
graph.add_edge(START, "node")
graph.add_edge("node", END)
asyncio.run(graph.compile().ainvoke({"count": 0}))
"""


class State(TypedDict):
    count: int
    log: list[str]
    bulk: NotRequired[list[str]]


class Item(TypedDict):
    item: int


class FanState(TypedDict):
    out: Annotated[list[int], operator.add]


class NestState(TypedDict):
    pass


def _new() -> dict[str, Any]:
    return {"count": 0, "log": ["x"] * LINES}


def _large() -> dict[str, Any]:
    return {**_new(), "bulk": [BULK_LINE] * BULK_LINES}


async def _step(state: State) -> dict[str, Any]:
    count = state["count"] + 1
    return {"count": count, "log": [*state["log"][1:], f"step {count}"]}


async def _yielding_step(state: State) -> dict[str, Any]:
    await asyncio.sleep(0)
    return await _step(state)


def _loop(steps: int, node: Any = _step, saver: Any = None) -> Any:
    async def again(state: State) -> str:
        return "step" if state["count"] < steps else END

    graph = StateGraph(State)
    graph.add_node("step", node)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", again, ["step", END])
    return graph.compile(checkpointer=saver)


async def _chain(steps: int, saver: Any = None, state: dict[str, Any] | None = None, **options: Any) -> float:
    graph = _loop(steps, saver=saver)
    config: dict[str, Any] = {"recursion_limit": steps + 10, "configurable": {"thread_id": "one"}}
    began = perf_counter()
    end = await graph.ainvoke(state or _new(), config, **options)
    took = perf_counter() - began
    assert end["count"] == steps
    return steps / took


def _alone(setting: Setting) -> float:
    return asyncio.run(_chain(setting.sizes.peer_steps))


def _in_memory(setting: Setting) -> float:
    return asyncio.run(_chain(setting.sizes.peer_steps, InMemorySaver(), durability="sync"))


async def _stored(place: str, steps: int, durability: str, state: dict[str, Any] | None = None) -> float:
    async with AsyncSqliteSaver.from_conn_string(f"{place}/runs.db") as saver:
        await saver.setup()
        return await _chain(steps, saver, state, durability=durability)


def _on_disk(setting: Setting, durability: str, state: Callable[[], dict[str, Any]] = _new) -> float:
    with TemporaryDirectory(dir=setting.folder) as place:
        return asyncio.run(_stored(place, setting.sizes.peer_rows, durability, state()))


def _large_bytes(setting: Setting) -> float:
    steps = setting.sizes.peer_rows
    with TemporaryDirectory(dir=setting.folder) as place:
        asyncio.run(_stored(place, steps, "async", _large()))
        return folder_bytes(place) / steps


def _fan_graph(width: int) -> Any:
    async def branch(state: Item) -> dict[str, list[int]]:
        await asyncio.sleep(0)
        return {"out": [state["item"]]}

    async def join(state: FanState) -> dict[str, Any]:
        return {}

    async def spread(state: FanState) -> list[Any]:
        return [Send("branch", {"item": item}) for item in range(width)]

    graph = StateGraph(FanState)
    graph.add_node("branch", branch)
    graph.add_node("join", join)
    graph.add_conditional_edges(START, spread, ["branch"])
    graph.add_edge("branch", "join")
    graph.add_edge("join", END)
    return graph.compile()


async def _fans(fans: int, width: int) -> float:
    graph, began = _fan_graph(width), perf_counter()
    for _ in range(fans):
        end = await graph.ainvoke({"out": []})
        assert end["out"] == list(range(width))
    return fans * width / (perf_counter() - began)


def _fan(setting: Setting) -> float:
    return asyncio.run(_fans(setting.sizes.peer_fans, setting.sizes.branches))


def _many(setting: Setting) -> float:
    graph = _loop(STEPS, _yielding_step)
    return asyncio.run(gathered(setting.sizes.at_once, lambda: graph.ainvoke(_new(), {"recursion_limit": STEPS + 10})))


async def _resumed(count: int) -> float:
    async def ask(state: State) -> dict[str, Any]:
        return {"log": [str(interrupt("sign off?"))]}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    app: Any = graph.compile(checkpointer=InMemorySaver())
    configs = [{"configurable": {"thread_id": str(number)}} for number in range(count)]
    for config in configs:
        await app.ainvoke(_new(), config)
    delays = list[float]()
    for config in configs:
        began = perf_counter()
        end = await app.ainvoke(Command(resume="yes"), config)
        delays.append(perf_counter() - began)
        assert end["log"] == ["yes"]
    return median(delays) * MICROSECONDS


async def _told(events: int) -> float:
    async def talk(state: State) -> dict[str, Any]:
        write = get_stream_writer()
        for number in range(events):
            write("word")
            if number % PACE == PACE - 1:
                await asyncio.sleep(0)
        return {"count": 1}

    graph = StateGraph(State)
    graph.add_node("talk", talk)
    graph.add_edge(START, "talk")
    graph.add_edge("talk", END)
    app: Any = graph.compile()
    seen, began = 0, perf_counter()
    async for _ in app.astream(_new(), stream_mode="custom"):
        seen += 1
    assert seen == events
    return rate_of(events, began)


def _nest(width: int, sleep: Callable[[], Awaitable[None]], depth: int = DEPTH) -> Any:
    async def leaf(state: NestState) -> dict[str, Any]:
        await sleep()
        return {}

    async def spread(state: NestState) -> list[Any]:
        return [Send("inner", {}) for _ in range(width)]

    graph = StateGraph(NestState)
    graph.add_node("inner", leaf if depth == 1 else _nest(width, sleep, depth - 1))
    graph.add_conditional_edges(START, spread, ["inner"])
    graph.add_edge("inner", END)
    return graph.compile()


def _cancel(setting: Setting) -> float:
    width = setting.sizes.width

    def work(sleep: Callable[[], Awaitable[None]]) -> Any:
        return _nest(width, sleep).ainvoke({})

    return asyncio.run(cancelled(width**DEPTH, work)) * MILLISECONDS


_SQLITE = "AsyncSqliteSaver, WAL and synchronous=FULL, which is its default"
_SYNC = 'invoke with durability="sync"'
PEER = Peer(
    "LangGraph",
    version("langgraph"),
    {
        "chain": Way(_alone, "a node and an async router, ainvoke, no checkpointer"),
        "memory": Way(_in_memory, 'the same with InMemorySaver, durability="sync"'),
        "durable": Way(partial(_on_disk, durability="sync"), f'the same with durability="sync", {_SQLITE}'),
        "ahead": Way(partial(_on_disk, durability="async"), f'the same with durability="async", {_SQLITE}'),
        "large": Way(
            partial(_on_disk, durability="async", state=_large), f'a state of 100 KB, durability="async", {_SQLITE}'
        ),
        "large_bytes": Way(_large_bytes, "the same: size of its file when it is closed, per step"),
        "fan": Way(_fan, "Send to each branch, which yields, and a join"),
        "many": Way(_many, "as many ainvoke in one gather, of steps that yield"),
        "resume": Way(
            lambda setting: asyncio.run(_resumed(setting.sizes.peer_runs)), "Command(resume=...), InMemorySaver"
        ),
        "stream": Way(lambda setting: asyncio.run(_told(setting.sizes.events)), 'astream(stream_mode="custom")'),
        "cancel": Way(_cancel, "subgraphs of the same nesting by Send: cancel the task, until the last node has ended"),
        "checkpointer_memory": Way(_savers.on_memory, f"InMemorySaver, {_SYNC}"),
        "checkpointer_sqlite": Way(_savers.on_sqlite, f"SqliteSaver, WAL and synchronous=FULL, {_SYNC}"),
        "checkpointer_postgres": Way(_savers.on_postgres, f"PostgresSaver, one connection, {_SYNC}"),
        "checkpointer_redis": Way(_savers.on_redis, f"RedisSaver, {_SYNC}"),
        "import": Way(lambda _: figure(_IMPORT), _IMPORT),
        "first_run": Way(lambda _: figure(_FIRST_RUN), "import, a graph of one node, ainvoke"),
    },
)
