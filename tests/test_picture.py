"""Pictures: the whole of one, as SVG and as a page, is the same everywhere and needs nothing else."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from terzetto_protocol.graph import Graph
from terzetto_protocol.picture import html, svg
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import VisitStatus

from . import pictures
from .pictures import NS, VISITS, Draft, article, groups, is_short, parsed, texts


def test_what_happened_elsewhere_and_what_was_not_declared_is_not_drawn():
    graph = article()
    graph.start("nowhere")
    graph.edge("write", "nowhere", when=is_short)
    graph.edge("nobody", "write")

    assert svg(graph, {"nobody": Shown(VisitStatus.FAILED, 1)}) == svg(article())


@pytest.mark.parametrize("names", [(), ("",), ("a", "a"), (" ",)], ids=repr)
def test_a_graph_that_cannot_be_built_can_be_drawn(names):
    graph: Graph[Draft, None] = Graph("odd", state=Draft)
    for name in names:
        graph.barrier(name)

    kinds = [kind for _, classes, _ in groups(parsed(svg(graph)), "place") for kind in classes]
    assert kinds[: len(names) + 1] == ["start", *("barrier" for _ in names)]


def test_the_title_is_the_heading_and_the_name():
    assert parsed(svg(article())).findtext(f"{NS}title") == "article"
    root = parsed(svg(article(), title="Run 7 & others"))

    assert root.get("role") == "img"
    assert root.findtext(f"{NS}title") == "Run 7 & others"
    assert texts(root, "heading") == ["Run 7 & others"]


class Reader(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= dict(attrs)


def test_the_page_needs_no_network_and_no_script():
    page = html(article(), VISITS, title="Run 7")
    reader = Reader()
    reader.feed(page)

    assert svg(article(), VISITS, title="Run 7") in page
    assert not {"script", "link", "img", "image", "use", "iframe", "foreignobject"} & set(reader.tags)
    assert not [name for name in reader.attributes if name.startswith("on") or name in {"src", "href", "xlink:href"}]
    assert re.findall(r"https?:[^\"]*|url\(|@import", page) == ["http://www.w3.org/2000/svg"]
    assert "default-src 'none'" in page


def test_every_process_draws_the_same():
    drawing = f"import runpy; g = runpy.run_path({pictures.__file__!r}); "
    program = f"{drawing}from terzetto_protocol.picture import html; print(html(g['article'](), g['VISITS'], 'Run 7'))"
    drawn = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout.decode()
        for seed in (0, 5, 7)
    }

    assert drawn == {html(article(), VISITS, "Run 7") + "\n"}
