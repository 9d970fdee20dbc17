"""`terzetto console` on a real terminal, against a real server.

SEMANTICS 13.11: it goes on by itself when its server is back; 13.12: the terminal is given back as it was.
"""

import json
import os
import signal
import socket
from contextlib import contextmanager

import pytest

from .commands import LIMIT, started
from .terminals import terminal

SECRET = "a-secret-of-the-tests"
LEFT = b"\x1b[?1049l"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@contextmanager
def serving(folder, port, *graphs, **environ):
    """A server; its process can be killed."""
    with started(folder, "serve", *graphs, "--port", str(port), "--json", **environ) as server:
        server.until("socket_url")
        yield server.process


def console(folder, port, *words, **options):
    return terminal(folder, "console", "--url", f"ws://127.0.0.1:{port}/ws", *words, **options)


def tree(folder, files=60):
    """A source tree that takes a while to be audited."""
    root = folder / "tree"
    root.mkdir()
    for number in range(files):
        text = "".join(f"def f{n}(x):\n    return [x, {n}]\n" for n in range(400))
        (root / f"m{number}.py").write_text(text)
    return root


def test_an_audit_is_started_approved_and_goes_on_after_the_server_was_killed(tmp_path):
    root, port = tree(tmp_path), free_port()
    state = json.dumps({"root": str(root), "out": str(tmp_path), "title": "tree"})
    with serving(tmp_path, port) as first, console(tmp_path, port) as screen:
        screen.until("no runs yet", f"ws://127.0.0.1:{port}/ws")
        screen.type("n\x15")
        screen.type(f"\x1b[200~{state}\x1b[201~")
        screen.until("its state as JSON", '"tree"}')
        screen.type("\r")
        screen.until("is started")
        first.kill()
        screen.until("connection lost, trying again")
        first.wait()
        with serving(tmp_path, port) as second:
            screen.until("sign-off@", "waits for a decision", "files: 60", f"ws://127.0.0.1:{port}/ws", "60 visits")
            screen.type("a")
            screen.until("decided: approve", "publish")
            screen.until("succeeded      audit-", "ended SUCCEEDED", "✓ publish")
            second.kill()
            second.wait()
        screen.until("connection lost")
        with serving(tmp_path, port):
            screen.until("terzetto", "ended SUCCEEDED", "succeeded      audit-")
            screen.type("\r")
            screen.type("g")
            screen.until("claimed (epoch 1)")
            screen.type("q")
            assert 0 == screen.end()
            assert (screen.mode, LEFT in screen.raw) == (screen.modes_now, True)
    assert 60 == json.loads((tmp_path / "audit.json").read_text())["summary"]["files"]


def test_a_server_that_is_killed_in_the_middle_of_a_run_leaves_no_hole(shop):
    port = free_port()
    with serving(shop, port, "shop:slow") as first, console(shop, port, size=(100, 40)) as screen:
        screen.until("no runs yet")
        screen.type("n\r")
        screen.until("tick@5 finished", "▸ hold", "5 visits")
        first.kill()
        screen.until("connection lost")
        first.wait()
        with serving(shop, port, "shop:slow"):
            screen.until("claimed (epoch 2)", "▸ running")
            (shop / "go").touch()
            screen.until("ended SUCCEEDED", "✓ succeeded")
            screen.type("\rg")
            screen.until(
                "claimed (epoch 1)", "tick@1 finished", "tick@5 finished", "hold@6 finished", "ended SUCCEEDED"
            )
            told = [line.split(" ", 1)[1] for line in screen.lines if "@" in line and "finished" in line]
            assert [f"tick@{n}" for n in range(1, 6)] + ["hold@6"] == [line.split()[0] for line in told]
            screen.type("q")
            assert 0 == screen.end()


def test_reject_cancel_pause_and_errors(shop, tmp_path):
    port = free_port()
    with serving(shop, port, "shop:asking", "shop:slow"), console(shop, port) as screen:
        screen.until("no runs yet")
        screen.type("n\r")
        screen.until("a run of asking")
        screen.type("\r")
        screen.until("release@2 waits for a decision", "item: tea")
        screen.type("r")
        screen.until("reject release@2")
        screen.type("too dear\r")
        screen.until("decided: reject", "ended", "succeeded      asking-")
        screen.type("a")
        screen.until("has ended")
        screen.type("n")
        screen.until("a run of which graph?")
        screen.type("2\r")
        screen.until("a run of slow")
        screen.type("\x15\x7b\x22item\x22:5}\r")
        screen.until("not done:", "item", "(")
        screen.type("n2\r\x15{}\r")
        screen.until("running        slow-", "2 runs")
        screen.type("c")
        screen.until("cancel run slow-")
        screen.type("enough\r")
        screen.until("cancelled      slow-", "run slow-")
        screen.type("/asking\r")
        screen.until("filter: asking", "asking-")
        assert not [line for line in screen.lines if "cancelled      slow-" in line]
        screen.type("q")
        assert 0 == screen.end()


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGHUP, 130)])
def test_signals_leave_the_terminal_as_it_was(shop, number, code):
    port = free_port()
    with serving(shop, port, "shop:good"), console(shop, port) as screen:
        screen.until("no runs yet")
        assert screen.mode != screen.modes_now
        screen.process.send_signal(number)

        assert code == screen.end()
        assert screen.mode == screen.modes_now
        assert LEFT in screen.raw
        assert b"\x1b[?25h" in screen.raw
        assert "Traceback" not in "".join(screen.lines)


