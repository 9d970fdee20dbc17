"""Forgetting, for every graph and every history: what is left is what it was, and the rest says that it is gone.

A run is acted out by its machine, and its writes go to a store that is pruned in between, wherever that may be.
"""

import tempfile
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings, strategies as st

from terzetto._history import Past
from terzetto.stores import MemoryStore, SqliteStore, Store
from terzetto_protocol.codec import pack
from terzetto_protocol.errors import CommitPruned
from terzetto_protocol.events import told_by
from terzetto_protocol.fold import Fold
from terzetto_protocol.image import read_record
from terzetto_protocol.inputs import Claimed
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.records import Applied, Write
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.travel import as_was

from .inventions import Plan, Player, histories, plans
from .machines import Driver, image_of
from .witness import state_of

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
FEW = settings(max_examples=25, deadline=None, derandomize=True)
SWEEP = settings(max_examples=1500, deadline=None, database=None)

cuts = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 70), st.integers(1, 4)), max_size=6)
"""After so many more commits the log is cut at this one, and each so-many-th stays if it can."""


class Model:
    """What has to be left of a log."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.first = 1
        self.alone: set[int] = set()

    def checkpoints(self) -> list[int]:
        saved = [write.seq for write in self.writes if write.snapshot is not None]
        return [seq for seq in saved if seq >= self.first or seq in self.alone]

    def left(self) -> list[int]:
        return sorted({*range(self.first, len(self.writes) + 1), *self.alone})

    def prune(self, before: int, keep: set[int]) -> int:
        """How many commits go."""
        checkpoints, left = self.checkpoints(), len(self.left())
        cut = max((seq for seq in checkpoints if seq <= before), default=None)
        if cut is not None:
            self.alone = {seq for seq in checkpoints if seq < max(cut, self.first) and (seq in keep or seq >= cut)}
            self.first = max(self.first, cut)
        return left - len(self.left())


async def forget(store: Store, driver: Driver, script) -> None:
    """Write what the driver has written, pruning as the script says, and look at what is left."""
    model, waiting = Model(), list(driver.disk.writes)
    async with store:
        for count, before, each in [*script, (len(waiting), 0, 1)]:
            keep = {*range(0, 100, each)}
            group, waiting = waiting[:count], waiting[count:]
            assert [Applied()] * len(group) == await store.commit(group)
            model.writes += group
            epoch = model.writes[-1].epoch
            assert model.prune(before, keep) == await store.prune("r", before, epoch=epoch, keep=keep)
        await _look(store, driver, model)


async def _look(store: Store, driver: Driver, model: Model) -> None:
    row = await store.run("r")
    assert (model.first, len(model.writes)) == (row.first, row.seq)
    assert model.checkpoints() == await store.checkpoints("r")
    bodies = await store.records("r")
    assert model.left() == [read_record(body).seq for body in bodies]
    told = [event.id for body in bodies for event in told_by("r", read_record(body))]
    assert told == sorted(told)
    assert () == (await store.health(deep=True)).problems
    past = Past(store, row, driver.blueprint)
    folds = _as_they_were(driver)
    for seq in range(1, row.seq + 1):
        await _look_at(past, model, driver, seq, folds[seq])
    replay = await past.replay()
    assert (True, model.first, row.seq - model.first + 1) == (replay.holds, replay.first, replay.commits)
    history = await past.commits(limit=None, before=None)
    assert model.left()[::-1] == [commit.seq for commit in history]
    for limit in (1, 3, 10):
        assert history[:limit] == await past.commits(limit=limit, before=None)
        assert [c for c in history if c.seq < 7][:limit] == await past.commits(limit=limit, before=7)
    shown = await past.progress(carried=False)
    waiting = driver.machine.fold.image.frontier.values()
    assert {entry.place for entry in waiting if not entry.path} <= set(shown)


def _as_they_were(driver: Driver) -> dict[int, tuple]:
    fold = Fold.load(driver.blueprint, driver.header, driver.disk.writes[0].snapshot, ())
    folds = {1: _known(fold)}
    for record in driver.disk.records[1:]:
        fold.replay(record)
        folds[record.seq] = _known(fold)
    return folds


def _known(fold: Fold) -> tuple:
    return image_of(fold), state_of(fold)


async def _look_at(past: Past, model: Model, driver: Driver, seq: int, was: tuple) -> None:
    if seq < model.first and seq not in model.alone:
        with pytest.raises(CommitPruned) as caught:
            await past.fold(seq)
        assert (seq, model.first) == (caught.value.seq, caught.value.earliest)
        return
    fold = await past.fold(seq)
    assert was == _known(fold)
    if fold.image.status not in TERMINAL:
        _goes_on(driver, fold)


def _goes_on(driver: Driver, fold: Fold) -> None:
    """A fork from what is left can be claimed, like any new run."""
    if fold.try_pack() is None:
        return  # the log itself can hold it, but no run begins with a state that cannot be stored
    machine, turn = RunMachine.branch_off(driver.blueprint, driver.header, as_was(fold), settled=True)
    assert turn.commit is not None
    machine.feed(Claimed(driver.now))
    assert pack(machine.fold.image, "image")


def acted_out(plan: Plan, acks: str, history) -> Driver:
    driver = plan.driver(acks)
    player = Player(driver)
    for name, number in history:
        player.act(name, number)
    player.calm_down()
    return driver


slow_store = st.sampled_from(["now", "later", "settled"])
any_plan = st.one_of(plans(), plans(branches=True))


@QUICK
@given(any_plan, slow_store, histories, cuts)
def test_what_is_left_is_what_it_was(plan, acks, history, script):
    """3.2: whatever the policy, wherever it is cut: addressable and the same, or `CommitPruned`; a replay holds."""
    trio.run(forget, MemoryStore(), acted_out(plan, acks, history), script)


@FEW
@given(any_plan, slow_store, histories, cuts)
def test_what_is_left_in_a_file_is_what_it_was(plan, acks, history, script):
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "runs.db", synchronous="normal")
        trio.run(forget, store, acted_out(plan, acks, history), script)


@pytest.mark.slow
@SWEEP
@given(any_plan, slow_store, histories, cuts)
def test_what_is_left_of_many_more(plan, acks, history, script):
    trio.run(forget, MemoryStore(), acted_out(plan, acks, history), script)
