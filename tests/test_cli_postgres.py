"""The command line on a Postgres store: as an owner among others, or as a guest beside them (SEMANTICS 11)."""

import json

import pytest

from .commands import started


@pytest.fixture
def url(postgres):
    return postgres.url(lease=2)


def test_a_run_is_made_looked_at_and_decided(shop, url, call, told):
    code, output, errors = call("run", "shop:asking", "--run-id", "r", "--store", url)
    assert (3, "") == (code, errors)
    assert " --approve --store 'postgresql://app@127.0.0.1:" in output
    assert "secret-word" not in output

    assert ["r"] == [line["run_id"] for line in told("runs", "--store", url)["runs"]]
    assert "AWAITING_INPUT" == told("show", "r", "--store", url)["status"]
    answered = told("decide", "r", "--approve", "--wait", "0.1", "--store", url)
    assert answered["recorded"]
    code, output, _ = call("resume", "r", "shop:asking", "--store", url)
    assert 0 == code
    assert "SUCCEEDED" in output


def test_a_command_reaches_an_owner(shop, url, call, told):
    """Whoever carries the run answers, and the doctor says who lives."""
    with started(shop, "serve", "shop:asking", "--port", "0", "--store", url) as serving:
        serving.until("http")
        call("run", "shop:asking", "--run-id", "r", "--store", url)
        answered = told("decide", "r", "--approve", "--wait", "20", "--store", url)
        assert not answered["recorded"]
        assert "SUCCEEDED" == told("show", "r", "--store", url)["status"]
        report = told("doctor", "--deep", "--store", url)
        assert ([], "1", "on") == (report["problems"], report["details"]["owners"], report["details"]["fsync"])
    assert "secret-word" not in json.dumps(report)


def test_what_is_not_there_is_said(shop, url, call):
    code, _, errors = call("runs", "--store", url)
    assert 0 != code
    assert "there is no store postgresql://app@127.0.0.1:" in errors
    assert "secret-word" not in errors

    code, _, errors = call("runs", "--store", "postgresql://app:secret-word@127.0.0.1:1/postgres")
    assert 0 != code
    assert "opening failed" in errors
    assert "secret-word" not in errors
