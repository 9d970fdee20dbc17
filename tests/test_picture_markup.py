"""Markup of a picture: any text is shown, and none breaks it."""

from typing import Any

from hypothesis import example, given, strategies as st

from terzetto_protocol.graph import Graph
from terzetto_protocol.picture import html, svg
from terzetto_protocol.picture_markup import LETTERS
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import VisitStatus

from .pictures import NS, Draft, body, parsed, texts


def named(name: str) -> Graph[Any, None]:
    """A graph in which a node, an exit, a predicate and the graph itself have this name."""

    def predicate(draft: Draft) -> bool:
        return True

    predicate.__name__ = name
    graph: Graph[Any, None] = Graph(name, state=Draft)
    graph.node(name=name)(body)
    graph.barrier("gate", exits=(name,))
    graph.edge(graph.places[0], graph.places[0], when=predicate)
    return graph


def sayable(text: str) -> str:
    """What XML can say of a text, on one line."""
    said = "".join(c for c in text if c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c not in "\ufffe\uffff")
    return " ".join(said.split())


@given(st.text(st.characters(), min_size=1, max_size=LETTERS))
@example("</text></svg><script>x()</script>")
@example("]]>")
@example("&amp;&#0;<!--")
@example("\"onload='x'")
@example("nul\0bell\a escape\x1b[31m")
@example("lone \ud800 surrogate \ufffe")
@example("%s {} %(title)s")
def test_any_text_is_shown_as_it_is_and_ends_nothing(text):
    said = sayable(text)
    graph = named(text)
    happened = {text: Shown(VisitStatus.UNKNOWN, 1, note=text)}
    root = parsed(svg(graph, happened, title=text))
    plain = parsed(svg(named("plain"), {"plain": Shown(VisitStatus.UNKNOWN, 1, note="plain")}))

    assert root.findtext(f"{NS}title") == said
    if said:
        assert texts(root).count(said) == texts(plain).count("plain") == 5
        assert [element.tag for element in root.iter()] == [element.tag for element in plain.iter()]
    assert "<script" not in html(graph, happened, title=text)
