"""Every message and every record, built from its declaration alone, comes back from both encodings as it was."""

import enum
import json
import types
import typing
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec import Raw

from terzetto_protocol.codec import Codec, pack_plain, readable
from terzetto_protocol.commands import Command
from terzetto_protocol.errors import Malformed
from terzetto_protocol.events import BarrierOpened, StreamItem
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import BarrierRow, Posted, Record, RunHeader, RunRow, Write

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(),
    type(None): st.none(),
    Any: plain,
    Raw: plain.map(lambda value: Raw(msgspec.msgpack.encode(value))),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Every value of a declared type, built from the declaration alone."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in LEAVES:
        return LEAVES[hint]
    if origin in (typing.Union, types.UnionType):
        return st.one_of(map(values, args))
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(values(args[0]), values(args[1]), max_size=2)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    fields = {field.name: field.type for field in msgspec.structs.fields(hint)}
    return st.builds(hint, **{name: st.deferred(lambda part=part: values(part)) for name, part in fields.items()})


def codec_of(hint: Any) -> Codec[Any]:
    return Codec(hint, "message")


UNIONS = [
    pytest.param(union, id=name) for name, union in (("command", Command), ("receipt", Receipt), ("item", StreamItem))
]
MEMBERS = [(union, member) for union in (Command, Receipt, StreamItem) for member in get_args(union)]
STORED = [(hint, hint) for hint in (Record, RunHeader, BarrierRow, Write, RunRow, Posted)]


@pytest.mark.parametrize("union, member", [*MEMBERS, *STORED])
@given(st.data())
@settings(max_examples=10)
def test_msgpack_brings_everything_back(union, member, data):
    """4.7: what is stored comes back as it was, or is refused."""
    message = data.draw(values(member))
    codec = codec_of(union)

    back = codec.unpack(codec.pack(message))

    assert back == message
    assert type(back) is type(message)
    assert codec.pack(back) == codec.pack(message)


@pytest.mark.parametrize("union, member", [*MEMBERS, (Record, Record)])
@given(st.data())
@settings(max_examples=10)
def test_json_brings_everything_back(union, member, data):
    """4.7: the same at the edge, also for pieces that are msgpack inside."""
    message = data.draw(values(member))
    codec = codec_of(union)

    text = codec.to_json(message)

    assert codec.from_json(text) == message
    json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("union", UNIONS)
def test_messages_are_frozen_closed_and_told_apart_by_their_tags(union):
    members = get_args(union)

    assert len({member.__struct_config__.tag for member in members}) == len(members)
    for member in members:
        assert member.__struct_config__.frozen


@pytest.mark.parametrize("union", [Command, Receipt, StreamItem])
def test_undeclared_fields_are_refused_with_their_name(union):
    for member in get_args(union):
        assert member.__struct_config__.forbid_unknown_fields

    with pytest.raises(Malformed, match="surprise"):
        codec_of(Command).from_json(b'{"type":"cancel","command_id":"c","run_id":"r","surprise":1}')


@given(
    st.recursive(
        plain
        | st.dates()
        | st.datetimes()
        | st.uuids()
        | st.decimals(allow_nan=False)
        | st.binary()
        | st.frozensets(st.integers(0, 9)),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers(-9, 9), inner),
        max_leaves=5,
    )
)
def test_what_people_are_shown_is_the_same_in_both_encodings(value):
    packed = pack_plain(value, "payload")
    event = BarrierOpened(id=1, run_id="r", at=0.0, barrier="b@1", name="b", payload=Raw(packed))
    codec = codec_of(BarrierOpened)

    assert codec.from_json(codec.to_json(event)) == event
    assert json.loads(codec.to_json(event))["payload"] == readable(packed)
