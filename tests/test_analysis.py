"""What `analyze` says about a graph before it runs."""

from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.analysis import Cycle, analyze
from terzetto_protocol.graph import Graph


@attrs.define
class State:
    n: int = 0


async def body(ctx): ...


def is_done(state: State) -> bool:
    return True


WHEN = {"when": is_done}
ELSE = {"fallback": True}


def graph(
    *edges: Any, nodes: str = "abc", start: str = "a", limits: dict[str, int] | None = None
) -> Graph[State, None]:
    """Nodes by their letters, a barrier `gate`, and edges as `(source, target)` or `(source, target, options)`."""
    made: Graph[State, None] = Graph("g", state=State)
    for name in nodes:
        made.node(name=name, max_visits=(limits or {}).get(name))(body)
    made.barrier("gate")
    made.start(start)
    for source, target, *options in edges:
        made.edge(source, target, **(options[0] if options else {}))
    return made


def cycles(*edges: Any, **options: Any) -> dict[str, bool]:
    """The cycles, and whether each has a guard."""
    return {str(cycle): cycle.guarded for cycle in analyze(graph(*edges, **options)).cycles}


def test_a_straight_graph_has_nothing_to_report():
    """5.4: `analyze()` reports cycles without a guard, unreachable nodes, end nodes."""
    found = analyze(graph(("a", "b"), ("b", "gate"), ("gate.approved", "c"), ("gate.rejected", "c")))

    assert (found.cycles, found.unreachable, found.ends, found.warnings) == ((), (), ("c",), ())


@pytest.mark.parametrize(
    "edges, limits",
    [
        ([("a", "b"), ("b", "a")], {}),
        ([("a", "b"), ("b", "a", ELSE)], {}),
        ([("a", "b"), ("b", "a", {"on_error": True})], {}),
        ([("a", "b"), ("a", "c", {"when": is_done, "on_error": True}), ("b", "a")], {}),
        ([("a", "b"), ("a", "b", WHEN), ("b", "a")], {}),
        ([("a", "b"), ("b", "a"), ("b", "c", {"on_error": True})], {}),
    ],
)
def test_a_cycle_that_nothing_ends_has_no_guard(edges, limits):
    """5.4: cycles without a guard."""
    made = graph(*edges, limits=limits)

    assert Cycle(("a", "b"), guarded=False) in analyze(made).cycles
    assert (
        "cycle a -> b -> a has no guard: nothing declared ends it before max_steps (10000) does"
        in analyze(made).warnings
    )


@pytest.mark.parametrize(
    "edges, limits",
    [
        ([("a", "b"), ("b", "a", WHEN)], {}),
        ([("a", "b"), ("b", "a", {"max_visits": 3})], {}),
        ([("a", "b"), ("b", "a", {"max_visits": 3, "on_error": True})], {}),
        ([("a", "b"), ("b", "a")], {"b": 3}),
        ([("a", "b"), ("b", "c", WHEN), ("b", "a")], {}),
        ([("a", "b"), ("b", "c", WHEN), ("b", "a", ELSE)], {}),
    ],
)
def test_a_predicate_or_a_limit_is_a_guard(edges, limits):
    """5.4: a predicate on the way round, one that leads out and is asked first, or a limit."""
    assert cycles(*edges, limits=limits) == {"a -> b -> a": True}


def test_a_barrier_is_a_guard():
    """5.4: whoever decides can end it."""
    assert cycles(("a", "gate"), ("gate.rejected", "a")) == {"a -> gate -> a": True}


def test_a_node_may_lead_to_itself():
    assert cycles(("a", "a")) == {"a -> a": False}
    assert cycles(("a", "a", WHEN), ("a", "b")) == {"a -> a": True}


def test_an_unguarded_cycle_is_found_beside_guarded_ones_between_the_same_nodes():
    """5.4: the dangerous one is never hidden by a harmless one."""
    found = cycles(("a", "b", WHEN), ("a", "c"), ("b", "c"), ("c", "a"))

    assert found == {"a -> b -> c -> a": True, "a -> c -> a": True}
    found = cycles(("a", "c"), ("b", "c"), ("c", "b", {"on_error": True}), ("c", "a"), ("b", "a", WHEN))
    assert found["a -> c -> a"] is False
    assert found["b -> c -> b"] is True


@pytest.mark.parametrize("back", [{"on_error": True, "max_visits": 1}, WHEN])
def test_an_unguarded_cycle_is_found_behind_shorter_guarded_ones(back):
    """5.4: also when every link of it is on another cycle that ends."""
    found = cycles(("a", "b"), ("b", "c"), ("c", "a"), ("b", "a", back), ("c", "b", back), ("a", "c", back))

    assert found == {"a -> b -> a": True, "a -> b -> c -> a": False, "a -> c -> a": True, "b -> c -> b": True}


