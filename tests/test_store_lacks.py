"""The SQLite store in a process that lacks room or descriptors: every refusal is typed, and it goes on afterwards."""

from pathlib import Path

import pytest

CHILD = str(Path(__file__).with_name("limits_child.py"))


@pytest.fixture
def told(forks, tmp_path):
    """What a process that lacked something was told, little by little less, and what it found in its files."""

    def told(what):
        life = forks.live(CHILD, str(tmp_path), what)
        assert 0 == life.code, life.errors
        lines = [line.partition(": ")[2] for line in life.out.splitlines()]
        assert {"True () True"} == {found for _, _, found in (line.partition(" | ") for line in lines)}, life.out
        return [said for said, _, _ in (line.partition(" | ") for line in lines)]

    return told


def test_too_little_room(told):
    """Issue 4: no file may become larger than so many bytes; then somebody makes room, and the same store goes on."""
    said = told("room")

    assert "File too large" in said[0]
    assert all(one.startswith("not opened: ") or " commit failed: " in one for one in said)
    assert said[-1].startswith("went on after: ")
    assert not [one for one in said if "rollback" in one], "the first error is told, and not what came of it"


def test_too_few_descriptors(told):
    """Issue 4: EMFILE, at every descriptor that opening a store takes."""
    said = told("descriptors")

    assert "Too many open files" in said[0]
    assert all("too many files are open" in one for one in said[1:4])
    assert "enough" == said[-1]
