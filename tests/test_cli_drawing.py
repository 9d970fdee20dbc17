"""`terzetto graph --svg` and `--html`: a graph as a picture, and what a run has done drawn on it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from terzetto_protocol.image import read_record

from .commands import LIMIT, SHOP, run, started
from .pictures import groups, texts

SCANS = """
import os
import signal
from pathlib import Path

import terzetto
from attrs import define, frozen


@define
class Audit:
    scanned: int = 0


@frozen
class Scanned:
    def apply(self, audit):
        audit.scanned += 1


graph = terzetto.Graph("audit", state=Audit, mutations=[Scanned])


@graph.node
async def scan(ctx: terzetto.ItemContext[Audit, int]):
    if ctx.item == 3 and not Path("scanned").exists():
        Path("scanned").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    ctx.record(Scanned())


scans = graph.map("scans", scan, over=lambda audit: list(range(5)), item=int, merge="replay", limit=1)
inner = terzetto.Graph("signing", state=Audit, mutations=[Scanned])
gate = inner.barrier("gate")
inner.start(gate)
signing = graph.subgraph("signing", inner)
graph.start(scans)
graph.edge(scans, signing)
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with the modules `shop` and `scans` in it, which is the current folder of the test."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "scans.py").write_text(SCANS)
    (tmp_path / "later.py").write_text(SHOP + "asking = declare('asking')\nasking.start(asking.barrier('ask'))\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERZETTO_STORE", raising=False)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in ("shop", "scans", "later"):
        sys.modules.pop(name, None)


@pytest.fixture
def drawn(call):
    """`drawn(graph, *words)`: the picture that the command draws."""

    def drawn(graph, *words):
        code, output, errors = call("graph", graph, "--svg", *words)
        assert (0, "") == (code, errors)
        return ET.fromstring(output)

    return drawn


def places(picture):
    """What each place says when one points at it; the ends left out."""
    return [title for title, classes, _ in groups(picture, "place") if not classes & {"start", "end"}]


# -- a graph


def test_a_graph_is_drawn_as_a_picture_and_as_a_page(shop, call, drawn):
    picture = drawn("shop:asking")
    code, page, _ = call("graph", "shop:asking", "--html")

    assert ["price", "release"] == places(picture)
    assert ["asking"] == texts(picture, "heading")
    assert 0 == code
    assert page.startswith("<!doctype html>\n")
    assert call("graph", "shop:asking", "--svg")[1].rstrip() in page


def test_what_opens_branches_is_no_barrier(shop, call):
    assert "graph audit 1: 1 node, 0 barriers\n" in call("graph", "scans:graph")[1]


def test_a_drawing_for_machines_is_a_document(shop, call):
    code, output, errors = call("graph", "shop:bound", "--svg", "--json")
    document = json.loads(output)

    assert (0, "", "needy") == (code, errors, document["graph"])
    assert ["use"] == places(ET.fromstring(document["drawing"]))


def test_a_drawing_is_the_same_in_every_encoding(shop):
    drawings = {run(shop, "graph", "scans:graph", "--html", PYTHONIOENCODING=name) for name in ("utf-8", "cp1252")}

    assert 1 == len(drawings)
    ((code, page, errors),) = drawings
    assert (0, "", True) == (code, errors, page.isascii())


def test_a_drawing_is_not_broken_into_lines_for_a_terminal(shop, call):
    _, output, _ = call("graph", "shop:asking", "--dot")
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "terzetto", "graph", "shop:asking", "--dot"]
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "20"}
    done = subprocess.run(words, cwd=shop, env=environ, stdin=theirs, stdout=theirs, timeout=LIMIT, check=False)

    assert 0 == done.returncode
    assert output == os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    os.close(ours)
    os.close(theirs)


# -- what a run has done


def test_a_run_that_waits_shows_where_and_for_what(shop, call, drawn):
    assert 3 == call("run", "shop:asking", "--run-id", "a")[0]
    picture = drawn("shop:asking", "--run", "a")

    assert ["price, succeeded, 1 visit", "release, awaiting input, 1 visit, release@2 is open"] == places(picture)
    assert ["asking: run a AWAITING_INPUT"] == texts(picture, "heading")
    assert 0 == call("decide", "a", "--reject", "--by", "ann")[0]
    assert 0 == call("resume", "a", "shop:asking")[0]
    assert "release, succeeded, 1 visit, rejected by ann" in places(drawn("shop:asking", "--run", "a"))


def test_a_run_that_failed_shows_where_and_why(shop, call, drawn):
    call("run", "shop:bad", "--run-id", "b")
    picture = drawn("shop:bad", "--run", "b")

    assert ["explode, failed, 1 visit, RuntimeError: the till is [31mempty"] == places(picture)
    assert ["bad: run b FAILED, node_error"] == texts(picture, "heading")


