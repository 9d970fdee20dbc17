"""How a SQLite store forgets: the beginning of a log in front of a snapshot, or a whole run. One transaction each.

What is forgotten leaves free pages in the file, which later commits use: the file stops growing, and does not shrink.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any, Final

import apsw
import msgspec

from terzetto_protocol.records import BarrierRow
from terzetto_protocol.statuses import RunStatus

from ._checksums import checksum
from ._schema import Value
from ._segments import Entries, Segment, body_of, entries_of
from ._verdict import check_deletable, check_prunable, is_closed

_RUN: Final = "select n, epoch, status from runs where id = ?"
_CUT: Final = "select max(seq) from snapshots where run = ? and seq <= ?"
_LEFT: Final = """
    select 1 + (select max(last) from commits where run = :run)
             - (select first from commits where run = :run order by last limit 1)
             + (select count(*) from alone where run = :run)
"""
_SEGMENT: Final = """
    select n, body, first, last, event, epoch, at, crc, length(body) from commits
    where run = ? and last >= ? order by last limit 1
"""
_SHORTEN: Final = "update commits set first = ?, body = ?, crc = ? where n = ?"
_STANDING: Final = """
    select seq from snapshots where run = :run and seq < :cut and seq in (select value from json_each(:keep))
    except select seq from alone where run = :run
"""
_STAND: Final = "insert into alone (run, seq, event, body, crc) values (?, ?, ?, ?, ?)"
_PRUNE: Final = (
    "delete from commits where run = :run and last < :cut",
    "delete from alone where run = :run and seq < :cut and seq not in (select value from json_each(:keep))",
    "delete from snapshots where run = :run and seq < :cut and seq not in (select value from json_each(:keep))",
)
_HEAD: Final = "select id from threads where run = ?"
_CLOSED: Final = "select n, row from barriers where run = ? and not open"
_FORGET: Final = "delete from barriers where n in (select value from json_each(?))"
_DELETE: Final = (
    "delete from inbox where run = (select id from runs where n = ?) and receipt is not null",
    "delete from barriers where run = ?",
    "delete from snapshots where run = ?",
    "delete from alone where run = ?",
    "delete from commits where run = ?",
    "delete from runs where n = ?",
)

_barrier = msgspec.msgpack.Decoder(BarrierRow).decode


class Cutter:
    """Forgets on one connection; each call is whole, or has changed nothing.

    Args:
        transaction: begins one, and ends it by a commit or a rollback.
    """

    def __init__(self, connection: apsw.Connection, transaction: Callable[[], AbstractContextManager[None]]) -> None:
        self._execute = connection.execute
        self._transaction = transaction

    def _rows(self, query: str, values: "dict[str, Value] | tuple[Value, ...]") -> list[Any]:
        return self._execute(query, values).fetchall()

    def prune(self, run_id: str, before: int, epoch: int, keep: Collection[int], closed_before: float) -> int:
        """See `Store.prune`."""
        with self._transaction():
            run, _ = self._find(run_id, epoch)
            [(cut,)] = self._rows(_CUT, (run, before))
            if cut is None:
                return 0
            left = self._left(run)
            self._cut(run, run_id, cut, keep)
            self._forget_closed(run, closed_before)
            return left - self._left(run)

    def delete(self, run_id: str, epoch: int) -> int:
        """See `Store.delete`."""
        with self._transaction():
            run, status = self._find(run_id, epoch)
            check_deletable(run_id, (epoch, status), epoch, self._thread(run))
            left = self._left(run)
            for statement in _DELETE:
                self._execute(statement, (run,))
            return left

    def _find(self, run_id: str, epoch: int) -> tuple[int, RunStatus]:
        rows = self._rows(_RUN, (run_id,))
        check_prunable(run_id, rows[0][1] if rows else None, epoch)
        [(run, _, status)] = rows
        return run, RunStatus(status)

    def _thread(self, run: int) -> str | None:
        """The thread whose head a run is."""
        return next((thread for (thread,) in self._rows(_HEAD, (run,))), None)

    def _left(self, run: int) -> int:
        [(count,)] = self._rows(_LEFT, {"run": run})
        return int(count)

    def _cut(self, run: int, run_id: str, cut: int, keep: Collection[int]) -> None:
        values: dict[str, Value] = {"run": run, "cut": cut, "keep": msgspec.json.encode(sorted(keep)).decode()}
        for (seq,) in self._rows(_STANDING, values):
            self._stand_alone(run, run_id, seq)
        self._shorten(run, run_id, cut)
        for statement in _PRUNE:
            self._execute(statement, values)

    def _segment(self, run: int, run_id: str, seq: int) -> tuple[int, Segment, Entries]:
        """The number of the row that holds a commit, what it says of itself, and its commits."""
        [(n, body, *columns)] = self._rows(_SEGMENT, (run, seq))
        segment = Segment(*columns)
        return n, segment, entries_of(run_id, segment, body)

    def _stand_alone(self, run: int, run_id: str, seq: int) -> None:
        _, segment, entries = self._segment(run, run_id, seq)
        event, body = entries[seq - segment.first]
        self._execute(_STAND, (run, seq, event, body, checksum(body, run_id, seq, seq, event, None, None)))

    def _shorten(self, run: int, run_id: str, cut: int) -> None:
        """Take what is in front of the cut out of the row that holds the commit behind it."""
        n, (first, *others, _, _), entries = self._segment(run, run_id, cut)
        if first < cut:
            entries = entries[cut - first :]
            body = body_of(entries)
            self._execute(_SHORTEN, (cut, body, checksum(body, run_id, cut, *others), n))

    def _forget_closed(self, run: int, before: float) -> None:
        closed = [n for n, row in self._rows(_CLOSED, (run,)) if is_closed(_barrier(row), before)]
        self._execute(_FORGET, (msgspec.json.encode(closed).decode(),))
