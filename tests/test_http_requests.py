"""Routes of the HTTP server: what their bodies and queries mean as commands, and what is refused."""

import pytest

from terzetto_protocol.commands import Cancel, Decide, Submit
from terzetto_protocol.decisions import Approve, Modify
from terzetto_protocol.errors import Malformed
from terzetto_protocol.http_requests import (
    ANSWERING,
    ROUTES,
    STOP,
    check_no_query,
    listing_of,
    read_execute,
    status_of,
)
from terzetto_protocol.limits import MESSAGE_BYTES
from terzetto_protocol.receipts import AlreadyResolved, CancelReceipt, DecisionKept, DecisionTaken, Submitted
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.wire_asks import SCOPES, ListRuns


def test_a_body_of_execute_is_a_submit_with_its_state_as_it_came():
    body = read_execute(b'{"state": {"a" : 1.0}, "key": "k", "thread": "t", "busy": "enqueue", "auto_approve": true}')
    expected = Submit("c", "r", "g", b'{"a" : 1.0}', "2", "k", auto_approve=True, thread="t", busy="enqueue")

    assert expected == body.command("g", "2", run_id="r", command_id="c")


def test_ids_of_the_client_are_taken():
    execute = read_execute(b'{"run_id": "mine", "command_id": "twice"}')

    assert Submit("twice", "mine", "g", b"", "1") == execute.command("g", "1", run_id="r", command_id="c")
    assert Cancel("twice", "r", "why") == STOP.from_json(b'{"command_id":"twice","reason":"why"}').command(
        "r", command_id="c"
    )


def test_a_decision_without_a_source_is_of_whose_token_it_is():
    body = ANSWERING.from_json(b'{"decision": {"type": "modify", "changes": {"text": "x"}}, "barrier": "b@2"}')
    other = ANSWERING.from_json(b'{"decision": {"type": "approve"}, "source": "bob", "keep": "once"}')

    assert Decide("c", "r", "b@2", Modify({"text": "x"}), "ann") == body.command("r", who="ann", command_id="c")
    assert Decide("c", "r", "", Approve(), "bob", "once") == other.command("r", who="ann", command_id="c")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"state": }',
        b'{"version": "2"}',
        b'{"run_id": 1}',
        b'{"busy": "maybe"}',
        b'{"run_id": "\xff"}',
        b'{"state": ' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"state": "' + b"x" * MESSAGE_BYTES + b'"}',
    ],
)
def test_what_is_no_body_is_refused(data):
    with pytest.raises(Malformed):
        read_execute(data)


def test_a_query_of_a_list_is_one_of_the_console():
    query = [("status", "RUNNING"), ("status", "FAILED"), ("thread", "t"), ("before", "r"), ("limit", "5")]
    statuses = (RunStatus.RUNNING, RunStatus.FAILED)

    assert ListRuns(statuses, "g", "t", "r", 5) == listing_of("g", query)
    assert ListRuns(graph="g") == listing_of("g", [])


@pytest.mark.parametrize(
    "query",
    [
        [("limit", "x")],
        [("limit", "-1")],
        [("limit", "1001")],
        [("limit", "1"), ("limit", "1")],
        [("status", "DONE")],
        [("graph", "other")],
        [("access_token", "x")],
        [("type", "list")],
    ],
)
def test_what_is_no_query_is_refused(query):
    with pytest.raises(Malformed):
        listing_of("g", query)


def test_a_query_where_none_means_anything_is_refused_and_not_repeated():
    check_no_query(b"")
    with pytest.raises(Malformed) as caught:
        check_no_query(b"token=s3cret")

    assert "s3cret" not in str(caught.value)


def test_statuses_of_receipts():
    cancelled = CancelReceipt("r", "stopped", RunStatus.CANCELLED, durable=True)

    assert [201, 200, 200, 202, 409, 200, 202] == [
        status_of(receipt)
        for receipt in (
            Submitted("r", durable=True),
            Submitted("r", durable=True, reused=True),
            DecisionTaken("r", "b", durable=True),
            DecisionKept("r", "b", standing=False, durable=True),
            AlreadyResolved("r", "b", "approve", "ann"),
            cancelled,
            CancelReceipt("r", "requested", RunStatus.CANCELLING, durable=True),
        )
    ]


def test_a_route_takes_the_scope_that_the_console_takes():
    scopes = {route.operation: route.scope for route in ROUTES}
    commands = {"execute": SCOPES[Submit], "stop": SCOPES[Cancel], "decide": SCOPES[Decide], "list": SCOPES[ListRuns]}

    assert commands == {name: scopes[name] for name in commands}
    assert {"read"} == {route.scope for route in ROUTES if route.method == "GET"}
    assert "read" not in {route.scope for route in ROUTES if route.method == "POST"}
