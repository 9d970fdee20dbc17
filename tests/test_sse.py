"""Server-sent events: one block per item, and only what has an id moves the reader's cursor."""

import json

from hypothesis import given, strategies as st

from terzetto_protocol.events import Cursor, Gap, Heartbeat, RunEnded, TextChunk
from terzetto_protocol.sse import sse_bodies, sse_item
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.wire import write_event

ENDED = RunEnded(id=7, run_id="r", at=1.5, status=RunStatus.SUCCEEDED)


def chunk(text, number=1):
    return TextChunk(id=number, run_id="r", at=0.0, node="n", visit=1, text=text)


def test_an_event_has_its_id_its_type_and_its_data():
    assert b"id: 7\nevent: RunEnded\ndata: %b\n\n" % write_event(ENDED) == sse_item(ENDED)


def test_what_has_no_id_moves_no_cursor():
    assert b'event: Gap\ndata: {"type":"Gap","after":3,"missed":2}\n\n' == sse_item(Gap(3, 2))
    assert sse_item(Cursor("fresh", 0)).startswith(b"event: Cursor\ndata: ")


def test_a_heartbeat_is_a_comment():
    assert b": heartbeat\n\n" == sse_item(Heartbeat())


@given(st.text())
def test_no_text_can_end_its_block_or_begin_another_field(text):
    block = sse_item(chunk(text))
    lines = block.decode().removesuffix("\n\n").split("\n")

    assert ["id", "event", "data"] == [line.partition(": ")[0] for line in lines]
    assert b"\r" not in block
    assert b"\0" not in block
    assert text == json.loads(lines[2].removeprefix("data: "))["text"]


@given(st.lists(st.text(max_size=50)), st.integers(1, 400))
def test_pieces_together_are_all_items(texts, size):
    items = [chunk(text, number) for number, text in enumerate(texts)]
    pieces = list(sse_bodies(items, size))

    assert b"".join(map(sse_item, items)) == b"".join(pieces)
    assert all(len(piece) >= size for piece in pieces[:-1])
    assert all(piece.endswith(b"\n\n") for piece in pieces)
