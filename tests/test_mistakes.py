"""Every mistake of a declaration is reported, all at once, with its path and what to do."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from msgspec import Struct

from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Graph
from terzetto_protocol.state import transient


class Client:
    pass


@attrs.define
class Draft:
    text: str = ""


@attrs.frozen
class Written:
    text: str

    def apply(self, draft: Any) -> None: ...


async def write(ctx): ...
async def review(ctx): ...
async def publish(ctx): ...


def mistakes_of(
    *, name: str = "article", state: Any = Draft, declare: Callable[[Any], object] | None = None, **options: Any
) -> list[str]:
    """The mistakes of a sound little graph after something was added to it."""
    graph: Graph[Any, Any] = Graph(name, state=state, **options)
    for fn in (write, review, publish):
        graph.node(fn)
    graph.barrier("sign-off")
    graph.start("write")
    graph.edge("write", "review", when=lambda draft: True)
    if declare is not None:
        declare(graph)
    try:
        graph.build()
    except GraphError as error:
        return list(error.mistakes)
    return []


def test_a_sound_graph_has_no_mistakes():
    assert mistakes_of() == []


def test_an_unknown_target_is_named_with_its_path_and_a_suggestion():
    """5.4: `nodes.review.edges[1].target: no node 'pubish' (did you mean 'publish'?)`."""

    def declare(graph):
        graph.edge("review", "publish", when=lambda draft: True)
        graph.edge("review", "pubish")

    assert mistakes_of(declare=declare) == ["nodes.review.edges[1].target: no node 'pubish' (did you mean 'publish'?)"]


def test_the_message_has_the_graph_and_every_mistake():
    error = GraphError("article", ["start: none", "name: no"])

    assert str(error) == "graph 'article' cannot be built:\n  start: none\n  name: no"
    assert (error.graph, error.mistakes) == ("article", ("start: none", "name: no"))


def test_all_mistakes_are_reported_at_once():
    """5.4: `build()` reports every mistake at once."""

    def declare(graph):
        graph.start("wirte")
        graph.node(name="review")(write)
        graph.edge("sign-off", "zzz")
        graph.edge("write", "publish", max_visits=0)

    assert mistakes_of(name="1st", version="", max_steps=0, declare=declare, mutations=[Draft]) == [
        "name: '1st' is not a name (1 to 64 letters, digits, _ and -, beginning with a letter or _)",
        "version: '' is not a version (letters, digits, . _ + -)",
        "max_steps: 0 allows no visit at all",
        "nodes.review: 2 nodes or barriers have this name",
        "mutations.Draft: it has no method apply(self, state)",
        "mutations.Draft: it is not frozen (use @attrs.frozen, @dataclass(frozen=True) or Struct, frozen=True)",
        "start: a graph has exactly one start, this one has 2 (say graph.start(node))",
        "start: no node 'wirte' (did you mean 'write'?)",
        "nodes.sign-off.edges[0].target: no node 'zzz' (there are write, review, publish, sign-off)",
        "nodes.sign-off.edges[0]: edges leave a barrier by its exits (approved, rejected)",
        "nodes.write.edges[1].max_visits: 0 would never let it be visited",
    ]


TRANSIENT = "(mark it transient, or give it to nodes as deps)"


@attrs.define
class HasClient:
    text: str
    client: Client
    clients: list[Client]


@attrs.define
class NeedsClient:
    client: Annotated[Client, transient]


@dataclasses.dataclass
class Dangling:
    other: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "state, expected",
    [
        (Client, ["state: Client is not an attrs class, a dataclass or a msgspec Struct"]),
        (dict, ["state: dict is not an attrs class, a dataclass or a msgspec Struct"]),
        (
            HasClient,
            [
                f"state.client: values of type Client cannot be stored {TRANSIENT}",
                f"state.clients: values of type Client cannot be stored {TRANSIENT}",
            ],
        ),
        (NeedsClient, ["state.client: a transient field needs a default, which a restored state begins with"]),
        (Dangling, ["state: name 'Nowhere' is not defined"]),
    ],
)
def test_states(state, expected):
    """4.1: a state is an attrs class, a dataclass or a msgspec Struct. 4.7: undeclared types are refused."""
    assert mistakes_of(state=state) == expected


class PlainMutation:
    def apply(self, draft: Any) -> None: ...


@attrs.define
class LooseAttrs:
    def apply(self, draft: Any) -> None: ...


@dataclasses.dataclass
class LooseData:
    def apply(self, draft: Any) -> None: ...


class LooseStruct(Struct):
    def apply(self, draft: Any) -> None: ...


class Waiting(Struct, frozen=True):
    async def apply(self, draft: Any) -> None: ...


@attrs.frozen
class Unstorable:
    client: Client

    def apply(self, draft: Any) -> None: ...


NOT_FROZEN = "it is not frozen (use @attrs.frozen, @dataclass(frozen=True) or Struct, frozen=True)"


@pytest.mark.parametrize(
    "mutation, reason",
    [
        (PlainMutation, "PlainMutation: it is not an attrs class, a dataclass or a msgspec Struct"),
        (LooseAttrs, f"LooseAttrs: {NOT_FROZEN}"),
        (LooseData, f"LooseData: {NOT_FROZEN}"),
        (LooseStruct, f"LooseStruct: {NOT_FROZEN}"),
        (Waiting, "Waiting: its apply is async, and a mutation must not wait"),
        (Unstorable, "Unstorable.client: values of type Client cannot be stored"),
    ],
)
def test_mutations(mutation, reason):
    """4.1: a mutation is a frozen class with `apply(state)`."""
    assert mistakes_of(mutations=[Written, mutation]) == [f"mutations.{reason}"]


def test_two_mutations_of_one_name():
    """4.1: stored under its registered name."""
    other = attrs.make_class("Written", {}, frozen=True, class_body={"apply": Written.apply})

    assert mistakes_of(mutations=[Written, other]) == [
        "mutations.Written: 2 mutations have this name, and the name is how they are stored"
    ]


def test_a_graph_without_a_start():
    """5.1: a graph has exactly one start."""
    graph: Graph[Draft] = Graph("g", state=Draft)
    with pytest.raises(GraphError, match="exactly one start, this one has 0"):
        graph.build()
