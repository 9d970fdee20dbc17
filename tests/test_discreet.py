"""Clients are told why something failed, and not where on the server that was."""

import pytest

from terzetto_protocol.discreet import discreet_event
from terzetto_protocol.events import NodeFailed, RetryScheduled, RunStarted
from terzetto_protocol.records import Failure

FAILURE = Failure("node_error", "no", ("ValueError: no",), ("/srv/app/flows.py:7 in write",))
HEAD = {"id": 1, "run_id": "r", "at": 0.0, "node": "write", "visit": 1}


@pytest.mark.parametrize(
    "event",
    [
        NodeFailed(**HEAD, seq=2, failure=FAILURE),
        RetryScheduled(**HEAD, attempt=1, due=1.0, failure=FAILURE),
    ],
)
def test_frames_are_left_out_and_nothing_else(event):
    told = discreet_event(event)

    assert isinstance(told, type(event))
    assert Failure("node_error", "no", ("ValueError: no",)) == told.failure
    assert (told.id, told.node) == (event.id, event.node)


def test_what_has_no_frames_stays_as_it_is():
    event = RunStarted(id=1, run_id="r", at=0.0, epoch=1)
    plain = NodeFailed(**HEAD, seq=2, failure=Failure("node_error", "no"))

    assert discreet_event(event) is event
    assert discreet_event(plain) is plain
