"""`terzetto_protocol.wire`: every frame comes back as it was, and whatever is no frame is refused with its place."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec import Raw

from terzetto_protocol.errors import Malformed
from terzetto_protocol.events import BarrierOpened, CustomChunk, Event, OutputSent, TextChunk
from terzetto_protocol.limits import WIRE_ANSWER, WIRE_PIECE
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.wire import (
    CLIENT_FRAMES,
    ClientFrame,
    Reply,
    Request,
    ServerFrame,
    Told,
    head_of,
    read_frame,
    told_frames,
    write_event,
    write_frame,
)
from terzetto_protocol.wire_answers import QueryAnswer
from terzetto_protocol.wire_asks import ANSWERS, Ask, Asking, Query, name_of

from .frames import any_of

LARGE = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
PACKED = msgspec.msgpack.encode


@pytest.mark.parametrize("kind", get_args(Ask), ids=lambda kind: f"{kind.__module__[-4:]}.{kind.__name__}")
def test_every_request_comes_back_as_it_was(kind):
    @settings(parent=LARGE, max_examples=20)
    @given(any_of(kind), st.integers(0, 1 << 53 - 1))
    def check(ask, number):
        request = Request(number, ask)
        assert request == CLIENT_FRAMES.from_json(CLIENT_FRAMES.to_json(request))

    check()


@pytest.mark.parametrize("kind", get_args(Receipt) + get_args(QueryAnswer), ids=lambda kind: kind.__name__)
def test_every_answer_comes_back_as_it_was(kind):
    @settings(parent=LARGE, max_examples=20)
    @given(any_of(kind))
    def check(answer):
        assert Reply(1, answer) == read_frame(write_frame(Reply(1, answer)))

    check()


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_comes_back_as_it_was(kind):
    @settings(parent=LARGE, max_examples=20)
    @given(st.lists(any_of(kind), max_size=3).map(tuple))
    def check(events):
        assert Told(1, events) == read_frame(write_frame(Told(1, events)))

    check()


@settings(parent=LARGE, max_examples=50)
@given(any_of(ServerFrame))
def test_every_other_frame_of_a_server_comes_back_as_it_was(frame):
    assert frame == read_frame(write_frame(frame))


@settings(parent=LARGE, max_examples=20)
@given(any_of(ClientFrame))
def test_every_frame_says_its_type_first(frame):
    """A reader that does not know a frame can say which it was."""
    data = CLIENT_FRAMES.to_json(frame)

    assert next(iter(json.loads(data))) == "type"
    assert head_of(data)[0] == name_of(frame)


def test_every_query_names_its_answer():
    for query in get_args(Query):
        (answer,) = get_args(query.__orig_bases__[0])

        assert ANSWERS[query] == answer.__struct_config__.tag
        assert query.__orig_bases__[0].__origin__ is Asking.__origin__
    assert set(ANSWERS) == set(get_args(Query))


def test_no_two_requests_have_one_name():
    names = [kind.__struct_config__.tag for kind in get_args(Ask)]

    assert sorted(set(names)) == sorted(names)


def test_what_an_event_carries_is_plain_json():
    told = {"id": 1, "run_id": "r", "at": 0.0}
    events = [
        BarrierOpened(**told, barrier="b@1", name="b", payload=Raw(PACKED({"sum": [1, None]}))),
        CustomChunk(**told, node="n", visit=1, name="half", data=Raw(PACKED(0.5))),
        OutputSent(**told, node="n", visit=1, output="out", number=0, value=Raw(PACKED({1: b"\xff\x00"}))),
        BarrierOpened(**told, barrier="b@1", name="b"),
    ]
    shown = [json.loads(write_event(event)) for event in events]

    assert {"sum": [1, None]} == shown[0]["payload"]
    assert 0.5 == shown[1]["data"]
    assert {"1": "/wA="} == shown[2]["value"]
    assert None is shown[3]["payload"]


def test_events_are_sent_in_few_frames_and_none_is_much_too_long():
    events = [write_event(TextChunk(id=n, run_id="r", at=0.0, node="n", visit=1, text="x" * 1000)) for n in range(1000)]
    frames = list(told_frames(7, events))

    assert 1000 == sum(len(read_frame(frame).events) for frame in frames)
    assert -(-sum(map(len, events)) // WIRE_PIECE) == len(frames)
    assert all(len(frame) < WIRE_PIECE + 1000 for frame in frames)
    assert [] == list(told_frames(7, []))


def test_one_event_may_be_as_long_as_it_is():
    events = [write_event(TextChunk(id=n, run_id="r", at=0.0, node="n", visit=1, text="x" * size))
              for n, size in enumerate([1, WIRE_PIECE * 2, 1])]  # fmt: skip

    assert [1, 1, 1] == [len(read_frame(frame).events) for frame in told_frames(7, events)]


def test_a_client_takes_no_frame_over_the_limit():
    with pytest.raises(Malformed, match="the limit is 8388608"):
        read_frame(b'{"type":"failed","id":1,"code":"x","message":"' + b"x" * WIRE_ANSWER + b'"}')


@given(st.binary() | any_of(ClientFrame).map(CLIENT_FRAMES.to_json))
def test_looking_at_a_head_never_raises(data):
    head_of(data)


@given(st.binary(max_size=40))
def test_a_client_refuses_what_is_no_frame(data):
    with pytest.raises(Malformed):
        read_frame(data)
