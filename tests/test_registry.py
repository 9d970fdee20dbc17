"""The registry: a run finds its graph by name and version, and nothing else is found."""

from typing import Any

import attrs
import pytest

from terzetto_protocol.errors import GraphError, InvalidRequest, UnknownGraph
from terzetto_protocol.graph import Bound, Graph, bind, unbind
from terzetto_protocol.registry import Registry


@attrs.define
class State:
    n: int = 0


class Clients:
    pass


async def body(ctx): ...


def graph(name: str = "article", version: str = "1", deps: Any = None) -> Graph[State, Any]:
    made: Graph[State, Any] = Graph(name, state=State, version=version, deps=deps)
    made.start(made.node(name="a")(body))
    return made


def test_a_run_finds_exactly_its_version():
    """1: several versions may be live; a run is pinned to one."""
    first, second = graph(), graph(version="2")
    registry = Registry([first, second])

    assert [registry.find("article", version) for version in ("1", "2", "3")] == [
        Bound(first, None),
        Bound(second, None),
        None,
    ]
    assert registry.find("other", "1") is None
    assert registry.latest("article").graph is second
    assert registry.of(first) == Bound(first, None)
    assert registry.all() == [first.build(), second.build()]


def test_dependencies_come_with_the_graph():
    clients = Clients()
    article = graph(deps=Clients)
    registry = Registry([bind(article, clients)])

    found = registry.find("article", "1")

    assert found is not None
    assert (found.graph, found.deps) == (article, clients)


def test_a_graph_that_needs_dependencies_is_not_taken_without():
    for given in (lambda g: Registry([g]), unbind):
        with pytest.raises(GraphError, match=r"nodes need deps: give terzetto.bind\(article, Clients\(...\)\)"):
            given(graph(deps=Clients))


def test_giving_a_graph_builds_it():
    """1: frozen from then on, and mistakes are reported before anything runs."""
    broken = graph()
    broken.edge("a", "nowhere")
    with pytest.raises(GraphError, match=r"nodes.a.edges\[0\].target"):
        Registry([graph(), broken])

    article = graph()
    Registry([article])
    with pytest.raises(GraphError, match="frozen"):
        article.node(body)


@pytest.mark.parametrize("twice", [lambda: [graph(), graph()], lambda: [graph()] * 2])
def test_a_version_is_given_once(twice):
    """1: (name, version, hash)."""
    with pytest.raises(GraphError, match="version '1' is given twice"):
        Registry(twice())


def test_an_unknown_graph_is_refused_with_the_known_ones():
    registry = Registry([graph("b"), graph("a")])

    with pytest.raises(UnknownGraph, match="no graph 'c' is known here; known: a, b"):
        registry.latest("c")
    with pytest.raises(UnknownGraph, match="known: none"):
        Registry([]).latest("c")


def test_a_graph_of_the_same_name_is_not_that_graph():
    """1: recovery finds code in the registry, never by import; so must submit."""
    registry = Registry([graph()])

    for stranger in (graph(), graph("other")):
        with pytest.raises(InvalidRequest, match=r"was not given: open_runtime\(..., graphs=\[...\]\)"):
            registry.of(stranger)
