"""Problems over HTTP have the codes of the console, a status, and nothing of the inside of the server."""

import json
from typing import get_args

import pytest

from terzetto_protocol import errors
from terzetto_protocol.http_requests import STOP
from terzetto_protocol.problems import STATUSES, HttpCode, problem_of
from terzetto_protocol.wire_errors import CODES, WireError


def told(error):
    return json.loads(problem_of(error).body())


def test_an_error_becomes_a_problem():
    assert {
        "type": "urn:terzetto:unknown_run",
        "title": "Unknown run",
        "status": 404,
        "detail": str(errors.UnknownRun("r-1")),
        "code": "unknown_run",
        "data": {"run_id": "r-1"},
    } == told(errors.UnknownRun("r-1"))


def test_a_body_that_cannot_be_read_says_where():
    with pytest.raises(errors.Malformed) as caught:
        STOP.from_json(b'{"reason": 1}')

    assert (400, "malformed", "$.reason") == tuple(told(caught.value)[key] for key in ("status", "code", "path"))


@pytest.mark.parametrize(
    "error, status",
    [
        (errors.Refused("r", "no"), 409),
        (errors.RunConflict("r", "other input"), 409),
        (errors.InvalidRequest("no"), 422),
        (errors.QueueFull(3, 0.5), 503),
        (errors.ActorStopped("the desk"), 503),
        (errors.StoreUnavailable("gone"), 503),
        (WireError("rate_limited", "slow", data={"retry_after": 0.5}), 429),
        (WireError("too_large", "no"), 413),
        (WireError("wrong_host", "no"), 421),
        (WireError("something new", "no"), 500),
    ],
)
def test_statuses(error, status):
    assert status == told(error)["status"]


def test_every_code_has_a_status():
    assert {*CODES.values(), *get_args(HttpCode), "internal"} <= STATUSES.keys()
    assert all(400 <= status < 600 for status in STATUSES.values())


SECRET = "/var/lib/secret/runs.db"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        ExceptionGroup(SECRET, [OSError(SECRET)]),
        errors.StoreError(SECRET),
        errors.StoreUnavailable(SECRET),
        errors.StoreDamaged("r", "memory:", SECRET, SECRET),
        errors.RunFailed("r", "FAILED", "node_error", SECRET),
    ],
)
def test_nothing_of_the_inside_is_told(error):
    assert SECRET not in json.dumps(told(error))
    assert told(error)["status"] >= 500


def test_when_to_come_again_is_told():
    assert 0.5 == problem_of(errors.QueueFull(3, 0.5)).retry_after
    assert problem_of(errors.Refused("r", "no")).retry_after is None
