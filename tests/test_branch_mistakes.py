"""Each mistake in places that open branches, alone: `build` reports it with its path, and nothing else."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from terzetto_protocol.context import ItemContext
from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Graph

NO_NAME = "is not a name (1 to 64 letters, digits, _ and -, beginning with a letter or _)"
KNOWN = "(there are write, review, sign-off, "
STATE = "it must take one argument, the state"
MERGE = "it must take two arguments, the state before and the states after"
PUT = "it must take two arguments, the outer state and the inner"


@attrs.define
class Draft:
    text: str = ""


@attrs.define
class Other:
    text: str = ""


class Client:
    pass


async def write(ctx): ...
async def review(ctx): ...
async def read(ctx: ItemContext[Draft, str]): ...
async def read_client(ctx: ItemContext[Draft, Client]): ...
async def read_anything(ctx: ItemContext): ...  # type: ignore[type-arg]  # the mistake under test


async def wait(*args): ...
def nobody(): ...


def stranger() -> Any:
    return Graph("other", state=Draft).node(name="foreign")(write)


def inside(state: type[Any] = Draft) -> Graph[Any, Any]:
    graph: Graph[Any, Any] = Graph("inner", state=state)
    graph.start(graph.node(name="inner-write")(write))
    return graph


def broken() -> Graph[Any, Any]:
    graph = inside()
    graph.edge("inner-write", "nowhere")
    graph.parallel("empty", [])
    return graph


def fan(g: Any, branches: Sequence[Any] = ("write", "review"), **options: Any) -> None:
    g.parallel("fan", branches, **options)


def many(g: Any, body: Any = "write", over: Any = lambda draft: [], **options: Any) -> None:
    g.map("many", body, over=over, **{"item": int, **options})


def sub(g: Any, graph: Graph[Any, Any] | None = None, **lens: Any) -> None:
    g.subgraph("sub", graph or inside(), **lens)


OPTIONS: list[tuple[Callable[[Any], object], list[str]]] = [
    (lambda g: fan(g, limit=0), ["branches.fan.limit: 0 would never let a branch begin"]),
    (lambda g: many(g, limit=-3), ["branches.many.limit: -3 would never let a branch begin"]),
    (lambda g: fan(g, errors="ignore"), ["branches.fan.errors: 'ignore' is none of fail_fast, collect"]),
    (lambda g: many(g, errors=None), ["branches.many.errors: None is none of fail_fast, collect"]),
    (lambda g: fan(g, merge="last"), ["branches.fan.merge: 'last' is none of strict, replay, and no function"]),
    (lambda g: many(g, merge=None), ["branches.many.merge: None is none of strict, replay, and no function"]),
    (lambda g: fan(g, merge=["strict"]), ["branches.fan.merge: ['strict'] is none of strict, replay, and no function"]),
    (lambda g: fan(g, merge=wait), ["branches.fan.merge: it must not be `async def`"]),
    (lambda g: fan(g, merge=lambda before: []), [f"branches.fan.merge: {MERGE}"]),
    (lambda g: many(g, merge=lambda before, after, more: []), [f"branches.many.merge: {MERGE}"]),
    (
        lambda g: fan(g, merge="last", errors="ignore", limit=0),
        [
            "branches.fan.limit: 0 would never let a branch begin",
            "branches.fan.errors: 'ignore' is none of fail_fast, collect",
            "branches.fan.merge: 'last' is none of strict, replay, and no function",
        ],
    ),
    (lambda g: fan(g, limit=1), []),
    (lambda g: many(g, limit=1, errors="collect", merge="replay"), []),
    (lambda g: fan(g, merge=lambda before, after: [], errors="collect"), []),
    (lambda g: fan(g, merge=lambda before, after, more=(): []), []),
    (lambda g: fan(g, merge=max), []),
]
BRANCHES: list[tuple[Callable[[Any], object], list[str]]] = [
    (lambda g: fan(g, []), ["branches.fan: it has no branch"]),
    (lambda g: fan(g, ["write", "reviw"]), ["branches.fan: no node 'reviw' (did you mean 'review'?)"]),
    (lambda g: fan(g, ["zzz"]), [f"branches.fan: no node 'zzz' {KNOWN}fan)"]),
    (
        lambda g: fan(g, ["write", "review", "write"]),
        ["branches.fan: branch 'write' is given 2 times; each needs a place of its own"],
    ),
    (
        lambda g: fan(g, ["write", stranger()]),
        [
            "nodes.foreign: this node or barrier belongs to another graph",
            f"branches.fan: no node 'foreign' {KNOWN}fan)",
        ],
    ),
    (lambda g: many(g, "wirte"), ["branches.many: no node 'wirte' (did you mean 'write'?)"]),
    (
        lambda g: many(g, stranger()),
        [
            "nodes.foreign: this node or barrier belongs to another graph",
            f"branches.many: no node 'foreign' {KNOWN}many)",
        ],
    ),
    (lambda g: many(g, over=wait), ["branches.many.over: it must not be `async def`"]),
    (lambda g: many(g, over=list), []),
    (lambda g: many(g, over=nobody), [f"branches.many.over: {STATE}"]),
    (lambda g: many(g, over=lambda draft, more: []), [f"branches.many.over: {STATE}"]),
    (
        lambda g: many(g, item=None),
        ["branches.many.item: nobody says what an item is: write ItemContext[State, Item] in its body, or item="],
    ),
    (
        lambda g: many(g, g.node(read_anything), item=None),
        ["branches.many.item: nobody says what an item is: write ItemContext[State, Item] in its body, or item="],
    ),
    (lambda g: many(g, g.node(read), item=None), []),
    (lambda g: many(g, "sign-off"), []),
    (lambda g: fan(g, ["write", "sign-off"]), []),
    (lambda g: [fan(g), g.parallel("other", ["write", "fan"])], []),
    (lambda g: [fan(g), many(g, "fan")], []),
]
LENSES: list[tuple[Callable[[Any], object], list[str]]] = [
    (sub, []),
    (lambda g: sub(g, get=lambda draft: Draft(), put=lambda draft, inner: None), []),
    (lambda g: sub(g, inside(Other), get=lambda draft: Other(), put=lambda draft, inner: None), []),
    (
        lambda g: sub(g, inside(Other)),
        [
            "branches.sub.get: the inner state is a Other and the outer one a Draft: say get=",
            "branches.sub.put: the inner state is a Other and the outer one a Draft: say put=",
        ],
    ),
    (
        lambda g: sub(g, inside(Other), get=lambda draft: Other()),
        ["branches.sub.put: the inner state is a Other and the outer one a Draft: say put="],
    ),
    (
        lambda g: sub(g, inside(Other), put=lambda draft, inner: None),
        ["branches.sub.get: the inner state is a Other and the outer one a Draft: say get="],
    ),
    (lambda g: sub(g, get=wait), ["branches.sub.get: it must not be `async def`"]),
    (lambda g: sub(g, get=nobody), ["branches.sub.get: it must take one argument, the outer state"]),
    (lambda g: sub(g, put=wait), ["branches.sub.put: it must not be `async def`"]),
    (lambda g: sub(g, put=lambda draft: None), [f"branches.sub.put: {PUT}"]),
    (lambda g: sub(g, g), ["branches.sub: it contains itself"]),
    (
        lambda g: sub(g, broken()),
        [
            "branches.sub.branches.empty: it has no branch",
            "branches.sub.nodes.inner-write.edges[0].target: no node 'nowhere' (there are inner-write, empty)",
        ],
    ),
    (lambda g: [sub(g), g.parallel("fan", ["sub", "write"])], []),
    (lambda g: [sub(g), g.map("many", "sub", over=list, item=str)], []),
]
AROUND: list[tuple[Callable[[Any], object], list[str]]] = [
    (lambda g: [fan(g), g.edge("write", "fan"), g.edge("fan", "review")], []),
    (
        lambda g: [fan(g), g.start("fan")],
        ["start: a graph has exactly one start, this one has 2 (say graph.start(node))"],
    ),
    (lambda g: [fan(g), g.edge("fan", "review", on_error=True)], []),
    (
        lambda g: [fan(g), g.edge("fan.approved", "review")],
        ["nodes.fan.edges[0]: node 'fan' has no exits; only barriers do"],
    ),
    (
        lambda g: [fan(g), g.edge("fan", "review"), g.edge("fan", "write")],
        ["nodes.fan: 2 plain edges leave it, and only one can be taken (to run several at once, say parallel)"],
    ),
    (lambda g: g.parallel("review", ["write"]), ["nodes.review: 2 nodes or barriers have this name"]),
    (lambda g: g.parallel("a/b", ["write"]), [f"nodes.a/b: 'a/b' {NO_NAME}"]),
    (lambda g: g.subgraph("@sub", inside()), [f"nodes.@sub: '@sub' {NO_NAME}"]),
]


def mistakes_of(declare: Callable[[Any], object]) -> list[str]:
    graph: Graph[Any, Any] = Graph("article", state=Draft)
    for fn in (write, review):
        graph.node(fn)
    graph.barrier("sign-off")
    graph.start("write")
    graph.edge("write", "review", when=lambda draft: True)
    declare(graph)
    try:
        graph.build()
    except GraphError as error:
        return list(error.mistakes)
    return []


@pytest.mark.parametrize("declare, expected", [*OPTIONS, *BRANCHES, *LENSES, *AROUND])
def test_each_mistake_alone(declare, expected):
    """5.4, 5.5, 5.6: `build()` reports every mistake at once, with paths; what can run is not refused."""
    assert mistakes_of(declare) == expected


def test_branches_that_begin_with_themselves():
    """5.4: reported when it is built, and not by a run that opens branches until its steps are used up."""

    def declare(g: Any) -> None:
        g.parallel("one", ["write", "other"])
        g.parallel("other", ["one"])
        g.parallel("around", ["one"])

    endless = "its branches begin with itself again, without an end"
    assert [f"branches.one: {endless}", f"branches.other: {endless}"] == mistakes_of(declare)


def test_all_mistakes_are_told_at_once_place_by_place():
    """5.4: every mistake at once, in the order in which a reader meets the places."""

    def declare(g: Any) -> None:
        fan(g, ["write", "write"], limit=0)
        many(g, "nowhere", errors="ignore")
        sub(g, inside(Other), put=lambda draft, inner: None)

    assert [mistake.partition(": ")[0] for mistake in mistakes_of(declare)] == [
        "branches.fan",
        "branches.fan.limit",
        "branches.many",
        "branches.many.errors",
        "branches.sub.get",
    ]


def test_an_item_that_nothing_can_store_is_a_mistake():
    """5.4, 4.7: undeclared types: said where the map is declared, and not by a run that meets one."""
    (mistake,) = mistakes_of(lambda g: many(g, g.node(read_client), item=None))

    assert mistake.startswith("branches.many.item: ")
    assert "Client" in mistake


def test_graphs_that_contain_each_other_are_a_mistake():
    """5.4: `build()` reports every mistake: a circle of graphs has no innermost one, and could never begin."""
    graph, other = inside(), inside()
    graph.subgraph("there", other)
    other.subgraph("back", graph)
    with pytest.raises(GraphError, match="contains itself"):
        graph.build()


def test_a_mistake_far_inside_is_told_with_the_way_to_it():
    """5.4: with paths."""
    graph = broken()
    for depth in range(3):
        outer = inside()
        outer.subgraph(f"level-{depth}", graph)
        graph = outer
    with pytest.raises(GraphError) as caught:
        graph.build()

    way = "branches.level-2.branches.level-1.branches.level-0"
    assert caught.value.mistakes == (
        f"{way}.branches.empty: it has no branch",
        f"{way}.nodes.inner-write.edges[0].target: no node 'nowhere' (there are inner-write, empty)",
    )
