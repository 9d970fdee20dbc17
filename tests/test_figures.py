"""`terzetto_protocol.figures`: what drawings of dataflows show; those of other graphs are in `test_drawing`."""

from typing import Any

from terzetto_protocol.context import FlowContext
from terzetto_protocol.dataflow import Dataflow, FlowNode, Output
from terzetto_protocol.figures import Line, Shape, arrows_of, figures_of


async def send(ctx: FlowContext, text: str = "", rows: Any = None): ...


def shop() -> Dataflow:
    """fetch -> tell, with a static link and a part of a value; what goes wrong goes to tell as well."""
    flow = Dataflow("shop")
    town = flow.input("town", str)
    fetch = flow.node(name="fetch", outputs=["text", "page"])(send)
    tell = flow.node(name="tell", outputs=["said"])(send)
    flow.link(town, fetch, "text")
    flow.link(town, tell, "text", static=True)
    flow.link(fetch.out("page_#_rows_$_0"), tell, "rows_#_first")
    flow.link(fetch.out("error"), tell, "text")
    flow.output("said", tell.out("said"))
    flow.output("page", fetch.out("page"))
    return flow


def drawn(flow: Dataflow):
    """Its arrows, by the names of the figures."""
    names = {figure.id: figure.label[0] for figure in figures_of(flow)}
    return [(names[arrow.source], names[arrow.target], arrow.line, arrow.label) for arrow in arrows_of(flow)]


def taker(flow, number):
    place = flow.places[number]
    return FlowNode(place.name, place.fn)


def test_links_say_what_they_carry_and_where_to():
    assert [
        ("start", "inputs", Line.PLAIN, ""),
        ("inputs", "fetch", Line.PLAIN, "town → text"),
        ("inputs", "tell", Line.PLAIN, "static town → text"),
        ("fetch", "tell", Line.PLAIN, "page.rows[0] → rows.first"),
        ("fetch", "tell", Line.ERROR, "error → text"),
        ("tell", "end", Line.PLAIN, "said"),
        ("fetch", "end", Line.PLAIN, "page"),
    ] == drawn(shop())


def test_links_between_the_same_nodes_are_one_arrow():
    flow = shop()
    flow.link(Output("fetch", "text"), taker(flow, 2), "text")

    assert ("fetch", "tell", Line.PLAIN, "page.rows[0] → rows.first, text") in drawn(flow)


def test_what_begins_and_ends_a_run_by_itself():
    """Nodes that no link leads to begin with the run, and where nothing leads on a run may be over."""
    flow = Dataflow("alone")
    flow.node(name="work")(send)

    assert [
        ("start", "inputs", Line.PLAIN, ""),
        ("start", "work", Line.PLAIN, ""),
        ("work", "end", Line.PLAIN, ""),
    ] == drawn(flow)
    assert [("start", "inputs", Line.PLAIN, ""), ("inputs", "end", Line.PLAIN, "")] == drawn(Dataflow("empty"))


def test_the_inputs_are_named_and_a_dataflow_inside_is_a_graph():
    outer = Dataflow("outer")
    outer.input("a")
    outer.input("b")
    outer.subflow("inner", shop())

    assert [
        (Shape.START, ("start",)),
        (Shape.NODE, ("inputs", "a, b")),
        (Shape.GRAPH, ("inner", "graph shop")),
        (Shape.END, ("end",)),
    ] == [(figure.shape, figure.label) for figure in figures_of(outer)]


def test_what_was_not_declared_or_is_no_pin_is_drawn_as_far_as_it_can_be():
    """Drawings are of graphs that need not be built: their mistakes are `build`'s."""
    flow = shop()
    flow.link(Output("nobody", "text"), taker(flow, 1), "text")
    flow.link(Output("fetch", "text"), taker(flow, 2), "rows_$_first")

    assert ("fetch", "tell", Line.PLAIN, "page.rows[0] → rows.first, text → rows_$_first") in drawn(flow)
    assert len(drawn(flow)) == len(drawn(shop()))


def test_drawing_a_dataflow_does_not_freeze_its_links():
    flow = shop()
    flow.mermaid()
    flow.link(Output("fetch", "text"), taker(flow, 2), "rows")
    flow.build()

    assert 5 == len([link for link in flow.wiring.links if link.sink != "outputs"])
