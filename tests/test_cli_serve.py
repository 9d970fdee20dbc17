"""`terzetto serve`, and the commands that go to it by `--url`.

SEMANTICS 13: the same words over the socket as beside the store.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from terzetto.console import Token
from terzetto_protocol.errors import InvalidRequest

from .commands import LIMIT

SECRET = "a-secret-of-the-tests"


@contextmanager
def served(*words, secret=SECRET):
    """A server in a process of its own, and the URL of its websocket."""
    environ = {**os.environ, "TERZETTO_TOKEN": secret}
    command = [sys.executable, "-m", "terzetto", "serve", *words, "--port", "0", "--json"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)
        finally:
            process.send_signal(signal.SIGINT)
            process.out, process.err = process.communicate(timeout=LIMIT)


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("TERZETTO_TOKEN", SECRET)


def test_commands_say_the_same_over_the_socket(shop, call, told, token):
    call("run", "shop:asking", "--run-id", "order-1")
    call("run", "shop:good", "--run-id", "order-2")
    call("run", "shop:asking", "--run-id", "order-3")
    beside = {
        words: call(*words, "--json")[:2]
        for words in [("runs",), ("runs", "--limit", "2"), ("show", "order-2"), ("watch", "order-2")]
    }
    with served("shop:good", "shop:asking") as (process, address):
        url = ("--url", address["socket_url"])
        for words, expected in beside.items():
            assert expected == call(*words, "--json", *url)[:2], words
        at = told("show", "order-2", "--at", "2", *url)
        assert (2, "order-2") == (at["seq"], at["run_id"])
        assert 0 == call("pause", "order-3", *url)[0]
        assert (0, "run order-3 goes on\n") == call("resume", "order-3", *url)[:2]
        assert (0, "run order-3 is cancelled\n") == call("cancel", "order-3", *url)[:2]
        code, output, _ = call("decide", "order-1", "--approve", *url)
        assert (0, "release@2 of run order-1 is decided\n") == (code, output)
        assert 0 == call("watch", "order-1", *url)[0]
        code, _, errors = call("decide", "order-1", "release", "--reject", *url)
        assert (2, True) == (code, "was decided already: approve" in errors)
        assert 0 == call("delete", "order-1", *url)[0]
        assert (2, True) == ((gone := call("show", "order-1", *url))[0], "no run 'order-1'" in gone[2])

    assert (0, "") == (process.returncode, process.err)


def test_without_the_token_nothing_is_told(shop, call, monkeypatch):
    with served("shop:good") as (_, address):
        for given in ("", "not-the-secret-of-it"):
            monkeypatch.setenv("TERZETTO_TOKEN", given)
            code, output, errors = call("runs", "--url", address["socket_url"])
            assert (2, "") == (code, output)
            assert "a token is needed" in errors
            assert SECRET not in errors


def test_the_token_may_be_in_a_file(shop, call, token):
    (shop / "token").write_text(f"{SECRET}\n")
    with served("shop:good", "--token-file", "token", secret="") as (_, address):
        assert address["token"]
        assert 0 == call("runs", "--url", address["socket_url"])[0]
    (shop / "empty").write_text("\n")
    assert (2, True) == ((said := call("serve", "shop:good", "--token-file", "empty"))[0], "is empty" in said[2])


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--host", "0.0.0.0"], "needs tls= and tokens="),
        (["--tls-key", "key.pem"], "--tls-key goes with --tls-cert"),
        (["--tls-cert", "shop.py"], "no certificate with its key"),
        (["--allow-origin", "example.com"], "is no origin"),
        (["--allow-host", "https://example.com"], "is no host"),
    ],
)
def test_what_cannot_be_served_is_said(shop, call, words, sentence, monkeypatch):
    monkeypatch.delenv("TERZETTO_TOKEN", raising=False)
    code, _, errors = call("serve", "shop:good", "--port", "0", *words)

    assert (2, True) == (code, sentence in errors), errors


def test_a_port_that_is_taken(shop, call, monkeypatch):
    monkeypatch.delenv("TERZETTO_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = call("serve", "shop:good", "--port", str(port))
    assert (2, True) == (code, f"cannot listen at 127.0.0.1:{port}: " in errors), errors


def test_a_short_token_is_refused(shop, call, monkeypatch):
    monkeypatch.setenv("TERZETTO_TOKEN", "short")
    code, _, errors = call("serve", "shop:good", "--port", "0")

    assert (2, True) == (code, "less than 16 characters" in errors)
    assert "short" not in errors
    with pytest.raises(InvalidRequest):
        Token("short")


def test_a_server_that_is_not_there(shop, call, monkeypatch):
    monkeypatch.setattr("terzetto._cli._remote._PATIENCE", 0.2)
    code, _, errors = call("runs", "--url", "ws://127.0.0.1:9/ws")

    assert (5, True) == (code, "no console answers" in errors)
    assert 2 == call("runs", "--url", "http://127.0.0.1:9")[0]


def test_importing_terzetto_loads_no_websocket():
    program = "import sys, terzetto, terzetto._cli; terzetto.open_runtime; print('trio_websocket' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "False\n" == done.stdout
