"""Commands on a Redis store: what SQLite has one process for, any number of owners share."""

import subprocess
import sys
from importlib.metadata import version

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
    assert f" coredis {version('coredis')}, " in text


def test_a_server_that_is_not_there(url, said) -> None:
    """Nothing is said about runs that nobody could look at."""
    code, text = said("doctor", "--store", "redis://ann:secret@127.0.0.1:1/0")
    assert code == 5
    assert "problem: store redis://ann@127.0.0.1:1/0: ConnectionError: Unable to establish a connection" in text
    assert "no runs" not in text


def test_what_to_type_next_works_as_it_is(url, said) -> None:
    """Without its password the store is another one, so it is left to the variable that has it."""
    code, text = said("run", "shop:asking", "--run-id", "a")
    assert code == 3
    assert "terzetto decide a release@2 --approve\n" in text
    assert (
        "terzetto decide a release@2 --approve --store 'redis://ann@"
        in said("show", "a", "--store", f"{url}&lease=9")[1]
    )


@pytest.mark.parametrize(
    "missing, url", [("coredis", "redis://localhost/0"), ("psycopg", "postgresql://localhost/shop")]
)
def test_a_missing_extra_is_one_sentence(missing, url, shop) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from terzetto._cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", program, "runs", "--store", url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    extra = {"coredis": "redis", "psycopg": "postgres"}[missing]
    assert done.returncode == 2
    assert done.stderr.endswith(f" needs {missing}: pip install 'terzetto[{extra}]'\n")
    assert done.stderr.startswith("terzetto: ")
    assert done.stderr.count("\n") == 1


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
