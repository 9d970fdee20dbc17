"""`terzetto_protocol.composites`: what places that open branches say about their branches, alone and in a graph."""

import attrs
import msgspec
import pytest
from msgspec import Raw, Struct

from terzetto_protocol.composites import (
    Composite,
    ForkOptions,
    Lens,
    LensExit,
    Map,
    Opened,
    Parallel,
    Subgraph,
    as_composite,
    exit_name,
    lenses,
)
from terzetto_protocol.context import ItemContext, NodeContext
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.errors import GraphError, InvalidRequest, Malformed, MutationFailed, NotStorable
from terzetto_protocol.graph import Graph
from terzetto_protocol.state import StateForm


@attrs.define
class Draft:
    text: str = ""
    pages: list[str] = attrs.field(factory=list)


@attrs.define
class Inner:
    words: list[str] = attrs.field(factory=list)
    ratio: float = 0.0


class Page(Struct, frozen=True):
    number: int
    lines: tuple[str, ...] = ()


class Written(Struct, frozen=True):
    text: str

    def apply(self, draft):
        draft.text = self.text


async def write(ctx): ...
async def read(ctx: ItemContext[Draft, Page]): ...
async def read_anything(ctx: ItemContext): ...  # type: ignore[type-arg]  # who leaves the item out is a case of its own
async def plain(ctx: NodeContext[Draft]): ...


def inside(name="inner", state=Inner) -> Graph:
    graph = Graph(name, state=state)
    graph.start(graph.node(name=f"{name}-write")(write))
    return graph


def outside(**lens) -> Graph:
    graph = Graph("outer", state=Draft, mutations=[Written])
    graph.start(graph.subgraph("sub", inside(), **lens))
    return graph


def words_of(draft: Draft) -> Inner:
    return Inner(draft.text.split())


def join_words(draft: Draft, inner: Inner) -> None:
    draft.text = " ".join(inner.words)


def pages(*, over=None, item=Page) -> Map[Draft, Page]:
    return Map("m", "read", over or (lambda draft: [Page(n) for n in range(3)]), item, ForkOptions())


# -- which branches there are --------------------------------------------------------------------------------------


def test_a_parallel_place_opens_the_branches_that_it_was_given():
    """5.5: its commits are stored under its path, `place/branch`; order is that of declaration."""
    place = Parallel[Draft]("fan", ["b", "a", "c"], ForkOptions())

    assert place.open(Draft()) == Opened(3)
    assert [place.begins_at(index) for index in range(3)] == ["b", "a", "c"]
    assert [place.path_of("fan", index) for index in range(3)] == ["fan/b", "fan/a", "fan/c"]
    assert place.leads_to == ("b", "a", "c")
    assert place.shape == ("parallel", "b", "a", "c")
    assert place.title == "in parallel"


def test_a_map_opens_a_branch_for_each_item():
    """5.5: `place/3` for the fourth item of a map; the items are stored when it is entered."""
    place = pages()
    opened = place.open(Draft())

    assert (opened.count, opened.state) == (3, b"")
    assert [place.revive(item) for item in opened.items] == [Page(0), Page(1), Page(2)]
    assert {place.begins_at(index) for index in range(3)} == {"read"}
    assert place.path_of("m", 3) == "m/3"
    assert place.leads_to == ("read",)
    assert place.shape == ("map", "read")
    assert place.title == "for each item"


def test_a_subgraph_opens_one_branch_under_its_own_path():
    """5.6: own namespace: the inner paths begin with the place's name."""
    graph = outside(get=words_of, put=join_words)
    place = graph.places[0]
    assert isinstance(place, Subgraph)
    opened = place.open(Draft("a b"))

    assert (opened.count, opened.items) == (1, ())
    assert StateForm(Inner).unpack(opened.state) == Inner(["a", "b"])
    assert place.begins_at(0) == "inner-write"
    assert (place.path_of("fan/x/sub", 0), place.index_of("fan/x/sub")) == ("fan/x/sub", 0)
    assert (place.leads_to, place.title) == ((), "graph inner")
    assert place.options == ForkOptions()


@pytest.mark.parametrize("fork", ["fan", "sub/fan", "a/b/fan/b/fan"])
@pytest.mark.parametrize(
    "place", [Parallel("fan", ["b", "a"], ForkOptions()), Map("fan", "b", len, int, ForkOptions())]
)
def test_a_path_tells_the_branch_however_deep_it_is(fork, place):
    assert [place.index_of(place.path_of(fork, index)) for index in range(2)] == [0, 1]


def test_a_map_has_as_many_branches_as_it_has_items():
    place = pages(over=lambda draft: [Page(n) for n in range(12)])

    assert place.open(Draft()).count == 12
    assert [place.index_of(f"m/{n}") for n in (2, 9, 10, 11)] == [2, 9, 10, 11]


