"""How what a run tells is said."""

import typing

import msgspec
import pytest
from msgspec import Raw

from terzetto_protocol.events import BranchDiscarded, BranchesStarted, Event, OutputSent, RetryScheduled
from terzetto_protocol.records import Failure
from terzetto_protocol.sayings import _NOTES, _SAYINGS, event_line, event_note
from terzetto_protocol.views import event_view

KINDS = {kind.__name__ for kind in typing.get_args(Event)}
TOLD = {"id": 1, "run_id": "r", "at": 0.0}


def test_there_are_words_for_every_event():
    assert KINDS - set(_SAYINGS) == set()
    assert set(_NOTES) <= KINDS


@pytest.mark.parametrize(
    "event, line, note",
    [
        (
            OutputSent(
                **TOLD, node="fetch", visit=2, output="page", number=0, value=Raw(msgspec.msgpack.encode({"a": 1}))
            ),
            'fetch@2 sent page: {"a":1}',
            'OutputSent {"a":1}',
        ),
        (BranchesStarted(**TOLD, node="fan", visit=2, count=1), "fan@2 opened 1 branch", "BranchesStarted"),
        (BranchesStarted(**TOLD, node="fan", visit=2, count=1200), "fan@2 opened 1,200 branches", "BranchesStarted"),
        (BranchDiscarded(**TOLD, branch="fan/3"), "fan/3 is dropped", "BranchDiscarded"),
        (
            RetryScheduled(**TOLD, node="n", visit=2, attempt=1, due=1.0, failure=Failure("node_error", "no")),
            "n@2 attempt 1 failed: no",
            "RetryScheduled",
        ),
    ],
)
def test_what_an_event_says(event, line, note):
    view = event_view(event)

    assert (event_line(view), event_note(view)) == (line, note)
