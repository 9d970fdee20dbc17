"""The read path of a SQLite store: what is there of a run, of a thread, and of the inbox.

What is damaged is an error where it is asked for, and where many rows are asked for it keeps nobody from the others.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from terzetto_protocol.errors import UnknownRun
from terzetto_protocol.records import BarrierRow, Head, Posted, RunRow
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from ._checksums import UNREADABLE, Damaged, columns_fit, fits
from ._columns import read_barrier
from ._pressing import unpress
from ._schema import Value
from ._segments import Segment, entries_of
from ._sqlite_join import Join, limited
from ._sqlite_runs import read_run, read_run_by_key, read_runs

PAGE: Final = 512
"""Segments that are joined into one row at most: with the largest messages they stay below SQLite's 1 GB."""


class _Barrier(NamedTuple):
    id: str
    barrier: str
    open: int
    crc: int | None
    length: int


class _Command(NamedTuple):
    command: str
    run: str
    at: float
    crc: int | None
    length: int


_seqs = msgspec.json.Decoder(list[int]).decode

_N: Final = "(select n from runs where id = ?1)"
_ALONE: Final = f"""
    select seq as first, seq as last, event, null as epoch, null as at, crc, body from alone
    where run = {_N} and seq > ?2 union all
"""  # noqa: S608


def _segments(alone: str) -> Join[Segment]:
    query = f"""
        {alone} select first, last, event, epoch, at, crc, body from commits
        where run = {_N} and last > ?2 order by last
    """  # noqa: S608
    return Join(Segment, "body", query)


_SEGMENTS: Final = {False: _segments(""), True: _segments(_ALONE)}
"""By whether commits may stand alone, in front of a log that was pruned."""
_SEQ_AT: Final = f"select last from commits where run = {_N} and event <= ?2 order by last desc limit 1"  # noqa: S608
_COMMIT: Final = f"""
    select body, first, last, event, epoch, at, crc, length(body) from commits
    where run = {_N} and last >= ?2 order by last limit 1
"""  # noqa: S608
_SNAPSHOT: Final = f"""
    select seq, crc, cast(body as blob) from snapshots
    where run = {_N} and seq <= ifnull(?2, seq) order by seq desc limit 1
"""  # noqa: S608
_CHECKPOINTS: Final = f"select json_group_array(seq) from (select seq from snapshots where run = {_N} order by seq)"  # noqa: S608


def _barriers(where: str) -> Join[_Barrier]:
    query = f"""
        select (select id from runs where n = run) as id, barrier, open, crc, row from barriers where {where} order by n
    """  # noqa: S608
    return Join(_Barrier, "row", query)


_BARRIERS: Final = {False: _barriers("true"), True: _barriers("open")}
_BARRIERS_OF: Final = _barriers(f"run = {_N}")
_INBOX: Final = Join(_Command, "body", "select * from inbox where receipt is null order by n")
_HEAD: Final = "select r.id, t.moved, t.crc from threads t left join runs r on r.n = t.run where t.id = ?"
_RECEIPT: Final = "select command, run, at, body, receipt, crc from inbox where command = ?"


