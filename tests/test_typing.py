"""mypy and pyright, both strict, find every mistake of `typing/wrong.py`, and none in `typing/good.py`."""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from .pages import PAGES, blocks_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("tests", "typing")
PROGRAMS = [str(FOLDER / name) for name in ("good.py", "wrong.py")]
MARK = re.compile(r"# W(\d+) mypy: (\S+) / pyright: (\S+)$")

MYPY = ["mypy", "--strict", "--python-executable", sys.executable, "--output", "json", "--no-error-summary"]
PYRIGHT = ["pyright", "--pythonpath", sys.executable, "--outputjson"]


def run(tool, arguments, folder):
    environ = os.environ | {"MYPYPATH": str(folder), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", *tool, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=170, check=False)


def output_of(tool):
    done = run(tool, PROGRAMS, ROOT / FOLDER)
    assert done.returncode == 1, f"{tool[0]} did not do its work:\n{done.stdout}{done.stderr}"  # 1: it found errors
    return done.stdout


def found_by_mypy():
    """(program, line) of each error, with the code."""
    for report in map(json.loads, output_of(MYPY).splitlines()):
        if report["severity"] == "error":
            yield (Path(report["file"]).name, report["line"]), report["code"]


def found_by_pyright():
    """(program, line) of each error, with the rule."""
    for report in json.loads(output_of(PYRIGHT))["generalDiagnostics"]:
        if report["severity"] == "error":
            yield (Path(report["file"]).name, report["range"]["start"]["line"] + 1), report["rule"]


def collected(found):
    """Codes by line, for each of our programs; errors in the package itself are not this test's."""
    errors = {name: defaultdict(set) for name in ("good.py", "wrong.py")}
    for (program, line), code in found:
        if program in errors:
            errors[program][line].add(code)
    return errors


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def tool(request):
    return request.param


@pytest.fixture(scope="module")
def errors(tool):
    return collected(found_by_mypy() if tool == "mypy" else found_by_pyright())


@pytest.fixture(scope="module")
def marks(tool):
    """The code that this tool is to report, by line."""
    lines = (ROOT / FOLDER / "wrong.py").read_text().splitlines()
    found = {number: MARK.search(line) for number, line in enumerate(lines, 1)}
    return {number: mark[2 if tool == "mypy" else 3] for number, mark in found.items() if mark}


def test_a_right_program_has_no_error(errors):
    assert {} == errors["good.py"]


def test_every_marked_line_of_the_wrong_program_and_no_other_has_an_error(errors, marks):
    assert set(marks) == set(errors["wrong.py"])


def test_each_mistake_is_reported_as_what_it_is(errors, marks):
    missing = {line: code for line, code in marks.items() if code not in errors["wrong.py"][line]}

    assert {} == missing


def test_marks_are_numbered_in_order(marks):
    text = (ROOT / FOLDER / "wrong.py").read_text()

    assert list(range(1, len(marks) + 1)) == [int(number) for number in re.findall(r"# W(\d+) ", text)]
    assert text.count("# W") == len(marks)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The programs of README.md and docs/*.md, as files of one folder."""
    folder = tmp_path_factory.mktemp("shown")
    strict = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT / "actors"), str(ROOT / "protocol"), str(folder)]}
    folder.joinpath("pyrightconfig.json").write_text(json.dumps(strict))
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "python":
                name = block.name or f"{page.stem.replace('-', '_')}_{block.line}.py"
                folder.joinpath(name).write_text(block.text)
    return folder


def test_mypy_finds_nothing_in_the_programs_of_the_documentation(shown):
    done = run(MYPY, sorted(map(str, shown.glob("*.py"))), shown)
    reports = map(json.loads, done.stdout.splitlines())

    assert [] == [report for report in reports if (ROOT / report["file"]).resolve().parent == shown.resolve()]
    assert "" == done.stderr


def test_pyright_finds_nothing_in_the_programs_of_the_documentation(shown):
    done = run([*PYRIGHT, "--project", str(shown)], [], shown)
    report = json.loads(done.stdout)

    assert [] == report["generalDiagnostics"]
    assert len(list(shown.glob("*.py"))) == report["summary"]["filesAnalyzed"]
