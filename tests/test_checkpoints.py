"""`terzetto_protocol.checkpoints`: commits with a snapshot, by policy or because a node asked (SEMANTICS 3.1)."""

import math

import msgspec
import pytest

from terzetto_protocol.checkpoints import CheckpointPolicy, check_label
from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.fold import Fold
from terzetto_protocol.frames import SLACK
from terzetto_protocol.image import read_record, read_snapshot
from terzetto_protocol.limits import LABEL_LENGTH
from terzetto_protocol.questions import AskDecision
from terzetto_protocol.records import RunHeader
from terzetto_protocol.statuses import RunStatus

from .branches import fan, gates
from .machines import Driver
from .sketches import Add, Burst, Say, Spoil, sketch

LOOP = "a>a"
LONG = Say("x" * 2 * SLACK)
"""Outweighs the snapshot of a state that has nothing else in it."""


def looping(policy: CheckpointPolicy | None, **options) -> Driver:
    return Driver(sketch("a", LOOP), acks="settled", checkpoints=policy, **options).claim()


def saved(driver: Driver) -> list[int]:
    """Commits with a snapshot, each of which must be the run as it was."""
    writes = [write for write in driver.disk.writes if write.snapshot is not None]
    for write in writes:
        first, bodies = driver.disk.writes[0].snapshot, [each.body for each in driver.disk.writes[1 : write.seq]]
        fold = Fold.load(driver.blueprint, driver.header, first, bodies)
        assert read_snapshot(write.snapshot).state == fold.pack()
        assert read_snapshot(write.snapshot).image.seq == write.seq
    return [write.seq for write in writes]


@pytest.mark.parametrize("every, seqs", [(1, [1, 2, 3, 4, 5, 6, 7, 8]), (2, [1, 3, 5, 7]), (3, [1, 4, 7]), (100, [1])])
def test_every_so_many_commits(every, seqs):
    """3.1: with `every=1` each commit is a checkpoint."""
    driver = looping(CheckpointPolicy(every=every))
    for number in range(6):
        driver.finish(Add(number))
    assert seqs == saved(driver)


def test_every_so_many_seconds():
    driver = looping(CheckpointPolicy(seconds=10.0))
    for _ in range(6):
        driver.now += 4.0
        driver.finish(Add())
    assert [1, 5, 8] == saved(driver)


def test_a_run_that_was_read_saves_its_next_commit_where_time_counts():
    """Nobody knows when the snapshot was written from which it was read."""
    driver = looping(CheckpointPolicy(seconds=10.0))
    driver.finish()
    driver.crash()
    driver.claim()
    assert [1, 4] == saved(driver)[:2]
    driver.finish()
    assert [1, 4] == saved(driver)[:2], "and then every ten seconds"


def test_every_counts_over_a_crash():
    driver = looping(CheckpointPolicy(every=4))
    driver.finish()
    driver.crash()
    driver.claim()
    assert 5 in saved(driver)


def test_no_policy_weighs_and_a_policy_does_not():
    """A snapshot is written when the deltas outweigh the last one, unless a policy says which commits have one."""
    weighed, manual = looping(None), looping(CheckpointPolicy())
    for driver in (weighed, manual):
        for _ in range(4):
            driver.finish(LONG)
    assert len(saved(weighed)) > 1
    assert [1] == saved(manual)


def test_a_run_without_checkpoints_does_not_remember_all_of_its_deltas():
    """What a dropped batch is rebuilt from stays small in memory, whatever the log has."""
    driver = looping(CheckpointPolicy())
    for _ in range(50):
        driver.finish(LONG)
    assert len(driver.machine.fold._tail) < 40
    driver.fail()
    assert 50 == len(driver.state.trail)
    assert [1, len(driver.disk.writes)] == saved(driver)


