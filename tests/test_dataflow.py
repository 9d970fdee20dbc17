"""`terzetto_protocol.dataflow`: declaring a dataflow, its hash, and what its runs begin with (SEMANTICS 5.7)."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest

from terzetto.testing import flow_context
from terzetto_protocol.context import FlowContext
from terzetto_protocol.dataflow import Dataflow, Output
from terzetto_protocol.errors import GraphError, InvalidInput, InvalidRequest, Malformed, NotStorable
from terzetto_protocol.flow_state import FlowState, Out
from terzetto_protocol.graph import Graph
from terzetto_protocol.limits import FLOW_LIMIT, MAX_STEPS
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.wiring import Link, Pin


@attrs.define
class Town:
    name: str
    people: int = 0


@attrs.define
class Hidden:
    _value: int


@attrs.define
class Private:
    _name: str = ""


async def fetch(ctx: FlowContext, url: str, depth: int = 1) -> None:
    """Gets a page."""


async def split(ctx: FlowContext, page: str) -> int:
    return len(page)


def nothing(ctx: FlowContext) -> None: ...


def flow(**options: Any) -> Dataflow[Any]:
    """`fetch`, and then `split`."""
    made: Dataflow[Any] = Dataflow("pages", **options)
    url = made.input("url", str)
    fetched = made.node(outputs={"page": str})(fetch)
    parts = made.node(outputs=["part"], name="cut")(split)
    made.link(url, fetched, "url")
    made.link(fetched.out("page"), parts, "page")
    made.output("parts", parts.out("part"))
    return made


def endless() -> Dataflow[Any]:
    """One that runs itself."""
    made = flow()
    again = made.subflow("again", made)
    made.link(Output("cut", "part"), again, "url")
    return made


def mutual() -> tuple[Dataflow[Any], Dataflow[Any]]:
    """Two that run each other."""
    one, other = flow(), Dataflow[Any]("other")
    one.link(Output("cut", "part"), one.subflow("other", other), "url")
    other.link(other.input("url", str), other.subflow("pages", one), "url")
    return one, other


# -- declaring --------------------------------------------------------------------------------------------------------


def test_a_node_is_its_function_still():
    made = flow()
    node = made.node(name="again")(split)
    ctx: Any = flow_context()

    with pytest.raises(StopIteration) as caught:
        node(ctx, page="four").send(None)
    assert caught.value.value == 4
    assert (node.name, node.fn, repr(node)) == ("again", split, "<flow node again>")
    assert made.node(name="other")(fetch).__doc__ == "Gets a page."


def test_outputs_are_names_or_names_with_types():
    made: Dataflow[Any] = Dataflow("f")
    made.node(outputs="page", name="a")(nothing)
    made.node(outputs=["page", "log"], name="b")(nothing)
    made.node(outputs={"page": str, "size": int}, name="c")(nothing)
    made.node(name="d")(nothing)

    assert [spec.outputs for _, spec in made.nodes[1:]] == [
        {"page": Any},
        {"page": Any, "log": Any},
        {"page": str, "size": int},
        {},
    ]


def test_inputs_are_what_the_function_takes():
    pins = dict(flow().nodes)["fetch"].inputs

    assert pins == {"url": Pin("url", str), "depth": Pin("depth", int, 1)}


def test_links_are_kept_in_their_order():
    made = flow()
    made.link(Output("fetch", "page_#_k"), made.node(name="more")(split), "page", static=True)

    assert made.links == [
        Link("inputs", "url", (), "fetch", "url"),
        Link("fetch", "page", (), "cut", "page"),
        Link("cut", "part", (), "outputs", "parts"),
        Link("fetch", "page", ("k",), "more", "page", static=True),
    ]


def test_options_are_those_of_a_graphs_node():
    made: Dataflow[Any] = Dataflow("f")
    policy = RetryPolicy()
    made.node(
        name="n", effects="once", run_timeout=1.0, idle_timeout=2.0, on_cancel="abandon", token_cost=3.0, max_visits=4
    )(nothing)
    made.node(name="m", retry=policy)(nothing)
    options = made.build().nodes["n"].options

    assert (options.effects, options.run_timeout, options.idle_timeout) == ("once", 1.0, 2.0)
    assert (options.on_cancel, options.token_cost, options.max_visits) == ("abandon", 3.0, 4)
    assert made.build().nodes["m"].options.retry is policy


def test_what_it_is_when_nothing_is_said():
    made: Dataflow[Any] = Dataflow("f")

    assert (made.max_steps, made.limit, made.on_node_error, made.deps) == (MAX_STEPS, FLOW_LIMIT, "continue", None)
    assert made.mistakes() == [], "one that does nothing can run"
    assert repr(flow()) == "<dataflow pages 1: 3 places>"


@pytest.mark.parametrize("source", ["node", "fetch.page", None])
def test_a_link_begins_at_an_output(source):
    made: Dataflow[Any] = Dataflow("f")
    node = made.node(name="n")(fetch)

    with pytest.raises(TypeError, match=r"a link begins at an output, `node.out\(name\)`"):
        made.link(node if source == "node" else source, node, "url")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match=r"a link begins at an output, `node.out\(name\)`"):
        made.output("url", node if source == "node" else source)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("sink", ["n", Output("n", "out"), None])
def test_a_link_leads_to_a_node(sink):
    made: Dataflow[Any] = Dataflow("f")
    node = made.node(name="n")(fetch)

    with pytest.raises(TypeError, match=r"a link leads to a node, or to what `flow\.subflow` gave, not to"):
        made.link(node.out("out"), sink, "url")


def test_an_output_of_the_whole_may_come_from_several_places():
    made = flow()
    made.output("parts", Output("fetch", "page"), str)
    made.output("parts", Output("fetch", "error"))

    assert made.mistakes() == []
    assert made.outputs == {"parts": str}


def test_defaults_do_not_change_with_what_was_given():
    made: Dataflow[Any] = Dataflow("f")
    given = {"url": "a"}
    made.node(defaults=given)(fetch)
    given["url"] = "b"

    assert dict(made.nodes)["fetch"].defaults == {"url": "a"}


# -- building ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "declare",
    [
        lambda made: made.input("more"),
        lambda made: made.output("more", Output("cut", "part")),
        lambda made: made.node(name="more")(nothing),
        lambda made: made.subflow("more", flow()),
        lambda made: made.link(Output("cut", "part"), flow().node()(fetch), "url"),
    ],
    ids=["input", "output", "node", "subflow", "link"],
)
def test_it_is_frozen_by_its_first_build(declare):
    made = flow()
    before = made.build()

    with pytest.raises(GraphError, match="it is frozen since its first build"):
        declare(made)
    assert made.build() is before
    assert (len(made.nodes), len(made.links), len(made.inputs), len(made.outputs)) == (3, 3, 1, 1)


def test_what_it_runs_is_frozen_with_it():
    inner = flow()
    made: Dataflow[Any] = Dataflow("outer")
    made.subflow("sub", inner, defaults={"url": ""})
    made.build()

    with pytest.raises(GraphError, match="frozen"):
        inner.input("more")


def test_what_runs_it_may_be_declared_first():
    made, inner = Dataflow[Any]("outer"), Dataflow[Any]("inner")
    sub = made.subflow("sub", inner)
    made.link(made.input("x", int), sub, "x")
    made.output("y", sub.out("y"))
    inner.output("y", inner.input("x", int), int)

    assert made.mistakes() == []


def test_mistakes_do_not_freeze_it():
    made = flow()
    made.node(name="no name")(nothing)
    with pytest.raises(GraphError):
        made.build()

    made.input("more")


@pytest.mark.parametrize("made", [endless(), mutual()[0], mutual()[1]], ids=["itself", "one", "other"])
def test_one_that_runs_itself_is_built_and_drawn_like_any_other(made):
    blueprint = made.build()

    assert blueprint.has_barriers is False
    assert blueprint.fingerprint
    assert made.name in made.svg()
    assert all(made.places[-1].name in drawn for drawn in (made.mermaid(), made.dot(), made.html()))
    assert made.analyze().unreachable == ()


def test_looking_at_it_freezes_nothing():
    """Whoever looks before all is declared sees what there is then."""
    made: Dataflow[Any] = Dataflow("f")
    node = made.node(name="n")(fetch)
    assert (made.analyze().unreachable, made.wiring.links, made.begin()) == ((), (), FlowState())
    made.link(made.input("url"), node, "url")

    assert len(made.wiring.links) == 1
    assert made.build().flow is made.wiring


def test_a_cycle_needs_no_guard():
    """Nothing goes round that nobody sends."""
    made = flow()
    made.link(Output("cut", "part"), made.node(name="back", outputs="url")(fetch), "url")
    made.link(Output("back", "url"), made.node(name="again")(fetch), "url")
    made.link(Output("back", "url"), made.places[1], "url")  # type: ignore[arg-type]  # the place of a node
    found = made.analyze()

    assert [(str(cycle), cycle.guarded) for cycle in found.cycles] == [("fetch -> cut -> back -> fetch", True)]
    assert found.warnings == ()
    assert found.unreachable == ()


def test_what_nothing_feeds_is_unreachable():
    made = flow()
    one, other = made.node(name="one", outputs="x")(fetch), made.node(name="other", outputs="x")(fetch)
    made.link(one.out("x"), other, "url")
    made.link(other.out("x"), one, "url")

    assert made.analyze().unreachable == ("one", "other")


# -- the hash ---------------------------------------------------------------------------------------------------------


def hashed(change: Callable[[Any], Any] = lambda made: None, **options: Any) -> str:
    made = flow(**options)
    change(made)
    return made.build().fingerprint


def plus(declare: Callable[[Dataflow[Any]], Any]) -> Callable[[Any], Any]:
    """A dataflow with one more inside, about which this is declared."""

    def change(made: Dataflow[Any]) -> None:
        inner: Dataflow[Any] = Dataflow("inner")
        inner.input("x", int, default=1)
        declare(inner)
        made.subflow("sub", inner)

    return change


def linked(pin: str = "x", output: str = "part", *, static: bool = False) -> Callable[[Any], Any]:
    def take(ctx: FlowContext, **more: Any) -> None: ...

    return lambda made: made.link(Output("cut", output), made.node(name="take")(take), pin, static=static)


def typed(kind: Any, default: Any = 0, **options: Any) -> Callable[[Any], Any]:
    def take(ctx: FlowContext, x: Any = default) -> None: ...

    take.__annotations__["x"] = kind
    return lambda made: made.node(name="take", outputs={"out": int}, **options)(take)


def defaulting(defaults: dict[str, Any]) -> Callable[[Any], Any]:
    def take(ctx: FlowContext, **more: Any) -> None: ...

    return lambda made: made.node(name="take", defaults=defaults)(take)


def masked(masks: dict[str, dict[str, Any]]) -> Callable[[Any], Any]:
    def change(made: Dataflow[Any]) -> None:
        inner: Dataflow[Any] = Dataflow("inner")
        inner.node(name="inside")(take)
        made.subflow("sub", inner, masks=masks)

    def take(ctx: FlowContext, x: int = 0) -> None: ...

    return change


CHANGES: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda made: None,
    "an input": lambda made: made.input("more", default=1),
    "its type": lambda made: made.input("more", int, default=1),
    "its default": lambda made: made.input("more", default=2),
    "a default of an input": defaulting({"x": 1}),
    "its value": defaulting({"x": 2}),
    "its order": defaulting({"x": [1, 2]}),
    "the other order": defaulting({"x": [2, 1]}),
    "that of a part of it": defaulting({"x_#_k": 1}),
    "that of another type": defaulting({"x": Town("Bonn")}),
    "that of a type which only cattrs can do": typed(Hidden, defaults={"x": Hidden(1)}),
    "its hidden value": typed(Hidden, defaults={"x": Hidden(2)}),
    "masks inside": masked({"inside": {"x": 1}}),
    "their values": masked({"inside": {"x": 2}}),
    "an output": lambda made: made.output("page", Output("fetch", "page")),
    "another name": lambda made: made.output("text", Output("fetch", "page")),
    "a node": lambda made: made.node(name="take")(nothing),
    "its effects": lambda made: made.node(name="take", effects="once")(nothing),
    "its output": lambda made: made.node(name="take", outputs="a")(nothing),
    "its output's name": lambda made: made.node(name="take", outputs="b")(nothing),
    "its output's type": lambda made: made.node(name="take", outputs={"a": int})(nothing),
    "its input": typed(int),
    "its input's type": typed(float),
    "its input's type, deep": typed(list[Town]),
    "a link": linked(),
    "its pin": linked("y"),
    "its part of a pin": linked("x_#_k"),
    "its output, which is another": linked(output="error"),
    "its part of an output": linked(output="part_$_0"),
    "that it is static": linked(static=True),
    "a dataflow": plus(lambda inner: None),
    "a node inside": plus(lambda inner: inner.node(name="a")(nothing)),
    "a node's effects inside": plus(lambda inner: inner.node(name="a", effects="pure")(nothing)),
    "an input inside": plus(lambda inner: inner.input("y", default=1)),
    "a link inside": plus(lambda inner: inner.output("x", Output("inputs", "x"))),
    "a dataflow inside": plus(lambda inner: inner.subflow("sub", flow(), defaults={"url": ""})),
}


def test_every_change_of_what_a_log_depends_on_gives_another_hash():
    hashes = {name: hashed(change) for name, change in CHANGES.items()}

    assert len(set(hashes.values())) == len(CHANGES), hashes


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_declaration_has_the_same_hash(name):
    assert hashed(CHANGES[name]) == hashed(CHANGES[name])


def test_the_order_of_nodes_and_of_links_counts():
    """Law 1: nodes that wait for nothing begin in that of their declaration, and values go along in that of links."""

    def two(*names: str) -> Callable[[Any], Any]:
        return lambda made: [made.node(name=name)(nothing) for name in names]

    def twice(*names: str) -> Callable[[Any], Any]:
        return lambda made: [made.output(name, Output("fetch", "page")) for name in names]

    assert hashed(two("a", "b")) != hashed(two("b", "a"))
    assert hashed(twice("a", "b")) != hashed(twice("b", "a"))


def test_what_no_log_depends_on_does_not_count():
    same = [
        hashed(),
        hashed(limit=1),
        hashed(limit=None),
        hashed(on_node_error="fail"),
        hashed(max_steps=5),
        hashed(version="2"),
        hashed(lambda made: made.node),
    ]

    assert len(set(same)) == 1
    assert hashed(typed(int, 0)) == hashed(typed(int, 1)), "what a function declares belongs to its body"


@pytest.mark.parametrize("make", [endless, lambda: mutual()[0], lambda: mutual()[1]])
def test_one_that_runs_itself_has_a_hash_that_stays(make):
    assert make().build().fingerprint == make().build().fingerprint


def test_who_runs_whom_counts():
    one, other = mutual()
    alone = flow()
    alone.link(Output("cut", "part"), alone.subflow("other", alone), "url")

    assert len({made.build().fingerprint for made in (one, other, alone, endless(), flow())}) == 5


def test_a_hundred_that_run_each_other_twice_are_hashed_at_once():
    made = flow()
    for level in range(100):
        outer: Dataflow[Any] = Dataflow(f"level-{level}")
        for name in ("a", "b"):
            outer.subflow(name, made, defaults={"url": ""})
        outer.input("url", str, default="")
        made = outer

    assert made.build().fingerprint


def unordered() -> Dataflow[Any]:
    """With defaults that each process has in another order."""
    made: Dataflow[Any] = Dataflow("unordered")
    names = {"these", "are", "in", "any", "order"}
    typed(set[str], defaults={"x": names})(made)
    made.input("names", Any, default=names)
    return made


def test_every_process_finds_the_same_hash():
    """1: (name, version, hash): every process finds the same."""
    program = (
        "from tests.test_dataflow import endless, flow, unordered\n"
        "for made in (endless, flow, unordered): print(made().build().fingerprint)"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join([*sys.path, "."])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(2)
    }

    assert seen == {"".join(f"{make().build().fingerprint}\n" for make in (endless, flow, unordered))}


def test_hashes_of_plain_graphs_are_what_they_were():
    """Runs of an earlier release are pinned to them."""
    graph: Graph[Town] = Graph("g", state=Town)
    graph.start(graph.node(name="n")(lambda ctx: None))  # type: ignore[arg-type,return-value]  # never called

    assert graph.build().fingerprint == PLAIN


PLAIN = "34420d9e848335ac25b7866ad2ceacb9"


# -- what a run begins with -------------------------------------------------------------------------------------------


def opened(**inputs: Any) -> Dataflow[Any]:
    """One with a node `n` that takes anything, and these inputs with their types and defaults."""

    def take(ctx: FlowContext, x: Any = 1, **more: Any) -> None: ...

    made: Dataflow[Any] = Dataflow("opened")
    for name, options in inputs.items():
        made.input(name, options[0], **({"default": options[1]} if len(options) > 1 else {}))
    made.node(name="n")(take)
    made.node(name="bare")(nothing)
    return made


def test_inputs_are_given_by_name_or_have_defaults():
    made = opened(a=(int,), b=(str, "b"), c=(Any, None))

    assert made.begin({"a": 1}).given == {"a": 1, "b": "b", "c": None}
    assert list(made.begin({"c": 3, "a": 1}).given) == ["a", "b", "c"], "in the order of their declaration"
    assert opened(a=(Any, 1)).begin().given == {"a": 1}


@pytest.mark.parametrize(
    "kind, value, plain",
    [
        (int, 1, 1),
        (Town, Town("Bonn", 5), {"name": "Bonn", "people": 5}),
        (Town, {"name": "Bonn"}, {"name": "Bonn"}),
        (Private, Private("x"), {"_name": "x"}),
        (Any, (1, [2]), [1, [2]]),
    ],
)
def test_inputs_are_kept_as_plain_data(kind, value, plain):
    assert opened(a=(kind,)).begin({"a": value}).given == {"a": plain}


def test_nothing_of_what_was_given_is_shared():
    given, mask = {"a": [1]}, {"n": {"x": [1]}}
    state = opened(a=(Any,)).begin(given, masks=mask)
    given["a"].append(2)
    mask["n"]["x"].append(2)

    assert state == FlowState({"a": [1]}, {"n": {"x": [1]}})


@pytest.mark.parametrize(
    "inputs, pin, reason",
    [
        ({"a": "one"}, "a", "Expected `int`, got `str`"),
        ({}, "a", "it was not given, and has no default"),
        ({"a": 1, "b": 2}, "b", "there is no such input; there are a"),
        ({"a": float("nan")}, "a", "it holds a NaN or an infinity"),
    ],
)
def test_an_input_that_does_not_fit_is_said(inputs, pin, reason):
    with pytest.raises(InvalidInput) as caught:
        opened(a=(int,)).begin(inputs)

    assert (caught.value.node, caught.value.pin, caught.value.reason) == ("opened", pin, reason)


def test_masks_may_lead_into_a_dataflow():
    made, middle = opened(), opened()
    middle.subflow("deep", opened())
    made.subflow("sub", middle)
    masks = {"n": {"x": 1}, "sub/n": {"x_#_k": 2}, "sub/deep/n": {"other": None}}

    assert made.begin(masks=masks).masks == masks


@pytest.mark.parametrize(
    "masks, node, reason",
    [
        ({"nowhere": {}}, "nowhere", "has none of this name"),
        ({"": {}}, "", "has none of this name"),
        ({"inputs": {"x": 1}}, "inputs", "has none of this name"),
        ({"n/x": {}}, "n/x", "which is no dataflow"),
        ({"sub/nowhere": {}}, "nowhere", "has none of this name"),
        ({"bare": {"x": 1}}, "bare", "it has no input of this name; it has none"),
        ({"sub/bare": {"x": 1}}, "bare", "it has no input of this name; it has none"),
        ({"n": {"x_$_": 1}}, "n", "nothing stands after _$_"),
        ({"n": {"x": object()}}, "n", "Encoding objects of type object is unsupported"),
    ],
)
def test_a_mask_for_what_is_not_there_is_said(masks, node, reason):
    made = opened()
    made.subflow("sub", opened())

    with pytest.raises(InvalidInput, match=reason.replace("$", r"\$")) as caught:
        made.begin(masks=masks)
    assert caught.value.node == node


def test_a_run_begins_with_a_checked_copy():
    made = opened(a=(int, 5))
    data, state = made.first(FlowState(masks={"n": {"x": 1}}))

    assert state == FlowState({"a": 5}, {"n": {"x": 1}})
    assert made.build().state.unpack(data) == state
    with pytest.raises(InvalidInput):
        made.first(FlowState({"a": "x"}))
    with pytest.raises(InvalidInput):
        made.first(FlowState(masks={"x": {}}))


@pytest.mark.parametrize("state", [FlowState(issued=3), FlowState(sent=[Out("out", 1)])])
def test_the_state_of_a_run_is_not_one_to_begin_with(state):
    with pytest.raises(InvalidRequest, match="begins with what `begin` makes"):
        opened().first(state)


def test_something_else_is_not_one_to_begin_with():
    with pytest.raises(InvalidRequest, match="the state must be a FlowState, not dict"):
        opened().first({})  # type: ignore[arg-type]  # the mistake under test


def test_what_another_run_was_given_is_given_again():
    state = FlowState({"a": 1}, {"n": {"x": 2}}, [Out("out", 1)], issued=3)

    assert opened(a=(int,)).again(state) == FlowState({"a": 1}, {"n": {"x": 2}})


def test_inputs_may_come_as_json():
    made = opened(a=(bytes,), b=(Town, Town("Rom")), c=(Any, None))

    assert made.from_json(b'{"a": "aGk=", "c": [1]}') == made.begin({"a": b"hi", "c": [1]})
    assert made.from_json(b'{"a": "", "b": {"name": "Bonn"}}').given["b"] == {"name": "Bonn", "people": 0}


@pytest.mark.parametrize(
    "data", [b"[]", b"{", b'{"a": "x"}', b'{"a": 1}'[:-1], b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"]
)
def test_json_that_is_no_inputs(data):
    with pytest.raises(Malformed):
        opened(a=(int,)).from_json(data)


@pytest.mark.parametrize("data", [b"{}", b'{"a": 1, "b": 2}'])
def test_json_with_other_inputs(data):
    with pytest.raises(InvalidInput):
        opened(a=(int,)).from_json(data)


# -- answers to "what became of this effect?" -------------------------------------------------------------------------


def test_a_confirmation_says_what_would_have_been_sent():
    made = flow()
    by_name, by_pairs = made.confirm({"page": Town("Bonn")}), made.confirm([("a", 1), ("a", 2)], note="seen")

    assert [(each.name, msgspec.msgpack.decode(each.body)) for each in by_name.mutations] == [
        ("page", {"name": "Bonn", "people": 0})
    ]
    assert [(each.name, msgspec.msgpack.decode(each.body)) for each in by_pairs.mutations] == [("a", 1), ("a", 2)]
    assert (made.confirm().mutations, by_pairs.note) == ((), "seen")
    with pytest.raises(NotStorable):
        made.confirm({"page": object()})
