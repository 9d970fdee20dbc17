"""`terzetto.testing._hearing`: what a sink is told, held against what is durable (SEMANTICS 8.7)."""

from types import SimpleNamespace

import pytest

from terzetto.testing._hearing import Hearing
from terzetto.testing._reader import Bytes
from terzetto_protocol.decisions import Approve
from terzetto_protocol.events import (
    BarrierOpened,
    BarrierResolved,
    NodeFinished,
    RunEnded,
    RunQueued,
    RunStarted,
    TextChunk,
)
from terzetto_protocol.ids import event_id
from terzetto_protocol.records import BarrierRow, Kind
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .test_ledger import Book

QUEUED = RunQueued(id=event_id(0, 10), run_id="r", at=0.0)
STARTED = RunStarted(1, id=event_id(1, 20), run_id="r", at=0.0)
FINISHED = NodeFinished("a", 1, 3, 0, id=event_id(1, 30), run_id="r", at=0.0)
ENDED = RunEnded(RunStatus.SUCCEEDED, id=event_id(1, 40), run_id="r", at=0.0)


@pytest.fixture
def book():
    return Book().begin()


@pytest.fixture
def life():
    return SimpleNamespace(alive=True, frozen=False)


@pytest.fixture
def hearing(book, life):
    return Hearing("r", life, book.ledger, Bytes(book.ledger))


async def hears(hearing: Hearing, *events) -> None:
    for event in events:
        await hearing.emit(event)


async def test_everything_in_order(book, hearing):
    book.end()
    book.commit(Kind.END, RunStatus.SUCCEEDED)
    await hears(hearing, QUEUED, STARTED, chunk(21), FINISHED, ENDED)
    assert ([], True) == (book.problems, hearing.ended)


def chunk(number: int):
    return TextChunk("a", 1, "so", id=event_id(1, number), run_id="r", at=0.0)


async def test_it_may_come_late_and_then_misses_nothing(book, hearing):
    """Chunks may be lost; durable events are not."""
    book.end()
    await hears(hearing, STARTED, FINISHED)
    assert [] == book.problems
    book.commit(Kind.END, RunStatus.SUCCEEDED)
    missing = Hearing("r", hearing.life, book.ledger, hearing._shown)
    await hears(missing, STARTED, ENDED)
    assert f"and not [{FINISHED.id}] before it" in book.problems[0]


@pytest.mark.parametrize(
    "events, problem",
    [
        ([STARTED, STARTED], "after event"),
        ([STARTED, QUEUED], "after event"),
        ([FINISHED], "before it was durable"),
        ([STARTED, RunStarted(1, id=STARTED.id + 1, run_id="r", at=0.0)], "before it was durable"),
    ],
)
async def test_twice_in_disorder_or_too_early(book, hearing, events, problem):
    await hears(hearing, *events)
    assert problem in book.problems[0]


async def test_other_bytes(book, hearing):
    await hears(hearing, QUEUED)
    other = Hearing("r", hearing.life, book.ledger, hearing._shown)
    await hears(other, RunQueued(reason="other", id=QUEUED.id, run_id="r", at=0.0))
    assert "was other bytes before" in book.problems[0]


def commit(seq: int, kind=Kind.CLAIM, status=RunStatus.RUNNING):
    return SimpleNamespace(seq=seq, kind=kind, status=status)


async def test_commits_come_in_order_and_once_they_are_stored(book, hearing):
    await hearing.on_checkpoint(commit(1, Kind.SUBMIT, RunStatus.QUEUED))
    await hearing.on_checkpoint(commit(2))
    assert [] == book.problems
    await hearing.on_checkpoint(commit(3))
    assert "was told commit 3 (claim), which is not there" in book.problems.pop()
    book.end()
    await hearing.on_checkpoint(commit(2))
    assert "told commit 2 (claim) after commit 3" in book.problems.pop()
    await hearing.on_checkpoint(commit(2, status=RunStatus.FAILED))
    assert "which is not there" in book.problems[0]


async def test_a_commit_is_missed_only_where_it_was_pruned(book, hearing):
    """3.2"""
    book.end()
    await hearing.on_checkpoint(commit(1, Kind.SUBMIT, RunStatus.QUEUED))
    await hearing.on_checkpoint(commit(3, Kind.VISIT))
    assert "told commit 3 (visit) after commit 1" in book.problems.pop()
    pruned = Hearing("r", hearing.life, book.ledger, hearing._shown)
    await pruned.on_checkpoint(commit(1, Kind.SUBMIT, RunStatus.QUEUED))
    book.ledger.logs["r"].first = 3
    await pruned.on_checkpoint(commit(3, Kind.VISIT))
    assert [] == book.problems


async def test_barriers(book, hearing):
    opened = BarrierOpened("gate@1", "gate", id=1, run_id="r", at=0.0)
    resolved = BarrierResolved("gate@1", "gate", Approve(), "ann", id=2, run_id="r", at=0.0)
    await hearing.on_barrier_opened(opened)
    assert "gate@1 opened, and it never was" in book.problems.pop()
    book.commit(Kind.OPEN, barriers=(BarrierRow("r", "gate@1", "gate", 1, BarrierStatus.OPEN, 0.0),))
    await hearing.on_barrier_opened(opened)
    await hearing.on_barrier_resolved(resolved)
    assert ["run r: a sink was told that gate@1 was decided, and it was not"] == book.problems


@pytest.mark.parametrize("state", [{"alive": False}, {"frozen": True}])
async def test_who_is_dead_or_has_lost_the_store_knows_nothing(book, hearing, life, state):
    vars(life).update(state)
    await hears(hearing, FINISHED, FINISHED)
    await hearing.on_checkpoint(commit(9))
    assert [] == book.problems
