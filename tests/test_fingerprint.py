"""The hash of a graph: stable in every process, and sensitive to whatever a log depends on."""

import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from msgspec import Struct

from terzetto_protocol.graph import Graph
from terzetto_protocol.state import transient

PROGRAM = """
import enum
from typing import Annotated, Literal
import attrs
from terzetto_protocol.graph import Graph
from terzetto_protocol.state import transient

class Colour(enum.Enum):
    RED, GREEN, BLUE = "red", "green", "blue"
class Client: pass
class Mark: pass
@attrs.frozen
class Circle: radius: float
@attrs.frozen
class Square: side: float
@attrs.define
class Plain:
    text: str = ""
    tags: set[str] = attrs.field(factory=set)
    mode: Literal["a", "b"] | int | None = None
    colour: Colour = Colour.RED
    start: frozenset[str] = frozenset({"x", "y", "z"})
@attrs.define
class Shapes:
    shape: Circle | Square | None = None
    note: Annotated[str, Mark()] = ""
    client: Annotated[Client | None, transient] = None
async def write(ctx): ...
for state in (Plain, Shapes):
    graph = Graph("g", state=state, mutations=[])
    graph.start(graph.node(write))
    graph.edge(write.__name__, "gate", when=lambda state: True)
    graph.barrier("gate")
    print(graph.build().fingerprint)
"""


def test_every_process_finds_the_same_hash():
    """1: (name, version, hash): every process finds the same."""
    seen = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }

    assert len(seen) == 1
    assert len(set(seen.pop().split())) == 2


@attrs.define
class Draft:
    text: str = ""


@attrs.frozen
class Written:
    text: str

    def apply(self, draft: Any) -> None: ...


async def body(ctx): ...
async def other_body(ctx): ...


def declare(
    *,
    name: str = "g",
    state: type[Any] = Draft,
    mutations: tuple[type[Any], ...] = (Written,),
    start: str = "a",
    more: Callable[[Graph[Any, None]], Any] = lambda graph: None,
    fn: Any = body,
    **options: Any,
) -> Graph[Any, None]:
    graph: Graph[Any, None] = Graph(name, state=state, mutations=mutations, **options)
    graph.node(name="a")(fn)
    graph.node(name="b", effects="pure")(fn)
    graph.barrier("gate")
    graph.start(start)
    graph.edge("a", "b", when=lambda state: True)
    graph.edge("a", "gate")
    more(graph)
    return graph


def hash_of(**changes: Any) -> str:
    return declare(**changes).build().fingerprint


@attrs.define
class LongDraft:
    text: str = ""
    length: int = 0


@attrs.define
class OtherDefault:
    text: str = "begin"


OtherDefault.__name__ = OtherDefault.__qualname__ = "Draft"


@attrs.frozen
class Erased:
    def apply(self, draft: Any) -> None: ...


STRUCTURE: list[dict[str, Any]] = [
    {"name": "h"},
    {"state": LongDraft},
    {"state": OtherDefault},
    {"mutations": ()},
    {"mutations": (Written, Erased)},
    {"start": "b"},
    {"more": lambda graph: graph.node(name="c")(body)},
    {"more": lambda graph: graph.node(name="c", effects="once")(body)},
    {"more": lambda graph: graph.node(name="c", effects="pure")(body)},
    {"more": lambda graph: graph.barrier("d")},
    {"more": lambda graph: graph.barrier("d", exits=("yes",))},
    {"more": lambda graph: graph.edge("b", "a")},
    {"more": lambda graph: graph.edge("b", "gate")},
    {"more": lambda graph: graph.edge("b", "a", when=lambda state: True)},
    {"more": lambda graph: graph.edge("b", "a", fallback=True)},
    {"more": lambda graph: graph.edge("b", "a", on_error=True)},
    {"more": lambda graph: graph.edge("b", "a", max_visits=1)},
    {"more": lambda graph: graph.edge("b", "a", max_visits=2)},
    {"more": lambda graph: graph.edge("gate.approved", "a")},
    {"more": lambda graph: graph.edge("gate.rejected", "a")},
]


def test_every_change_of_structure_or_schema_changes_the_hash():
    """1: the hash covers structure *and* the schemas of state and mutations."""
    hashes = [hash_of(), *(hash_of(**change) for change in STRUCTURE)]

    assert len(set(hashes)) == len(hashes)


def documented(text: str) -> type[Any]:
    @attrs.define
    class Draft:
        text: str = ""
        description: int = 0

    Draft.__doc__ = text
    return Draft


def test_what_no_log_depends_on_changes_nothing():
    """1: structure and schemas, not bodies, predicates, docstrings or limits of a single run."""
    assert hash_of(fn=other_body) == hash_of()
    assert hash_of(version="2", max_steps=5) == hash_of()
    assert hash_of(restore=print) == hash_of()
    assert hash_of(state=documented("One text.")) == hash_of(state=documented("Another."))
    assert hash_of(state=documented("One text.")) != hash_of()


def test_the_order_of_nodes_does_not_matter_and_that_of_edges_does():
    """5.2: edges are taken in order of declaration, and the log counts them by it."""

    def two(first: str, second: str) -> str:
        return hash_of(more=lambda graph: [graph.barrier(name) for name in (first, second)])

    def edges(first: str, second: str) -> str:
        return hash_of(more=lambda graph: [graph.edge("b", x, when=lambda state: True) for x in (first, second)])

    assert two("x", "y") == two("y", "x")
    assert edges("a", "b") != edges("b", "a")


class Client:
    pass


class WithClient(Struct):
    text: str = ""
    client: Annotated[Client | None, transient] = None


class WithOther(Struct):
    text: str = ""
    client: Annotated[int | None, transient] = None
    cache: Annotated[dict[str, Client] | None, transient] = None


WithOther.__name__ = WithOther.__qualname__ = "WithClient"


def test_transient_fields_are_no_part_of_it():
    """4.7: fields marked transient are left out."""
    assert hash_of(state=WithClient) == hash_of(state=WithOther)


def shaped(side: Any) -> type[Any]:
    circle = attrs.make_class("Circle", {"radius": attrs.field(type=float)})
    square = attrs.make_class("Square", {"side": attrs.field(type=side)})
    return attrs.make_class("Shapes", {"shape": attrs.field(type=circle | square)})


@pytest.mark.parametrize("other", [int, str, list[float], float | None])
def test_schemas_that_only_cattrs_can_do_are_looked_into_as_well(other):
    """1: the schemas of state and mutations, all the way down."""
    assert hash_of(state=shaped(float)) == hash_of(state=shaped(float))
    assert hash_of(state=shaped(float)) != hash_of(state=shaped(other))


def test_the_hash_of_a_state_depends_on_its_type_alone():
    """1: a thread goes on with another graph where the states are of one type."""

    def schema_of(**changes: Any) -> str:
        return declare(**changes).build().state_schema

    for changes in STRUCTURE:
        assert (schema_of() == schema_of(**changes)) is ("state" not in changes)
    assert schema_of(state=WithClient) == schema_of(state=WithOther)
    assert schema_of(state=shaped(float)) == schema_of(state=shaped(float)) != schema_of(state=shaped(int))
