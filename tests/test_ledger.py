"""The second book of a simulation: each rule of it can say no."""

import msgspec
import pytest

from terzetto.testing._ledger import Ledger
from terzetto_protocol.decisions import Approve, Retry
from terzetto_protocol.ids import event_id
from terzetto_protocol.port import Visit
from terzetto_protocol.records import BarrierRow, Kind, Opening, Record, Resolution, RunHeader, Step, Write
from terzetto_protocol.statuses import BarrierStatus, RunStatus, VisitStatus

_R, _V = RunStatus, VisitStatus
RUNNING = {"status": _R.RUNNING}


class Book:
    """A ledger, and a way to write runs into it."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.ledger = Ledger(self.problems.append)
        self.seq = 0
        self.run_id = "r"

    def commit(self, kind: Kind, status: RunStatus = _R.RUNNING, *, epoch=1, told=1, barriers=(), **fields) -> None:
        self.seq += 1
        parent = fields.pop("parent", "")
        first = fields.pop("event_id", event_id(epoch, self.seq * 10))
        record = Record(fields.pop("seq", self.seq), kind, epoch, 0.0, status, first, **fields)
        header = RunHeader(self.run_id, "g", "1", "", "", 0.0, parent=parent) if self.seq == 1 else None
        body = msgspec.msgpack.encode(record)
        last = first + told - 1
        self.ledger.applied(
            Write(
                self.run_id, 0, epoch, record.seq, 0.0, status, last, body, header=header, barriers=barriers, kind=kind
            )
        )

    def begin(self, *steps: Step) -> "Book":
        self.commit(Kind.SUBMIT, _R.QUEUED, epoch=0, steps=steps or (Step(1, "a"),))
        self.commit(Kind.CLAIM)
        return self

    def end(self, visit: int = 1, outcome: VisitStatus = _V.SUCCEEDED, status: RunStatus = _R.RUNNING) -> None:
        self.commit(Kind.VISIT, status, visit=visit, place="a", outcome=outcome)

    def body(self, effects="repeatable", visit=1, attempt=1, *, fence=1, frozen=False) -> bool:
        made = Visit("r", "a", visit, attempt, fence=fence)
        if not self.ledger.fences(made):
            return False
        self.ledger.began(made, effects, frozen=frozen)
        return True


def test_an_ordinary_life_is_fine():
    book = Book().begin()
    book.body()
    book.end(status=_R.SUCCEEDED)

    assert (book.problems, book.ledger.logs["r"].rests) == ([], True)


@pytest.mark.parametrize(
    "made, problem",
    [
        (lambda book: book.commit(Kind.VISIT, seq=9), "commit 9 after 2"),
        (lambda book: book.commit(Kind.CLAIM, epoch=3), "epoch 3 follows one of epoch 1"),
        (lambda book: book.commit(Kind.CLAIM, epoch=0), "epoch 0 follows one of epoch 1"),
        (lambda book: book.commit(Kind.VISIT, _R.QUEUED), "from RUNNING to QUEUED"),
        (lambda book: book.commit(Kind.VISIT, event_id=event_id(1, 3)), "does not rise"),
        (lambda book: book.commit(Kind.VISIT, event_id=event_id(2, 3)), "not one of epoch 1"),
        (lambda book: book.commit(Kind.VISIT, told=-1), "tells -1 events"),
        (lambda book: book.end(outcome=_V.UNKNOWN), "from PENDING to UNKNOWN"),
    ],
)
def test_a_commit_that_does_not_follow(made, problem):
    """2, 3 D4, D8."""
    book = Book().begin()
    made(book)

    assert problem in book.problems[0]


def test_nothing_follows_the_end_and_little_a_cancel():
    """3, D6, D7."""
    book = Book().begin()
    book.commit(Kind.CANCEL, _R.CANCELLING)
    book.end(status=_R.CANCELLING)
    assert "after a cancel" in book.problems[0]
    book.commit(Kind.END, _R.CANCELLED)
    book.commit(Kind.END, _R.CANCELLED)
    assert "after the end" in book.problems[1]


def test_a_visit_ends_once_and_does_not_run_again():
    """3: no visit with a durable commit runs again by itself."""
    book = Book().begin()
    book.end()
    book.body()
    assert "runs again, and its end (SUCCEEDED) is durable" in book.problems[0]
    book.end()
    assert "from SUCCEEDED to SUCCEEDED" in book.problems[1]


def test_who_has_lost_the_store_may_not_know_that():
    book = Book().begin()
    book.end()
    book.body(frozen=True)

    assert [] == book.problems


def test_a_once_body_needs_its_intent_and_begins_once():
    """3, D2; 7: once, plus once per explicit retry."""
    book = Book().begin()
    book.body("once")
    assert "before its intent" in book.problems.pop()
    book = Book().begin()
    book.commit(Kind.INTENT, visit=1, attempt=1, outcome=_V.RUNNING)
    book.body("once")
    assert [] == book.problems
    book.body("once")
    assert "began 2 times, and 1 were allowed" in book.problems.pop()
    book = Book().begin()
    book.commit(Kind.INTENT, visit=1, attempt=1, outcome=_V.RUNNING)
    book.body("once")
    opening = Step(1, "a", opening=Opening(reconcile=True))
    book.commit(Kind.UNKNOWN, _R.AWAITING_INPUT, steps=(opening,))
    book.commit(Kind.DECIDE, visit=1, outcome=_V.PENDING, detail=Resolution("a@1", Retry(), "ann"))
    book.commit(Kind.INTENT, visit=1, attempt=2, outcome=_V.RUNNING)
    book.body("once", attempt=2)

    assert [] == book.problems


def test_a_body_follows_what_is_durable():
    """3, D2."""
    book = Book().begin()
    book.body(visit=2)
    assert "before what led to it" in book.problems.pop()
    book.body("pure", visit=2)
    assert [] == book.problems
    book.ledger.began(Visit("s", "a", 1, 1), "repeatable", frozen=False)
    assert "before the run was durable" in book.problems.pop()


def test_a_receiver_keeps_the_highest_fence():
    """7: against a process that wakes up."""
    book = Book().begin()
    assert (book.body(fence=2), book.body(fence=1), book.body(fence=2)) == (True, False, True)


def test_a_barrier_has_one_winner():
    """3, D5."""
    book = Book().begin(Step(1, "a", opening=Opening()))
    row = BarrierRow("r", "a@1", "a", 1, BarrierStatus.OPEN, 0.0)
    book.commit(Kind.OPEN, barriers=(row,))
    assert (book.ledger.logs["r"].open, book.ledger.logs["r"].asks) == ({"a@1"}, True)
    closed = msgspec.structs.replace(row, status=BarrierStatus.RESOLVED)
    decided = Resolution("a@1", Approve(), "ann")
    book.commit(Kind.DECIDE, visit=1, outcome=_V.SUCCEEDED, detail=decided, barriers=(closed,))
    assert (book.problems, book.ledger.logs["r"].open) == ([], set())
    book.commit(Kind.DECIDE, detail=decided)
    assert "decided twice" in book.problems[0]


def test_ids_of_durable_events():
    book = Book().begin()
    log = book.ledger.logs["r"]
    claim = event_id(1, 20)

    assert (log.tells(10), log.tells(claim), log.tells(claim + 1)) == (True, True, False)
    assert [claim] == log.told_between(10, claim + 5)
    assert [] == log.told_between(claim, claim + 5)


def test_a_log_is_cut_in_front_of_a_checkpoint():
    """3.2: events of commits that are gone are missing to nobody."""
    book = Book().begin()
    book.end()
    book.ledger.pruned("r", 1)
    assert [] == book.problems
    book.ledger.pruned("r", 3)
    assert "pruned in front of commit 3, which is no checkpoint" in book.problems[0]
    log = book.ledger.logs["r"]
    assert [event_id(1, 30)] == log.told_between(0, event_id(2, 1))
    assert log.tells(event_id(1, 20)), "it was told all the same"


def test_only_what_has_ended_and_nobody_needs_is_deleted():
    """3.3: and its id is free then, with everything that was known of it."""
    book = Book().begin()
    book.body("once", fence=5)
    book.problems.clear()
    book.ledger.deleted("r")
    assert "it was deleted while it was RUNNING" in book.problems.pop()
    assert ([], ["r"]) == ([*book.ledger.logs], [*book.ledger.gone])
    book.seq = 0
    assert book.begin().body("repeatable", fence=1)
    book.end(status=_R.SUCCEEDED)
    assert [] == book.problems
    book.seq, book.run_id = 0, "s"
    book.commit(Kind.SUBMIT, _R.QUEUED, epoch=0, steps=(Step(1, "a"),), parent="r@2")
    book.ledger.deleted("r")
    assert "it was deleted, and run s, which went on from it, is not over" in book.problems[0]


def test_a_newer_version_may_finish_a_cancel():
    """3, D6"""
    book = Book().begin()
    book.commit(Kind.CANCEL, _R.CANCELLING)
    book.commit(Kind.MIGRATE, _R.CANCELLING, epoch=2)
    book.commit(Kind.END, _R.CANCELLED, epoch=2)

    assert [] == book.problems
