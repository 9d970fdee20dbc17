"""`terzetto.testing._scribe`: what happens to the disk is in the trace and in the second book at that moment."""

from types import SimpleNamespace

from terzetto.testing._ledger import Ledger
from terzetto.testing._reader import Bytes
from terzetto.testing._scribe import Scribe
from terzetto.testing._simulated_store import SimulatedDisk
from terzetto.testing._store_laws import claim, first, follow, header
from terzetto.testing._trace import Trace
from terzetto_protocol.events import RunQueued
from terzetto_protocol.statuses import RunStatus

from .test_ledger import Book


def lines(trace: Trace) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in trace.lines]


async def test_a_write_is_noted_once():
    """A write that comes again, for its answer was lost, is nothing new."""
    writes, problems, stirred = [], [], []
    book = Book()
    book.ledger = SimpleNamespace(applied=writes.append)
    book.begin()
    disk, trace, ledger = SimulatedDisk(), Trace(lambda: 0.0), Ledger(problems.append)
    disk.witness = Scribe(trace, ledger, Bytes(ledger), lambda: stirred.append("stirred"))
    await disk.commit(writes)
    await disk.commit(writes)

    assert ["disk     r#1.0 submit -> QUEUED", "disk     r#2.1 claim -> RUNNING"] == lines(trace)
    assert (["r"], ["stirred"] * 2, []) == ([*ledger.logs], stirred, problems)


async def test_what_else_happens_to_a_disk():
    disk, book = SimulatedDisk(), Book().begin()
    trace, shown = Trace(lambda: 0.0), Bytes(book.ledger)
    scribe = disk.witness = Scribe(trace, book.ledger, shown, lambda: None)
    scribe.applied = lambda write: None
    end = follow(seq=3, moved=True, status=RunStatus.SUCCEEDED, snapshot=b"3", thread="t")
    await disk.commit([first(header=header(thread="t")), claim(), end])
    book.end(status=RunStatus.SUCCEEDED)
    book.ledger.threads.heads["t"] = "r"
    book.ledger.logs["r"].base = ""
    await disk.put_chunk("u", 0, b"data")
    await disk.keep_blob("blob:12345678901", upload="u", run_id="r", at=0.0)
    assert {"r": {"blob:12345678901"}} == book.ledger.blobs.kept
    await disk.move_head("t", "r", "", 0.0)
    await disk.move_head("t", "r", "", 0.0)
    assert {} == book.ledger.threads.heads
    await disk.prune("r", 3, epoch=1)
    assert 3 == book.ledger.logs["r"].first
    shown.showed(RunQueued(id=1, run_id="r", at=0.0))
    await disk.delete("r", epoch=1)
    assert ({}, ["r"]) == (book.ledger.logs, [*book.ledger.gone])
    shown.showed(RunQueued(reason="another run", id=1, run_id="r", at=0.0))
    await disk.sweep_blobs(before=1.0, live=())

    assert [
        "disk     r keeps blob:12345678",
        "disk     thread t goes back from r to nothing",
        "disk     r is pruned in front of #3",
        "disk     r is deleted",
        "disk     blob:12345678 is swept",
    ] == lines(trace)
    assert ["run r: it was pruned in front of commit 3, which is no checkpoint"] == book.problems
