"""What the command line says about runs whose graph has changed (SEMANTICS 2)."""

import sys

import pytest

GRAPH = """
from attrs import define, frozen
import terzetto

@define
class Order:
    item: str = "cake"
    {field}: int = 0

@frozen
class Paid:
    price: int
    def apply(self, order):
        order.{field} = self.price

graph = terzetto.Graph("order", state=Order, mutations=[Paid]{options})

@graph.node
async def pay(ctx):
    ctx.record(Paid(5))

release = graph.barrier({barrier!r})
graph.start(pay)
graph.edge(pay, release)
"""
MIGRATION = "terzetto.Migration('1', state=lambda old: {'item': old['item'], 'cents': 100 * old['price']}%s)"
PLACES = MIGRATION % ", places={'release': 'go'}"
WHOLE = MIGRATION % ", places={'release': 'go'}, mutation=lambda name, old: (name, {'price': 100 * old['price']})"


@pytest.fixture
def module(shop, monkeypatch):
    """`module(name, ...)` writes a version of the graph."""

    def write(name, field="price", barrier="release", version="1", migrations=""):
        options = f', version="{version}", migrations=[{migrations}]'
        (shop / f"{name}.py").write_text(GRAPH.format(field=field, barrier=barrier, options=options))
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)

    return write


def test_doctor_says_which_runs_a_graph_cannot_go_on_with(module, call, told):
    module("first")
    module("bare", "cents", version="2")
    module("gone", "cents", "go", "2", MIGRATION % "")
    module("second", "cents", "go", "2", WHOLE)
    call("run", "first:graph", "--run-id", "r")

    def reasons(*modules):
        graphs = [word for name in modules for word in ("--graph", f"{name}:graph")]
        found = told("doctor", *graphs)["findings"]
        return [each["finding"] for each in found if each["finding"].startswith("cannot go on")]

    (reason,) = reasons("bare")
    assert reason.startswith("cannot go on: graph 'order' '1' is not known here; it stays as it is")
    (reason,) = reasons("gone")
    assert "graph 'order' '2' cannot go on with it: it has no node release@2 any more; it stays as it is" in reason
    assert [] == reasons("second")
    assert [] == reasons("first", "bare")
    assert "cannot go on: graph 'order' '1'" in call("doctor", "--graph", "bare:graph")[1]


def test_show_and_history_tell_that_a_run_was_migrated(module, call, told):
    module("first")
    module("second", "cents", "go", "2", WHOLE)
    module("half", "cents", "go", "2", PLACES)
    call("run", "first:graph", "--run-id", "r")
    assert "graph order 1, 3 commits" in call("show", "r")[1]
    assert "" == told("show", "r")["migrated"]
    call("decide", "r", "--approve")
    assert 0 == call("resume", "r", "second:graph", "--plain")[0]

    view = told("show", "r")
    assert ("1", "2", {"item": "cake", "cents": 500}) == (view["version"], view["migrated"], view["state"])
    assert "graph order 1 (now 2), 5 commits" in call("show", "r")[1]
    assert "migrated from version 1 of its graph to 2" in call("history", "r")[1]
    assert {"item": "cake", "cents": 500} == told("show", "r", "--at", "3", "--graph", "second:graph")["state"]
    code, _, error = call("show", "r", "--at", "2", "--graph", "first:graph")
    assert (0, "") == (code, error)  # a commit of its own version
    code, _, error = call("replay", "r", "--graph", "first:graph")
    assert 0 != code
    assert "version '2' wrote it, and '1' has no migration since that" in error
    assert 0 == call("replay", "r", "--graph", "second:graph")[0]
    assert 1 == call("replay", "r", "--graph", "half:graph")[0]  # states become cents, and what is paid does not


def test_a_picture_shows_what_a_run_did_under_the_names_of_today(module, call):
    module("first")
    module("second", "cents", "go", "2", WHOLE)
    call("run", "first:graph", "--run-id", "r")
    code, drawing, notes = call("graph", "second:graph", "--svg", "--run", "r")

    assert (0, "") == (code, notes)
    assert "release@2 is open" in drawing
