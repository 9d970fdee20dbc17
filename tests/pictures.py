"""Graphs that are drawn in tests, and how what was drawn is looked at."""

from itertools import pairwise
from xml.etree import ElementTree as ET

import attrs

from terzetto_protocol.graph import Graph
from terzetto_protocol.picture import svg
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import VisitStatus

NS = "{http://www.w3.org/2000/svg}"


@attrs.define
class Draft:
    revisions: int = 0


async def body(ctx): ...


def is_short(draft: Draft) -> bool:
    return True


def article() -> Graph[Draft, None]:
    graph: Graph[Draft, None] = Graph("article", state=Draft)
    graph.node(name="write")(body)
    graph.node(name="fix", effects="pure", max_visits=3)(body)
    graph.node(name="publish", effects="once")(body)
    graph.barrier("sign-off", exits=("approved", "rejected", "later"))
    graph.start("write")
    graph.edge("write", "sign-off")
    graph.edge("write", "fix", on_error=True)
    graph.edge("fix", "sign-off", when=is_short)
    graph.edge("fix", "write", fallback=True, max_visits=2)
    graph.edge("sign-off.approved", "publish")
    graph.edge("sign-off.rejected", "write", when=lambda draft: draft.revisions < 3)
    return graph


VISITS = {
    "write": Shown(VisitStatus.SUCCEEDED, 3),
    "fix": Shown(VisitStatus.FAILED, 1, "ValueError: too long"),
    "sign-off": Shown(VisitStatus.AWAITING_INPUT, 2, "waits for Ada"),
}


def one_of_each() -> str:
    graph: Graph[Draft, None] = Graph("all", state=Draft)
    for status in VisitStatus:
        graph.node(name=status.value)(body)
    for source, target in pairwise(VisitStatus):
        graph.edge(source.value, target.value)
    return svg(graph, {status.value: Shown(status, 1) for status in VisitStatus})


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture.encode())


def groups(root: ET.Element, kind: str) -> list[tuple[str, set[str], ET.Element]]:
    """The groups of this class, in order: their titles, their other classes, and the groups themselves."""
    found = []
    for group in root.iter(f"{NS}g"):
        classes = set(group.get("class", "").split())
        if kind in classes:
            found.append((group.findtext(f"{NS}title", ""), classes - {kind}, group))
    return found


def texts(element: ET.Element, kind: str | None = None) -> list[str]:
    return [text.text or "" for text in element.iter(f"{NS}text") if kind in (None, text.get("class"))]
