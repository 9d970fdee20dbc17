"""Threads: conversations that several runs continue, one after the other.

A thread has a *head*, the run that SUCCEEDED last, and a *line* of runs that are under way: the first of
them is carried, the others wait for its end, whatever that is. The next run begins where the head ended.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias, get_args

from .admission import RETRY_AFTER
from .errors import InvalidRequest, QueueFull, Refused, ThreadBusy
from .ids import check_choice, check_run_id
from .limits import THREAD_QUEUE
from .records import COMPLETIONS, OnCompletion, Overtaken, RunHeader, RunRow, Write
from .statuses import TERMINAL, RunStatus

Busy: TypeAlias = Literal["reject", "enqueue", "interrupt", "rollback"]
"""What becomes of a submit while runs are under way on its thread."""
BUSY: Final[tuple[Busy, ...]] = get_args(Busy)

UNDER_WAY: Final = tuple(status for status in RunStatus if status not in TERMINAL)
"""Statuses of runs that keep their thread busy."""


def check_joins(thread: str | None, busy: Busy, on_completion: OnCompletion) -> str:
    """What a run goes on from where it is on a thread, empty for one on none; raises `InvalidRequest`."""
    check_choice(busy, BUSY, "busy")
    if thread is None and busy != "reject":
        raise InvalidRequest(f"busy={busy!r} says what happens while a thread is busy, and none is given: thread=")
    if check_choice(on_completion, COMPLETIONS, "on_completion") == "delete" and thread is not None:
        raise InvalidRequest('on_completion="delete": the next run on a thread begins with what this one came to')
    return "" if thread is None else f"thread:{check_run_id(thread, 'thread id')}"


def in_line(rows: Iterable[RunRow]) -> list[RunRow]:
    """The runs that are under way among those of one thread, in order of submission."""
    return sorted((row for row in rows if row.status not in TERMINAL), key=lambda row: row.header.line)


def place_in(line: Sequence[RunRow], thread: str, busy: Busy) -> int:
    """The place of a new run behind these; 0 for one that need not wait.

    Raises:
        QueueFull: too many wait on this thread already.
        ThreadBusy: one is under way, and the new one is not to wait for it.
    """
    if not line:
        return 0
    if busy == "reject":
        raise ThreadBusy(thread, line[0].run_id, line[0].status)
    if busy == "enqueue" and len(line) > THREAD_QUEUE:
        raise QueueFull(len(line) - 1, RETRY_AFTER, thread)
    return line[-1].header.line + 1


def overtaken(write: Write, thread: str, head: str, line: Iterable[RunRow]) -> Overtaken | None:
    """How a run's thread has gone on while it looked for its place there, or for where it begins; None: it has not.

    Args:
        write: its first one, or the one with which it begins.
        thread: its own.
        head: the thread's, by now; empty for none.
        line: the others on the thread.
    """
    mine = write.header
    if mine is not None and (ahead := next((row for row in in_line(line) if row.header.line >= mine.line), None)):
        return Overtaken(ahead.run_id)
    return Overtaken(head) if thread and write.base not in (None, head) else None


def builds_on(line: Iterable[RunRow]) -> RunRow | None:
    """A run that is under way on a thread and has begun from its head, which may not be taken back then."""
    begun = (row for row in in_line(line) if row.status is not RunStatus.QUEUED or not row.header.line)
    return next(begun, None)


def check_same_state(mine: RunHeader, theirs: RunHeader) -> None:
    """Raise `Refused`, naming both graphs, when a run cannot begin with the state of another on its thread."""
    if mine.state_schema != theirs.state_schema:
        raise Refused(
            mine.run_id,
            f"graph {mine.graph!r} {mine.version!r} has another type of state than graph {theirs.graph!r} "
            f"{theirs.version!r}, with whose run {theirs.run_id!r} thread {mine.thread!r} goes on: give it a state",
        )


def check_last(row: RunRow, head: str, line: Sequence[RunRow]) -> None:
    """Raise `Refused`, naming who is in the way, unless nothing on the thread builds on this run."""
    thread = row.header.thread
    if head != row.run_id:
        last = f"run {head!r} is the head of thread {thread!r} now" if head else f"thread {thread!r} has no head now"
        raise Refused(row.run_id, f"{last}: only its head can be rolled back")
    if line:
        text = f"run {line[0].run_id!r} is under way on thread {thread!r} and builds on it: cancel that one first"
        raise Refused(row.run_id, text)
