"""Laws about threads: whose head is moved by what, and which runs are on one."""

from terzetto_protocol.errors import StoreRejected
from terzetto_protocol.records import Applied, Head, RunRow, Write
from terzetto_protocol.statuses import RunStatus

from ..stores import Store
from ._store_laws import LawBook, Opener, applied, claim, expect, first, follow, header

BOOK = LawBook()


def _begun(run_id: str, thread: str = "t", at: float = 100.0) -> list[Write]:
    place = ord(run_id)  # of several that are under way, each joined the line behind those before it
    return [first(run_id, header=header(run_id, thread=thread, at=at, line=place)), claim(run_id)]


def _end(run_id: str, seq: int = 3, thread: str = "t", at: float = 200.0) -> Write:
    return follow(run_id, seq, moved=True, status=RunStatus.SUCCEEDED, thread=thread, at=at)


def _ids(rows: list[RunRow]) -> list[str]:
    return [row.run_id for row in rows]


@BOOK.law
async def a_thread_begins_without_a_head(store: Store) -> None:
    """Asking creates nothing; runs that begin or go on move nothing."""
    expect(await store.head("t"), None, "an unknown thread")
    await applied(store, *_begun("a"), follow("a", 3), follow("a", 4, moved=True, status=RunStatus.AWAITING_INPUT))
    expect(await store.head("t"), None, "the head of a thread on which nothing has ended")
    expect(await store.runs(thread="x"), [], "no run is on an unknown thread")


@BOOK.law
async def an_end_moves_the_head_with_it(store: Store) -> None:
    """The write that says so moves its thread and no other; the last one in order counts."""
    await applied(store, *_begun("a"), _end("a", at=5.0), *_begun("x", "other"))
    expect(await store.head("t"), Head("t", "a", 5.0), "the head after a run has ended")
    expect(await store.head("other"), None, "another thread")
    await applied(store, *_begun("b"), *_begun("c"), _end("b"), _end("c", at=7.0), _end("x", thread="other"))
    expect(await store.head("t"), Head("t", "c", 7.0), "the head after two more, in one group")
    expect((await store.head("other") or Head("", "", 0)).run_id, "x", "the other thread")


@BOOK.law
async def a_refused_end_moves_nothing(store: Store) -> None:
    """A head moves with the whole of its write, or not at all."""
    await applied(store, *_begun("a"), *_begun("b"), _end("a", at=5.0))
    stale, hole = _end("b", 3), _end("b", 9)
    outcomes = await store.commit([claim("b", 3, epoch=2), stale, hole, _end("x")])
    expect([type(one) is Applied for one in outcomes], [True, False, False, False], "only the claim is applied")
    expect(await store.head("t"), Head("t", "a", 5.0), "the head")


@BOOK.law
async def an_end_that_is_written_again_moves_nothing(store: Store) -> None:
    """A try whose answer was lost may come again when the thread has gone on, or was taken back."""
    writes = [*_begun("a"), _end("a")]
    await applied(store, *writes, *_begun("b"), _end("b", at=7.0))
    await applied(store, *writes)
    expect(await store.head("t"), Head("t", "b", 7.0), "the head stays where it went on to")
    expect(await store.move_head("t", "b", "", 8.0), True, "it is taken back")
    await applied(store, _end("b", at=7.0))
    expect(await store.head("t"), None, "the head stays where it was taken back to")


@BOOK.law
async def a_head_is_taken_back_by_compare_and_set(store: Store) -> None:
    """From the run that it is at to another, or to none; from elsewhere nothing happens."""
    await applied(store, *_begun("a"), _end("a"), *_begun("b"), _end("b", at=6.0))
    for thread, wrong in (("t", "a"), ("t", "x"), ("t", ""), ("x", "b"), ("x", "")):
        expect(await store.move_head(thread, wrong, "a", 9.0), False, f"thread {thread!r} is not at {wrong!r}")
    expect(await store.head("t"), Head("t", "b", 6.0), "nothing has moved")
    expect(await store.move_head("t", "b", "a", 9.0), True, "back to the run before")
    expect(await store.head("t"), Head("t", "a", 9.0), "the run before")
    expect(await store.move_head("t", "b", "a", 10.0), False, "the same again")
    expect(await store.move_head("t", "a", "", 11.0), True, "back to the beginning")
    expect(await store.head("t"), None, "the beginning")
    expect(await store.move_head("t", "a", "", 12.0), False, "nothing is left to take back")


@BOOK.law
async def a_head_is_a_run_that_is_there(store: Store) -> None:
    """A run that nobody knows cannot be made the head."""
    await applied(store, *_begun("a"), _end("a", at=5.0))
    try:
        await store.move_head("t", "a", "x", 9.0)
    except StoreRejected:
        expect(await store.head("t"), Head("t", "a", 5.0), "the head stays")
    else:
        raise AssertionError("there is no run 'x': StoreRejected")


@BOOK.law
async def runs_are_found_by_thread(store: Store) -> None:
    """With every other condition together; on the empty thread is nobody."""
    group = [_begun("a", "t", 1.0), _begun("b", "u", 2.0), _begun("c", "t", 3.0), _begun("e", "t", 4.0)]
    await applied(store, *(write for writes in group for write in writes), _end("c"), first("d"))
    expect(_ids(await store.runs(thread="t")), ["e", "c", "a"], "newest first")
    expect(_ids(await store.runs(thread="t", statuses=[RunStatus.RUNNING])), ["e", "a"], "of a status")
    expect(_ids(await store.runs(thread="t", before="e")), ["c", "a"], "before one of them")
    expect(_ids(await store.runs(thread="t", before="b")), ["a"], "before one of another thread")
    expect(_ids(await store.runs(thread="t", before="e", statuses=[RunStatus.RUNNING])), ["a"], "all at once")
    expect(_ids(await store.runs(thread="t", limit=2)), ["e", "c"], "limited")
    expect(await store.runs(thread=""), [], "no run is on the empty thread")


@BOOK.opener_law
async def heads_survive_closing(opener: Opener) -> None:
    """Where a thread is was part of what was acknowledged."""
    async with opener() as store:
        await applied(store, *_begun("a"), _end("a", at=5.0), *_begun("b"), _end("b"), *_begun("x", "u"))
        await applied(store, _end("x", thread="u"))
        await store.move_head("t", "b", "a", 9.0)
        await store.reopen()
        expect(await store.head("t"), Head("t", "a", 9.0), "the head on a new handle")
        durable = store.durable
    if not durable:
        return
    async with opener() as store:
        expect(await store.head("t"), Head("t", "a", 9.0), "the head that was taken back")
        expect((await store.head("u") or Head("", "", 0)).run_id, "x", "the head that an end has moved")
        expect(_ids(await store.runs(thread="t")), ["b", "a"], "the runs on the thread")
