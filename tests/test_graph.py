"""Declaring a graph: what is declared is what runs share, and it is frozen by its first build."""

import inspect
from typing import Any

import attrs
import pytest

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.context import LeafContext, NodeContext
from terzetto_protocol.decisions import Approve, Choose, Fail, Reject
from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import MAX_STEPS
from terzetto_protocol.places import Barrier, Exit, Node, as_barrier, as_node


@attrs.define
class Draft:
    text: str = ""


@attrs.frozen
class Written:
    text: str

    def apply(self, draft: Draft) -> None:
        draft.text = self.text


class Clients:
    pass


Ctx = NodeContext[Draft, Clients]
Leaf = LeafContext[Draft]


def make() -> Graph[Draft, None]:
    return Graph("article", state=Draft, mutations=[Written])


async def write(ctx: NodeContext[Draft]) -> None:
    """Writes."""


async def review(ctx: NodeContext[Draft]) -> None:
    pass


def small() -> Graph[Draft, None]:
    graph = make()
    graph.start(graph.node(write))
    return graph


def test_a_graph_is_what_was_declared():
    """1: a graph is a declaration: state type, mutations, nodes, edges, one start."""
    graph = make()
    first = graph.node(write)
    second = graph.node(effects="pure", name="look", max_visits=3, token_cost=0.5)(review)
    gate = graph.barrier("sign-off", exits=("approved", "rejected", "later"))
    graph.start(first)
    graph.edge(first, gate)
    graph.edge(gate.approved, second)
    graph.edge(gate.exit("later"), "write", when=lambda draft: True, max_visits=2)

    blueprint = graph.build()

    assert blueprint.places == {"write": first, "look": second, "sign-off": gate}
    assert blueprint.start == "write"
    assert blueprint.node("look") is second
    assert blueprint.barrier("sign-off") is gate
    assert (blueprint.node("sign-off"), blueprint.barrier("write"), blueprint.node("nowhere")) == (None, None, None)
    assert (second.options.effects, second.options.max_visits, second.options.token_cost) == ("pure", 3, 0.5)
    assert [(e.index, e.label(), e.max_visits) for e in graph.edges] == [
        (0, "write -> sign-off", None),
        (1, "sign-off.approved -> look", None),
        (2, "sign-off.later -> write", 2),
    ]
    assert blueprint.max_steps == MAX_STEPS == 10_000


async def test_a_decorated_node_stays_callable():
    graph = make()
    seen: list[Any] = []

    @graph.node
    async def note(ctx: NodeContext[Draft]) -> None:
        """Notes."""
        seen.append(ctx)

    context: Any = object()
    await note(context)

    assert seen == [context]
    assert isinstance(note, Node)
    assert (note.name, note.__doc__, repr(note)) == ("note", "Notes.", "<node note>")


def test_effects_are_repeatable_unless_said_otherwise():
    """7: `"repeatable"` is the default; `has_side_effects=True` means `"once"`."""
    graph = make()

    assert graph.node(write).options.effects == "repeatable"
    assert graph.node(name="a", has_side_effects=True)(write).options.effects == "once"
    assert graph.node(name="b", has_side_effects=True, effects="once")(write).options.effects == "once"


