"""The codec: what would not come back is refused where it is made, and limits are checked before decoding."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import Raw

from terzetto_protocol.codec import Codec, check_json, check_text, pack, pack_plain, readable
from terzetto_protocol.commands import Cancel, Command, Decide
from terzetto_protocol.decisions import Approve, Confirm, Recorded
from terzetto_protocol.errors import Malformed, NotStorable
from terzetto_protocol.events import BarrierOpened, Event, RunEnded, StreamItem, TextChunk
from terzetto_protocol.limits import DEPTH, MESSAGE_BYTES, PAYLOAD_DEPTH
from terzetto_protocol.records import Record
from terzetto_protocol.statuses import RunStatus


def codec_of(hint: Any) -> Codec[Any]:
    return Codec(hint, "message")


COMMANDS = codec_of(Command)
ODD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [1, [x]], lambda x: {"a": {"b": x}}, lambda x: (x,)])
def test_nan_and_infinities_are_refused_wherever_they_are(odd, wrap):
    """4.7: NaN to null is a typed error."""
    for encode in (pack, pack_plain):
        with pytest.raises(NotStorable, match="the thing cannot be stored: it holds a NaN or an infinity"):
            encode(wrap(odd), "the thing")


@pytest.mark.parametrize("odd", ODD)
def test_nan_and_infinities_are_refused_as_keys_and_in_fields(odd):
    """4.7: NaN to null is a typed error."""
    ended = RunEnded(id=1, run_id="r", at=odd, status=RunStatus.FAILED)

    for value in ({odd: 1}, {(odd,): 1}, ended):
        with pytest.raises(NotStorable, match="NaN"):
            pack(value, "the thing")
    with pytest.raises(NotStorable, match="NaN"):
        codec_of(RunEnded).to_json(ended)


@pytest.mark.parametrize("bits", ["7fc00000", "ffc00000", "7f800000", "ff800001"])
def test_a_short_float_of_somebody_else_is_looked_at_too(bits):
    stranger = Confirm((Recorded("Paid", Raw(b"\xca" + bytes.fromhex(bits))),))

    with pytest.raises(NotStorable, match="NaN"):
        pack(stranger, "the decision")


@given(
    st.binary(max_size=4), st.sampled_from([b"\xcb\x7f\xf0", b"\xcb\xff\xff", b"\xca\x7f\x80"]), st.binary(max_size=12)
)
def test_the_pattern_of_a_nan_inside_texts_and_bytes_is_no_nan(before, pattern, after):
    for innocent in (before + pattern + after, (before + pattern + after).decode("latin-1"), [1.5, pattern]):
        assert readable(pack(innocent, "the thing")) == innocent


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_stored(number):
    assert readable(pack([number, b"\xcb\x7f\xf0"], "the thing"))[0] == number


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        ["ok", "a\udfffb"],
        {"\ud800": 1},
        TextChunk(id=1, run_id="r", at=0.0, node="n", visit=1, text="\ud800"),
    ],
)
def test_lone_surrogates_are_refused(value):
    """4.7: lone surrogates are a typed error."""
    with pytest.raises(NotStorable, match=r"surrogate"):
        pack(value, "the thing")
    with pytest.raises(NotStorable):
        pack_plain(value, "the thing")


class Stranger:
    pass


@pytest.mark.parametrize("value", [Stranger(), [Stranger()], {1: Stranger()}, 2**64, -(2**63) - 1, 1j, lambda: None])
def test_undeclared_types_are_refused(value):
    """4.7: undeclared types are a typed error; there is no fallback codec."""
    for encode in (pack, pack_plain):
        with pytest.raises(NotStorable, match="the thing cannot be stored"):
            encode(value, "the thing")


def test_what_holds_itself_or_is_too_deep_is_refused():
    circle: list[Any] = []
    circle.append(circle)
    tower: list[Any] = [math.nan]
    for _ in range(600):
        tower = [tower]

    for value in (circle, tower):
        for encode in (pack, pack_plain):
            with pytest.raises(NotStorable):
                encode(value, "the thing")


@pytest.mark.parametrize(
    "message", [Cancel("c", "r", reason=5), Cancel("c", 5), {"type": "cancel"}, RunStatus.FAILED, Approve()]
)  # type: ignore[arg-type]
def test_a_message_of_another_shape_is_refused_where_it_is_made(message):
    """The one who made it is told, not the one who reads it."""
    with pytest.raises(NotStorable):
        COMMANDS.pack(message)
    with pytest.raises(NotStorable):
        COMMANDS.to_json(message)


def test_a_trusted_codec_leaves_the_check_to_the_types():
    assert Codec[Any](Command, "command", trusted=True).pack(Cancel("c", "r", reason=5))  # type: ignore[arg-type]


def test_oversize_is_refused_before_decoding(monkeypatch):
    """12: message 1 MiB, checked before decoding."""
    codec = codec_of(Command)
    message = Cancel("c", "r", "x" * MESSAGE_BYTES)
    with pytest.raises(NotStorable, match="limit is 1048576"):
        codec.pack(message)
    with pytest.raises(NotStorable, match="limit is 1048576"):
        codec.to_json(message)

    monkeypatch.setattr(codec, "_from_packed", None)
    monkeypatch.setattr(codec, "_from_json", None)
    for decode in (codec.unpack, codec.from_json):
        with pytest.raises(Malformed, match=f"it has {MESSAGE_BYTES + 1} bytes, and the limit is {MESSAGE_BYTES}"):
            decode(b"x" * (MESSAGE_BYTES + 1))


def nested(depth: int, inside: bytes = b"") -> bytes:
    return (
        b'{"a":' * (depth // 2)
        + b"[" * (depth - depth // 2)
        + inside
        + b"]" * (depth - depth // 2)
        + b"}" * (depth // 2)
    )


def test_depth_is_refused_before_decoding(monkeypatch):
    """12: JSON depth 64, checked before decoding."""
    check_json(nested(DEPTH), "text")
    with pytest.raises(Malformed, match="deeper than 64 levels"):
        check_json(nested(DEPTH + 1), "text")

    codec = codec_of(Command)
    monkeypatch.setattr(codec, "_from_json", None)
    with pytest.raises(Malformed, match="nested deeper"):
        codec.from_json(b"[" * 100_000)


@given(st.text(alphabet='[]{}"\\a', max_size=200))
def test_brackets_in_strings_do_not_count(text):
    """12: the depth is that of containers."""
    check_json(nested(DEPTH, json.dumps(text).encode()), "text")
    with pytest.raises(Malformed, match="nested deeper"):
        check_json(nested(DEPTH, json.dumps(text).encode() + b",[]"), "text")


def test_a_string_without_an_end_costs_no_time():
    for text in (b'"' * 999_999, b'"' + b"\\" * 999_999, b'"' + b"a" * 999_999, b'["\\"' * 200_000):
        check_json(text, "text")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data):
    for codec in (COMMANDS, codec_of(StreamItem), codec_of(Record)):
        for decode in (codec.unpack, codec.from_json):
            with contextlib.suppress(Malformed):
                decode(data)


@pytest.mark.parametrize("data", [b"\x91" * 200_000, b"\xdd\xff\xff\xff\xff", b"\xc1", b"", b"\x81\xa1a"])
def test_hostile_msgpack_is_malformed(data):
    for codec in (COMMANDS, codec_of(Record), codec_of(RunEnded)):
        with pytest.raises(Malformed):
            codec.unpack(data)


@pytest.mark.parametrize("payload", [b"1e999", b'"\\ud800"', b"18446744073709551616000", b"NaN", b"{,}"])
def test_hostile_json_inside_a_payload_is_malformed(payload):
    text = b'{"type":"BarrierOpened","id":1,"run_id":"r","at":0,"barrier":"b@1","name":"b","payload":%b}'

    with pytest.raises(Malformed):
        codec_of(StreamItem).from_json(text % payload)
    assert codec_of(StreamItem).from_json(text % b'{"a":[1.5]}').payload == Raw(pack({"a": [1.5]}, ""))


def test_a_malformed_message_is_named_with_its_path():
    with pytest.raises(Malformed, match=r"message is malformed: Expected `str`, got `int` - at `\$.decision.reason`"):
        COMMANDS.from_json(
            b'{"type":"decide","command_id":"c","run_id":"r","barrier":"","decision":{"type":"reject","reason":1}}'
        )


def test_what_only_msgpack_can_carry_is_refused_by_json():
    binary = Decide("c", "r", "", Confirm((Recorded("Paid", Raw(pack(b"\xff", ""))),)))

    assert COMMANDS.unpack(COMMANDS.pack(binary)) == binary
    with pytest.raises(NotStorable, match="come back changed"):
        COMMANDS.to_json(binary)


def test_the_deepest_payload_fits_into_a_message():
    """12: JSON depth 64; what one side may send, the other may read."""
    value: Any = 1
    for _ in range(PAYLOAD_DEPTH):
        value = [value]
    event = BarrierOpened(id=1, run_id="r", at=0.0, barrier="b@1", name="b", payload=Raw(pack_plain(value, "p")))

    assert codec_of(Event).from_json(codec_of(Event).to_json(event)) == event
    with pytest.raises(NotStorable, match=f"deeper than {PAYLOAD_DEPTH} levels"):
        pack_plain([value], "p")


def test_json_that_would_be_too_deep_to_read_is_not_written():
    value: Any = 1
    for _ in range(DEPTH):
        value = [value]
    event = BarrierOpened(id=1, run_id="r", at=0.0, barrier="b@1", name="b", payload=Raw(pack(value, "p")))

    with pytest.raises(NotStorable, match="nested deeper"):
        codec_of(Event).to_json(event)


@pytest.mark.parametrize("text", ["", "plain", "größe", "\U0001f3b5"])
def test_a_text_is_returned(text):
    assert check_text(text, "it") == text


def test_a_text_that_is_none_is_refused():
    with pytest.raises(NotStorable, match="it cannot be stored: it has a lone surrogate"):
        check_text("a\ud800", "it")
    with pytest.raises(TypeError, match="it must be a str, not int"):
        check_text(5, "it")  # type: ignore[arg-type]
