"""Edges of a picture: every one is there, says when it is taken, and ends at the outline of its places."""

import re

import pytest

from terzetto_protocol.graph import Graph
from terzetto_protocol.picture import svg

from .pictures import NS, Draft, article, groups, parsed, texts


def test_every_edge_is_there_with_its_label_and_every_end_has_its_own_mark():
    root = parsed(svg(article()))
    edges = [(title, classes) for title, classes, _ in groups(root, "edge")]

    assert edges == [
        ("start → write", {"plain"}),
        ("write → sign-off", {"plain"}),
        ("write → fix: on error", {"error"}),
        ("fix → sign-off: is_short", {"plain"}),
        ("fix → write: else, at most 2 times", {"fallback"}),
        ("sign-off → publish: approved", {"plain"}),
        ("sign-off → write: rejected, when", {"plain"}),
        ("publish → end", {"plain"}),
        ("sign-off → end: later", {"plain"}),
    ]
    labels = [texts(group) for _, _, group in groups(root, "label")]
    assert labels == [[title.partition(": ")[2]] for title, _ in edges if ": " in title]


def test_an_edge_starts_and_ends_at_the_outline_of_its_places():
    """Hexagons are narrower above and below; an arrow is at the line all the same."""
    graph: Graph[Draft, None] = Graph("gate", state=Draft)
    graph.barrier("gate", exits=("again",))
    graph.start("gate")
    graph.edge("gate.again", "gate")
    root = parsed(svg(graph))
    (_, _, gate) = groups(root, "place")[1]
    corners = [[float(n) for n in re.findall(r"-?[\d.]+", at)] for at in gate.find(f"{NS}path").get("d").split("L")]  # type: ignore[union-attr]
    right = max(x for x, _ in corners)
    (_, _, loop) = groups(root, "edge")[1]
    x, y = (float(n) for n in re.findall(r"-?[\d.]+", loop.findall(f"{NS}path")[1].get("d", ""))[:2])

    assert len(corners) == 6
    (tip,) = [y for x, y in corners if x == right]
    (flat,) = {x for x, y in corners if x > corners[1][0] and y < tip and x != right}
    slope = (right - flat) / (tip - min(y for _, y in corners))
    assert x == pytest.approx(right - abs(y - tip) * slope, abs=0.2)
