"""mypy and pyright, both strict, find every mistake of `typing/wrong.py`, and none in any other program that we show.

Each is started once, for the two programs of `typing/` and those of the documentation together.
"""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, blocks_of

FOLDER = ROOT / "tests" / "typing"
UNTYPED = "from typing import Any\n\n\ndef __getattr__(name: str) -> Any:\n    raise AttributeError(name)\n"
"""What checkers know of a file for another library."""
MARK = re.compile(r"# W(\d+) mypy: (\S+) / pyright: (\S+)$")

MYPY = ["mypy", "--strict", "--python-executable", sys.executable, "--output", "json", "--no-error-summary"]
PYRIGHT = ["pyright", "--pythonpath", sys.executable, "--outputjson"]


def output_of(tool, *arguments):
    environ = os.environ | {"MYPYPATH": arguments[-1], "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", *tool, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 1, f"{tool[0]} did not do its work:\n{done.stdout}{done.stderr}"  # 1: it found errors
    assert "" == done.stderr
    return done.stdout


def found_by_mypy(folder):
    """(path, line, code) of each error."""
    for report in map(json.loads, output_of(MYPY, str(folder)).splitlines()):
        if report["severity"] == "error":
            yield ROOT / report["file"], report["line"], report["code"]


def found_by_pyright(folder):
    """(path, line, rule) of each error."""
    whole = json.loads(output_of(PYRIGHT, "--project", str(folder)))
    assert len(list(folder.glob("*.py"))) == whole["summary"]["filesAnalyzed"]
    for report in whole["generalDiagnostics"]:
        yield Path(report["file"]), report["range"]["start"]["line"] + 1, report.get("rule", report["severity"])


def name_of(page, block, blocks):
    """Its own name where others of its page import it; else two pages may use one name."""
    imports = re.compile(rf"^(from|import) {block.name.removesuffix('.py')}\b", re.MULTILINE)
    if block.name and any(imports.search(other.text) for other in blocks):
        return block.name
    return f"{page.stem.replace('-', '_')}_{block.line}.py"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with our programs, and those of README.md and docs/*.md."""
    folder = tmp_path_factory.mktemp("programs")
    strict = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT / "actors"), str(ROOT / "protocol"), str(folder)]}
    folder.joinpath("pyrightconfig.json").write_text(json.dumps(strict))
    shown = {path.name: path.read_text() for path in FOLDER.glob("*.py")}
    for page in PAGES:
        blocks = [block for block in blocks_of(page) if block.language in ("python", "py")]
        for block in blocks:
            if block.language == "py":
                shown[block.name] = UNTYPED
                continue
            name = name_of(page, block, blocks)
            assert name not in shown
            shown[name] = block.text
    for name, text in shown.items():
        folder.joinpath(name).write_text(text)
    return folder


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def tool(request):
    return request.param


@pytest.fixture(scope="module")
def errors(tool, programs):
    """Codes by program and line; errors in the package itself are not this test's."""
    errors = defaultdict(lambda: defaultdict(set))
    for path, line, code in (found_by_mypy if tool == "mypy" else found_by_pyright)(programs):
        # By name, for what mypy keeps from an earlier run it reports in that one's folder.
        if not path.is_relative_to(ROOT / "actors") and not path.is_relative_to(ROOT / "protocol"):
            assert programs.joinpath(path.name).exists()
            errors[path.name][line].add(code)
    return errors


@pytest.fixture(scope="module")
def marks(tool):
    """The code that this tool is to report, by line."""
    lines = (FOLDER / "wrong.py").read_text().splitlines()
    found = {number: MARK.search(line) for number, line in enumerate(lines, 1)}
    return {number: mark[2 if tool == "mypy" else 3] for number, mark in found.items() if mark}


def test_a_right_program_and_those_of_the_documentation_have_no_error(errors):
    assert {"wrong.py"} == set(errors)


def test_every_marked_line_of_the_wrong_program_and_no_other_has_an_error(errors, marks):
    assert set(marks) == set(errors["wrong.py"])


def test_each_mistake_is_reported_as_what_it_is(errors, marks):
    missing = {line: code for line, code in marks.items() if code not in errors["wrong.py"][line]}

    assert {} == missing


def test_marks_are_numbered_in_order(marks):
    text = (FOLDER / "wrong.py").read_text()

    assert list(range(1, len(marks) + 1)) == [int(number) for number in re.findall(r"# W(\d+) ", text)]
    assert text.count("# W") == len(marks)