class Reader:
    """Answers questions on one connection.

    Args:
        prunes: whether the file knows logs whose beginning was pruned.
    """

    def __init__(self, connection: apsw.Connection, prunes: Callable[[], bool] = lambda: True) -> None:
        self._connection = connection
        self._prunes = prunes

    def run(self, run_id: str) -> RunRow | None:
        """See `Store.run`."""
        return read_run(self._connection, run_id)

    def run_by_key(self, key: str) -> RunRow | None:
        """See `Store.run_by_key`."""
        return read_run_by_key(self._connection, key)

    def runs(
        self, statuses: Sequence[RunStatus] | None, before: str | None, limit: int | None, thread: str | None
    ) -> list[RunRow]:
        """See `Store.runs`."""
        values: list[Value] = []
        if statuses is not None:
            values.append(msgspec.json.encode(list(statuses)).decode())
        if before is not None:
            values += self._age(before)
        if thread is not None:
            values.append(thread)
        wanted = statuses is not None, before is not None, thread is not None
        return read_runs(self._connection, wanted, *values, limited(limit))

    def head(self, thread: str) -> Head | None:
        """See `Store.head`."""
        row = self._connection.execute(_HEAD, (thread,)).fetchone()
        if row is None:
            return None
        run_id, moved, crc = row
        if not columns_fit(crc, thread, run_id, moved):
            raise Damaged("", f"the head of thread {thread!r}")
        return None if run_id is None else Head(thread, run_id, moved)

    def _age(self, run_id: str) -> tuple[Value, ...]:
        row = self._connection.execute("select at, id from runs where id = ?", (run_id,)).fetchone()
        if row is None:
            raise UnknownRun(run_id)
        return tuple(row)

    def commit(self, run_id: str, seq: int) -> tuple[int, bytes] | None:
        """Epoch and body of one commit, or None."""
        row = self._connection.execute(_COMMIT, (run_id, seq)).fetchone()
        if row is None:
            return None
        body, *columns = row
        segment = Segment(*columns)
        entries = entries_of(run_id, segment, body)
        return None if seq < segment.first else (segment.epoch or 0, entries[seq - segment.first][1])

    def snapshot(self, run_id: str, at: int | None) -> tuple[int, bytes] | None:
        """See `Store.snapshot`."""
        row = self._connection.execute(_SNAPSHOT, (run_id, at)).fetchone()
        if row is None:
            return None
        seq, crc, body = row
        if not fits(crc, body, run_id, seq):
            raise Damaged(run_id, f"the snapshot of commit {seq}")
        try:
            return seq, unpress(body)
        except zlib.error as error:
            raise Damaged(run_id, f"the snapshot of commit {seq}", str(error)) from error

    def checkpoints(self, run_id: str) -> list[int]:
        """See `Store.checkpoints`."""
        row = self._connection.execute(_CHECKPOINTS, (run_id,)).fetchone()
        assert row is not None, "an aggregate has a row"
        return _seqs(str(row[0]))

    def records(self, run_id: str, after: int, limit: int | None) -> list[bytes]:
        """See `Store.records`."""
        return self._bodies(run_id, after, -1, limit)

    def records_by_event(self, run_id: str, after_event: int, limit: int | None) -> list[bytes]:
        """See `Store.records_by_event`."""
        # Looks back from the newest, so this costs as much as what it skips to: the answer itself.
        row = self._connection.execute(_SEQ_AT, (run_id, after_event)).fetchone()
        return self._bodies(run_id, 0 if row is None else row[0], after_event, limit)

    def _bodies(self, run_id: str, after: int, after_event: int, limit: int | None) -> list[bytes]:
        found = list[bytes]()
        for segment, body in self.segments(run_id, after, limit):
            skip = max(0, after + 1 - segment.first)  # the first segment of an answer may begin before it
            found += [one for of, one in entries_of(run_id, segment, body)[skip:] if of > after_event]
            if limit is not None and len(found) >= limit:
                break
        return found[:limit]

    def segments(self, run_id: str, after: int = 0, limit: int | None = None) -> Iterator[tuple[Segment, bytes]]:
        """The rows in which a run's commits after one are, unchecked; at most so many at once."""
        page, join = PAGE if limit is None else min(PAGE, limit), _SEGMENTS[self._prunes()]
        while page:
            rows = list(join.read(self._connection, run_id, after, page))
            yield from rows
            if len(rows) < page or rows[-1][0].last <= after:
                return  # a damaged one would lead back
            after = rows[-1][0].last

    def barriers(self, run_id: str | None, only_open: bool) -> list[BarrierRow]:  # noqa: FBT001 - as in the contract
        """See `Store.barriers`."""
        if run_id is None:
            return [row for found in _BARRIERS[only_open].read(self._connection, -1) for row in _listed(*found)]
        found = [_barrier_row(*row) for row in _BARRIERS_OF.read(self._connection, run_id, -1)]
        return [row for row in found if row.status is BarrierStatus.OPEN] if only_open else found

    def posted(self, limit: int) -> list[Posted]:
        """See `Store.posted`."""
        rows = _INBOX.read(self._connection, limited(limit))
        return [
            Posted(row.command, row.run, body, row.at)
            for row, body in rows
            if fits(row.crc, b"", row.command, row.run, row.at, body)
        ]

    def receipt(self, command_id: str) -> bytes | None:
        """See `Store.receipt`."""
        row: tuple[Any, ...] | None = self._connection.execute(_RECEIPT, (command_id,)).fetchone()
        if row is None:
            return None
        receipt: bytes | None
        command, run_id, at, body, receipt, crc = row
        if not fits(crc, receipt or b"", command, run_id, at, body):
            raise Damaged(run_id, f"command {command!r}")
        return receipt


def _barrier_row(columns: _Barrier, row: bytes) -> BarrierRow:
    run_id, barrier, is_open, crc, _ = columns
    return read_barrier(run_id, barrier, is_open, crc, row)


def _listed(columns: _Barrier, row: bytes) -> Iterator[BarrierRow]:
    with suppress(Damaged, *UNREADABLE):  # whoever asks for those of its run hears of it
        yield _barrier_row(columns, row)
