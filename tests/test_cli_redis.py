"""Commands on a Redis store: what SQLite has one process for, any number of owners share."""

import pytest

from .commands import started
from .redis_servers import RedisServer


@pytest.fixture
def url(redis: RedisServer, shop, monkeypatch) -> str:
    """A store behind a password, which no command may show."""
    redis.ask("ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all")
    url = redis.url().replace("//", "//ann:secret@")
    monkeypatch.setenv("TERZETTO_STORE", url)
    return url


@pytest.fixture
def said(shop, call):
    """`said(*words)`: the exit code and all that a command has said, which has no password in it."""

    def said(*words):
        code, output, errors = call(*words)
        assert "secret" not in output + errors
        return code, output + errors

    return said


def test_before_anything_is_there(url, said) -> None:
    code, text = said("runs")
    assert code == 5
    assert "there is no store redis://ann@127.0.0.1:" in text
    code, text = said("doctor")
    assert code == 5
    assert "start its owner first" in text


def test_a_run_without_an_owner(url, said, told) -> None:
    """11: run, list, show, decide, resume, doctor, delete: as on a file."""
    code, text = said("run", "shop:good", "--run-id", "a")
    assert code == 0, text
    assert said("show", "a")[0] == 0
    assert said("run", "shop:asking", "--run-id", "b")[0] == 3
    code, text = said("decide", "b", "--approve", "--wait", "0.1")
    assert code == 0
    assert "recorded: no owner of the store has answered, and the next one carries it out" in text
    code, text = said("doctor", "--deep")
    assert code == 0
    assert "0 owners at work" in text
    assert "integrity: checked, and whole" in text
    assert "an owner that lives should answer within a second" in text
    assert said("resume", "b", "shop:asking")[0] == 0
    assert {"a": "SUCCEEDED", "b": "SUCCEEDED"} == {row["run_id"]: row["status"] for row in told("runs")["runs"]}
    assert said("delete", "a")[0] == 0
    assert [row["run_id"] for row in told("runs")["runs"]] == ["b"]


def test_beside_an_owner(url, shop, said, told) -> None:
    """11: whoever carries the run answers; another process is an owner beside it."""
    with started(shop, "run", "shop:asking", "--run-id", "a", "--stay") as owner:
        owner.until("terzetto decide")
        assert said("run", "shop:good", "--run-id", "b")[0] == 0
        code, text = said("resume", "a", "shop:asking")
        assert code == 0
        assert f".{owner.process.pid}." in text
        assert "carries it" in text
        assert "1 owner at work" in said("doctor")[1]
        receipt = told("decide", "a", "--approve", "--by", "ann")["receipt"]
        assert receipt["type"] == "decision_taken"
        assert receipt["durable"]
        code, output, _ = owner.end()
    assert code == 0
    assert "release@2 decided: approve by ann" in output


def test_an_audit(url, shop, said) -> None:
    """The demonstration goes on with what it has made there."""
    (shop / "small").mkdir()
    (shop / "small" / "one.py").write_text("x = 1\n")
    for _ in range(2):
        code, text = said("demo", "small", "--approve")
        assert code == 0, text
    assert "audit-" in said("runs")[1]
