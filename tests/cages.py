"""Where animals of the zoo are looked at: places of a graph, and a runtime in which another run is at work."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore, SqliteStore
from terzetto_protocol.dataflow import Dataflow

from .fans import bare
from .runtimes import LIMIT, SUCCEEDED, Held, Tally, chain, function, opened, says
from .zoo import Body

PLACES = ["chain", "branch", "map", "subgraph", "call", "flow"]
LABELS = {
    "chain": "animal",
    "branch": "fan/animal/animal",
    "map": "each/[01]/animal",
    "subgraph": "inner/animal",
    "call": "asks.inner/animal",
    "flow": "animal",
}
"""How a failure names the node in each of them, as a pattern."""


def named(body: Body) -> Body:
    made = function(body)
    made.__name__ = "animal"
    return made


def caged(place: str, body: Body, name: str = "cage", **options: Any) -> tuple[Any, Any]:
    """A graph whose node `animal` is this body, in a place of this kind, and what a run of it begins with."""
    if place == "chain":
        graph: Any = bare(name)
        before, animal = graph.node(name="before")(says("before")), graph.node(name="animal", **options)(named(body))
        graph.start(before)
        graph.edge(before, animal)
        graph.edge(animal, graph.node(name="after")(says("after")))
        return graph, Tally()
    if place == "flow":
        return _flow(body, name, **options)
    graph = bare(name)
    inner = bare("inner")
    if place == "branch":
        animal = graph.node(name="animal", **options)(named(body))
        graph.start(graph.parallel("fan", [animal, graph.node(name="beside")(says("beside"))], merge="replay"))
    elif place == "map":
        animal = graph.node(name="animal", **options)(named(body))
        graph.start(graph.map("each", animal, over=lambda tally: [1, 2], item=int, merge="replay"))
    else:
        inner.start(inner.node(name="animal", **options)(named(body)))
    if place == "subgraph":
        graph.start(graph.subgraph("inner", inner))
    elif place == "call":

        async def asks(ctx: Any) -> None:
            await ctx.run(inner, Tally())

        graph.start(graph.node(name="asks", runs=[inner])(asks))
    return graph, Tally()


def _flow(body: Body, name: str, **options: Any) -> tuple[Any, Any]:
    made: Dataflow[None] = Dataflow(name, on_node_error="fail")

    async def animal(ctx: terzetto.FlowContext[None]) -> None:
        await body(ctx)

    made.node(name="animal", **options)(animal)
    return made, made.begin()


# -- the keeper ------------------------------------------------------------------------------------------------

SHELVES: dict[str, Callable[[Path], Any]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "zoo.db"),
}
"""Where commits are settled inside the call, and where by a writer and its thread."""

shelves = pytest.mark.parametrize("shelf", SHELVES)


@asynccontextmanager
async def kept(store: Any, *graphs: Any, **options: Any) -> AsyncIterator[terzetto.Runtime]:
    """A runtime with a run at work, which ends well whatever happens beside it; nothing is left of it afterwards."""
    before, held = loose(), Held("at-work")
    beside = chain(says("first"), held, says("last"), name="beside")
    async with opened(store, beside, *graphs, **options) as runtime:
        run = await runtime.submit(beside, Tally(), run_id="beside")
        await held.begun.wait()
        await trio.testing.wait_all_tasks_blocked()
        tasks = tree()
        yield runtime
        await gone(tasks)
        assert 0 == runtime.statistics().restarts
        held.go.set()
        result = await run.result()
        assert (SUCCEEDED, ["first", "at-work", "last"]) == (result.status, result.state.trail)
        assert (await run.replay()).holds
    assert before == loose()


async def gone(tasks: list[str]) -> None:
    """Wait until these tasks are left, and no others."""
    with trio.move_on_after(LIMIT / 4):
        while tasks != tree():  # noqa: ASYNC110 - tasks tell nobody
            await trio.sleep(0.01)
    assert tasks == tree()


def tree() -> list[str]:
    """The names of all tasks."""
    found, to_see = [], [trio.lowlevel.current_root_task()]
    while to_see:
        task = to_see.pop()
        assert task is not None
        found.append(task.name)
        to_see += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return sorted(found)


def loose() -> tuple[int, list[str]]:
    """Descriptors and threads of this process; Trio keeps its own threads for a while."""
    names = [thread.name for thread in threading.enumerate() if not thread.name.startswith("Trio thread")]
    return len(list(Path("/proc/self/fd").iterdir())), sorted(names)
