"""The exported schema of the console's protocol says what the codec does."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings

from terzetto_protocol.wire import CLIENT_FRAMES, ClientFrame, ServerFrame, read_frame, write_frame
from terzetto_protocol.wire_schema import schema_text, wire_schema

from .frames import any_of
from .pages import ROOT
from .schemas import mistakes
from .test_session import MALFORMED

SCHEMA = json.loads(schema_text(wire_schema()))
EXPORTED = ROOT / "docs" / "protocol.schema.json"
CLIENT, SERVER = ({"$ref": f"#/$defs/{name}"} for name in ("Client", "Server"))
MANY = settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def test_the_exported_schema_is_the_one_of_today():
    """Made by `python -m terzetto schema > docs/protocol.schema.json`."""
    assert schema_text(wire_schema()) == EXPORTED.read_text(encoding="utf-8")


def test_every_reference_leads_somewhere_and_names_no_module():
    text = EXPORTED.read_text(encoding="utf-8")
    named = set(re.findall(r"#/\$defs/([^\"]+)", text))

    assert set(SCHEMA["$defs"]) == named
    assert "terzetto_protocol" not in text


@MANY
@given(any_of(ClientFrame))
def test_what_a_client_sends_is_as_the_schema_says(frame):
    assert [] == mistakes(json.loads(CLIENT_FRAMES.to_json(frame)), CLIENT, SCHEMA)


@MANY
@given(any_of(ServerFrame))
def test_what_a_server_sends_is_as_the_schema_says(frame):
    data = write_frame(frame)

    assert [] == mistakes(json.loads(data), SERVER, SCHEMA)
    assert frame == read_frame(data)


OTHERS = ("truncated", "invalid character", "base64", "out of range", "nested")
"""What a schema cannot know."""


@pytest.mark.parametrize("frame", [each[0] for each in MALFORMED if not any(word in each[3] for word in OTHERS)])
def test_what_the_codec_refuses_is_not_as_the_schema_says(frame):
    assert mistakes(json.loads(frame), CLIENT, SCHEMA)