def test_a_node_asks_for_a_checkpoint():
    driver = looping(CheckpointPolicy())
    driver.finish(Add())
    driver.finish(Add(), checkpoint="before publishing")
    driver.finish(Add(), checkpoint="")
    driver.finish(Add())
    assert [1, 4, 5] == saved(driver)
    assert [None, None, None, "before publishing", "", None] == [r.checkpoint for r in driver.disk.records]


def test_a_checkpoint_without_a_policy():
    driver = looping(None)
    driver.finish(Add(), checkpoint="here")
    driver.finish(Add())
    assert [1, 3] == saved(driver)


def test_a_visit_that_fails_makes_no_checkpoint():
    driver = Driver(sketch("a b", "a>b"), acks="settled", checkpoints=CheckpointPolicy()).claim()
    driver.finish(Burst(), checkpoint="never")
    assert RunStatus.FAILED is driver.status
    assert [None] * 3 == [record.checkpoint for record in driver.disk.records]


def test_a_state_that_cannot_be_saved_is_the_visits_failure():
    """4.7: it is found when the next snapshot is taken, and is then an error of the visit that commits."""
    for policy, label in ((CheckpointPolicy(every=1), None), (CheckpointPolicy(), "here")):
        driver = looping(policy)
        driver.finish(Spoil(), checkpoint=label)
        assert (RunStatus.FAILED, 0.0) == (driver.status, driver.state.ratio)
        assert "NaN" in driver.failure.message


@pytest.mark.parametrize("barriers", [False, True])
def test_barriers_that_open_beside_other_branches(barriers):
    """A run that only waits is saved anyway; one that goes on beside its barrier, where the policy says so."""
    graph = gates("gate", more="b", branches="gate b")
    driver = Driver(graph, acks="settled", checkpoints=CheckpointPolicy(barriers=barriers)).claim()
    [opened] = [write.seq for write in driver.disk.writes if write.barriers]
    assert RunStatus.RUNNING is driver.status
    assert barriers == (opened in saved(driver))


def test_a_question_of_a_body_opens_a_barrier_too():
    driver = Driver(sketch("a"), acks="settled", checkpoints=CheckpointPolicy(barriers=True)).claim()
    driver.ask(AskDecision("decision:ok", "ok", 0, msgspec.Raw(b"\xc0"), None))
    assert [1, 3] == saved(driver)


def test_a_checkpoint_in_a_branch_is_of_the_whole_run():
    driver = Driver(fan("a b", "a>c", "c"), acks="settled", checkpoints=CheckpointPolicy()).claim()
    driver.finish(Say("b"), node="b")
    driver.finish(Say("a"), node="a", checkpoint="half")
    last = driver.disk.writes[-1]
    assert "half" == read_record(last.body).checkpoint
    stored = read_snapshot(last.snapshot)
    assert {"fan/a", "fan/b"} == set(stored.image.branches)
    driver.crash()
    driver.claim()
    driver.settle()
    assert ["a", "b"] == driver.state.trail


def test_the_header_says_which_policy_and_old_headers_have_none():
    header = RunHeader("r", "g", "1", "", "", 0.0, checkpoints=CheckpointPolicy(every=3, barriers=True))
    pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.Decoder(RunHeader).decode
    assert header == unpack(pack(header))
    old = msgspec.to_builtins(header)
    del old["checkpoints"]
    assert unpack(pack(old)).checkpoints is None


@pytest.mark.parametrize(
    "fields", [{"every": 0}, {"every": -1}, {"every": True}, {"seconds": 0.0}, {"seconds": -1.0}, {"seconds": math.nan}]
)
def test_impossible_policies_are_refused(fields):
    """Where somebody says that they are meant."""
    with pytest.raises(InvalidRequest):
        sketch("a", checkpoints=CheckpointPolicy(**fields))


def test_labels_can_be_shown():
    assert "ü" * LABEL_LENGTH == check_label("ü" * LABEL_LENGTH)
    with pytest.raises(InvalidRequest, match="200 characters"):
        check_label("x" * (LABEL_LENGTH + 1))
    with pytest.raises((InvalidRequest, NotStorable)):
        check_label("\ud800")
