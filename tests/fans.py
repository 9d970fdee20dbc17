"""Graphs with branches for a runtime, and bodies for them."""

import trio

import terzetto
from terzetto_protocol.graph import Graph

from .runtimes import MUTATIONS, Body, Say, Tally, function


def bare(name: str = "branches", **options) -> Graph[Tally]:
    return Graph(name, state=Tally, mutations=MUTATIONS, **options)


def place(graph: Graph[Tally], body: Body | str, **options):
    return graph.barrier(body) if isinstance(body, str) else graph.node(name=body.__name__, **options)(function(body))


def fan(*bodies: Body | str, after: Body | None = None, rescue: Body | None = None, **options) -> Graph[Tally]:
    """A graph that begins with the place `fan`, which has a branch for every body; `rescue` is where failure leads."""
    graph = bare()
    start = graph.parallel("fan", [place(graph, body) for body in bodies], **{"merge": "replay"} | options)
    graph.start(start)
    if after is not None:
        graph.edge(start, place(graph, after))
    if rescue is not None:
        graph.edge(start, place(graph, rescue), on_error=True)
    return graph


def each(body, count: int, after: Body | None = None, **options) -> Graph[Tally]:
    """A graph that begins with the place `each`, which has a branch for every number below `count`."""
    graph = bare(max_steps=2 * count + 100)
    start = graph.map(
        "each", graph.node(name="work")(body), over=lambda _: list(range(count)), **{"merge": "replay"} | options
    )
    graph.start(start)
    if after is not None:
        graph.edge(start, place(graph, after))
    return graph


Numbered = terzetto.ItemContext[Tally, int]


def naps(name: str, seconds: float, record: list | None = None) -> Body:
    """A body that takes its time, and tells when it ended."""

    async def body(ctx):
        await trio.sleep(seconds)
        if record is not None:
            record.append(name)
        ctx.record(Say(name))

    body.__name__ = name
    return body


def fails(name: str, seconds: float = 0) -> Body:
    async def body(ctx):
        await trio.sleep(seconds)
        raise ValueError("bad")

    body.__name__ = name
    return body


def leaves(name: str, record: list, cleanup: float = 0) -> Body:
    """A body that never ends by itself, and tells when it has left."""

    async def body(ctx):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleanup)
            record.append((name, trio.current_time()))

    body.__name__ = name
    return body


def line(event) -> str:
    """An event in short: its type, where, and how many."""
    words = (getattr(event, word, None) for word in ("node", "branch", "count"))
    return " ".join([type(event).__name__, *(str(word) for word in words if word is not None)])