def test_a_suspended_console_gives_the_terminal_back_and_takes_it_again(shop):
    port = free_port()
    with serving(shop, port, "shop:good"), console(shop, port) as screen:
        screen.until("no runs yet")
        screen.process.send_signal(signal.SIGTSTP)
        screen.when(lambda: LEFT in screen.raw, "the other screen")
        assert os.WIFSTOPPED(os.waitpid(screen.process.pid, os.WUNTRACED)[1])
        assert screen.mode == screen.modes_now
        screen.process.send_signal(signal.SIGCONT)
        screen.raw = b""
        screen.when(lambda: b"no runs yet" in screen.raw, "the screen")
        screen.type("q")
        assert 0 == screen.end()


def test_a_resized_terminal_is_drawn_anew(shop):
    port = free_port()
    with serving(shop, port, "shop:asking"), console(shop, port) as screen:
        screen.until("no runs yet")
        screen.type("n\r")
        screen.until("release@2 waits")
        screen.resize(130, 30)
        screen.until("│ ? awaiting input")
        screen.resize(60, 16)
        lines = screen.until("────────────────────", "q quit")
        assert all(len(line) <= 60 for line in lines)
        screen.resize(20, 4)
        screen.until("a larger terminal")
        screen.resize(80, 24)
        screen.until("release@2 waits", "awaiting input")


def test_without_colours_signs_are_left(shop):
    port = free_port()
    with serving(shop, port, "shop:good"):
        with console(shop, port, NO_COLOR="1") as screen:
            screen.until("no runs yet")
            screen.type("n\r")
            screen.until("✓ succeeded")
            assert {"default"} == screen.colours
        with console(shop, port, "--plain") as screen:
            screen.until("+ succeeded")
            assert {"default"} == screen.colours
            assert all(line.isascii() for line in screen.lines)
        with console(shop, port, NO_COLOR="") as screen:
            screen.until("✓ succeeded")
            assert {"default"} < screen.colours


def test_what_runs_say_is_never_obeyed(shop):
    port = free_port()
    with serving(shop, port, "shop:bad"), console(shop, port) as screen:
        screen.until("no runs yet")
        screen.type('n\x15{"item": "\\u001b]0;owned\\u0007"}\r')
        screen.until("the till is \\x1b[31mempty", "failed")
    assert b"\x1b[31mempty" not in screen.raw
    assert b"\x1b]0;" not in screen.raw


def test_a_token_from_a_file_is_shown_to_nobody(shop, tmp_path):
    port, file = free_port(), tmp_path / "token"
    file.write_text(SECRET + "\n")
    with serving(shop, port, "shop:good", TERZETTO_TOKEN=SECRET):
        with console(shop, port, "--token-file", str(file), TERZETTO_TOKEN="") as screen:
            screen.until("no runs yet")
            assert SECRET.encode() not in screen.raw
        with console(shop, port, TERZETTO_TOKEN="not-the-secret-of-it") as screen:
            assert 2 == screen.end()
            assert "a token is needed" in "".join(screen.lines)
            assert LEFT not in screen.raw


def test_a_server_that_is_another_one_now_ends_it_in_good_order(shop):
    port = free_port()
    with console(shop, port, TERZETTO_TOKEN=SECRET) as screen:
        with serving(shop, port, "shop:good", TERZETTO_TOKEN=SECRET) as first:
            screen.until("no runs yet")
            first.kill()
            first.wait()
        with serving(shop, port, "shop:good", TERZETTO_TOKEN="another-token-of-it"):
            assert 2 == screen.end()
        assert screen.mode == screen.modes_now
        assert LEFT in screen.raw
        last = screen.raw.rpartition(LEFT)[2].decode()
        assert "refuses this client: 401 a token is needed" in last
        assert "Traceback" not in last


def test_where_it_cannot_be_it_says_what_to_type_instead(shop, call, monkeypatch):
    code, _, errors = call("console", "--url", "ws://127.0.0.1:9/ws")
    assert (2, True) == (code, "`terzetto runs --url ws://127.0.0.1:9/ws` lists runs as lines" in errors)
    code, _, errors = call("console", "--json")
    assert (2, True) == (code, "as JSON with --json" in errors)
    code, _, errors = call("console", "--store", "sqlite:runs.db")
    assert (2, True) == (code, "serve --store sqlite:runs.db" in errors)
    with terminal(shop, "console", TERM="dumb") as screen:
        assert 2 == screen.end()
        assert "needs a terminal that can move its cursor" in " ".join(screen.lines)


def test_a_person_who_closes_the_terminal_ends_it(shop):
    port = free_port()
    with serving(shop, port, "shop:good"):
        screen = console(shop, port)
        with screen as here:
            here.until("no runs yet")
            os.close(here._slave)
            os.close(here._master)
            try:
                assert 130 == here.process.wait(LIMIT)
            finally:
                here._master, here._slave = os.pipe()
