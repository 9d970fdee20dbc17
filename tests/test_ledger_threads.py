"""The second book's threads: whose turn it is and where each head is, each rule of which can say no."""

import msgspec
import pytest

from terzetto.testing._ledger import Ledger
from terzetto_protocol.ids import event_id
from terzetto_protocol.image import Image, Snapshot
from terzetto_protocol.records import Kind, Record, RunHeader, Step, Taken, Write
from terzetto_protocol.statuses import RunStatus

_R = RunStatus


class Talk:
    """A ledger, and a way to write runs of one thread into it."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.ledger = Ledger(self.problems.append)

    @property
    def threads(self):
        return self.ledger.threads

    def _write(self, run_id, record: Record, *, thread: str = "", header: RunHeader | None = None, snapshot=None):
        body = msgspec.msgpack.encode(record)
        self.ledger.applied(
            Write(
                run_id, 0, record.epoch, record.seq, 0.0, record.status, record.event_id, body,
                header=header, thread=thread, snapshot=snapshot, kind=record.kind,
            )
        )  # fmt: skip

    def submit(self, run_id: str, line: int = 0, base: str = "") -> None:
        record = Record(1, Kind.SUBMIT, 0, 0.0, _R.QUEUED, 1, steps=(Step(1, "a"),))
        header = RunHeader(run_id, "g", "1", "", "", 0.0, thread="t", line=line)
        image = Snapshot(Image(_R.QUEUED, base=base), b"")
        self._write(run_id, record, header=header, snapshot=msgspec.msgpack.encode(image))

    def claim(self, run_id: str, base: str | None = None) -> None:
        detail = None if base is None else Taken(base)
        self._write(run_id, Record(2, Kind.CLAIM, 1, 0.0, _R.RUNNING, event_id(1, 1), detail=detail))

    def end(self, run_id: str, status=_R.SUCCEEDED, thread: str | None = None) -> None:
        moves = "t" if status is _R.SUCCEEDED else ""
        record = Record(3, Kind.END, 1, 0.0, status, event_id(1, 2))
        self._write(run_id, record, thread=moves if thread is None else thread)

    def run(self, run_id: str, base: str = "") -> None:
        self.submit(run_id, base=base)
        self.claim(run_id)
        self.end(run_id)


@pytest.fixture
def talk():
    return Talk()


def test_an_ordinary_conversation_is_fine(talk):
    talk.run("a")
    talk.submit("b", base="a")
    talk.submit("c", line=1)
    assert (talk.threads.knows("t", "c"), talk.threads.knows("t", "d")) == (True, False)
    talk.claim("b")
    talk.end("b", _R.FAILED)
    talk.claim("c", base="a")
    talk.end("c")
    talk.threads.moved("t", "c", "a", talk.ledger.logs["c"])

    assert ([], {"t": "a"}) == (talk.problems, talk.threads.heads)


def test_a_head_moves_with_success_and_with_nothing_else(talk):
    """3, D7."""
    talk.submit("a")
    talk.claim("a")
    talk.end("a", _R.FAILED, thread="t")
    assert "moves the head of thread 't'" in talk.problems.pop()
    other = Talk()
    other.submit("a")
    other.claim("a")
    other.end("a", thread="")
    assert "moves the head of thread ''" in other.problems.pop()


def test_a_run_begins_where_the_head_is(talk):
    """1"""
    talk.run("a")
    talk.submit("b")
    assert "it begins with run '', and the head of its thread is 'a'" in talk.problems.pop()
    talk.claim("b")
    talk.submit("c", line=1)
    talk.end("b")
    assert "it began with '', and the head of its thread is 'a' at its end" in talk.problems.pop()
    talk.claim("c", base="a")
    assert "it begins with run 'a', and the head of its thread is 'b'" in talk.problems.pop()


def test_one_run_after_the_other(talk):
    """1, 10: a busy thread."""
    talk.submit("a")
    talk.submit("b", line=1)
    assert [] == talk.problems
    talk.claim("b", base="")
    assert "it begins, and run a before it has not ended" in talk.problems.pop()
    talk.submit("c")
    assert "it begins, and run a before it" in talk.problems.pop()


def test_who_waits_behind_one_that_rests(talk):
    talk.submit("a")
    talk.submit("b", line=1)
    logs = talk.ledger.logs
    assert not talk.threads.waits(logs["b"])
    logs["a"].status = "AWAITING_INPUT"
    assert (talk.threads.waits(logs["a"]), talk.threads.waits(logs["b"])) == (False, True)


def test_a_thread_goes_back_to_where_its_head_began(talk):
    """9.2"""
    talk.run("a")
    talk.run("b", base="a")
    talk.threads.moved("t", "a", "", talk.ledger.logs["a"])
    assert "thread 't' is put back, and it is not its head" in talk.problems[0]
    other = Talk()
    other.run("a")
    other.run("b", base="a")
    other.threads.moved("t", "b", "", other.ledger.logs["b"])
    assert "its thread is put back to '', and it began with 'a'" in other.problems[0]
    third = Talk()
    third.run("a")
    third.submit("c", line=1)
    third.submit("b", base="a")
    third.problems.clear()
    third.threads.moved("t", "a", "", third.ledger.logs["a"])
    assert "and ['b'] began with what it came to" in third.problems[0], "c waits, and has begun with nothing"
    assert {} == third.threads.heads


def test_a_head_is_never_deleted(talk):
    """3.3"""
    talk.run("a")
    talk.run("b", base="a")
    talk.ledger.deleted("a")
    assert [] == talk.problems
    talk.ledger.deleted("b")
    assert "it was deleted, and is the head of thread 't'" in talk.problems[0]
