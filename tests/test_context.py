"""What a node says to its context: recorded at once, shown as it is, refused where it is said."""

from typing import Any

import attrs
import pytest
from msgspec import Raw

from terzetto_protocol.codec import pack
from terzetto_protocol.context import LeafContext, NodeContext
from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import effect_key
from terzetto_protocol.port import Custom, PortOf, Thinking, Tool, Visit
from terzetto_protocol.state import Vocabulary


@attrs.define
class Draft:
    text: str = ""


@attrs.frozen
class Written:
    text: str

    def apply(self, draft: Draft) -> None:
        draft.text = self.text


async def body(ctx): ...


@pytest.fixture
def said() -> list[Any]:
    return []


@pytest.fixture
def ctx(said) -> NodeContext[Draft, None]:
    vocabulary = Vocabulary[Draft]([Written])
    port = PortOf(vocabulary.note, lambda visit, emission: said.append((visit, emission)), lambda: False)
    return NodeContext(Draft("begin"), None, Visit("r-1", "write", 3, 1, "outer", fence=7), port)


def test_nothing_recorded_is_visible_before_the_node_has_returned(ctx):
    """4.2: order of record = order of apply, and nothing shows before."""
    ctx.record(Written("a"))
    ctx.record(Written("b"))

    assert ctx.state == Draft("begin")
    assert [entry.body for entry in ctx.batch] == [Raw(pack({"text": "a"}, "")), Raw(pack({"text": "b"}, ""))]


def test_what_is_refused_leaves_the_batch_as_it_was(ctx):
    """4.7: a typed error of that node."""
    ctx.record(Written("a"))

    for broken in (Written(5), "text"):  # type: ignore[arg-type]
        with pytest.raises(NotStorable):
            ctx.record(broken)

    assert len(ctx.batch) == 1


def test_chunks_are_typed(ctx, said):
    """8.5: chunks are typed (text, thinking, tool call, custom)."""
    ctx.emit_text("größe")
    ctx.emit_thinking("hm")
    ctx.emit_tool("t-1", "search", "started")
    ctx.emit("progress", {"done": 0.5, 1: [True, None]})

    assert said == [
        (3, "größe"),
        (3, Thinking("hm")),
        (3, Tool("t-1", "search", "started", "")),
        (3, Custom("progress", Raw(pack({"done": 0.5, "1": [True, None]}, "")))),
    ]


@pytest.mark.parametrize(
    "emit, error",
    [
        (lambda ctx: ctx.emit_text("\ud800"), NotStorable),
        (lambda ctx: ctx.emit_thinking("\ud800"), NotStorable),
        (lambda ctx: ctx.emit_tool("1", "t", "output", "\ud800"), NotStorable),
        (lambda ctx: ctx.emit_tool("1", "t", "paused"), InvalidRequest),
        (lambda ctx: ctx.emit("p", float("nan")), NotStorable),
        (lambda ctx: ctx.emit("p", object()), NotStorable),
        (lambda ctx: ctx.emit("\ud800"), NotStorable),
        (lambda ctx: ctx.emit("p", "x" * 2**20), NotStorable),
        (lambda ctx: ctx.emit_text(5), TypeError),
        (lambda ctx: ctx.emit(5), TypeError),
    ],
)
def test_what_no_reader_could_be_shown_is_refused_where_it_is_said(ctx, said, emit, error):
    """4.7: a typed error of that node, not of whoever encodes it for a reader later."""
    with pytest.raises(error):
        emit(ctx)

    assert said == []


def test_the_last_of_goto_and_end_wins_and_pause_is_independent(ctx):
    """5.1: the last one set wins; `pause` is independent of it. `goto` takes the node object."""
    graph: Graph[Draft] = Graph("g", state=Draft)
    node, gate = graph.node(body), graph.barrier("gate")
    assert (ctx.remarks.next, ctx.remarks.pause) == (None, False)

    ctx.end()
    ctx.goto(node)
    ctx.pause()
    assert (ctx.remarks.next, ctx.remarks.pause) == ("body", True)
    ctx.goto(gate)
    assert ctx.remarks.next == "gate"
    ctx.end()
    assert (ctx.remarks.next, ctx.remarks.pause) == ("", True)


@pytest.mark.parametrize("place", ["body", None, body])
def test_goto_takes_the_object_and_nothing_else(ctx, place):
    """5.1: `goto` takes the node object."""
    with pytest.raises(TypeError, match="goto takes the node or barrier itself"):
        ctx.goto(place)

    assert ctx.remarks.next is None


def test_a_visit_knows_its_key_and_its_fence(ctx):
    """7: key = hash(run, path, visit), the same for every attempt and epoch."""
    again = NodeContext(ctx.state, None, Visit("r-1", "write", 3, 2, "outer", fence=8), ctx.port)

    assert ctx.key == again.key == effect_key("r-1", "outer", 3)
    assert (ctx.run_id, ctx.fence, again.fence) == ("r-1", 7, 8)


def test_two_contexts_share_no_batch(ctx):
    """4.5: no aliasing."""
    other = NodeContext(ctx.state, None, ctx.visit, ctx.port)
    ctx.record(Written("a"))

    assert other.batch == []


def test_the_small_context_cannot_steer():
    for name in ("goto", "end", "pause"):
        assert hasattr(NodeContext, name)
        assert not hasattr(LeafContext, name)