def test_a_place_that_opens_branches_is_told_from_others():
    graph = outside(get=words_of, put=join_words)
    node, gate = graph.node(write), graph.barrier("gate")
    fan = graph.parallel("fan", [node, gate])

    assert as_composite(fan) is fan
    assert [as_composite(place) for place in (node, gate, None)] == [None, None, None]
    blueprint = graph.build()
    assert blueprint.composite("fan") is fan
    assert [blueprint.composite(name) for name in ("write", "gate", "nowhere")] == [None, None, None]


def test_a_kind_of_its_own_has_to_say_everything():
    """A kind that forgets something is found at once, and not by a run that stands still."""
    place = Composite[Draft]("p", ForkOptions())

    assert place.leads_to == ()
    for ask in (
        lambda: place.open(Draft()),
        lambda: place.begins_at(0),
        lambda: place.path_of("p", 0),
        lambda: place.index_of("p/0"),
        lambda: place.shape,
        lambda: place.title,
    ):
        with pytest.raises(NotImplementedError):
            ask()


# -- declaring them ------------------------------------------------------------------------------------------------


def test_what_was_declared_is_what_the_place_knows():
    graph = Graph("g", state=Draft)
    one, two = graph.node(name="one")(write), graph.node(name="two")(write)
    fan = graph.parallel("fan", [two, "one"], merge="replay", errors="collect", limit=3)
    many = graph.map("many", one, over=lambda draft: [1], item=int)
    graph.start(fan)

    assert (fan.name, fan.branches, fan.options) == ("fan", ("two", "one"), ForkOptions("replay", "collect", 3))
    assert (many.body, many.item, many.options) == ("one", int, ForkOptions("strict", "fail_fast", None))
    assert repr(fan) == "<parallel fan>"
    assert two.name == "two"
    graph.build()


@pytest.mark.parametrize(
    "body, item, expected",
    [(read, None, Page), (read, int, int), (plain, None, None), (plain, str, str), (read_anything, None, None)],
)
def test_the_item_is_what_the_body_asks_for_unless_somebody_says_another(body, item, expected):
    graph = Graph("g", state=Draft)
    place = graph.map("m", graph.node(body), over=lambda draft: [], item=item)

    assert place.item is expected


@pytest.mark.parametrize(
    "declare",
    [
        lambda graph: graph.parallel("fan", ["write"]),
        lambda graph: graph.map("m", "write", over=lambda draft: [], item=int),
        lambda graph: graph.subgraph("sub2", inside()),
    ],
    ids=["parallel", "map", "subgraph"],
)
def test_nothing_is_declared_after_the_first_build(declare):
    """1: frozen by its first submit."""
    graph = outside(get=words_of, put=join_words)
    graph.build()
    with pytest.raises(GraphError, match="frozen since its first build"):
        declare(graph)


def test_building_a_graph_freezes_what_is_inside():
    """1, 5.6: what runs share cannot change under them, also not inside."""
    inner = inside()
    graph = Graph("outer", state=Draft)
    graph.start(graph.subgraph("sub", inner, get=words_of, put=join_words))
    graph.build()
    with pytest.raises(GraphError, match="frozen since its first build"):
        inner.node(name="late")(write)


# -- items ---------------------------------------------------------------------------------------------------------


def test_an_item_comes_back_typed_and_every_branch_gets_its_own():
    """5.5: each branch sees its own item, as it was when the map was entered."""
    place: Map[Draft, list[str]] = Map("m", "read", lambda draft: [draft.pages], list[str], ForkOptions())
    draft = Draft(pages=["x"])
    (item,) = place.open(draft).items
    draft.pages.append("later")
    first = place.revive(item)
    first.append("mine")

    assert (first, place.revive(item)) == (["x", "mine"], ["x"])


def test_items_may_come_one_by_one():
    assert pages(over=lambda draft: (Page(n) for n in range(2))).open(Draft()).count == 2


@pytest.mark.parametrize("wrong", [5, Page("one"), float("nan"), "\ud800"])  # type: ignore[arg-type]  # a wrong type
def test_an_item_that_would_not_come_back_is_refused_by_name(wrong):
    """4.7: what cannot be stored faithfully is a typed error."""
    with pytest.raises(NotStorable, match="an item of m cannot be stored"):
        pages(over=lambda draft: [Page(1), wrong]).open(Draft())


def test_an_item_that_is_not_one_is_malformed():
    with pytest.raises(Malformed, match="an item of m is malformed"):
        pages().revive(Raw(b"\xc1"))


# -- lenses --------------------------------------------------------------------------------------------------------


def test_an_inner_state_is_made_by_get_and_its_end_means_what_put_does():
    """5.6: `get=` makes its state from the outer one, `put=` says what its end does outside."""
    lens = Lens(inside(), words_of, join_words)
    outer = Draft("a b")
    inner = lens.blueprint.state.unpack(lens.enter(outer))
    inner.words.append("c")
    lens.leave(Raw(lens.blueprint.state.pack(inner))).apply(outer)

    assert outer == Draft("a b c")


