"""Each mistake in nodes, barriers and edges, alone: `build` reports it, and nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from terzetto_protocol.decisions import Approve, Choose, Fail, Reject
from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Graph

NO_FUNCTION = "nodes.n: its function must be `async def`, or a plain `def` that is no generator"
NO_NAME = "is not a name (1 to 64 letters, digits, _ and -, beginning with a letter or _)"
KNOWN = "(there are write, review, publish, sign-off)"
PARALLEL = "(to run several at once, say parallel)"
FALLBACK = "nodes.write.edges[1]: a fallback edge has no `when` and no `on_error`: it is taken when nothing else is"
BOTH = ("review", "publish")


@attrs.define
class Draft:
    text: str = ""


async def write(ctx): ...
async def review(ctx): ...
async def publish(ctx): ...


def sync(ctx): ...
def sync_generator(ctx):
    yield


async def greedy(ctx, more): ...
async def nobody(): ...
async def generator(ctx):
    yield


class Object:
    """Callable, and async all the same."""

    async def __call__(self, ctx): ...


class PlainObject:
    def __call__(self, ctx): ...


def stranger() -> Any:
    return Graph("other", state=Draft).node(name="foreign")(write)


NODES: list[tuple[Callable[[Any], object], list[str]]] = [
    (lambda g: g.node(name="n")(sync), []),
    (lambda g: g.node(name="n")(partial(sync)), []),
    (lambda g: g.node(name="n")(partial(write)), []),
    (lambda g: g.node(name="n")(PlainObject()), []),
    (lambda g: g.node(name="n")(generator), [NO_FUNCTION]),
    (lambda g: g.node(name="n")(sync_generator), [NO_FUNCTION]),
    (lambda g: g.node(name="n", thread=False)(sync_generator), [NO_FUNCTION]),
    (lambda g: g.node(name="n")(Object()), [NO_FUNCTION]),
    (lambda g: g.node(name="n")(lambda: None), ["nodes.n: its function must take one argument, the context"]),
    (lambda g: g.node(name="n", thread=False, effects="once")(sync), []),
    (lambda g: g.node(name="n", thread=True, on_cancel="wait", run_timeout=5, idle_timeout=1)(sync), []),
    (lambda g: g.node(name="n", on_cancel="abandon")(sync), []),
    (lambda g: g.node(name="n", on_cancel="forget")(sync), ["nodes.n.on_cancel: 'forget' is none of wait, abandon"]),
    (
        lambda g: g.node(name="n", on_cancel="wait")(write),
        ["nodes.n.on_cancel: only a plain `def` in a thread needs it, and this one runs as a task"],
    ),
    (
        lambda g: g.node(name="n", on_cancel="abandon", thread=False)(sync),
        ["nodes.n.on_cancel: only a plain `def` in a thread needs it, and this one runs on the loop"],
    ),
    (
        lambda g: g.node(name="n", thread=False)(write),
        ["nodes.n.thread: it is for a plain `def`, and this is an `async def`"],
    ),
    (
        lambda g: g.node(name="n", thread=True)(write),
        ["nodes.n.thread: it is for a plain `def`, and this is an `async def`"],
    ),
    (
        lambda g: g.node(name="n", thread=False, run_timeout=5, idle_timeout=1)(sync),
        [
            "nodes.n.run_timeout: nothing can cut off a function that runs on the loop; let it have its thread",
            "nodes.n.idle_timeout: nothing can cut off a function that runs on the loop; let it have its thread",
        ],
    ),
    (lambda g: g.node(name="n")(greedy), ["nodes.n: its function must take one argument, the context"]),
    (lambda g: g.node(name="n")(nobody), ["nodes.n: its function must take one argument, the context"]),
    (
        lambda g: g.node(name="n", effects="twice")(write),
        ["nodes.n.effects: 'twice' is none of pure, repeatable, once"],
    ),
    (
        lambda g: g.node(name="n", effects="pure", has_side_effects=True)(write),
        ["nodes.n.effects: has_side_effects=True means \"once\", not 'pure'"],
    ),
    (lambda g: g.node(name="n", probe=write)(write), ['nodes.n.probe: only a node with effects="once" is ever probed']),
    (lambda g: g.node(name="n", effects="once", probe=sync)(write), ["nodes.n.probe: it must be `async def`"]),
    (lambda g: g.node(name="n", max_visits=0)(write), ["nodes.n.max_visits: 0 would never let it be visited"]),
    (lambda g: g.node(name="a b")(write), [f"nodes.a b: 'a b' {NO_NAME}"]),
    (lambda g: g.node(name="review")(write), ["nodes.review: 2 nodes or barriers have this name"]),
    (
        lambda g: g.edge("publish", stranger()),
        [
            "nodes.foreign: this node or barrier belongs to another graph",
            f"nodes.publish.edges[0].target: no node 'foreign' {KNOWN}",
        ],
    ),
]
BARRIERS: list[tuple[Callable[[Any], object], list[str]]] = [
    (lambda g: g.barrier("b", exits=()), ["barriers.b.exits: nothing leads out of it"]),
    (lambda g: g.barrier("b", exits=("a b",)), [f"barriers.b.exits: 'a b' {NO_NAME}"]),
    (lambda g: g.barrier("b", timeout=0), ["barriers.b.timeout: 0 is not a number of seconds above 0"]),
    (lambda g: g.barrier("b", timeout=float("nan")), ["barriers.b.timeout: nan is not a number of seconds above 0"]),
    (lambda g: g.barrier("b", timeout=float("inf")), ["barriers.b.timeout: inf is not a number of seconds above 0"]),
    (
        lambda g: g.barrier("b", timeout=5, exits=("yes",)),
        ["barriers.b.on_timeout: it has no exit 'rejected' (it has yes)"],
    ),
    (
        lambda g: g.barrier("b", timeout=5, exits=("yes",), on_timeout=Choose("no")),
        ["barriers.b.on_timeout: it has no exit 'no' (it has yes)"],
    ),
    (lambda g: g.barrier("b", on_timeout=Fail()), ["barriers.b.on_timeout: it never happens without a timeout"]),
    (lambda g: g.barrier("b", on_timeout=Approve()), ["barriers.b.on_timeout: it never happens without a timeout"]),
    (lambda g: g.barrier("b", timeout=5, exits=("yes",), on_timeout=Choose("yes")), []),
    (lambda g: g.barrier("b", timeout=5, exits=("yes",), on_timeout=Fail()), []),
    (lambda g: g.barrier("b", timeout=5, on_timeout=Reject("late")), []),
]


async def ready(draft): ...


def raises(draft):
    raise ValueError


EDGES: list[tuple[Callable[[Any], object], list[str]]] = [
    (lambda g: g.edge("nowhere", "write"), [f"nodes.nowhere.edges[0].source: no node 'nowhere' {KNOWN}"]),
    (
        lambda g: g.edge("sign-off.aproved", "write"),
        ["nodes.sign-off.edges[0]: barrier 'sign-off' has no exit 'aproved' (it has approved, rejected)"],
    ),
    (
        lambda g: g.edge("sign-off.approved", "write", on_error=True),
        ["nodes.sign-off.edges[0]: a barrier does not fail, so `on_error` never applies"],
    ),
    (
        lambda g: g.edge("write.approved", "review"),
        ["nodes.write.edges[1]: node 'write' has no exits; only barriers do"],
    ),
    (
        lambda g: g.edge("write", "review", when=ready),
        ["nodes.write.edges[1].when: the predicate must not be `async def`"],
    ),
    (
        lambda g: g.edge("write", "review", when=lambda: True),
        ["nodes.write.edges[1].when: the predicate must take one argument, the state"],
    ),
    (lambda g: g.edge("write", "review", when=raises), []),
    (lambda g: g.edge("write", "review", when=bool), []),
    (lambda g: g.edge("write", "review", fallback=True, when=bool), [FALLBACK]),
    (lambda g: g.edge("write", "review", fallback=True, on_error=True), [FALLBACK]),
    (
        lambda g: [g.edge("write", to) for to in BOTH],
        [f"nodes.write: 2 plain edges leave it, and only one can be taken {PARALLEL}"],
    ),
    (
        lambda g: [g.edge("sign-off.approved", to) for to in BOTH],
        [f"nodes.sign-off.approved: 2 plain edges leave it, and only one can be taken {PARALLEL}"],
    ),
    (
        lambda g: [g.edge("write", to, fallback=True) for to in BOTH],
        ["nodes.write: 2 fallback edges leave it, and only one can be taken"],
    ),
    (
        lambda g: [g.edge("write", to, on_error=True) for to in BOTH],
        ["nodes.write: 2 unconditional on_error edges leave it, and only one can be taken"],
    ),
    (
        lambda g: [
            g.edge("write", "review"),
            g.edge("write", "review", fallback=True),
            g.edge("write", "review", on_error=True),
        ],
        [],
    ),
    (lambda g: [g.edge("sign-off.approved", "write"), g.edge("sign-off.rejected", "write")], []),
]


@pytest.mark.parametrize("declare, expected", [*NODES, *BARRIERS, *EDGES])
def test_each_mistake_alone(declare, expected):
    """5.1, 5.2, 5.4, 5.8, 6.3, 6.4, 7: what cannot run is refused by `build`, and nothing else is."""
    graph: Graph[Any, Any] = Graph("article", state=Draft)
    for fn in (write, review, publish):
        graph.node(fn)
    graph.barrier("sign-off")
    graph.start("write")
    graph.edge("write", "review", when=lambda draft: True)

    declare(graph)

    try:
        graph.build()
        found: tuple[str, ...] = ()
    except GraphError as error:
        found = error.mistakes
    assert list(found) == expected
