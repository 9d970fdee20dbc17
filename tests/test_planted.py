"""Planted bugs: the suite would notice if a promise were broken."""

import subprocess
import sys

import pytest

from .copies import ROOT, Copy
from .planted.bugs import BUGS, Bug, Change

LIMIT = 120.0
"""Seconds that the tests for one bug may take on a machine that has other work; they need a few."""
FAILED = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Copy:
    return Copy(tmp_path_factory.mktemp("planted"))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_it_fits_the_source(bug):
    for name, text in bug.texts().items():
        assert text != (ROOT / name).read_text()
        if name.endswith(".py"):
            compile(text, name, "exec")
    assert [] == [each for each in bug.tests if not (ROOT / each.partition("::")[0]).exists()]


def test_one_that_does_not_fit_says_so():
    bug = Bug("of yesterday", "1", (), (Change("actors/terzetto/_mailbox.py", "no such text", ""),))
    with pytest.raises(ValueError, match=r"'of yesterday' does not fit actors/terzetto/_mailbox\.py any more"):
        bug.texts()


def test_names_are_told_apart():
    names = [bug.name for bug in BUGS]
    assert len(set(names)) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_it_is_noticed(bug, copy):
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"]
    with copy.changed(bug.texts()):
        said = subprocess.run(
            [*command, *bug.tests],
            cwd=ROOT,
            env=copy.environ,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert FAILED == said.returncode, f"nobody noticed: {bug.name} (breaks {bug.breaks})\n{said.stdout}{said.stderr}"
