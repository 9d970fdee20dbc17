"""Migrations as a graph declares them: chains, and mistakes with their paths (SEMANTICS 2)."""

from typing import Any

import pytest
from attrs import define

from terzetto_protocol.composites import Lens
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Graph
from terzetto_protocol.migrations import Migration, chain_from, inner_versions, renamed
from terzetto_protocol.registry import Registry


@define
class State:
    n: int = 0


async def body(ctx: Any) -> None: ...


def graph(*migrations: Migration, version: str = "3", places=("a", "b"), **options: Any) -> Graph[State, Any]:
    made: Graph[State, Any] = Graph("article", state=State, version=version, migrations=migrations, **options)
    for name in places:
        made.node(name=name)(body)
    made.start(places[0])
    return made


def inner(version: str, *migrations: Migration) -> Graph[State, Any]:
    made: Graph[State, Any] = Graph("inner", state=State, version=version, migrations=migrations)
    made.start(made.node(name="within")(body))
    return made


FIRST, SECOND = Migration(since="1", places={"x": "y"}), Migration(since="2", places={"y": "b"})


def test_a_chain_leads_through_all_that_followed():
    """2: otherwise a declared migration: from every version that one is declared for, in the order of versions."""
    made = graph(FIRST, SECOND)

    assert [chain_from(made, version) for version in ("1", "2", "3", "0")] == [(FIRST, SECOND), (SECOND,), (), None]


def test_names_are_led_through_a_chain():
    chain = FIRST, SECOND, Migration(since="3", places={"b": "c", "z": "d"})

    assert ["c", "c", "c", "d", "other", "c.graph.2"] == [
        renamed(name, chain) for name in ("x", "y", "b", "z", "other", "x.graph.2")
    ]


def test_graphs_inside_have_versions_of_their_own():
    """The first migration of a chain that says what a graph inside was is right: it is next to the run's version."""
    first = Migration(since="1", inner={"sub": "1"}, places={"sub": "part"})
    second = Migration(since="2", inner={"part": "2", "do.graph": "7"}, places={"do": "act"})

    assert {"part": "1", "act.graph": "7"} == inner_versions((first, second))
    assert {"part": "2", "act.graph": "7"} == inner_versions((second,))


def test_a_graph_of_the_registry_carries_runs_of_older_versions():
    """2: a run of a version that is not given goes on under the last one that has a migration since; else nobody's."""
    new, newer = graph(Migration(since="1")), graph(Migration(since="1"), Migration(since="3"), version="4")
    old = graph(version="1")

    assert new is Registry([new]).carrier("article", "1").graph
    assert newer is Registry([new, newer]).carrier("article", "1").graph
    assert new is Registry([new, newer]).carrier("article", "3").graph
    assert old is Registry([old, new, newer]).carrier("article", "1").graph
    assert None is Registry([new]).carrier("article", "2")
    assert None is Registry([new]).carrier("other", "1")


def test_the_registry_says_why_nothing_carries_a_run():
    registry = Registry([graph(Migration(since="1"))])

    assert "graph 'other' '1' is not known here; it stays as it is (give it to the runtime)" == (
        registry.why_not("other", "1")
    )
    assert "(give it to the runtime; there is '3', which can declare terzetto.Migration(since='2'))" in (
        registry.why_not("article", "2")
    )


def nothing() -> Any: ...


async def asynchronous(plain: Any) -> Any: ...


@pytest.mark.parametrize(
    "migrations, mistake",
    [
        ([Migration(since="3")], r"migrations\[0\].since: '3' is this graph's own version"),
        ([Migration("1"), Migration("1")], r"migrations\[1\].since: two migrations lead on from version '1'"),
        (
            [Migration("1", places={"old": "bb"})],
            r"migrations\[0\].places.old: no node 'bb' \(did you mean 'b'\?\)",
        ),
        (
            [Migration("1", places={"old": "mid"}), Migration("2", places={"mid": "new"})],
            r"migrations\[0\].places.old: no node 'new' \(there are a, b\)",
        ),
        ([Migration("1", state=asynchronous)], r"migrations\[0\].state: it must not be `async def`"),
        (
            [Migration("1", state=nothing)],
            r"migrations\[0\].state: it must take one argument, the stored state",
        ),
        (
            [Migration("1", mutation=lambda name: None)],
            r"migrations\[0\].mutation: it must take two arguments, a name and its fields",
        ),
        ([Migration("1", inner={"sub": "1"})], r"migrations\[0\].inner.sub: no graph 'sub' inside \(there are none\)"),
    ],
)
def test_mistakes_are_told_with_their_paths(migrations, mistake):
    """5.4: `build()` reports every mistake at once, with paths."""
    with pytest.raises(GraphError, match=mistake):
        graph(*migrations).build()


def test_versions_of_graphs_inside_need_migrations_of_their_own():
    """5.4."""
    outer = graph(Migration("1", inner={"old": "1", "do.inner": "1"}, places={"old": "sub"}), places=("a", "do"))
    outer.subgraph("sub", inner("3", Migration("2")))
    outer.node(name="does", runs=[Lens(inner("2", Migration("1")))])(body)

    with pytest.raises(GraphError) as caught:
        outer.build()
    assert (
        "migrations[0].inner.old: graph 'inner' '3' has no migration since '1'",
        "migrations[0].inner.do.inner: no graph 'do.inner' inside (did you mean 'does.inner'?)",
    ) == caught.value.mistakes


def test_a_dataflow_takes_migrations_and_has_no_mutations():
    migration = Migration("1", mutation=lambda name, plain: None, item=lambda place, plain: plain)
    flow = Dataflow("flow", version="2", migrations=[migration])

    assert [
        "migrations[0].mutation: nobody records mutations in a dataflow",
        "migrations[0].item: there is no map in a dataflow",
    ] == flow.mistakes()


def test_migrations_are_no_part_of_the_hash():
    """1: the hash covers structure and schemas; what leads older runs on touches no log of its own."""
    assert graph().build().fingerprint == graph(Migration("1", places={"x": "a"})).build().fingerprint
