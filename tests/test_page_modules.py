"""The page's modules that decide something, called in Chromium: they do what the protocol's own do."""

import json
import random

import msgspec
import pytest

from terzetto_protocol.events import Cursor, Gap, Heartbeat, NodeStarted, RunEnded, StreamItem
from terzetto_protocol.ids import event_id
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.stream_place import StreamPlace

from .browsers import Tab, open_browser, serving

pytestmark = pytest.mark.slow

STORIES = 400
"""Sequences of events that both machines are told."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with open_browser() as browser, serving(tmp_path_factory.mktemp("modules")) as server:
        tab = Tab(browser, server)
        yield tab.go()
        assert [] == tab.wrong


def invented(luck):
    """What a server may tell over several connections: ids that rise, that come again, and that jump to a new epoch."""
    items, epoch, counter = [], 1, 0
    for _ in range(luck.randrange(1, 25)):
        choice = luck.random()
        if choice < 0.2:
            how = luck.choice(["fresh", "resumed", "resumed", "evicted", "unknown", "invalid"])
            items.append(Cursor(how, luck.choice([0, 0, 1, 5, None])))
        elif choice < 0.35:
            items.append(Gap(event_id(epoch, counter), luck.choice([1, 2, 7, None])))
        elif choice < 0.4:
            items.append(Heartbeat())
        elif choice < 0.43:
            status = RunStatus.SUCCEEDED
            items.append(RunEnded(id=event_id(epoch, counter + 1), run_id="r", at=0.0, status=status))
        else:
            if luck.random() < 0.1:
                epoch, counter = epoch + 1, 0
            counter = max(0, counter + luck.choice([1, 1, 1, 1, 3, -2, 0]))
            items.append(NodeStarted(id=event_id(epoch, counter), run_id="r", at=0.0, node="n", visit=1, attempt=1))
    return items


def test_a_reader_is_given_what_the_protocol_gives(page):
    """Each event once and in order, and each gap told once: the same as `StreamPlace`, for any story."""
    seed = random.randrange(2**32)
    print("seed", seed)
    luck = random.Random(seed)
    stories = [invented(luck) for _ in range(STORIES)]
    begins = [luck.choice([None, None, event_id(1, 2), 0]) for _ in stories]
    told = msgspec.json.encode(stories).decode()
    given = page.evaluate(
        """async ([told, begins]) => {
            const { StreamPlace } = await import("/place.js");
            return JSON.parse(told).map((story, index) => {
                const place = new StreamPlace(begins[index]);
                const given = story.map((item) => place.take([item]));
                return [given, place.last, place.ended];
            });
        }""",
        [told, begins],
    )

    for story, begin, (lists, last, ended) in zip(stories, begins, given, strict=True):
        place = StreamPlace(begin)
        expected = [place.take([item]) for item in story]
        assert expected == msgspec.convert(lists, list[list[StreamItem]])
        assert (place.last_event_id, place.ended) == (last, ended)


def test_durations_and_sizes(page):
    seconds = [0, 0.0004, 0.25, 0.9996, 3.14159, 59.6, 189, 7500, 270000]
    texts = page.evaluate("async (all) => { const t = await import('/text.js'); return all.map(t.duration) }", seconds)

    assert texts == ["0 s", "1 ms", "250 ms", "1.0 s", "3.1 s", "1 min 00 s", "3 min 09 s", "2 h 05 min", "3 d 3 h"]


def test_what_an_undo_took_back_is_a_lane_of_its_own(page):
    """Two undos, of which the second takes back what followed the first: 1-2-7-8-9 stay, and 10 goes on from 8."""
    turns = [{"seq": 5, "to": 2}, {"seq": 7, "to": 2}, {"seq": 10, "to": 8}]
    lanes = page.evaluate(
        """async (turns) => {
            const { Lanes } = await import("/lanes.js");
            const lanes = new Lanes(turns);
            const seqs = Array.from({ length: 11 }, (_, index) => index + 1);
            return seqs.map((seq) => [lanes.of(seq), lanes.above(seq, 11), lanes.past(seq)]);
        }""",
        turns,
    )

    assert [lane for lane, _, _ in lanes] == [0, 0, 2, 2, 1, 1, 0, 0, 1, 0, 0]
    assert [above for _, above, _ in lanes][:3] == [[0], [1, 0, 2], [2]]
    assert lanes[2][2] == [1, 0]
    assert lanes[8][2] == [0]


@pytest.mark.parametrize(
    "schema, value",
    [
        ({"type": "string"}, ""),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ({"enum": ["low", "high"]}, "low"),
        ({"$ref": "#/$defs/Point"}, {"x": 0, "label": "here"}),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({}, None),
    ],
)
def test_a_form_begins_with_what_fits(page, schema, value):
    """The defaults of the schema, and nothing for fields that have a default which only the server knows."""
    point = {
        "type": "object",
        "properties": {
            "x": {"type": "integer"},
            "label": {"type": "string", "default": "here"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["x"],
    }
    script = "async ([schema, defs]) => { const f = await import('/form.js'); return f.blank(schema, defs) }"

    assert page.evaluate(script, [schema, {"Point": point}]) == value


def test_two_values_are_the_same_whatever_the_order_of_their_keys(page):
    pairs = [({"a": 1, "b": [1, {}]}, {"b": [1, {}], "a": 1}), ([1], {"0": 1}), (0, False), (None, {}), ([], [])]
    script = (
        "async (all) => { const t = await import('/text.js'); return JSON.parse(all).map(([a, b]) => t.same(a, b)) }"
    )

    assert page.evaluate(script, json.dumps(pairs)) == [True, False, False, False, True]