def test_a_run_whose_process_was_killed_shows_how_far_it_came(shop, drawn):
    """SEMANTICS 7: what was not committed runs again, and shows as not begun: nobody carries it now."""
    assert -signal.SIGKILL == run(shop, "run", "scans:graph", "--run-id", "k")[0]
    picture = drawn("scans:graph", "--run", "k")

    assert [
        "scan, pending, 4 visits, 1 pending, 3 succeeded",
        "scans, for each item, running, 1 visit, 3 of 5 branches",
        "signing, graph signing",
    ] == places(picture)
    assert ["audit: run k RUNNING, and no process carries it"] == texts(picture, "heading")

    assert 3 == run(shop, "run", "scans:graph", "--run-id", "k")[0]
    picture = drawn("scans:graph", "--run", "k")
    assert [
        "scan, succeeded, 5 visits",
        "scans, for each item, succeeded, 1 visit, 5 branches",
        "signing, graph signing, awaiting input, 1 visit, signing/gate@8 is open",
    ] == places(picture)
    assert ["awaiting input 1", "succeeded 2"] == texts(groups(picture, "legend")[0][2])


def test_a_run_is_drawn_beside_its_owner_while_it_goes_on(shop, call, drawn):
    """SEMANTICS 11: others may read."""
    with started(shop, "run", "shop:slow", "--run-id", "s") as owner:
        owner.until("hold@6 started")

        assert ["tick, succeeded, 5 visits", "hold, running, 1 visit"] == places(drawn("shop:slow", "--run", "s"))
        (shop / "go").touch()
        assert 0 == owner.end()[0]

    assert ["tick, succeeded, 5 visits", "hold, succeeded, 1 visit"] == places(drawn("shop:slow", "--run", "s"))


def test_the_store_may_be_elsewhere(shop, call, drawn):
    call("run", "shop:good", "--run-id", "g", "--store", "sqlite:other.db")
    picture = drawn("shop:good", "--run", "g", "--store", "sqlite:other.db")

    assert ["good: run g SUCCEEDED"] == texts(picture, "heading")
    assert ["pay, succeeded, 1 visit"] == places(picture)


def test_places_that_a_later_graph_does_not_have_are_named_and_left_out(shop, call):
    call("run", "shop:asking", "--run-id", "a")
    code, output, errors = call("graph", "later:asking", "--svg", "--run", "a")

    assert 0 == code
    assert ["ask"] == places(ET.fromstring(output))
    assert errors == "not drawn, because later:asking has changed since run a was submitted: price, release\n"


# -- what cannot be drawn

WRONG = {
    ("shop:asking", "--run", "kept"): "say --svg or --html as well",
    ("shop:asking", "--dot", "--run", "kept"): "say --svg or --html as well",
    ("shop:asking", "--check", "--run", "kept"): "say --svg or --html as well",
    ("shop:asking", "--svg", "--store", "sqlite:terzetto.db"): "say which one, with --run RUN",
    ("shop:asking", "--svg", "--html"): "not allowed with",
    ("shop:asking", "--svg", "--run"): "expected one argument",
    ("shop:asking", "--svg", "--run", "kepd"): "did you mean kept?",
    ("shop:asking", "--svg", "--run", "a/b"): "'a/b' is not a run id",
    ("shop:asking", "--svg", "--run", ""): "'' is not a run id",
    ("shop:asking", "--svg", "--run", "kept", "--store", "sqlite:nope.db"): "there is no store",
    ("shop:asking", "--svg", "--run", "kept"): "run 'kept' is of graph 'good', and shop:asking is graph 'asking'",
    ("shop:broken", "--svg"): "no node 'nowhere'",
    ("shop:gooood", "--svg"): "did you mean shop:good?",
}


def test_what_cannot_be_drawn_is_said_in_one_sentence(shop, call):
    assert 0 == call("run", "shop:good", "--run-id", "kept")[0]
    for words, fragment in WRONG.items():
        code, output, errors = call("graph", *words)

        assert (2, "") == (code, output), words
        assert re.fullmatch(r"terzetto: .+\n", errors), words
        assert fragment in errors, words


def test_a_damaged_log_is_the_stores_fault(shop, call, monkeypatch):
    call("run", "shop:good", "--run-id", "g")
    monkeypatch.setattr("terzetto._history.read_record", lambda body: read_record(b"\xff" + body))
    code, output, errors = call("graph", "shop:good", "--svg", "--run", "g")

    assert (5, "", 1) == (code, output, errors.count("\n"))