def test_without_get_and_put_the_inner_state_begins_as_the_outer_and_its_fields_are_taken():
    lens = Lens(inside(state=Draft))
    outer = Draft("a", ["p"])
    inner = lens.blueprint.state.unpack(lens.enter(outer))
    assert (inner, inner is outer, inner.pages is outer.pages) == (outer, False, False)
    inner.pages.append("q")
    assert outer.pages == ["p"]
    lens.leave(Raw(lens.blueprint.state.pack(inner))).apply(outer)

    assert outer == Draft("a", ["p", "q"])


def test_what_an_exit_puts_outside_is_a_copy_each_time():
    """4.5: no aliasing: what a state holds never changes under it."""
    lens = Lens(inside(state=Draft))
    body = Raw(lens.blueprint.state.pack(Draft("a", ["p"])))
    one, two = Draft(), Draft()
    for outer in (one, two):
        lens.leave(body).apply(outer)
    one.pages.append("mine")

    assert two.pages == ["p"]


@pytest.mark.parametrize("made", [Draft(), {"words": []}, None])
def test_a_get_that_makes_another_type_is_refused(made):
    with pytest.raises(InvalidRequest, match="the state must be a Inner"):
        Lens(inside(), lambda draft: made, join_words).enter(Draft())


def test_a_get_that_makes_what_cannot_be_stored_is_refused():
    """4.7: NaN is a typed error."""
    with pytest.raises(NotStorable, match="state Inner cannot be stored"):
        Lens(inside(), lambda draft: Inner(ratio=float("nan")), join_words).enter(Draft())


def test_the_exits_of_a_graph_are_known_by_names_that_no_mutation_can_have():
    """4.4: registered lens + encoded inner value go through the log."""
    graph = outside(get=words_of, put=join_words)
    vocabulary = graph.build().vocabulary

    assert exit_name("sub") == "@sub"
    assert not exit_name("sub").isidentifier()
    assert list(lenses({place.name: place for place in graph.places})) == ["@sub"]
    recorded = Recorded("@sub", Raw(StateForm(Inner).pack(Inner(["x", "y"]))))
    draft = Draft()
    vocabulary.apply([recorded], draft)
    assert draft == Draft("x y")
    assert isinstance(vocabulary.revive(recorded), LensExit)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(recorded), type=Recorded) == recorded


def test_an_exit_cannot_be_recorded_by_a_node():
    """4.1: an unlisted one is refused."""
    lens = Lens(inside(), words_of, join_words)
    with pytest.raises(NotStorable, match="LensExit"):
        outside(get=words_of, put=join_words).build().vocabulary.note(LensExit(lens, Inner()))


@pytest.mark.parametrize("body", [b"\xc1", b"\x93\x01\x02\x03"])
def test_an_exit_whose_inner_state_cannot_be_read_is_malformed(body):
    lens = Lens(inside(state=Draft))
    with pytest.raises(Malformed, match="state Draft is malformed"):
        lens.leave(Raw(body))


def test_a_put_that_raises_is_a_mutation_that_could_not_be_applied():
    """4.6: apply that raises names the mutation."""
    vocabulary = outside(get=words_of, put=lambda draft, inner: 1 // 0).build().vocabulary
    with pytest.raises(MutationFailed, match="mutation @sub could not be applied: ZeroDivisionError"):
        vocabulary.apply([Recorded("@sub", Raw(StateForm(Inner).pack(Inner())))], Draft())


# -- shapes --------------------------------------------------------------------------------------------------------


def fingerprint_with(declare) -> str:
    graph = Graph("g", state=Draft)
    for name in ("one", "two"):
        graph.node(name=name)(write)
    declare(graph)
    graph.start("one")
    return graph.build().fingerprint


def test_the_shape_of_a_subgraph_is_the_inner_graphs_own_hash():
    """1: the hash covers structure, also the structure inside."""
    place, other = outside(get=words_of, put=join_words).places[0], Subgraph("sub", Lens(inside("other")))
    assert isinstance(place, Subgraph)

    assert place.shape == ("subgraph", place.lens.blueprint.fingerprint)
    assert place.shape != other.shape


def test_the_hash_tells_what_a_log_depends_on():
    """1: the hash covers structure *and* the schemas."""
    made = [
        fingerprint_with(declare)
        for declare in (
            lambda graph: graph.parallel("p", ["one", "two"]),
            lambda graph: graph.parallel("p", ["two", "one"]),
            lambda graph: graph.parallel("p", ["one"]),
            lambda graph: graph.map("p", "one", over=lambda draft: [], item=int),
            lambda graph: graph.map("p", "two", over=lambda draft: [], item=int),
            lambda graph: graph.subgraph("p", inside(state=Draft)),
            lambda graph: graph.node(name="p")(write),
        )
    ]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("options", [{"limit": 2}, {"errors": "collect"}, {"merge": "replay"}])
def test_how_branches_are_treated_is_no_part_of_the_structure(options):
    """1: compatible = every pending node is still declared: a limit may change under a run that waits."""
    assert fingerprint_with(lambda graph: graph.parallel("p", ["one"])) == fingerprint_with(
        lambda graph: graph.parallel("p", ["one"], **options)
    )
