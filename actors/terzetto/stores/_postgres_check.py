"""Whether a Postgres store holds together: the checksums, and what only we know about our tables."""

from collections.abc import Callable, Iterator
from typing import Final, LiteralString, TypeVarTuple

from terzetto_protocol.blobs import Hasher
from terzetto_protocol.records import RunRow

from . import _postgres_inbox as inbox, _postgres_reads as reads, _postgres_threads as threads
from ._checksums import UNREADABLE, Damaged
from ._placement import misplaced
from ._postgres_runs import read_runs
from ._postgres_schema import Connected
from ._segments import Segment, entries_of

Ts = TypeVarTuple("Ts")

MOST: Final = 100
"""Problems that are reported; a store that has more needs no longer list."""
_STEP: Final = 50
"""Rows between two looks at whether the check is cancelled."""

_QUESTIONS: Final[tuple[tuple[LiteralString, str], ...]] = (
    (
        "select id, seq from runs r where not exists (select from commits where run = r.n and last = r.seq)",
        "run {0!r}: its last commit, {1}, is not there",
    ),
    (
        "select r.id, r.seq, c.last from runs r join commits c on c.run = r.n where c.last > r.seq",
        "run {0!r}: its row says that commit {1} is its last one, and commit {2} is there",
    ),
    (
        """
        select r.id, c.first, c.before from runs r join (
            select run, first, lag(last) over (partition by run order by last) as before from commits
        ) c on c.run = r.n where c.first <> c.before + 1
        """,
        "run {0!r}: commit {1} follows {2}",
    ),
    (
        """
        select r.id, r.first, c.first from runs r join (select run, min(first) as first from commits group by run) c
        on c.run = r.n where r.first <> c.first
        """,
        "run {0!r}: its log should begin with commit {1}, and does with commit {2}",
    ),
    (
        """
        select id, first from runs r
        where first <> 1 and not exists (select from snapshots where run = r.n and seq = r.first)
        """,
        "run {0!r}: its log begins with commit {1}, which has no snapshot to begin with",
    ),
    (
        """
        select r.id, s.seq from snapshots s join runs r on r.n = s.run where s.seq > r.seq
        or s.seq < r.first and not exists (select from alone where run = s.run and seq = s.seq)
        """,
        "run {0!r}: its snapshot is of commit {1}, which is not there",
    ),
    (
        """
        select r.id, a.seq from alone a join runs r on r.n = a.run where a.seq >= r.first
        or not exists (select from snapshots where run = a.run and seq = a.seq)
        """,
        "run {0!r}: commit {1} stands alone, and has no snapshot, or the log around it",
    ),
    (
        """
        select 'commits', run from commits union select 'snapshots', run from snapshots
        union select 'alone', run from alone union select 'barriers', run from barriers
        union select 'threads', run from threads union select 'blob_runs', run from blob_runs
        except select t.name, r.n from runs r,
            unnest(array['commits', 'snapshots', 'alone', 'barriers', 'threads', 'blob_runs']) as t (name)
        """,
        "{0} belong to run number {1}, which is not there",
    ),
    (
        "select name, kept from blobs b where kept <> (select count(*) from blob_runs where blob = b.n)",
        "{0} is not kept by {1} runs, as its row says",
    ),
    (
        "select run, blob from blob_runs k where not exists (select from blobs where n = k.blob)",
        "run number {0} keeps blob number {1}, which is not there",
    ),
)
"""Each finds what must not be, and says it."""


def check_tables(connection: Connected, look: Callable[[], object]) -> list[str]:
    """Everything that is wrong, in sentences; `look` is called now and then, and may raise to stop the check."""
    problems = list[str]()
    with connection.transaction():
        connection.execute(_ONCE)
        for number, problem in enumerate(_problems(connection)):
            if number % _STEP == 0:
                look()
            if problem:
                problems.append(problem)
            if len(problems) == MOST:
                break
    return problems


_FOUND_BY: Final = """
    select coalesce(c.epoch, r.epoch), r.at, r.key, r.thread, r.line, r.epoch
    from runs r left join commits c on c.run = r.n and c.last = r.seq where r.id = %s
"""
_ONCE: Final = """
    set transaction isolation level repeatable read, read only;
    set local enable_seqscan = on; set local enable_hashjoin = on; set local enable_mergejoin = on;
    set local statement_timeout = 0
"""


def _problems(connection: Connected) -> Iterator[str]:
    """What is wrong, and now and then an empty text."""
    yield from _damage(connection)
    for question, problem in _QUESTIONS:
        yield ""
        for row in connection.execute(question).fetchall():
            yield problem.format(*row)
    yield from _blob_problems(connection)


def _damage(connection: Connected) -> Iterator[str]:
    """Rows that are not what was stored."""
    for row in read_runs(connection, None, None, None, None):
        yield f"run {row.run_id!r}: {row.damaged}" if row.damaged else _misplaced(connection, row)
        yield from _found(_read_barriers, connection, row.run_id)
        for segment, body in reads.segments(connection, row.run_id):
            yield from _found(_entries, row.run_id, segment, body)
        for seq in reads.checkpoints(connection, row.run_id):
            yield from _found(reads.snapshot, connection, row.run_id, seq)
    for (thread,) in connection.execute("select id from threads").fetchall():
        yield from _found(threads.head, connection, thread)
    for (command,) in connection.execute("select command from inbox").fetchall():
        yield from _found(inbox.receipt, connection, command)


def _misplaced(connection: Connected, row: RunRow) -> str:
    [(wrote, at, key, thread, line, epoch)] = connection.execute(_FOUND_BY, (row.run_id,)).fetchall()
    found = {"at": at, "key": key, "thread": thread, "line": line, "epoch": epoch}
    why = misplaced(row.header, wrote, found)
    return str(Damaged(row.run_id, "its row", why)) if why else ""


def _read_barriers(connection: Connected, run_id: str) -> None:
    reads.barriers(connection, run_id, only_open=False)


def _entries(run_id: str, segment: Segment, body: bytes) -> None:
    found = len(entries_of(run_id, segment, body))
    if found != segment.last - segment.first + 1:
        raise Damaged(run_id, f"commits {segment.first} to {segment.last}", f"there are {found} of them")


def _found(read: Callable[[*Ts], object], *args: *Ts) -> Iterator[str]:
    try:
        read(*args)
    except (Damaged, *UNREADABLE) as error:
        yield str(error)
    else:
        yield ""


def _blob_problems(connection: Connected) -> Iterator[str]:
    chunks = "select body from blob_chunks where blob = %s order by number"
    for number, name in connection.execute("select n, name from blobs where whole").fetchall():
        hasher = Hasher()
        for (body,) in connection.execute(chunks, (number,), binary=True):
            hasher.add(body)
        yield "" if hasher.digest == name else f"{name}: its {hasher.size} bytes have another digest"
