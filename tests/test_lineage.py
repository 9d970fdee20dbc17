"""`terzetto_protocol.lineage`: runs that were made from each other."""

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from terzetto_protocol.lineage import Kin, Turning, family, kin_of, parent_of, turnings
from terzetto_protocol.records import Kind, Note, Record, Rewind, RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus


def row(run_id, parent="", at=0.0):
    header = RunHeader(run_id, "shop", "2", "f00", "d16e57", at, parent=parent)
    return RunRow(header, RunStatus.RUNNING, 1, 9, 1, 20.0)


ROWS = [row("a", at=1.0), row("b", "a@3", 2.0), row("c", "b@1", 3.0), row("d", "a@5", 4.0), row("x", at=1.5)]


def names(run_id, rows=ROWS):
    return [each.run_id for each in family(run_id, rows)]


@pytest.mark.parametrize("run_id", ["a", "b", "c", "d"])
def test_all_of_a_family_find_the_same_one_oldest_first(run_id):
    assert ["a", "b", "c", "d"] == names(run_id)
    assert ["a", "b", "c", "d"] == names(run_id, ROWS[::-1])


def test_a_run_alone_is_a_family_and_nobody_is_none():
    assert ["x"] == names("x")
    assert [] == names("gone")


def test_those_whose_parent_was_deleted_are_a_family_still():
    assert ["b", "c", "d"] == names("d", ROWS[1:])
    assert ["d"] == names("d", [each for each in ROWS if each.run_id not in "ab"])


def test_an_id_that_was_used_again_does_not_make_anybody_its_own_ancestor():
    assert ["b", "c"] == names("c", [row("b", "c@1"), row("c", "b@1", 1.0)])
    assert ["b"] == names("b", [row("b", "b@1")])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=9))
def test_every_run_is_in_its_family_and_families_do_not_overlap(pairs):
    rows = {str(child): row(str(child), f"{parent}@1" if parent < child else "", child) for child, parent in pairs}
    for run_id in rows:
        kin = names(run_id, rows.values())

        assert run_id in kin
        assert all(names(other, rows.values()) == kin for other in kin)


def test_a_run_says_where_it_goes_on_from():
    undone = (Turning(5, 2, 7.0),)
    kin = kin_of(row("b", "a.b-c@3", 2.0), undone)

    assert Kin("b", "a.b-c", 3, "shop", "2", RunStatus.RUNNING, 2.0, 1, 9, undone) == kin
    assert ("", 0) == parent_of(row("a"))
    assert ("somebody", 0) == parent_of(row("a", "somebody"))


def test_every_undo_is_a_turning():
    record = Record(4, Kind.NOTE, 1, 6.0, RunStatus.RUNNING, 1, detail=Note("x"))
    undo = structs.replace(record, seq=5, at=7.0, kind=Kind.REWIND, detail=Rewind(2, b""))

    assert (Turning(5, 2, 7.0),) == turnings([record, undo])
