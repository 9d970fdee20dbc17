"""Which way a run goes: every sentence of SEMANTICS 5.2, as one pure function."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.graph import Graph
from terzetto_protocol.places import Edge
from terzetto_protocol.routing import NoWay, Way, after_failure, after_success
from terzetto_protocol.statuses import FailureCode


@attrs.define
class State:
    n: int = 0


async def body(ctx): ...


def blueprint(*edges: dict[str, Any], source: str = "a") -> Blueprint[State]:
    """Node `a` (or an exit of barrier `gate`) with these edges, each to a node of its own."""
    graph: Graph[State] = Graph("g", state=State)
    graph.node(name="a")(body)
    graph.barrier("gate")
    graph.start("a")
    for number, options in enumerate(edges):
        graph.node(name=f"n{number}")(body)
        graph.edge(source, f"n{number}", **options)
    return graph.build()


def target(way: Way[State] | NoWay) -> str | None:
    assert isinstance(way, Way), way
    return None if way.edge is None else way.edge.target


def taken(built: Blueprint[State], state: State | None = None, counts: dict[int, int] | None = None) -> str | None:
    return target(after_success(built, "a", "", state or State(), counts or {}))


def holds(state: State) -> bool:
    return True


def fails_to_hold(state: State) -> bool:
    return False


def test_the_first_conditional_edge_that_holds_is_taken():
    """5.2: Next takes the first conditional edge whose predicate holds, in order of declaration."""
    built = blueprint({"when": lambda s: s.n > 1}, {"when": lambda s: s.n > 0}, {"when": holds})

    assert [taken(built, State(n)) for n in (2, 1, 0)] == ["n0", "n1", "n2"]


def test_predicates_after_the_first_that_holds_are_not_asked():
    """5.2: the first; predicates are user code, and whoever is behind it is not called."""
    asked: list[int] = []

    def ask(number: int) -> Callable[[State], bool]:
        return lambda state: asked.append(number) or number == 1  # type: ignore[func-returns-value]

    taken(blueprint(*({"when": ask(number)} for number in range(3))))

    assert asked == [0, 1]


def test_else_the_plain_edge_else_the_fallback_whatever_was_declared_first():
    """5.2: else the plain edge; else the fallback edge."""
    assert taken(blueprint({"fallback": True}, {}, {"when": fails_to_hold})) == "n1"
    assert taken(blueprint({"fallback": True}, {}, {"when": holds})) == "n2"
    assert taken(blueprint({"fallback": True}, {"when": fails_to_hold})) == "n0"


def test_a_node_without_edges_ends_the_run():
    """5.2: else a node without out-edges ends the run."""
    assert taken(blueprint()) is None
    assert taken(blueprint({"on_error": True})) is None


def test_an_exit_has_edges_of_its_own():
    """6.3: a barrier has exits that edges start from."""
    built = blueprint({}, source="gate.approved")

    assert target(after_success(built, "gate", "approved", State(), {})) == "n0"
    assert target(after_success(built, "gate", "rejected", State(), {})) is None


def test_when_nothing_holds_the_failure_names_what_was_tried():
    """5.2: else FAILED(unrouted) naming the predicates tried."""
    built = blueprint({"when": fails_to_hold}, {"when": lambda s: False}, {"max_visits": 2})

    way = after_success(built, "a", "", State(), {2: 2})

    assert way == NoWay(
        FailureCode.UNROUTED,
        "no edge out of a can be taken "
        "(tried: a -> n0 if fails_to_hold, a -> n1 if when, a -> n2, which was taken 2 times)",
    )


def test_unrouted_at_an_exit_names_the_exit():
    built = blueprint({"when": fails_to_hold}, source="gate.rejected")

    way = after_success(built, "gate", "rejected", State(), {})

    assert isinstance(way, NoWay)
    assert "no edge out of gate.rejected" in way.message


def test_after_a_failure_only_on_error_edges_are_looked_at():
    """5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    built = blueprint({"when": holds}, {}, {"fallback": True}, {"on_error": True})

    assert target(after_failure(built, "a", State(), {})) == "n3"
    assert taken(built) == "n0"
    assert target(after_failure(blueprint({"when": holds}, {}), "a", State(), {})) is None


def test_on_error_edges_follow_the_same_order():
    """5.2: conditional ones first, in order of declaration; else the plain one; else the failure stands."""
    built = blueprint(
        {"on_error": True}, {"on_error": True, "when": lambda s: s.n > 1}, {"on_error": True, "when": lambda s: s.n > 0}
    )

    assert [target(after_failure(built, "a", State(n), {})) for n in (2, 1, 0)] == ["n1", "n2", "n0"]
    assert target(after_failure(blueprint({"on_error": True, "when": fails_to_hold}), "a", State(), {})) is None


