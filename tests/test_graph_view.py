"""`terzetto_protocol.graph_view`: what it takes to draw a graph, and to make a form for its state."""

from typing import Annotated

import msgspec
import pytest
from attrs import Factory, define, frozen

from terzetto_protocol.errors import GraphError
from terzetto_protocol.graph import Graph
from terzetto_protocol.graph_view import BarrierShown, GraphView, graph_view, schema_of
from terzetto_protocol.state import transient


@define
class Draft:
    text: str = ""
    revisions: int = 0
    cache: Annotated[dict[str, int], transient] = Factory(dict)


@frozen
class Written:
    text: str

    def apply(self, draft: Draft) -> None:
        draft.text = self.text


async def write(ctx): ...


def article():
    graph = Graph("article", state=Draft, mutations=[Written])
    graph.node(write)
    gate = graph.barrier("gate", exits=("yes", "no"))
    graph.start("write")
    graph.edge("write", gate)
    graph.edge(gate.exit("no"), "write")
    return graph


def test_a_graph_is_shown_as_it_is_drawn():
    view = graph_view(article())
    figures = {figure.id: figure.label[0] for figure in view.figures}

    assert ("article", "1", article().build().fingerprint) == (view.name, view.version, view.fingerprint)
    assert {"write": "write", "gate": "gate"} == {name: figures[key] for name, key in view.places.items()}
    assert all({arrow.source, arrow.target} <= figures.keys() for arrow in view.arrows)
    assert (BarrierShown("gate", ("yes", "no")),) == view.barriers
    assert view == msgspec.json.decode(msgspec.json.encode(view), type=GraphView)


def test_a_form_has_the_fields_that_are_stored():
    view = graph_view(article())
    form = view.state["$defs"]["Draft"]["properties"]

    assert {"text", "revisions"} == set(form)
    assert {"type": "integer", "default": 0} == form["revisions"]
    assert ["text"] == view.mutations["Written"]["$defs"]["Written"]["required"]


def test_a_type_that_json_cannot_describe_has_no_form():
    assert None is schema_of(complex)
    assert None is schema_of(set[complex])


def test_a_graph_with_mistakes_is_not_shown():
    with pytest.raises(GraphError):
        graph_view(Graph("empty", state=Draft))
