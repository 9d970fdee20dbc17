"""`terzetto_protocol.bridged`: what our runs tell, as readers of a bridge get it (SEMANTICS 8)."""

import json

import msgspec
import pytest

from terzetto_protocol.bridge import HEARTBEAT_SENTINEL, gap, resume_of
from terzetto_protocol.bridged import Bridged, bridged, kind_of
from terzetto_protocol.decisions import Modify, Reject
from terzetto_protocol.events import (
    BarrierOpened,
    BarrierResolved,
    Cursor,
    CustomChunk,
    Gap,
    Heartbeat,
    NodeFailed,
    OutputSent,
    RunEnded,
    TextChunk,
)
from terzetto_protocol.limits import EVENT_WINDOW
from terzetto_protocol.records import Failure
from terzetto_protocol.statuses import FailureCode, RunStatus, StreamStatus

WHO = {"id": (3 << 32) + 4, "run_id": "r", "at": 1.5}
RAW = msgspec.Raw(msgspec.msgpack.encode({"a": [1, None]}))


@pytest.mark.parametrize(
    "event, name, data",
    [
        (TextChunk(**WHO, node="n", visit=1, text="x"), "TextChunk", {"node": "n", "visit": 1, "text": "x"}),
        (
            CustomChunk(**WHO, node="n", visit=1, name="p", data=RAW),
            "CustomChunk",
            {"node": "n", "visit": 1, "name": "p", "data": {"a": [1, None]}},
        ),
        (
            BarrierOpened(**WHO, barrier="b@1", name="b", payload=RAW),
            "BarrierOpened",
            {"barrier": "b@1", "name": "b", "payload": {"a": [1, None]}, "deadline": None, "reconcile": False},
        ),
        (
            BarrierResolved(**WHO, barrier="b@1", name="b", decision=Reject("no"), source="ann"),
            "BarrierResolved",
            {"barrier": "b@1", "name": "b", "decision": {"type": "reject", "reason": "no"}, "source": "ann"},
        ),
        (RunEnded(**WHO, status=RunStatus.SUCCEEDED), "end", {"status": "SUCCEEDED", "code": "", "message": ""}),
        (
            RunEnded(**WHO, status=RunStatus.FAILED, code="node_error", message="m"),
            "error",
            {"status": "FAILED", "code": "node_error", "message": "m"},
        ),
        (RunEnded(**WHO, status=RunStatus.CANCELLED), "cancel", {"status": "CANCELLED", "code": "", "message": ""}),
    ],
)
def test_an_event_is_its_fields_in_json(event, name, data):
    shown = bridged(event)

    assert (str(WHO["id"]), name, {"at": 1.5, **data}) == (shown.id, shown.event, shown.data)
    assert shown.data == json.loads(json.dumps(shown.data))


@pytest.mark.parametrize(
    "event",
    [
        NodeFailed(**WHO, node="n", visit=1, seq=3, failure=Failure(FailureCode.NODE_ERROR, "m")),
        OutputSent(
            **WHO, node="n", visit=1, output="o", number=0, value=msgspec.Raw(msgspec.msgpack.encode({1: b"x"}))
        ),
        BarrierResolved(**WHO, barrier="b@1", name="b", decision=Modify({"x": [1]}), source=""),
    ],
)
def test_whatever_is_in_it_is_json(event):
    shown = bridged(event)

    assert shown.data == json.loads(json.dumps(shown.data))
    assert StreamStatus.ACTIVE is kind_of(event)


def test_words_between_events():
    shown = Bridged()

    assert ("evicted", None, 9) == (
        (found := resume_of(shown.show(Cursor("evicted", None), 9))).status,
        found.gap_count,
        found.next_offset,
    )
    assert gap("7", 3) == shown.show(Gap(7, 3), 0)
    assert gap("", None) == shown.show(Gap(0, None), 0)
    assert HEARTBEAT_SENTINEL is shown.show(Heartbeat(), 0)


def test_an_event_is_made_once_for_all_readers():
    shown = Bridged()
    event, other = (TextChunk(**WHO, node="n", visit=1, text=text) for text in "ab")

    assert shown.show(event, 0) is shown.show(event, 0)
    assert "b" == shown.show(other, 0).data["text"], "of another run under the same id, after a delete"
    for number in range(3 * EVENT_WINDOW):
        shown.show(TextChunk(id=number + 1, run_id="r", at=0.0, node="n", visit=1, text=""), 0)
    assert len(shown._made) <= 2 * EVENT_WINDOW + 1
