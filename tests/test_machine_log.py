"""`terzetto_protocol.machine`: what is stored: event ids that are never reused, and no more bytes than needed."""

from itertools import pairwise

import pytest

from terzetto_protocol.decisions import Reject
from terzetto_protocol.events import NodeFinished, told_by
from terzetto_protocol.ids import split_event_id
from terzetto_protocol.image import read_record, read_snapshot
from terzetto_protocol.statuses import RunStatus

from .machines import Driver, claimed
from .sketches import Add, Say, Tally, sketch

_R = RunStatus


# -- D4: event ids -------------------------------------------------------------------------------------------------


def test_event_ids_rise_without_a_hole_inside_an_epoch():
    """D4: ids rise strictly; 8.1: event id = `epoch << 32 | n`."""
    driver = Driver(sketch("a b:once", "a>b")).claim()
    driver.emit()
    driver.finish()
    driver.finish()
    ids = [split_event_id(event.id) for event in driver.witness.seen]

    assert ids == [(0, 1), *((1, number) for number in range(1, len(ids)))]


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_no_event_id_is_used_again_after_a_crash(keep):
    """D4: after every restart the same id means the same bytes; ids are never reused for something else."""
    driver = claimed(sketch("a:pure b:pure c:pure", "a>b>c"))
    driver.emit("seen by somebody")
    driver.finish()
    driver.emit("swallowed")
    driver.finish()
    driver.crash(keep=keep)
    last = driver.witness.seen[-1].id
    driver.claim()
    driver.ack()
    driver.settle()

    later = [event.id for event in driver.witness.seen if event.id > last]
    assert {split_event_id(number)[0] for number in later} == {2}
    assert len({event.id for event in driver.witness.seen}) == len(driver.witness.seen)


def test_a_stored_commit_tells_what_was_seen_live():
    """D4: the same id means the same bytes, as long as the run is kept."""
    graph = sketch("a gate:barrier b:once", "a>gate gate.rejected>b")
    driver = Driver(graph).claim()
    driver.now = 3.25
    driver.finish(Say("x"))
    driver.decide(Reject("because"), "d1")
    driver.fail("ValueError: no")
    live = [event for event in driver.witness.seen if event.durable]
    told = [event for write in driver.disk.writes for event in told_by("r", read_record(write.body))]

    assert told == live
    assert len(told) == 8
    assert [write.event_id for write in driver.disk.writes if write.event_id] == [
        told_by("r", record)[-1].id for record in driver.disk.records if told_by("r", record)
    ]


# -- the size of the log -------------------------------------------------------------------------------------------


def written(steps: int) -> list[tuple[int, int]]:
    """(bytes of commits, bytes of snapshots) of a run whose state grows with every step."""
    driver = Driver(sketch("a:pure", "a>a"), acks="settled", watch=False, max_steps=steps + 1).claim()
    for number in range(steps):
        driver.finish(Say(f"{number:064}"))
    return [(len(write.body), len(write.snapshot or b"")) for write in driver.disk.writes]


def test_a_growing_history_costs_bytes_in_proportion():
    """DESIGN, commit pipeline: a growing history costs O(n) bytes, not O(n^2)."""
    total = {steps: sum(map(sum, written(steps))) for steps in (250, 1000, 4000)}

    assert total[1000] < 5 * total[250]
    assert total[4000] < 5 * total[1000]


def test_a_snapshot_is_written_when_the_deltas_outweigh_it():
    """DESIGN, commit pipeline: a snapshot is written when the deltas since the last one outweigh it."""
    sizes = written(2000)
    places = [index for index, (_, snapshot) in enumerate(sizes) if snapshot]
    assert 5 < len(places) < 40

    for earlier, later in pairwise(places):
        deltas = sum(body for body, _ in sizes[earlier + 1 : later + 1])
        assert deltas < 4 * sizes[later][1] + 8192, "recovery folds little more than it reads"
    gaps = [later - earlier for earlier, later in pairwise(places)]
    assert gaps[-1] > 2 * gaps[1], "the larger the state, the rarer"


def test_a_run_with_a_large_state_and_small_steps_writes_no_snapshot():
    driver = Driver(sketch("a", "a>a"), Tally(trail=["x" * 100] * 1000), acks="settled", watch=False).claim()
    for _ in range(300):
        driver.finish(Add(1))

    assert [write.seq for write in driver.disk.writes if write.snapshot] == [1]


@pytest.mark.parametrize("rest", ["gate", "pause", "end"])
def test_who_rests_can_be_read_without_folding(rest):
    """6.6: its memory is its row; a commit into a rest carries a snapshot."""
    driver = Driver(sketch("a gate:barrier", "a>gate")).claim()
    driver.finish(Add(3), next="" if rest == "end" else None, pause=rest == "pause")
    stored = read_snapshot(driver.disk.writes[-1].snapshot)

    assert stored.image.status is driver.status
    assert driver.blueprint.state.unpack(stored.state).count == 3


def test_a_run_without_a_store_writes_nothing():
    driver = Driver(sketch("a", "a>a"), logged=False, max_steps=5000).claim()
    for _ in range(4000):
        driver.finish(Add(1))

    assert driver.sent == driver.disk.writes == []
    assert driver.state.count == 4000
    assert sum(isinstance(event, NodeFinished) for event in driver.witness.seen) == 4000
