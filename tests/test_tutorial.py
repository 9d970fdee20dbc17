"""The tutorial's story, told by real processes: killed, started again, decided from another terminal."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from .pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "tutorial.md"
STORE = "sqlite:article.db"
LIMIT = 60
"""Seconds that any one command may take."""
SLOW = "trio.sleep(0.5)"
"""What a reader needs to see it at work, and a test does not."""

START = "python article.py"
KILL = "kill -9 $(pgrep -f article.py)"
RUNS = f"terzetto runs --store {STORE}"
DECIDE = f"terzetto decide article-1 --approve --store {STORE}"
CRASH = "TERZETTO_FAULTS=1 TERZETTO_CRASH_AT=effect_done:6 python article.py"
SET_UP = ["python3 -m venv .venv && .venv/bin/pip install -e '.[cli]'", ". .venv/bin/activate"]


@contextmanager
def started(folder, **environ):
    """The tutorial's program in the first terminal."""
    process = subprocess.Popen(
        [sys.executable, "article.py"], cwd=folder, env=os.environ | environ, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_to(process, last):
    """Lines up to this one."""
    lines = []
    while not lines or lines[-1] != last:
        line = process.stdout.readline()
        assert line, f"it ended before {last!r}: {lines}"
        lines.append(line.rstrip("\n"))
    return lines


def terzetto(folder, *words):
    """A command in the second terminal."""
    command = [sys.executable, "-m", "terzetto", *words, "--store", STORE]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=True).stdout


def decide(folder, *options):
    return terzetto(folder, "decide", "article-1", "--approve", *options)


@pytest.fixture
def folder(tmp_path):
    program = next(block for block in blocks_of(PAGE) if block.name == "article.py")
    assert SLOW in program.text
    tmp_path.joinpath("article.py").write_text(program.text.replace(SLOW, "trio.sleep(0.05)"))
    return tmp_path


@pytest.fixture(scope="module")
def shown():
    """What the page shows of each start's output."""
    commands = [command for block in blocks_of(PAGE) for command in block.commands]
    return [list(command.output) for command in commands if command.line == START]


def test_the_commands_of_the_tutorial_are_those_of_the_story():
    commands = [command.line for block in blocks_of(PAGE) for command in block.commands]

    assert [*SET_UP, START, KILL, START, RUNS, DECIDE, "rm article.txt article.db*", CRASH, START] == commands


def test_an_article_that_is_killed_and_decided_from_elsewhere(folder, shown):
    first, second, _ = shown
    with started(folder) as process:
        assert first == read_to(process, first[-1])
        process.send_signal(signal.SIGKILL)
    with started(folder) as process:
        assert second == read_to(process, second[-1])
        assert "AWAITING_INPUT" in terzetto(folder, "runs")
        decide(folder)
        rest, _ = process.communicate(timeout=LIMIT)
    end = next(block.text for block in blocks_of(PAGE) if block.language == "text" and "publish" in block.text)

    assert (0, end) == (process.returncode, rest)
    assert "publish" in terzetto(folder, "show", "article-1")

    written = folder.joinpath("article.txt").stat().st_mtime_ns
    with started(folder) as process:
        again, _ = process.communicate(timeout=LIMIT)

    assert [*second, *end.splitlines()] == again.splitlines()
    assert written == folder.joinpath("article.txt").stat().st_mtime_ns


def test_a_decision_that_nobody_hears_waits_for_the_next_start(folder, shown):
    """As the page says: the run needs no program to wait, nor to be decided."""
    second = shown[1]
    with started(folder) as process:
        read_to(process, second[-1])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
    decide(folder)
    with started(folder) as process:
        lines, _ = process.communicate(timeout=LIMIT)

    assert ["publish 7 is committed", "SUCCEEDED True"] == lines.splitlines()[-2:]


def test_an_article_that_is_killed_when_it_is_out(folder):
    with started(folder, TERZETTO_FAULTS="1", TERZETTO_CRASH_AT="effect_done:6") as process:
        read_to(process, "sign-off@6 waits for you")
        decide(folder, "--wait", "0.5")  # the owner dies with the receipt unsent
        process.communicate(timeout=LIMIT)

    assert -signal.SIGKILL == process.returncode
    assert folder.joinpath("article.txt").exists()

    with started(folder) as process:
        lines, _ = process.communicate(timeout=LIMIT)

    assert "it was there before" == lines.splitlines()[0]
    assert "SUCCEEDED True" == lines.splitlines()[-1]
