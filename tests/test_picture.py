"""Pictures: everything that was declared and everything that happened can be seen, and no text breaks them."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import example, given, strategies as st

from terzetto_protocol.graph import Graph
from terzetto_protocol.picture import LETTERS, Shown, html, svg
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


def test_every_place_is_there_with_its_shape_and_what_was_declared_of_it():
    places = [(title, classes) for title, classes, _ in groups(parsed(svg(article())), "place")]

    assert places == [
        ("start", {"start"}),
        ("write", {"node"}),
        ("fix, pure, at most 3 times", {"node"}),
        ("publish, once", {"once"}),
        ("sign-off", {"barrier"}),
        ("end", {"end"}),
        ("end", {"end"}),
    ]


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


def test_the_last_status_of_a_place_is_a_class_a_sign_and_a_word():
    root = parsed(svg(article(), VISITS))
    places = {title: (classes, group) for title, classes, group in groups(root, "place")}

    assert places.keys() >= {
        "write, succeeded, 3 visits",
        "fix, pure, at most 3 times, failed, 1 visit, ValueError: too long",
        "publish, once",
        "sign-off, awaiting input, 2 visits, waits for Ada",
    }
    for title, (classes, group) in places.items():
        statuses = classes & {"succeeded", "failed", "awaiting-input"}
        assert len(groups(group, "sign")) == len(statuses) == (", " in title and "publish" not in title)


def test_repeated_visits_are_counted_on_the_box_and_notes_are_written_in_it():
    places = {title.partition(",")[0]: group for title, _, group in groups(parsed(svg(article(), VISITS)), "place")}

    assert texts(places["write"]) == ["write", "×3"]
    assert texts(places["fix"]) == ["fix", "pure", "at most 3 times", "ValueError: too long"]
    assert texts(places["fix"], "note") == ["ValueError: too long"]
    assert texts(places["sign-off"]) == ["sign-off", "waits for Ada", "×2"]


def one_of_each() -> str:
    graph: Graph[Draft, None] = Graph("all", state=Draft)
    for status in VisitStatus:
        graph.node(name=status.value)(body)
    for source, target in pairwise(VisitStatus):
        graph.edge(source.value, target.value)
    return svg(graph, {status.value: Shown(status, 1) for status in VisitStatus})


def test_no_two_statuses_have_the_same_sign_or_the_same_colour():
    root = parsed(one_of_each())
    signs = [ET.tostring(group.findall(f"{NS}path")[0]) for _, _, group in groups(groups(root, "legend")[0][2], "sign")]
    css = root.findtext(f"{NS}style", "")

    assert len(set(signs)) == len(signs) == len(VisitStatus)
    for sheet in css.split("@media (prefers-color-scheme:dark)"):
        colours = re.findall(r"\.terzetto \.([\w-]+) \.sign circle{fill:(#\w+)}", sheet)
        assert [name for name, _ in colours] == [status.lower().replace("_", "-") for status in VisitStatus]
        assert len({colour for _, colour in colours}) == len(VisitStatus)


def test_the_legend_tells_what_the_signs_mean_and_how_many_places_have_them():
    root = parsed(svg(article(), {**VISITS, "publish": Shown(VisitStatus.SUCCEEDED, 1)}))

    assert texts(groups(root, "legend")[0][2]) == ["awaiting input 1", "succeeded 2", "failed 1"]
    assert root.findtext(f"{NS}desc") == "awaiting input 1, succeeded 2, failed 1"


def test_the_legend_fits_into_the_picture():
    root = parsed(one_of_each())
    legend = groups(root, "legend")[0][2]
    _, top = (float(n) for n in re.findall(r"[\d.]+", legend.get("transform", "")))
    ends = [
        (float(text.get("x", "")) + 7 * len(text.text or ""), float(text.get("y", "")))
        for text in legend.iter(f"{NS}text")
    ]

    assert max(x for x, _ in ends) < float(root.get("width", ""))
    assert top + max(y for _, y in ends) < float(root.get("height", ""))


def test_without_visits_there_is_no_sign_no_count_and_no_legend():
    root = parsed(svg(article()))

    assert not groups(root, "sign")
    assert not groups(root, "count")
    assert texts(root)[-1:] == ["sign-off"]


def test_what_happened_elsewhere_and_what_was_not_declared_is_not_drawn():
    graph = article()
    graph.start("nowhere")
    graph.edge("write", "nowhere", when=is_short)
    graph.edge("nobody", "write")

    assert svg(graph, {"nobody": Shown(VisitStatus.FAILED, 1)}) == svg(article())


def test_a_place_that_was_not_visited_may_have_a_note():
    root = parsed(svg(article(), {"publish": Shown(note="at noon")}))

    assert "publish, once, at noon" in [title for title, _, _ in groups(root, "place")]
    assert not groups(root, "sign")


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


def test_a_long_line_is_cut_and_told_in_full():
    long = "word " * 40
    root = parsed(svg(article(), {"write": Shown(note=long)}))
    (title, _, write) = groups(root, "place")[1]

    assert title == f"write, {long.strip()}"
    (note,) = texts(write, "note")
    assert len(note) == LETTERS
    assert note.endswith("…")


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


def test_light_and_dark_have_the_same_rules_with_other_colours():
    css = parsed(svg(article())).findtext(f"{NS}style", "")
    light, _, dark = css.partition("@media (prefers-color-scheme:dark){")
    paints = re.findall(r"([^{}]+){([^}]*#[^}]*)}", dark)

    assert paints
    assert light.endswith("".join(f"{rule}{{{said}}}" for rule, said in re.findall(r"([^{}]+){([^}]*#[^}]*)}", light)))
    assert [rule for rule, _ in paints] == [rule for rule, _ in re.findall(r"([^{}]+){([^}]*#[^}]*)}", light)]
    assert not set(re.findall(r"#\w+", light)) & set(re.findall(r"#\w+", dark))
    assert "|" not in css


def test_every_process_draws_the_same():
    program = f"import runpy; g = runpy.run_path({__file__!r}); print(g['html'](g['article'](), g['VISITS'], 'Run 7'))"
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
