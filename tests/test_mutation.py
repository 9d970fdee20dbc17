"""The mutation run: what it makes of a source, and that its lists fit what is there."""

import subprocess
import sys

import pytest

from .copies import ROOT
from .mutation.__main__ import BUDGET, all_of, known, sample, stages
from .mutation.mutants import Mutant, mutants
from .mutation.noticed import Noticed
from .mutation.targets import TARGETS
from .mutation.trials import Trial

SOURCE = '''
"""A module."""

LIMITS: Final = frozenset({1, 2})
Mode: TypeAlias = Literal["a"] | None


class Box:
    """Holds."""

    __slots__ = ("size",)

    def put(self, count: int, limit: int | None = None) -> bool:
        """Put."""
        if limit is not None and not self.size < limit:
            raise Full(f"{count + 1} is too much")
        self.size += count
        return count - 1 if limit else True
'''


def made(source: str = SOURCE) -> list[Mutant]:
    return mutants("box", source)


def test_every_kind_of_mistake_is_made():
    assert [
        "box:-: {1, 2} => {2}",
        "box:-: {1, 2} => {1}",
        "box:-: 1 => 2",
        "box:-: 1 => (0)",
        "box:-: 2 => 3",
        "box:-: 2 => (1)",
        "box:Box.put: limit is not None and not self.size < limit => (limit is not None or not self.size < limit)",
        "box:Box.put: limit is not None => (limit is None)",
        "box:Box.put: not self.size < limit => bool(self.size < limit)",
        "box:Box.put: self.size < limit => (self.size <= limit)",
        'box:Box.put: raise Full(f"{count + 1} is too much") => pass',
        "box:Box.put: self.size += count => self.size -= count",
        "box:Box.put: self.size += count => pass",
        "box:Box.put: return count - 1 if limit else True => return None",
        "box:Box.put: count - 1 if limit else True => (count - 1 if not limit else True)",
        "box:Box.put: count - 1 => (count + 1)",
        "box:Box.put: 1 => 2",
        "box:Box.put: 1 => (0)",
        "box:Box.put: True => False",
    ] == [mutant.key for mutant in made()]


def test_each_is_planted_where_it_was_found():
    for mutant in made():
        lines = zip(SOURCE.splitlines(), mutant.plant(SOURCE).splitlines(), strict=True)
        assert [mutant.line] == [number for number, (old, new) in enumerate(lines, 1) if old != new]


def test_texts_that_are_not_ascii_move_nothing():
    source = 'a = "äöü"; b = 1 < 2\n'
    assert 'a = "äöü"; b = (1 <= 2)\n' == mutants("m", source)[0].plant(source)


def test_a_name_outlives_edits_elsewhere():
    longer = SOURCE.replace("LIMITS", "MORE: Final = 7\nLIMITS")
    names = {mutant.key for mutant in made(longer)}
    assert {mutant.key for mutant in made()} <= names
    assert len(names) == len(made(longer))


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_most_when_a_few_come():
    found = [("box.py", mutant) for mutant in made()]
    ten = sample(found, "1", 10)
    assert 10 == len(ten)
    assert ten == sample(found, "1", 10) != sample(found, "2", 10)
    less = sample(found[1:], "1", 10)
    assert len(set(ten) & set(less)) >= 9


def test_a_few_tests_of_two_files_go_first_and_nobody_waits_for_the_slowest():
    seconds = {"a::1": 0.1, "b::1": 0.1, "b::2": 0.1, "c::1": 0.2, "c::2": 0.3, "a::2": 5.0, "c::3": BUDGET}
    assert [["b::1", "b::2", "c::1", "c::2"], ["a::1", "a::2"]] == list(stages(list(seconds), seconds))
    assert [] == list(stages([], seconds))


def test_what_was_noticed_is_not_made_again_while_nothing_changes(tmp_path):
    box, tests = tmp_path / "box.py", tmp_path / "test_box.py"
    box.write_text(SOURCE)
    tests.write_text("")
    mutant, other, file = made()[0], made()[1], tmp_path / "kept" / "noticed.jsonl"
    trial = Trial("failed", f"{tests}::test_a", "a traceback")
    Noticed(file).keep(str(box), mutant, trial)
    assert Trial("failed", trial.test) == Noticed(file).find(str(box), mutant)
    assert Noticed(file).find(str(box), other) is None
    for changed in (box, tests):
        before = changed.read_text()
        changed.write_text(before + "# more")
        assert Noticed(file).find(str(box), mutant) is None
        changed.write_text(before)
    Noticed(file).keep(str(box), mutant, Trial("timeout"))
    assert Trial("timeout") == Noticed(file).find(str(box), mutant)


def test_what_survived_is_made_again(tmp_path):
    (tmp_path / "box.py").write_text(SOURCE)
    noticed = Noticed(tmp_path / "noticed.jsonl")
    noticed.keep(str(tmp_path / "box.py"), made()[0], Trial("passed"))
    assert noticed.find(str(tmp_path / "box.py"), made()[0]) is None


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.modules[0])
def test_targets_are_there(target):
    assert target.files()
    for pattern in target.tests:
        assert list((ROOT / "tests").glob(pattern))
    for path in target.modules:
        text = (ROOT / path).read_text()
        for mutant in all_of(path)[::20]:
            compile(mutant.plant(text), path, "exec")


def test_survivors_that_are_listed_can_still_be_made():
    made = {mutant.key for target in TARGETS for path in target.modules for mutant in all_of(path)}
    assert set() == known().keys() - made


@pytest.mark.slow
def test_a_mistake_that_is_made_is_noticed(tmp_path):
    """The whole way: watch, plant, run, report."""
    like = "return Resumed(run_id, durable) => return None"
    words = ["--only", "answered", "--sample", "1000000", "--like", like, "--anew"]
    said = subprocess.run(
        [sys.executable, "-m", "tests.mutation", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, "") == (said.returncode, said.stderr)
    assert "failed" in said.stdout
    assert "tests/test_answered.py::test_a_commit_tells_what_its_command_was_answered" in said.stdout
    assert "answered                    1              1              0" in said.stdout