def test_an_unguarded_cycle_is_found_behind_shorter_ones_with_a_way_out():
    """5.4: also when every link of it is on a shorter cycle in which something is asked."""
    ring = [(source, target) for source, target in ("ab", "bc", "cd", "da")]
    detours = [(("b", "w"), ("w", "a")), (("c", "x"), ("x", "b")), (("d", "y"), ("y", "c")), (("a", "z"), ("z", "d"))]
    edges: list[Any] = list(ring)
    for (node, aside), back in detours:
        edges += [(node, aside, {"on_error": True}), (aside, "out", WHEN), back]
    made = graph(*edges, nodes="abcdwxyz")
    made.node(name="out")(body)

    assert [str(cycle) for cycle in analyze(made).cycles if not cycle.guarded] == ["a -> b -> c -> d -> a"]


def test_unreachable_nodes_are_named_in_order():
    """5.4: unreachable nodes."""
    found = analyze(graph(("b", "a"), ("c", "gate"), nodes="abcd", start="b"))

    assert found.unreachable == ("c", "d", "gate")


def test_ends_are_nodes_and_exits_that_no_edge_leaves():
    """5.2: a node without out-edges ends the run; an `on_error` edge is no way on for a success."""
    found = analyze(graph(("a", "gate"), ("gate.approved", "b"), ("c", "a", {"on_error": True})))

    assert found.ends == ("b", "c", "gate.rejected")
    assert "exit gate.rejected has no edge: a decision that takes it ends the run" in found.warnings


def test_a_fallback_inside_a_cycle_is_a_warning():
    found = analyze(graph(("a", "b"), ("b", "c", WHEN), ("b", "a", ELSE), ("a", "c", {"on_error": True})))

    assert found.warnings[:1] == ("fallback edge b -> a is part of a cycle: whatever matches nothing goes round again",)


@pytest.mark.parametrize(
    "edges, warned",
    [
        ([("a", "b", WHEN)], "a"),
        ([("a", "b", WHEN), ("a", "c", WHEN)], "a"),
        ([("a", "b", {"max_visits": 1})], "a"),
        ([("a", "b", WHEN), ("a", "c", {"fallback": True, "max_visits": 1})], "a"),
        ([("gate.approved", "b", WHEN)], "gate.approved"),
        ([("a", "b", WHEN), ("a", "c")], None),
        ([("a", "b", WHEN), ("a", "c", ELSE)], None),
        ([("a", "b", {"on_error": True, "when": is_done})], None),
    ],
)
def test_what_can_end_unrouted_is_a_warning(edges, warned):
    """5.2: else FAILED(unrouted): said before it happens."""
    text = "can end unrouted: all its edges are conditional or limited (add a plain or a fallback edge)"
    warnings = [warning for warning in analyze(graph(*edges)).warnings if "unrouted" in warning]

    assert warnings == ([f"{warned} {text}"] if warned else [])


def test_a_graph_with_mistakes_can_be_analysed():
    """5.4: `build` reports what is not declared; `analyze` looks at the rest."""
    found = analyze(
        graph(("a", "b"), ("b", "nowhere"), ("nobody", "a"), ("gate.maybe", "a"), ("a.b", "a"), start="lost")
    )

    assert found.unreachable == ("a", "b", "c", "gate")
    assert found.ends == ("b", "c", "gate.approved", "gate.rejected")
    assert analyze(Graph("empty", state=State)).ends == ()


names = st.sampled_from("abc")
edges = st.tuples(names, names, st.sampled_from([{}, WHEN, ELSE, {"on_error": True}, {"max_visits": 1}]))


@given(st.lists(edges, max_size=8), st.sampled_from(["", "a", "b"]))
def test_a_graph_without_unguarded_cycles_ends_whatever_the_answers_are(drawn, limited):
    """5.4: a guard is something that is asked or counted; without one a run can go round for ever."""
    made = graph(*drawn, limits={limited: 1} if limited else {})
    free = [
        (edge.source, edge.target)
        for edge in made.edges
        if edge.when is None
        and edge.max_visits is None
        and edge.source != limited
        and not any(
            other.when and other.on_error == edge.on_error for other in made.edges if other.source == edge.source
        )
    ]
    reach = set(free)
    for _ in range(3):
        reach |= {(a, d) for a, b in reach for c, d in free if b == c}

    unguarded = {name for cycle in analyze(made).cycles if not cycle.guarded for name in cycle.nodes}

    assert {a for a, b in reach if a == b} <= unguarded