async def leaf(ctx: Leaf) -> None: ...
async def leaf_by_name(ctx: "LeafContext[Draft]") -> None: ...
async def leaf_of_deps(ctx: LeafContext[Draft, Clients]) -> None: ...
async def full(ctx: NodeContext[Draft]) -> None: ...
async def alias(ctx: Ctx) -> None: ...
async def bare(ctx): ...
async def unresolved(ctx: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def broken(ctx: "attrs.nowhere") -> None: ...  # type: ignore[name-defined]
async def second_is_leaf(ctx: NodeContext[Draft], other: Leaf) -> None: ...


@pytest.mark.parametrize("fn", [leaf, leaf_by_name, leaf_of_deps])
def test_the_small_context_is_chosen_by_the_annotation_alone(fn):
    graph: Graph[Draft, Any] = Graph("g", state=Draft)

    assert graph.node(fn).asks.context is LeafContext


@pytest.mark.parametrize("fn", [full, alias, bare, unresolved, broken, second_is_leaf])
def test_every_other_node_gets_the_full_context(fn):
    graph: Graph[Draft, Any] = Graph("g", state=Draft)

    assert graph.node(fn).asks.context is NodeContext


def test_the_first_build_freezes_the_graph_and_every_later_one_gives_the_same():
    """1: frozen by its first submit; shared by any number of runs."""
    graph = small()
    before = graph.build()

    for declare in (
        lambda: graph.node(review),
        lambda: graph.barrier("gate"),
        lambda: graph.start("write"),
        lambda: graph.edge("write", "write"),
        lambda: graph.edge(make().node(write), "write"),
    ):
        with pytest.raises(GraphError, match="frozen since its first build"):
            declare()

    assert graph.build() is before
    assert isinstance(before, Blueprint)
    assert (len(graph.places), graph.edges, graph.starts, graph.strangers) == (1, [], ["write"], [])


def test_a_graph_that_cannot_be_built_stays_open():
    graph = make()
    graph.node(write)
    with pytest.raises(GraphError, match="exactly one start"):
        graph.build()

    graph.start("write")

    assert graph.build().start == "write"


def test_edges_may_name_what_is_declared_later():
    graph = make()
    graph.start("write")
    graph.edge("write", "gate")
    graph.edge("gate.rejected", "write")
    graph.node(write)
    gate = graph.barrier("gate")

    blueprint = graph.build()

    assert blueprint.routes_from("write").plain is graph.edges[0]
    assert blueprint.routes_from("gate", "rejected").plain is graph.edges[1]
    assert blueprint.routes_from("gate", "approved").empty
    assert blueprint.barrier("gate") is gate


def test_a_barrier_has_the_exits_that_it_declares():
    """6.3: a barrier has exits (`approved`, `rejected`, or declared ones) that edges start from."""
    gate = make().barrier("gate", exits=("approved", "later"))

    assert isinstance(gate.approved, Exit)
    assert gate.exit("later") is gate.exits["later"]
    assert [gate.takes(d) for d in (Approve(), Reject(), Choose("later"), Choose("never"), Fail())] == [
        True,
        False,
        True,
        False,
        False,
    ]
    with pytest.raises(KeyError, match="no exit 'rejected'; it has approved, later"):
        _ = gate.rejected


def test_one_exit_may_be_said_without_a_tuple():
    assert list(make().barrier("gate", exits="done").exits) == ["done"]


def test_a_timeout_rejects_unless_said_otherwise():
    """6.4: `on_timeout=` a decision (Reject unless said otherwise) or `Fail()`."""
    graph = make()

    assert graph.barrier("a", timeout=5).options.on_timeout == Reject()
    assert graph.barrier("b", timeout=5, on_timeout=Approve()).options.on_timeout == Approve()
    assert graph.barrier("c", timeout=5, on_timeout=Fail()).options.on_timeout == Fail()


def test_places_say_what_they_are():
    graph = make()
    node, gate = graph.node(write), graph.barrier("gate")

    assert (as_node(node), as_node(gate), as_node(None)) == (node, None, None)
    assert (as_barrier(gate), as_barrier(node), as_barrier(None)) == (gate, None, None)
    assert [repr(x) for x in (graph, node, gate, gate.approved)] == [
        "<graph article 1: 2 places>",
        "<node write>",
        "<barrier gate>",
        "<exit gate.approved>",
    ]


def test_edges_cannot_be_changed_afterwards():
    graph = small()
    graph.edge("write", "write", max_visits=1)
    graph.build()

    with pytest.raises(AttributeError):
        graph.edges[0].target = "elsewhere"  # type: ignore[misc]


def test_the_everyday_path_is_a_plain_edge_to_a_plain_node():
    graph = make()
    for name, options in {"a": {}, "b": {"effects": "pure"}, "c": {"effects": "once"}, "d": {"max_visits": 2}}.items():
        graph.node(name=name, **options)(write)  # type: ignore[call-overload]
    graph.barrier("gate")
    graph.start("a")
    for source, target in ("ab", "bc", "cd", ("d", "gate"), ("gate.approved", "a")):
        graph.edge(source, target)

    everyday = graph.build().everyday
    assert {name: [way.place for way in easy.ways] for name, easy in everyday.items() if easy.ways} == {"a": ["b"]}


def test_conditional_ways_are_everyday_and_limited_ones_are_not():
    graph = small()
    graph.node(review)
    graph.edge("write", "review", max_visits=3)
    graph.edge("review", "write")
    graph.edge("review", "review", when=lambda draft: False)

    everyday = graph.build().everyday
    assert {name: [way.place for way in easy.ways] for name, easy in everyday.items() if easy.ways} == {
        "review": ["review", "write"]
    }


def test_a_graph_draws_and_analyses_itself_also_before_it_is_built():
    """5.4: `analyze()` reports; drawings need nothing else."""
    graph = make()
    graph.node(write)

    assert graph.analyze().unreachable == ("write",)
    assert "write" in graph.mermaid()
    assert "write" in graph.dot()


def test_every_option_of_node_is_documented():
    text = Graph.node.__doc__ or ""

    for name in inspect.signature(Graph.node).parameters:
        assert name in ("self", "fn") or f"{name}:" in text
    assert Barrier.__doc__
