"""The read path of a Postgres store: what is there of a run and of a thread.

What is damaged is an error where it is asked for, and where many rows are asked for it keeps nobody from the others.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from terzetto_protocol.records import BarrierRow
from terzetto_protocol.statuses import BarrierStatus

from ._checksums import UNREADABLE, Damaged, fits
from ._columns import read_barrier
from ._contract import StoredRun
from ._postgres_runs import OWNED, limited, owned, rows_of
from ._postgres_schema import Connected
from ._pressing import unpress
from ._segments import Segment, entries_of

_N: Final = "(select n from runs where id = %(run)s)"
_SEGMENTS: Final = f"""
    select seq, seq, event, null, null, crc, body from alone where run = {_N} and seq > %(after)s
    union all select * from (
        select first, last, event, epoch, at, crc, body from commits where run = {_N} and last > %(after)s
        order by last limit %(limit)s
    ) c
    order by 2 limit %(limit)s
"""  # noqa: S608 - our own words only, here and below
_SINCE_SNAPSHOT: Final = f"""
    select first, last, event, epoch, at, crc, body from commits
    where run = {_N} and last > coalesce((select max(seq) from snapshots where run = {_N}), 0) order by last
"""  # noqa: S608
_SEQ_AT: Final = f"""
    select last from commits where run = {_N} and event <= %(event)s order by last desc limit 1
"""  # noqa: S608
_COMMIT: Final = f"""
    select first, last, event, epoch, at, crc, body from commits
    where run = {_N} and last >= %(seq)s order by last limit 1
"""  # noqa: S608
_SNAPSHOT: Final = f"""
    select seq, crc, body from snapshots where run = {_N} and seq <= coalesce(%(at)s, 9223372036854775807)
    order by seq desc limit 1
"""  # noqa: S608
_CHECKPOINTS: Final = f"select seq from snapshots where run = {_N} order by seq"  # noqa: S608
_EACH: Final = "select r.id, b.barrier, b.open, b.crc, b.row from barriers b left join runs r on r.n = b.run"
_BARRIERS: Final[dict[bool, str]] = {
    False: f"{_EACH} order by b.n",
    True: f"{_EACH} where b.open order by b.n",
}
_BARRIERS_OF: Final = f"""
    select %(run)s::text, barrier, open, crc, row from barriers where run = {_N} order by n
"""  # noqa: S608
_ONE_MOMENT: Final = "begin isolation level repeatable read, read only"


def load(connection: Connected, run_id: str, me: str) -> StoredRun | None:
    """See `Store.load`; all of it is of one moment, and one way there and back."""
    values = {"run": run_id, "at": None, "after": None, "limit": None}
    with connection.pipeline():
        connection.execute(_ONE_MOMENT)
        found = [
            connection.execute(query.encode(), values, prepare=True, binary=True)
            for query in (OWNED, _SNAPSHOT, _SINCE_SNAPSHOT, _BARRIERS_OF)
        ]
        connection.execute("commit")
    row, newest, since, waiting = (cursor.fetchall() for cursor in found)
    if not row:
        return None
    carried, owner = owned(row[0], me)
    snapshot = _snapshot(run_id, newest)
    bodies = _after(run_id, _segments(since), 0 if snapshot is None else snapshot[0])
    return StoredRun(carried, snapshot, bodies, [read_barrier(*columns) for columns in waiting], owner)


def commit(connection: Connected, run_id: str, seq: int) -> tuple[int, bytes] | None:
    """Epoch and body of one commit, or None."""
    for *columns, body in rows_of(connection, _COMMIT, {"run": run_id, "seq": seq}):
        segment = Segment._make([*columns, len(body)])
        entries = entries_of(run_id, segment, body)
        return None if seq < segment.first else (segment.epoch or 0, entries[seq - segment.first][1])
    return None


def snapshot(connection: Connected, run_id: str, at: int | None = None) -> tuple[int, bytes] | None:
    """See `Store.snapshot`."""
    return _snapshot(run_id, rows_of(connection, _SNAPSHOT, {"run": run_id, "at": at}))


def _snapshot(run_id: str, rows: Iterable[tuple[Any, ...]]) -> tuple[int, bytes] | None:
    for seq, crc, body in rows:
        if not fits(crc, body, run_id, seq):
            raise Damaged(run_id, f"the snapshot of commit {seq}")
        try:
            return seq, unpress(body)
        except zlib.error as error:
            raise Damaged(run_id, f"the snapshot of commit {seq}", str(error)) from error
    return None


def checkpoints(connection: Connected, run_id: str) -> list[int]:
    """See `Store.checkpoints`."""
    return [seq for (seq,) in rows_of(connection, _CHECKPOINTS, {"run": run_id})]


def records(connection: Connected, run_id: str, after: int = 0, limit: int | None = None) -> list[bytes]:
    """See `Store.records`."""
    return _bodies(connection, run_id, after, -1, limit)


def records_by_event(connection: Connected, run_id: str, after_event: int, limit: int | None) -> list[bytes]:
    """See `Store.records_by_event`."""
    # Looks back from the newest, so this costs as much as what it skips to: the answer itself.
    after = 0
    for (last,) in rows_of(connection, _SEQ_AT, {"run": run_id, "event": after_event}):
        after = last
    return _bodies(connection, run_id, after, after_event, limit)


def _bodies(connection: Connected, run_id: str, after: int, after_event: int, limit: int | None) -> list[bytes]:
    return _after(run_id, segments(connection, run_id, after, limit), after, after_event, limit)


def _after(
    run_id: str, rows: Iterable[tuple[Segment, bytes]], after: int, after_event: int = -1, limit: int | None = None
) -> list[bytes]:
    found = list[bytes]()
    for segment, body in rows:
        skip = max(0, after + 1 - segment.first)  # the first segment of an answer may begin before it
        found += [one for of, one in entries_of(run_id, segment, body)[skip:] if of > after_event]
        if limit is not None and len(found) >= limit:
            break
    return found[: limited(limit)]


def segments(
    connection: Connected, run_id: str, after: int = 0, limit: int | None = None
) -> Iterator[tuple[Segment, bytes]]:
    """The rows in which a run's commits after one are, unchecked; at most so many."""
    return _segments(rows_of(connection, _SEGMENTS, {"run": run_id, "after": after, "limit": limited(limit)}))


def _segments(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Segment, bytes]]:
    for *columns, body in rows:
        yield Segment._make([*columns, len(body)]), body


def barriers(connection: Connected, run_id: str | None, *, only_open: bool) -> list[BarrierRow]:
    """See `Store.barriers`."""
    if run_id is None:
        return [row for found in rows_of(connection, _BARRIERS[only_open], {}) for row in _listed(*found)]
    found = [read_barrier(*columns) for columns in rows_of(connection, _BARRIERS_OF, {"run": run_id})]
    return [row for row in found if row.status is BarrierStatus.OPEN] if only_open else found


def _listed(run_id: str, barrier: str, is_open: int, crc: int, row: bytes) -> Iterator[BarrierRow]:
    with suppress(Damaged, *UNREADABLE):  # whoever asks for those of its run hears of it
        yield read_barrier(run_id, barrier, is_open, crc, row)
