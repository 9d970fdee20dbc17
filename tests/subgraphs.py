"""Graphs inside of others for a runtime, and graphs that ask people in their branches."""

import trio

from terzetto_protocol.graph import Graph

from .runtimes import MUTATIONS, Tally, chain, says

LEVELS = 20


def bare(name: str = "outer", **options) -> Graph[Tally]:
    return Graph(name, state=Tally, mutations=MUTATIONS, **options)


def around(inner: Graph, *, name: str = "outer", **options) -> Graph[Tally]:
    """A graph whose only place is the subgraph `inner`."""
    graph = bare(name)
    graph.start(graph.subgraph("inner", inner, **options))
    return graph


def nested(inner: Graph[Tally], levels: int = LEVELS) -> Graph[Tally]:
    """The graph, as deep inside of others."""
    for level in reversed(range(levels)):
        outer = bare(f"level-{level}")
        outer.start(outer.subgraph(f"s{level}", inner))
        inner = outer
    return inner


def asking(*names: str, timeout: float | None = None, on_timeout=None, **options) -> Graph[Tally]:
    """In `fan`, a barrier in each branch, with what was decided said after it."""
    graph = bare("asking")
    barriers = [graph.barrier(name, timeout=timeout, on_timeout=on_timeout) for name in names]
    for barrier in barriers:
        for way in ("approved", "rejected"):
            graph.edge(barrier.exit(way), graph.node(name=f"{barrier.name}-{way}")(says(f"{barrier.name} {way}")))
    graph.start(graph.parallel("fan", barriers, **{"merge": "replay"} | options))
    return graph


def extend(outer: Tally, inner: Tally) -> None:
    """What an inner state does to the outer one, beside others."""
    outer.trail.extend(inner.trail)


async def fails(ctx):
    await trio.sleep(1)
    raise ValueError("bad")


def pausing_after(seconds: float):
    async def pauses(ctx):
        await trio.sleep(seconds)
        ctx.pause()

    return pauses


def deep_in(where: str) -> Graph[Tally]:
    """Two barriers in places of each kind."""
    inner = chain(says("before"), "ask", says("after"), name="inner")
    if where == "levels":
        return nested(inner, levels=3)
    graph = bare()
    if where == "subgraphs":
        places = [graph.subgraph(name, inner, put=extend) for name in ("one", "two")]
        graph.start(graph.parallel("fan", places, merge="replay"))
        return graph
    if where == "map":
        before, ask = graph.node(name="before")(says("before")), graph.barrier("ask")
        graph.edge(before, ask)
        graph.edge(ask.approved, graph.node(name="after")(says("after")))
        graph.start(graph.map("each", before, over=lambda _: [1, 2], item=int, merge="replay"))
        return graph
    below = graph.subgraph("below", inner, put=extend)
    graph.start(graph.map("each", below, over=lambda _: [1, 2, 3], item=int, merge="replay"))
    return graph
