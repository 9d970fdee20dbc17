"""Every program and every command that README.md and docs/*.md show works as shown."""

import os
import shlex
import signal
import subprocess
import sys
import tomllib

import pytest

from .pages import PAGES, ROOT, blocks_of

PYTHON_PAGES = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]
TOLD_ELSEWHERE = {"README.md", "cli.md", "tutorial.md"}
"""Pages whose commands are a story, or need a network, and have tests of their own: the README's are below."""
LIMIT = 60
"""Seconds that any one program or command may take."""


def words_of(command):
    """Environment and arguments of a shown command, with this interpreter in place of what the reader installs."""
    environ, words = dict(os.environ), shlex.split(command)
    while "=" in words[0]:
        name, _, environ[name] = words.pop(0).partition("=")
    programs = {"python": [sys.executable], "terzetto": [sys.executable, "-m", "terzetto"]}
    assert words[0] in programs, f"nobody knows how to run {command!r} here"
    return environ, [*programs[words[0]], *words[1:]]


def run(folder, words, environ=None):
    nothing = subprocess.DEVNULL
    done = subprocess.run(
        words, cwd=folder, env=environ, stdin=nothing, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    return done.returncode, done.stdout, done.stderr


def run_program(forks, folder, block):
    folder.joinpath(block.file).write_text(block.text)
    if block.run_below:
        return
    life = forks.live(block.file, folder=folder)
    code, output, errors = life.code, life.out, life.errors
    place = f"line {block.line}: {errors}"

    if block.raises:
        assert 1 == code, place
        assert f"{block.raises}:" in errors.strip().splitlines()[-1], place
    else:
        assert 0 == code, place
        assert not errors, place
    assert block.prints is None or block.prints == output, place


def run_command(folder, command):
    environ, words = words_of(command.line)
    if "^C" in command.output:
        interrupt(folder, words, command)
        return
    code, output, errors = run(folder, words, environ)
    if command.output == ("Killed",):
        assert -signal.SIGKILL == code, command.line + output + errors
        return

    assert 0 == code, command.line + output + errors
    assert not command.output or list(command.output) == output.splitlines(), command.line


def interrupt(folder, words, command):
    """Start it, press Ctrl-C when it has printed what is shown before, and compare what it prints afterwards."""
    before, after = command.output[: command.output.index("^C")], command.output[command.output.index("^C") + 1 :]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert list(before) == [process.stdout.readline().rstrip("\n") for _ in before]
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()

    assert 0 == process.returncode
    assert list(after) == rest.splitlines()


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_programs_and_commands_of_a_page_work_in_its_order(forks, page, tmp_path):
    blocks = blocks_of(page)
    started = " ".join(command.line for block in blocks for command in block.commands)
    for block in blocks:
        if block.language == "python":
            run_program(forks, tmp_path, block)
            assert not block.run_below or block.name in started
        elif block.language == "py":
            tmp_path.joinpath(block.name).write_text(block.text)
        elif page.name not in TOLD_ELSEWHERE:
            for command in block.commands:
                run_command(tmp_path, command)


def test_a_program_of_the_readme_goes_on_when_it_is_started_again(tmp_path):
    """As the README says below its program: the result again, and nothing is published twice."""
    program = next(block for block in blocks_of(PAGES[0]) if block.language == "python")
    words = [sys.executable, program.file]
    tmp_path.joinpath(program.file).write_text(program.text)

    assert (0, program.prints, "") == run(tmp_path, words)
    assert (0, "Draft(text='draft 1', revisions=1)\n", "") == run(tmp_path, words)


# -- the commands of the README: what sets up a machine is run in a form that needs no network


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def installs(folder):
    """The extra that the command names exists, and its script is the module that the other tests start."""
    assert "cli" in project()["project"]["optional-dependencies"]
    assert {"terzetto": "terzetto._cli:main"} == project()["project"]["scripts"]
    assert "usage: terzetto" in run(folder, [sys.executable, "-m", "terzetto", "--help"])[1]


def demonstrates(folder):
    installs(folder)
    code, output, errors = run(folder, demo(folder, "--approve"))

    assert 0 == code, output + errors
    assert {"audit.html", "audit.json"} <= {path.name for path in folder.iterdir()}


def dies(folder):
    """What is killed at its sixtieth commit leaves no report, and a store to go on with."""
    environ = os.environ | {"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": "commit_durable:60"}
    code, output, errors = run(folder, demo(folder, "--fresh"), environ)

    assert -signal.SIGKILL == code, output + errors


def goes_on(folder):
    code, output, errors = run(folder, demo(folder, "--approve"))

    assert 0 == code, output + errors
    assert "were done before, going on" in output


def passes_the_tests(folder):
    """`uv run` takes the group `dev`, which has all that pytest and these tests need."""
    groups = project()["dependency-groups"]
    named = {entry["include-group"] for entry in groups["dev"]}
    required = {line.split(">=")[0].split("[")[0] for group in named for line in groups[group]}

    assert {"pytest", "pytest-trio", "pytest-xdist", "hypothesis", "mypy", "pyright", "sphinx"} <= required
    assert ["tests"] == project()["tool"]["pytest"]["ini_options"]["testpaths"]


def demo(folder, *options):
    """The audit of a tree of its own, which is larger than the sixty commits after which one of them dies."""
    tree = folder / "tree"
    if not tree.exists():
        tree.mkdir()
        for number in range(80):
            (tree / f"module_{number}.py").write_text(f"def function_{number}():\n    return {number}\n")
    return [sys.executable, "-m", "terzetto", "demo", str(tree), *options]


UV = "uv run --no-dev --extra cli terzetto demo"
README_COMMANDS = {
    f"pip install uv && {UV}": demonstrates,
    f"TERZETTO_FAULTS=1 TERZETTO_CRASH_AT=commit_durable:60 {UV} --fresh": dies,
    UV: goes_on,
    "pip install uv && uv run pytest -n 2": passes_the_tests,
    "python3 -m venv .venv && .venv/bin/pip install -e '.[cli]'": installs,
    ".venv/bin/terzetto demo": demonstrates,
    f"python3 -m venv .uv && .uv/bin/pip install uv && .uv/bin/{UV}": demonstrates,
}


def shown_commands(page):
    return [command.line for block in blocks_of(page) for command in block.commands]


def test_every_command_of_the_readme_is_known():
    assert list(README_COMMANDS) == shown_commands(ROOT / "README.md")


@pytest.mark.parametrize("works", [installs, demonstrates, passes_the_tests])
def test_a_command_of_the_readme_works(works, tmp_path):
    works(tmp_path)


def test_the_killed_demo_goes_on_with_the_same_command(tmp_path):
    """The README's walk-through: a demo that is finished, a fresh one that is killed, and the same command again."""
    demonstrates(tmp_path)
    (tmp_path / "audit.html").unlink()
    dies(tmp_path)

    assert not (tmp_path / "audit.html").exists()

    goes_on(tmp_path)

    assert (tmp_path / "audit.html").exists()


def test_pages_show_the_demos_commands_as_the_readme_does():
    shown = {line for page in PAGES for line in shown_commands(page) if "uv " in line}

    assert shown <= set(README_COMMANDS) | {"pip install uv", "uv sync --extra cli"}
