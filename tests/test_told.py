"""What somebody was told, held against the log: true at that very moment, or a complaint."""

import pytest

from terzetto.testing._ledger import Ledger
from terzetto.testing._told import told
from terzetto_protocol.decisions import Approve
from terzetto_protocol.receipts import (
    AlreadyResolved,
    CancelReceipt,
    DecisionKept,
    DecisionTaken,
    Deleted,
    Denied,
    PauseReceipt,
    Submitted,
    Undone,
)
from terzetto_protocol.records import Kind, Resolution, Rewind
from terzetto_protocol.statuses import RunStatus

from .test_ledger import Book
from .test_ledger_threads import Talk

_R = RunStatus

RECEIPTS = [
    DecisionTaken("r", "a@1", durable=True),
    DecisionKept("r", "a@1", standing=False, durable=True),
    AlreadyResolved("r", "a@1", "approve", "ann"),
    CancelReceipt("r", "requested", _R.CANCELLING, durable=True),
    CancelReceipt("r", "stopped", _R.CANCELLED, durable=True),
    CancelReceipt("r", "already_terminal", _R.SUCCEEDED, durable=True),
    PauseReceipt("r", "requested", durable=True),
    PauseReceipt("r", "paused", durable=True),
    Undone("r", 1, durable=True),
    Deleted("r", 3, durable=True),
]


@pytest.mark.parametrize("receipt", RECEIPTS, ids=str)
def test_what_is_not_in_the_log_is_not_true(receipt):
    """3: a receipt is sent after what it promises is durable."""
    book = Book().begin()
    told(book.ledger, receipt)

    assert f"told before it was durable: {receipt}" in book.problems[0]


def test_what_is_in_the_log_is_true():
    book = Book().begin()
    book.commit(Kind.DECIDE, detail=Resolution("a@1", Approve(), "ann"))
    book.commit(Kind.KEEP)
    book.commit(Kind.PAUSE, parks=True)
    for receipt in (*RECEIPTS[:3], RECEIPTS[6]):
        told(book.ledger, receipt)
    book.commit(Kind.PAUSE, _R.PAUSED)
    book.commit(Kind.REWIND, _R.QUEUED, detail=Rewind(1, b""))
    told(book.ledger, RECEIPTS[7])
    told(book.ledger, RECEIPTS[8])
    book.commit(Kind.CLAIM, epoch=2)
    book.commit(Kind.CANCEL, _R.CANCELLING, epoch=2)
    told(book.ledger, RECEIPTS[3])
    book.commit(Kind.END, _R.CANCELLED, epoch=2)
    told(book.ledger, RECEIPTS[3])
    told(book.ledger, RECEIPTS[4])

    assert [] == book.problems


def test_a_run_that_is_not_there():
    problems: list[str] = []
    ledger = Ledger(problems.append)
    told(ledger, CancelReceipt("r", "unknown", None, durable=True))
    told(ledger, Denied("r", "no"))
    assert [] == problems
    told(ledger, Submitted("r", durable=True))
    assert "told of a run that is not there" in problems[0]


def test_a_run_that_was_deleted():
    """3.3: what was told of it stays true."""
    book = Book().begin()
    book.end(status=_R.SUCCEEDED)
    book.ledger.deleted("r")
    told(book.ledger, RECEIPTS[-1])
    told(book.ledger, CancelReceipt("r", "already_terminal", _R.SUCCEEDED, durable=True))

    assert [] == book.problems


def test_a_thread_that_was_put_back():
    """9.2"""
    talk = Talk()
    talk.run("a")
    receipt = CancelReceipt("a", "rolled_back", _R.SUCCEEDED, durable=True)
    told(talk.ledger, receipt)
    assert f"told before it was durable: {receipt}" in talk.problems.pop()
    talk.threads.moved("t", "a", "", talk.ledger.logs["a"])
    told(talk.ledger, receipt)
    assert [] == talk.problems
