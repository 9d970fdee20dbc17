"""Whether a SQLite store holds together: SQLite's own check, the checksums, and what only we know about our tables."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVarTuple

import apsw
import msgspec

from terzetto_protocol.blobs import Hasher
from terzetto_protocol.errors import describe
from terzetto_protocol.records import RunRow

from ._checksums import UNREADABLE, Damaged
from ._placement import misplaced
from ._schema import BLOBS_SINCE, PRUNES_SINCE, SUMS_SINCE, THREADS_SINCE
from ._segments import entries_of
from ._sqlite_file import pragma
from ._sqlite_reads import Reader

Ts = TypeVarTuple("Ts")

MOST: Final = 100
"""Problems that are reported; a file that has more needs no longer list."""
_STEPS: Final = 100_000
"""Steps of SQLite's machine between two looks at whether the check is cancelled; some milliseconds."""

_QUESTIONS: Final = (
    (
        "select r.id from runs r where not exists (select * from commits c where c.run = r.n)",
        "run {0!r} has no commit",
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
        select r.id, c.first from runs r join commits c on c.run = r.n
        and c.last = (select min(last) from commits where run = r.n)
        where c.first <> 1 and not exists (select * from snapshots s where s.run = r.n and s.seq = c.first)
        """,
        "run {0!r}: its log begins with commit {1}, which has no snapshot to begin with",
    ),
    (
        "select distinct s.run from snapshots s where not exists (select * from runs r where r.n = s.run)",
        "snapshots belong to run number {0}, which is not there",
    ),
    (
        "select distinct c.run from commits c where not exists (select * from runs r where r.n = c.run)",
        "commits belong to run number {0}, which is not there",
    ),
    (
        """
        select r.id, s.seq from snapshots s join runs r on r.n = s.run
        where s.seq > (select max(c.last) from commits c where c.run = r.n)
        """,
        "run {0!r}: its snapshot is of commit {1}, which is not there",
    ),
    (
        "select b.barrier, b.run from barriers b where not exists (select * from runs r where r.n = b.run)",
        "barrier {0!r} belongs to run number {1}, which is not there",
    ),
)
"""Each finds what must not be, and says it."""
_HEADS: Final = (
    "select t.id, t.run from threads t where not exists (select * from runs r where r.n = t.run)",
    "thread {0!r} has run number {1} as its head, which is not there",
)
_KEPT: Final = (
    (
        """
        select k.run, k.blob from blob_runs k
        where not exists (select * from runs where n = k.run) or not exists (select * from blobs where n = k.blob)
        """,
        "run number {0} keeps blob number {1}, and one of them is not there",
    ),
    (
        "select name, kept from blobs b where kept <> (select count(*) from blob_runs where blob = b.n)",
        "{0} is not kept by {1} runs, as its row says",
    ),
)
_ALONE: Final = (
    (
        """
        select a.run, a.seq from alone a where not exists (select * from runs r where r.n = a.run)
        or not exists (select * from snapshots s where s.run = a.run and s.seq = a.seq)
        or a.seq >= (select min(first) from commits c where c.run = a.run)
        """,
        "commit {1} of run number {0} stands alone, and has no snapshot, no run, or the log around it",
    ),
    (
        """
        select s.run, s.seq from snapshots s join (select run, min(first) as first from commits group by run) c
        on c.run = s.run where s.seq < c.first
        and not exists (select * from alone a where a.run = s.run and a.seq = s.seq)
        """,
        "the snapshot of commit {1} of run number {0} is there without its commit",
    ),
)
_BLOBS: Final = "select n, name from blobs where whole"
_CHUNKS: Final = "select body from blob_chunks where blob = ? order by number"
_SEGMENTS: Final = """
    select r.id, c.first, c.last, c.body from commits c join runs r on r.n = c.run where c.first < c.last
"""
_FOUND_BY: Final = """
    select c.epoch, r.at, cast(ifnull(r.key, '') as blob), cast(ifnull(r.thread, '') as blob), r.epoch
    from runs r join commits c on c.run = r.n and c.last = (select max(last) from commits where run = r.n)
    where r.id = ?
"""
_COMMANDS: Final = "select command from inbox"
_THREADS: Final = "select id from threads"


def check_file(connection: apsw.Connection, look: Callable[[], object]) -> list[str]:
    """Everything that is wrong, in sentences; `look` is called now and then, and may raise to stop the check."""

    def progress() -> bool:
        look()
        return False

    connection.set_progress_handler(progress, _STEPS)
    problems = list[str]()
    try:
        for problem in _problems(connection):
            problems.append(problem)
            if len(problems) == MOST:
                break
    except (apsw.Error, *UNREADABLE) as error:
        problems.append(f"the check ended early: {describe(error)}")
    return problems


def _problems(connection: apsw.Connection) -> Iterator[str]:
    for (said,) in connection.execute(f"pragma integrity_check({MOST})"):
        if said != "ok":
            yield f"SQLite: {said}"
    version = int(pragma(connection, "user_version"))
    if version >= SUMS_SINCE:
        yield from _damage(connection)
    questions = list(_QUESTIONS)
    if version >= THREADS_SINCE:
        questions.append(_HEADS)
    if version >= BLOBS_SINCE:
        questions.extend(_KEPT)
    if version >= PRUNES_SINCE:
        questions.extend(_ALONE)
    for question, problem in questions:
        for row in connection.execute(question):
            yield problem.format(*row)
    if version >= BLOBS_SINCE:
        yield from _blob_problems(connection)
    for run_id, first, last, body in connection.execute(_SEGMENTS):
        if _length(body) != last - first + 1:
            yield f"run {run_id!r}: the segment of commits {first} to {last} cannot be read"


def _damage(connection: apsw.Connection) -> Iterator[str]:
    """Rows that are not what was stored."""
    reader = Reader(connection)
    for row in reader.runs(None, None, None, None):
        if row.damaged:
            yield f"run {row.run_id!r}: {row.damaged}"
        else:
            yield from _misplaced(connection, row)
        yield from _found(reader.barriers, row.run_id, False)
        for segment, body in reader.segments(row.run_id):
            yield from _found(entries_of, row.run_id, segment, body)
        for seq in reader.checkpoints(row.run_id):
            yield from _found(reader.snapshot, row.run_id, seq)
    for (thread,) in connection.execute(_THREADS):
        yield from _found(reader.head, thread)
    for (command,) in connection.execute(_COMMANDS):
        yield from _found(reader.receipt, command)


def _misplaced(connection: apsw.Connection, row: RunRow) -> Iterator[str]:
    found: Any
    for found in connection.execute(_FOUND_BY, (row.run_id,)):  # none where it was deleted meanwhile
        wrote, at, key, thread, epoch = found
        names = {"key": key.decode(errors="replace"), "thread": thread.decode(errors="replace")}
        if why := misplaced(row.header, wrote, {"at": at, **names, "epoch": epoch}):
            yield str(Damaged(row.run_id, "its row", why))


def _found(read: Callable[[*Ts], object], *args: *Ts) -> Iterator[str]:
    try:
        read(*args)
    except Damaged as error:
        yield str(error)


def _blob_problems(connection: apsw.Connection) -> Iterator[str]:
    for number, name in connection.execute(_BLOBS):
        hasher = Hasher()
        for (body,) in connection.execute(_CHUNKS, (number,)):
            hasher.add(body)
        if hasher.digest != name:
            yield f"{name}: its {hasher.size} bytes have another digest"


def _length(body: bytes) -> int:
    try:
        return len(msgspec.msgpack.decode(body, type=list[tuple[int, bytes]]))
    except msgspec.DecodeError:
        return -1
