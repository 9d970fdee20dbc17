"""Drawings: everything that was declared can be seen, and no name breaks them."""

import html
import re
import subprocess
import sys
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from terzetto_protocol.drawing import dot, mermaid, status_diagram
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import BARRIER_MOVES


@attrs.define
class Draft:
    revisions: int = 0


async def body(ctx): ...


def is_short(draft: Draft) -> bool:
    return True


def article() -> Graph[Draft, None]:
    graph: Graph[Draft, None] = Graph("article", state=Draft)
    for name, options in {
        "write": {},
        "fix": {"effects": "pure", "max_visits": 3},
        "publish": {"effects": "once"},
    }.items():
        graph.node(name=name, **options)(body)  # type: ignore[call-overload]
    graph.barrier("sign-off", exits=("approved", "rejected", "later"))
    graph.start("write")
    graph.edge("write", "sign-off")
    graph.edge("write", "fix", on_error=True)
    graph.edge("fix", "sign-off", when=is_short)
    graph.edge("fix", "write", fallback=True, max_visits=2)
    graph.edge("sign-off.approved", "publish")
    graph.edge("sign-off.rejected", "write", when=lambda draft: draft.revisions < 3)
    return graph


MERMAID = """\
flowchart TD
    start(("start"))
    n0("write")
    n1("fix<br/>pure<br/>at most 3 times")
    n2[["publish<br/>once"]]
    n3{{"sign-off"}}
    finish((("end")))
    start --> n0
    n0 --> n3
    n0 ==>|"on error"| n1
    n1 -->|"is_short"| n3
    n1 -.->|"else, at most 2 times"| n0
    n3 -->|"approved"| n2
    n3 -->|"rejected, when"| n0
    n2 --> finish
    n3 -->|"later"| finish
    linkStyle 2 stroke:#c33
"""
DOT = """\
digraph "article" {
    start [label="start" shape=circle];
    n0 [label="write" shape=box style=rounded];
    n1 [label="fix\\npure\\nat most 3 times" shape=box style=rounded];
    n2 [label="publish\\nonce" shape=box peripheries=2];
    n3 [label="sign-off" shape=hexagon];
    finish [label="end" shape=doublecircle];
    start -> n0;
    n0 -> n3;
    n0 -> n1 [label="on error" style=bold color="#cc3333"];
    n1 -> n3 [label="is_short"];
    n1 -> n0 [label="else, at most 2 times" style=dashed];
    n3 -> n2 [label="approved"];
    n3 -> n0 [label="rejected, when"];
    n2 -> finish;
    n3 -> finish [label="later"];
}
"""


def test_a_mermaid_drawing_shows_everything():
    assert article().mermaid() == mermaid(article()) == MERMAID


def test_a_dot_drawing_shows_everything():
    assert article().dot() == dot(article()) == DOT


def test_every_process_draws_the_same(tmp_path):
    program = f"import runpy\ng = runpy.run_path({__file__!r})\nprint(g['article']().mermaid() + g['article']().dot())"
    drawn = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(2)
    }

    assert drawn == {MERMAID + DOT + "\n"}


def test_what_was_not_declared_is_not_drawn():
    graph = article()
    graph.start("nowhere")
    graph.edge("write", "nowhere", when=is_short)
    graph.edge("nobody", "write")

    assert graph.mermaid() == MERMAID
    assert graph.dot() == DOT


def test_an_empty_graph_can_be_drawn():
    empty: Graph[Draft, None] = Graph("empty", state=Draft)

    assert empty.mermaid() == 'flowchart TD\n    start(("start"))\n    finish((("end")))\n'
    assert empty.dot().startswith('digraph "empty" {\n')


NASTY = [
    'a"b',
    "a]]b",
    "e|f",
    "<script>",
    "x`y`",
    "%%{init: {}}%%",
    "back\\",
    "#quot;",
    "&amp;",
    "a;b",
    "subgraph",
    "\\N",
    "é—ü",
]


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


def mermaid_texts(drawing: str) -> list[str]:
    """The quoted labels as a reader of Mermaid decodes them; everything else must be its own syntax."""
    labels = re.findall(r'"([^"\n]*)"', drawing)
    rest = re.sub(r'"[^"\n]*"', "", drawing)
    assert re.fullmatch(r"[\w\s\[\](){}|>=.-]*", rest), rest
    assert not any(set(label) & set("<>%`") for label in labels)
    return [html.unescape(re.sub(r"#(\d+);", r"&#\1;", label)) for label in labels]


def dot_texts(drawing: str) -> list[str]:
    """The quoted strings as Graphviz decodes them."""
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', drawing)
    rest = re.sub(r'"(?:[^"\\]|\\.)*"', "", drawing)
    assert re.fullmatch(r"[\w\s\[\]{}=;>-]*", rest), rest
    return [html.unescape(re.sub(r"\\(.)", r"\1", text)) for text in strings]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_shown_as_they_are_and_end_nothing(name):
    assert mermaid_texts(mermaid(named(name))).count(name) == 3
    assert dot_texts(dot(named(name))).count(name) == 4


@given(st.text(min_size=1).filter(lambda name: name == " ".join(name.split())))
@example("a.b")
def test_any_name_is_shown_as_it_is(name):
    assert mermaid_texts(mermaid(named(name))).count(name) >= 3
    assert dot_texts(dot(named(name))).count(name) >= 4


def test_a_name_over_several_lines_stays_on_one():
    for drawing in (mermaid(named("a\nb")), dot(named("a\nb"))):
        assert "a b" in drawing
        assert "a\nb" not in drawing


def test_a_status_diagram_has_every_move_in_the_order_of_the_table():
    assert status_diagram("The life\nof a barrier", BARRIER_MOVES) == (
        "stateDiagram-v2\n"
        "    accTitle: The life of a barrier\n"
        "    [*] --> OPEN\n"
        "    OPEN --> RESOLVED\n"
        "    OPEN --> DROPPED\n"
        "    RESOLVED --> [*]\n"
        "    DROPPED --> [*]\n"
    )
