"""The reader of a simulation: each way in which a stream may be wrong is noticed."""

import pytest

from terzetto.testing._reader import Bytes, Reader
from terzetto_protocol.events import Cursor, Gap, NodeFinished, NodeStarted, RunEnded, RunQueued, RunStarted
from terzetto_protocol.ids import event_id
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus

from .test_ledger import Book

E1 = event_id(1, 20)
QUEUED = RunQueued(id=10, run_id="r", at=0.0)
STARTED = RunStarted(id=E1, run_id="r", at=0.0, epoch=1)


def finished(number: int) -> NodeFinished:
    return NodeFinished(id=number, run_id="r", at=0.0, node="a", visit=1, seq=3, mutations=0)


@pytest.fixture
def book() -> Book:
    """A run with the events 10 of epoch 0, and 20 and 30 of epoch 1; then the end, 40."""
    book = Book().begin()
    book.commit(Kind.NOTE)
    return book


def reading(book: Book, *items, shown: Bytes | None = None) -> Reader:
    reader = Reader("r", book.ledger, shown or Bytes(book.ledger))
    for item in (Cursor("fresh", 9), *items):
        reader.take(item)
    return reader


def test_everything_in_order_is_fine(book):
    book.commit(Kind.END, RunStatus.FAILED)
    end = RunEnded(id=event_id(1, 40), run_id="r", at=0.0, status=RunStatus.FAILED)
    reader = reading(book, Cursor("fresh", None), QUEUED, STARTED, finished(event_id(1, 30)), end)

    assert (book.problems, reader.ended, reader.last) == ([], True, end.id)
    reader.take(end)
    assert "after the end" in book.problems[0]


@pytest.mark.parametrize(
    "items, problem",
    [
        ([STARTED], r"came, and \[10\] before it did not"),
        ([QUEUED, QUEUED], "event 10 .* after event 10"),
        ([QUEUED, finished(event_id(1, 25))], "was shown before it was durable"),
        ([QUEUED, STARTED, finished(event_id(1, 30))], "nothing was said of a gap"),
        ([QUEUED, STARTED, Gap(E1, 5), finished(event_id(1, 30))], "nothing was said of a gap"),
        ([QUEUED, STARTED, NodeStarted(id=E1 + 2, run_id="r", at=0.0, node="a", visit=1, attempt=1)], "said of a gap"),
    ],
)
def test_what_is_wrong_is_told(book, items, problem):
    """8: no gap without a Gap; 3 D4."""
    with pytest.raises(AssertionError, match=problem):
        reading(book, *items)
        assert [] == book.problems, book.problems


def test_a_gap_that_is_told_is_none(book):
    reading(book, QUEUED, STARTED, Gap(E1, 9), finished(event_id(1, 30)))

    assert [] == book.problems


def test_the_same_id_is_the_same_bytes(book):
    """3, D4."""
    shown = Bytes(book.ledger)
    reading(book, QUEUED, shown=shown)
    reading(book, QUEUED, shown=shown)
    assert [] == book.problems
    reading(book, RunQueued(id=10, run_id="r", at=1.0), shown=shown)
    assert "event 10 was other bytes before" in book.problems[0]
