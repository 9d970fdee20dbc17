"""`terzetto_protocol.travel`: what a run that goes on takes along, and how far an undo goes back."""

import pytest
from msgspec.structs import replace

from terzetto_protocol.decisions import Approve
from terzetto_protocol.image import Image
from terzetto_protocol.records import Failure, Kept, Kind, Observed, ObservedError, Record, Rewind
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.travel import as_was, undone

from .machines import Driver
from .sketches import sketch

PAST = {*Image.__struct_fields__} - {"visits", "frontier", "counts", "forks", "branches"}
"""What an image says about what its run has done."""


def commit(seq, kind=Kind.VISIT, **changes):
    return Record(seq, kind, 1, 1.0, RunStatus.RUNNING, seq, **changes)


def back(seq, to):
    return commit(seq, Kind.REWIND, detail=Rewind(to, b""))


LOG = [commit(1, Kind.SUBMIT), commit(2, Kind.CLAIM), commit(3), commit(4, Kind.DECIDE), commit(5, Kind.JOIN)]


@pytest.mark.parametrize(
    "more, to",
    [
        ([], [4, 3, 2]),
        ([back(6, 4)], [3, 2]),
        ([back(6, 4), commit(7, Kind.CLAIM), commit(8)], [7, 3, 2]),
        ([back(6, 2), commit(7), back(8, 6)], []),
        ([back(6, 4), commit(7), commit(8), back(9, 7), commit(10)], [9, 6, 3, 2]),
        ([commit(6, Kind.SEND), commit(7, Kind.PAUSE)], [4, 3, 2]),
    ],
)
def test_an_undo_counts_what_is_left_of_the_way(more, to):
    """2.10: visits, decisions and joins that led to where the run is; what was undone did not."""
    records = [*LOG, *more]
    assert to == [undone(records, count) for count in range(1, len(to) + 1)]
    assert [None, None] == [undone(records, 0), undone(records, len(to) + 1)]


def test_who_goes_on_takes_along_what_is_pending_and_nothing_else():
    """2.10: a fork is a new run. What it did not do, tell, wait or hear itself is not its own."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish()
    fold, no = driver.machine.fold, Failure("node_error", "no")
    fold.image = replace(
        fold.image, note="n", failure=no, doomed=no, unknown=("x@1",), cost=1.5, parking=True, parked=60.0,
        rested=100.0, kept=(Kept("gate", Approve(), "ann"),), base="before", intents=2, version="2", claims=1,
        observed=Observed((ObservedError("warning", "hm", "a", 1),)),
    )  # fmt: skip
    new, begun = as_was(fold).image, Image()
    assert all(getattr(fold.image, name) != getattr(begun, name) for name in PAST)

    assert {name: getattr(begun, name) for name in PAST} == {name: getattr(new, name) for name in PAST}
    assert (2, [(2, "b")]) == (new.visits, [(each.visit, each.place) for each in new.frontier.values()])
