"""docs/protocol.md: every frame has an example, and every example is a frame."""

import itertools
import json
import re
from typing import get_args

import pytest

from terzetto_protocol import limits
from terzetto_protocol.limits import DEPTH
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.session import CLOSE_VERSION
from terzetto_protocol.wire import (
    CLIENT_FRAMES,
    SUBPROTOCOL,
    ClientFrame,
    Reason,
    Reply,
    Request,
    ServerFrame,
    read_frame,
    write_frame,
)
from terzetto_protocol.wire_answers import QueryAnswer
from terzetto_protocol.wire_asks import ANSWERS, Ask, Query, name_of
from terzetto_protocol.wire_errors import CODES, WireCode

from .pages import ROOT, blocks_of
from .schemas import mistakes
from .test_wire_schema import SCHEMA

PAGE = ROOT / "docs" / "protocol.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [block.text.splitlines() for block in blocks_of(PAGE) if block.language == "json"]
CLIENT = {kind.__struct_config__.tag for kind in get_args(ClientFrame)}


def is_client(line):
    return json.loads(line)["type"] in CLIENT


def frame_of(line):
    return CLIENT_FRAMES.from_json(line.encode()) if is_client(line) else read_frame(line.encode())


FRAMES = [[frame_of(line) for line in block] for block in BLOCKS]
ALL = [frame for block in FRAMES for frame in block]


@pytest.mark.parametrize("line", [line for block in BLOCKS for line in block], ids=range(len(ALL)))
def test_every_example_is_what_is_sent(line):
    frame = frame_of(line)

    assert line.encode() == (CLIENT_FRAMES.to_json(frame) if is_client(line) else write_frame(frame))
    assert [] == mistakes(json.loads(line), {"$ref": f"#/$defs/{'Client' if is_client(line) else 'Server'}"}, SCHEMA)


def tags(kinds):
    return {kind.__struct_config__.tag for kind in kinds}


def test_every_frame_request_and_answer_has_an_example():
    assert tags([*get_args(ClientFrame), *get_args(ServerFrame)]) == set(map(name_of, ALL))
    assert tags(get_args(Ask)) == {name_of(frame.ask) for frame in ALL if isinstance(frame, Request)}
    answers = {name_of(frame.answer) for frame in ALL if isinstance(frame, Reply)}
    assert tags([*get_args(Receipt), *get_args(QueryAnswer)]) == answers


def test_every_request_is_followed_by_an_answer_of_its_kind():
    for block in FRAMES:
        for asked, answer in itertools.pairwise(block):
            if isinstance(asked, Request):
                assert asked.id == answer.id
            if isinstance(asked, Request) and isinstance(answer, Reply):
                expected = ANSWERS.get(type(asked.ask))
                assert name_of(answer.answer) == expected if expected else isinstance(answer.answer, get_args(Receipt))


def test_every_request_has_a_heading_under_its_kind():
    queries, commands = (TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0] for name in ("Queries", "Commands"))

    assert tags(get_args(Query)) == set(re.findall(r"^### (\w+)$", queries, re.MULTILINE))
    assert tags(get_args(Ask)) - tags(get_args(Query)) == set(re.findall(r"^### (\w+)$", commands, re.MULTILINE))


def test_every_code_and_every_reason_is_told():
    failures = TEXT.split("\n## Failures\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", failures, re.MULTILINE)
    listed = re.findall(r"`(\w+)`", failures.split("They are ")[1])

    assert {*get_args(WireCode), "malformed"} == set(told)
    assert set(CODES.values()) == {*listed, "malformed"}
    assert set(get_args(Reason)) <= set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))


def test_the_numbers_on_the_page_are_those_of_the_code():
    assert f"subprotocol `{SUBPROTOCOL}`" in TEXT
    assert f"close code {CLOSE_VERSION}" in TEXT
    assert f"nested deeper than {DEPTH} levels" in TEXT
    wire = {name for name in vars(limits) if name.startswith("WIRE_")}
    assert wire <= set(re.findall(r"`(WIRE_\w+)`", TEXT))