class Undecided:
    def __bool__(self) -> bool:
        raise ValueError("neither")


@pytest.mark.parametrize("error", [ValueError("neither"), SystemExit("neither"), GeneratorExit("neither")])
def test_a_predicate_that_raises_fails_the_run_and_names_the_edge(error):
    """5.2: a predicate that raises fails the run and names the edge. 9.3's SystemExit is no exception."""

    def broken(state: State) -> bool:
        raise error

    expected = NoWay(FailureCode.NODE_ERROR, f"the predicate of edge a -> n0 raised {type(error).__name__}: neither")

    assert after_success(blueprint({"when": broken}, {}), "a", "", State(), {}) == expected
    assert after_failure(blueprint({"when": broken, "on_error": True}), "a", State(), {}) == expected


def test_an_answer_that_is_no_truth_is_a_failure_too():
    """5.2: a predicate that raises, also when it is asked what its answer means."""
    way = after_success(blueprint({"when": lambda s: Undecided()}, {}), "a", "", State(), {})

    assert isinstance(way, NoWay)
    assert "edge a -> n0 raised ValueError: neither" in way.message


def test_keyboard_interrupt_is_not_the_graphs_business():
    """9.4: KeyboardInterrupt is re-raised."""

    def interrupted(state: State) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken(blueprint({"when": interrupted}))


def test_an_edge_is_passed_over_when_it_was_taken_often_enough():
    """5.3: `max_visits` on an edge is enforced."""
    built = blueprint({"when": holds, "max_visits": 2}, {"max_visits": 1}, {"fallback": True})

    assert taken(built, counts={0: 1}) == "n0"
    assert taken(built, counts={0: 2}) == "n1"
    assert taken(built, counts={0: 2, 1: 1}) == "n2"


def test_an_exhausted_edge_is_not_asked():
    """5.3: a limit that is reached decides alone."""

    def broken(state: State) -> bool:
        raise ValueError

    assert taken(blueprint({"when": broken, "max_visits": 1}, {}), counts={0: 1}) == "n1"


def test_limits_hold_after_failures_too():
    """5.3: `max_visits` on an edge is enforced, so a retry by edge ends."""
    built = blueprint({"on_error": True, "max_visits": 3})

    assert target(after_failure(built, "a", State(), {0: 2})) == "n0"
    assert target(after_failure(built, "a", State(), {0: 3})) is None


def expected(edges: list[dict[str, Any]], counts: dict[int, int], answers: list[bool]) -> str | None:
    """5.2, word by word."""
    normal = [(i, e) for i, e in enumerate(edges) if not e.get("on_error")]
    if not normal:
        return None
    usable = [(i, e) for i, e in normal if e.get("max_visits") is None or counts.get(i, 0) < e["max_visits"]]
    conditional = [i for i, e in usable if "when" in e and answers[i]]
    plain = [i for i, e in usable if "when" not in e and not e.get("fallback")]
    fallback = [i for i, e in usable if e.get("fallback")]
    first = next(iter(conditional + plain + fallback), None)
    return "unrouted" if first is None else f"n{first}"


kinds = st.sampled_from(["when", "when", "when", "plain", "fallback", "on_error"])


@given(st.lists(st.tuples(kinds, st.booleans(), st.none() | st.integers(1, 2), st.integers(0, 2)), max_size=7))
def test_any_set_of_edges_is_routed_as_the_sentence_says(drawn):
    """5.2: order of declaration among conditional edges, and only there."""
    edges: list[dict[str, Any]] = []
    used: set[str] = set()
    answers = [answer for _, answer, _, _ in drawn]
    counts = {number: count for number, (_, _, _, count) in enumerate(drawn)}
    for number, (kind, _, limit, _) in enumerate(drawn):
        kind = kind if kind == "when" or kind not in used else "when"  # noqa: PLW2901 - one plain, fallback, on_error
        used.add(kind)
        options: dict[str, Any] = {"max_visits": limit}
        if kind == "when":
            options["when"] = lambda state, number=number: answers[number]
        elif kind != "plain":
            options[kind] = True
        edges.append(options)

    way = after_success(blueprint(*edges), "a", "", State(), counts)

    assert ("unrouted" if isinstance(way, NoWay) else target(way)) == expected(edges, counts, answers)


def test_predicates_are_called_by_their_names():
    edges = [Edge[State](0, "a", "", "b", when) for when in (None, holds, lambda s: True, Undecided)]

    assert [edge.predicate for edge in edges] == ["", "holds", "when", "Undecided"]
