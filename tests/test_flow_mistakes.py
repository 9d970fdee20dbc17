"""Each mistake in a dataflow, alone: `build` reports it with its path, and nothing else (SEMANTICS 5.7)."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from terzetto_protocol.context import FlowContext
from terzetto_protocol.dataflow import Dataflow, Output
from terzetto_protocol.errors import GraphError
from terzetto_protocol.retry import RetryPolicy

NO_NAME = "is not a name (1 to 64 letters, digits, _ and -, beginning with a letter or _)"
NO_PIN = "is not what a pin may be called (1 to 128 characters, no _$_, _#_ or _@_)"
WAITS = "its function must be `async def`, which may yield, or a plain `def` that is no generator"
SECONDS = "is not a number of seconds above 0"


@attrs.define
class Town:
    name: str
    people: int = 0


class Client:
    pass


async def fetch(ctx: FlowContext, url: str, depth: int = 1) -> None: ...
async def split(ctx: FlowContext, page: str) -> None: ...
async def show(ctx: FlowContext, town: Town) -> None: ...
async def takes_all(ctx: FlowContext, **more: Any) -> None: ...
async def nothing(ctx: FlowContext) -> None: ...
async def yields(ctx: FlowContext) -> Any:
    yield "out", 1


def plain(ctx: FlowContext) -> None: ...
def generator(ctx: FlowContext) -> Any:
    yield "out", 1


class Object:
    async def __call__(self, ctx: FlowContext) -> None: ...


async def stores_client(ctx: FlowContext, client: Client) -> None: ...
async def by_position(ctx: FlowContext, x: int, /) -> None: ...


def good() -> Dataflow[Any]:
    """What every mistake is added to."""
    flow: Dataflow[Any] = Dataflow("good")
    url = flow.input("url", str)
    fetched = flow.node(outputs={"page": str, "size": int})(fetch)
    parts = flow.node(outputs=["part"])(split)
    flow.link(url, fetched, "url")
    flow.link(fetched.out("page"), parts, "page")
    flow.output("parts", parts.out("part"))
    return flow


def named(name: str) -> Any:
    """A node that may be of this dataflow or not."""
    return Dataflow("other").node(outputs="out", name=name)(nothing)


def add(flow: Dataflow[Any], fn: Callable[..., Any] = nothing, **options: Any) -> Any:
    return flow.node(**{"outputs": "out", "name": "extra", **options})(fn)


def broken() -> Dataflow[Any]:
    inner: Dataflow[Any] = Dataflow("inner")
    inner.input("url", str)
    inner.node(outputs="out", name="no name")(nothing)
    return inner


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    # names
    "node name": (lambda g: add(g, name="a b"), f"nodes.a b: 'a b' {NO_NAME}"),
    "lambda": (lambda g: g.node()(lambda ctx: None), f"nodes.<lambda>: '<lambda>' {NO_NAME}"),
    "two nodes": (lambda g: g.node(outputs="part")(split), "nodes.split: 2 nodes have this name"),
    "node called inputs": (
        lambda g: g.node(name="inputs")(nothing),
        "nodes.inputs: is what the dataflow's own inputs are called",
    ),
    "node called outputs": (
        lambda g: g.node(name="outputs")(nothing),
        "nodes.outputs: is what the dataflow's own outputs are called",
    ),
    "input name": (lambda g: g.input("a_$_0"), f"inputs.a_$_0: 'a_$_0' {NO_PIN}"),
    "no input name": (lambda g: g.input(""), f"inputs.: '' {NO_PIN}"),
    "long input name": (lambda g: g.input("a" * 129), f"inputs.{'a' * 129}: '{'a' * 129}' {NO_PIN}"),
    "broken input name": (lambda g: g.input("\ud800"), f"inputs.\ud800: '\\ud800' {NO_PIN}"),
    "two inputs": (lambda g: g.input("url", str), "inputs.url: two inputs have this name"),
    "output name": (lambda g: g.output("a_#_b", Output("split", "part")), f"outputs.a_#_b: 'a_#_b' {NO_PIN}"),
    "node output name": (lambda g: add(g, outputs=["a_$_0"]), f"nodes.extra.a_$_0: 'a_$_0' {NO_PIN}"),
    "node output no text": (lambda g: add(g, outputs=[1]), f"nodes.extra.1: 1 {NO_PIN}"),
    "two outputs": (lambda g: add(g, outputs=["a", "a"]), "nodes.extra.a: two outputs have this name"),
    "error output": (
        lambda g: add(g, outputs={"error": str}),
        "nodes.extra.error: every node has this output, and what it sends is a text",
    ),
    # types
    "input type": (lambda g: g.input("client", Client), "inputs.client: values of type Client cannot be stored"),
    "output type": (
        lambda g: g.output("o", Output("split", "part"), Client),
        "outputs.o: values of type Client cannot be stored",
    ),
    "two output types": (
        lambda g: [g.output("o", Output("split", "part"), kind) for kind in (str, Any, int)],
        "outputs.o: two types are declared for it",
    ),
    "node output type": (
        lambda g: add(g, outputs={"client": Client}),
        "nodes.extra.client: values of type Client cannot be stored",
    ),
    "input default": (
        lambda g: g.input("n", int, default="one"),
        "inputs.n: its default does not fit: Expected `int`, got `str`",
    ),
    "input default that cannot be stored": (
        lambda g: g.input("n", float, default=float("nan")),
        "inputs.n: its default does not fit: it holds a NaN or an infinity",
    ),
    # functions
    "signature": (
        lambda g: add(g, by_position),
        "nodes.extra: parameter 'x': inputs come by name, so it must take them by name",
    ),
    "generator": (lambda g: add(g, generator), f"nodes.extra: {WAITS}"),
    "async object": (lambda g: add(g, Object()), f"nodes.extra: {WAITS}"),
    # options
    "effects": (lambda g: add(g, effects="twice"), "nodes.extra.effects: 'twice' is none of pure, repeatable, once"),
    "once with a retry": (
        lambda g: add(g, effects="once", retry=RetryPolicy()),
        "nodes.extra.retry: a once node is never run again by itself; leave the retry out, or say repeatable",
    ),
    "retry": (
        lambda g: add(g, retry=RetryPolicy(max_attempts=0)),
        "nodes.extra.retry.max_attempts: 0 would never run it",
    ),
    "run_timeout": (lambda g: add(g, run_timeout=0), f"nodes.extra.run_timeout: 0 {SECONDS}"),
    "idle_timeout": (lambda g: add(g, idle_timeout=-1.0), f"nodes.extra.idle_timeout: -1.0 {SECONDS}"),
    "max_visits": (lambda g: add(g, max_visits=0), "nodes.extra.max_visits: 0 would never let it be visited"),
    "on_cancel": (lambda g: add(g, plain, on_cancel="stop"), "nodes.extra.on_cancel: 'stop' is none of wait, abandon"),
    "on_cancel of a coroutine": (
        lambda g: add(g, on_cancel="wait"),
        "nodes.extra.on_cancel: only a plain `def` in a thread needs it, and this is an `async def`",
    ),
    "on_cancel of a generator": (
        lambda g: add(g, yields, on_cancel="abandon"),
        "nodes.extra.on_cancel: only a plain `def` in a thread needs it, and this is an `async def`",
    ),
    # links
    "source": (
        lambda g: g.link(named("splitt").out("out"), named("fetch"), "depth"),
        "links[3]: there is no node 'splitt' (did you mean 'split'?)",
    ),
    "output": (
        lambda g: g.link(Output("split", "parts"), named("fetch"), "depth"),
        "links[3]: node 'split' has no output 'parts' (did you mean 'part'?)",
    ),
    "own input": (
        lambda g: g.link(Output("inputs", "ulr"), named("split"), "page"),
        "links[3]: the dataflow has no input 'ulr' (did you mean 'url'?)",
    ),
    "part of an output": (
        lambda g: g.link(Output("split", "part_$_x"), named("fetch"), "depth"),
        "links[3]: pin 'part_$_x' is malformed: an index is a number from 0 to 9999, not 'x'",
    ),
    "sink": (
        lambda g: g.link(Output("split", "part"), named("nowhere"), "x"),
        "links[3]: there is no node 'nowhere' (there are fetch, split)",
    ),
    "into the inputs": (
        lambda g: g.link(Output("split", "part"), named("inputs"), "url"),
        "links[3]: there is no node 'inputs' (there are fetch, split)",
    ),
    "pin": (
        lambda g: g.link(Output("split", "part"), named("fetch"), "dept"),
        "links[3]: node 'fetch' has no input 'dept' (did you mean 'depth'?)",
    ),
    "part of a pin": (
        lambda g: g.link(Output("split", "part"), named("fetch"), "depth_$_"),
        "links[3]: pin 'depth_$_' is malformed: nothing stands after _$_",
    ),
    "types that never fit": (
        lambda g: g.link(Output("fetch", "size"), named("split"), "page"),
        "links[3]: fetch.size sends int, and split.page takes str",
    ),
    "types of an own input": (
        lambda g: g.link(Output("inputs", "url"), named("fetch"), "depth"),
        "links[3]: inputs.url sends str, and fetch.depth takes int",
    ),
    "types of an error": (
        lambda g: g.link(Output("split", "error"), named("fetch"), "depth"),
        "links[3]: split.error sends str, and fetch.depth takes int",
    ),
    "types of an own output": (
        lambda g: g.output("size", Output("fetch", "size"), str),
        "links[3]: fetch.size sends int, and output 'size' takes str",
    ),
    # inputs that nothing fills
    "missing": (lambda g: add(g, split), "nodes.extra.page: no link leads to it, and it has no default"),
    "pins that do not go together": (
        lambda g: (
            [g.link(Output("split", "part"), add(g, show), pin) for pin in ("town_$_0",)]
            + [g.link(Output("split", "part"), named("extra"), "town_#_name")]
        ),
        "nodes.extra: pin 'town_$_0' and pin 'town_#_name' make a list and a dict of the same value",
    ),
    "a part of a default that has none": (
        lambda g: g.link(Output("split", "part"), add(g, takes_all, defaults={"x": 5}), "x_#_k"),
        "nodes.extra: pin 'x_#_k' makes a dict where int is",
    ),
    "default of nothing": (
        lambda g: add(g, defaults={"x": 1}),
        "nodes.extra: it has no input 'x' to give a default to",
    ),
    "default name": (
        lambda g: add(g, takes_all, defaults={"x_$_": 1}),
        "nodes.extra: pin 'x_$_' is malformed: nothing stands after _$_",
    ),
    "default type": (
        lambda g: add(g, split, defaults={"page": 1}),
        "nodes.extra.page: its default does not fit: Expected `str`, got `int`",
    ),
    "default that cannot be stored": (
        lambda g: add(g, takes_all, defaults={"x": object()}),
        "nodes.extra.x: its default does not fit: Encoding objects of type object is unsupported",
    ),
    # the whole
    "limit": (lambda g: setattr(g, "limit", 0), "limit: with 0 nothing would ever run"),
    "on_node_error": (
        lambda g: setattr(g, "on_node_error", "stop"),
        "on_node_error: 'stop' is neither 'continue' nor 'fail'",
    ),
    # a dataflow inside
    "inside": (
        lambda g: g.subflow("sub", broken(), defaults={"url": ""}),
        f"nodes.sub: nodes.no name: 'no name' {NO_NAME}",
    ),
    "input of a dataflow inside": (
        lambda g: g.subflow("sub", good()),
        "nodes.sub.url: no link leads to it, and it has no default",
    ),
    "mask inside": (
        lambda g: g.subflow("sub", good(), defaults={"url": ""}, masks={"fetch": {"utl": 1}}),
        "nodes.sub.masks: node 'fetch': input 'utl': it has no input of this name; it has url, depth",
    ),
    "mask of nothing": (
        lambda g: g.subflow("sub", good(), defaults={"url": ""}, masks={"nowhere": {}}),
        "nodes.sub.masks: node 'nowhere': a mask is for a node, and dataflow 'good' has none of this name",
    ),
    "output of a dataflow inside": (
        lambda g: g.output("o", g.subflow("sub", good(), defaults={"url": ""}).out("part")),
        "links[3]: node 'sub' has no output 'part' (did you mean 'parts'?)",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_alone_and_with_its_path(mistake):
    flow = good()
    make, expected = MISTAKES[mistake]
    make(flow)

    with pytest.raises(GraphError) as caught:
        flow.build()
    assert list(caught.value.mistakes) == [expected]


def test_a_right_one_has_no_mistake():
    assert good().mistakes() == []
    assert good().build().name == "good"


def test_pins_may_have_any_other_name():
    """Agents of AutoGPT have any text for one."""
    flow = good()
    flow.output("What is it?", flow.input("Guest's name"))

    assert flow.mistakes() == []


def test_a_type_that_cannot_be_stored_is_a_mistake_of_the_node():
    flow = good()
    add(flow, stores_client, defaults={"client": 1})

    assert flow.mistakes() == ["nodes.extra.client: values of type Client cannot be stored"]


def test_all_mistakes_are_told_at_once_in_the_order_of_reading():
    flow: Dataflow[Any] = Dataflow("no name", version="", max_steps=0, limit=0)
    flow.node(name="a b", effects="twice")(generator)
    flow.link(Output("nowhere", "out"), named("nobody"), "x")
    flow.input("x", Client)
    flow.subflow("sub", broken())

    assert [mistake.partition(":")[0] for mistake in flow.mistakes()] == [
        "name", "version", "max_steps", "nodes.a b", "limit", "inputs.x", "nodes.a b.effects", "nodes.a b", "nodes.sub",
        "links[0]", "links[0]", "nodes.sub.url",
    ]  # fmt: skip


def test_mistakes_of_one_that_runs_itself_are_told_once():
    flow = good()
    add(flow, name="a b")
    again = flow.subflow("again", flow)
    flow.link(Output("split", "part"), again, "url")

    assert flow.mistakes() == [f"nodes.a b: 'a b' {NO_NAME}"]


def test_mistakes_of_two_that_run_each_other():
    one, other = good(), broken()
    one.link(Output("split", "part"), one.subflow("other", other), "url")
    other.subflow("one", one, defaults={"url": ""})

    assert one.mistakes() == [f"nodes.other: nodes.no name: 'no name' {NO_NAME}"]
    assert other.mistakes() == [f"nodes.no name: 'no name' {NO_NAME}"]
    with pytest.raises(GraphError):
        one.build()
    with pytest.raises(GraphError):
        other.build()


def test_what_is_wrong_can_be_mended():
    flow = good()
    extra = add(flow, split)
    with pytest.raises(GraphError):
        flow.build()
    flow.link(Output("split", "part"), extra, "page")

    assert flow.build().nodes.keys() == {"inputs", "fetch", "split", "extra"}
