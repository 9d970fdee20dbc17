"""The read path of a SQLite store: many rows come as one.

A row that is handed over costs an exchange of the interpreter with a busy loop, up to milliseconds
each. So SQLite joins what a query finds into one row: the columns as one JSON text, and the blobs,
one behind the other, as one blob.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, product
from typing import Any, Final, Generic, NamedTuple, TypeVar

import apsw
import msgspec

from terzetto_protocol.errors import UnknownRun
from terzetto_protocol.records import BarrierRow, Head, Posted, RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus

from ._schema import Value

PAGE: Final = 512
"""Segments that are joined into one row at most: with the largest messages they stay below SQLite's 1 GB."""

_MOST: Final = 2**63 - 1
"""The largest number that SQLite knows."""


class _Columns(NamedTuple):
    # Of one segment. Every such tuple ends with the length of its blob.
    first: int
    last: int
    event: int
    length: int


_RunColumns = tuple[RunStatus, int, int, int, float, str, str, float | None, int, int]
_InboxColumns = tuple[str, str, float, int]
_Entries = list[tuple[int, bytes]]

C = TypeVar("C", bound=tuple[Any, ...])

_header = msgspec.msgpack.Decoder(RunHeader).decode
_barrier = msgspec.msgpack.Decoder(BarrierRow).decode
_decode = msgspec.msgpack.Decoder(_Entries).decode
_seqs = msgspec.json.Decoder(list[int]).decode


class _Join(Generic[C]):
    """A query whose rows arrive together: some columns and one blob of each."""

    def __init__(self, rows: type[list[C]], columns: str, blob: str, query: str) -> None:
        # The inner query has an order and a limit, and SQLite keeps the order of those that have. A text is bytes to
        # SQLite unless it is asked for letters, so joining blobs as texts changes nothing.
        self._sql = (
            f"select json_group_array(json_array({columns}, length({blob}))), "  # noqa: S608 - our own words only
            f"cast(group_concat(cast({blob} as text), '') as blob) from ({query} limit ?)"
        )
        self._decode = msgspec.json.Decoder(rows).decode

    def read(self, connection: apsw.Connection, *values: Value) -> Iterator[tuple[C, bytes]]:
        """The rows; the last value is the limit, -1 for none."""
        [(columns, blobs)] = connection.execute(self._sql, values)
        start = 0
        for row in self._decode(str(columns)):
            end = start + row[-1]
            yield row, blobs[start:end] if isinstance(blobs, bytes) else b""
            start = end


_N: Final = "(select n from runs where id = ?1)"
_ALONE: Final = f"select seq as first, seq as last, event, body from alone where run = {_N} and seq > ?2 union all "  # noqa: S608


def _segments(alone: str) -> _Join[_Columns]:
    query = f"{alone} select first, last, event, body from commits where run = {_N} and last > ?2 order by last"  # noqa: S608
    return _Join(list[_Columns], "first, last, event", "body", query)


_SEGMENTS: Final = {False: _segments(""), True: _segments(_ALONE)}
"""By whether commits may stand alone, in front of a log that was pruned."""
_SEQ_AT: Final = f"select last from commits where run = {_N} and event <= ?2 order by last desc limit 1"  # noqa: S608
_COMMIT: Final = f"select first, last, epoch, body from commits where run = {_N} and last >= ?2 order by last limit 1"  # noqa: S608
_SNAPSHOT: Final = (
    "select seq, cast(body as blob) from snapshots "  # noqa: S608
    f"where run = {_N} and seq <= ifnull(?2, seq) order by seq desc limit 1"
)

_CHECKPOINTS: Final = f"select json_group_array(seq) from (select seq from snapshots where run = {_N} order by seq)"  # noqa: S608
_INBOX: Final = _Join(
    list[_InboxColumns], "command, run, at", "body", "select * from inbox where receipt is null order by n"
)  # fmt: skip


def _barriers(where: str) -> "_Join[tuple[int, int]]":
    return _Join(list[tuple[int, int]], "n", "row", f"select n, row from barriers where {where} order by n")  # noqa: S608


_BARRIERS: Final = {
    (False, False): _barriers("true"),
    (False, True): _barriers("open"),
    (True, False): _barriers(f"run = {_N}"),
    (True, True): _barriers(f"run = {_N} and open"),
}


def _runs(where: str) -> _Join[_RunColumns]:
    return _Join(
        list[_RunColumns], "status, epoch, last, event, moment, code, message, timer, begin", "header",
        f"""
        select r.status, r.epoch, c.last, c.event, c.at as moment, r.code, r.message, r.timer, r.header,
            (select first from commits where run = r.n order by last limit 1) as begin
        from runs r join commits c on c.run = r.n and c.last = (select max(last) from commits where run = r.n)
        where {where} order by r.at desc, r.id desc
        """,  # noqa: S608
    )  # fmt: skip


_RUN: Final = _runs("r.id = ?")
_RUN_BY_KEY: Final = _runs("r.key = ? and r.key <> ''")
_HAVING: Final = "r.status in (select value from json_each(?))"
_OLDER: Final = "(r.at, r.id) < (?, ?)"
_ON: Final = "r.thread = ? and r.thread <> ''"
_RUNS: Final = {
    wanted: _runs(" and ".join(compress((_HAVING, _OLDER, _ON), wanted)) or "true")
    for wanted in product((False, True), repeat=3)
}
_HEAD: Final = "select r.id, t.moved from threads t join runs r on r.n = t.run where t.id = ?"


def _run_row(columns: _RunColumns, header: bytes) -> RunRow:
    status, epoch, seq, event, updated, code, message, timer, begin, _ = columns
    return RunRow(_header(header), status, epoch, seq, event, updated, code, message, timer, begin)


def _limit(limit: int | None) -> int:
    return -1 if limit is None else min(max(limit, 0), _MOST)


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
        return next((_run_row(*row) for row in _RUN.read(self._connection, run_id, 1)), None)

    def run_by_key(self, key: str) -> RunRow | None:
        """See `Store.run_by_key`."""
        return next((_run_row(*row) for row in _RUN_BY_KEY.read(self._connection, key, 1)), None)

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
        join = _RUNS[statuses is not None, before is not None, thread is not None]
        return [_run_row(*row) for row in join.read(self._connection, *values, _limit(limit))]

    def head(self, thread: str) -> Head | None:
        """See `Store.head`."""
        row = self._connection.execute(_HEAD, (thread,)).fetchone()
        return None if row is None else Head(thread, *row)

    def _age(self, run_id: str) -> tuple[Value, ...]:
        row = self._connection.execute("select at, id from runs where id = ?", (run_id,)).fetchone()
        if row is None:
            raise UnknownRun(run_id)
        return tuple(row)

    def commit(self, run_id: str, seq: int) -> tuple[int, bytes] | None:
        """Epoch and body of one commit, or None."""
        row: tuple[int, int, int, bytes] | None = self._connection.execute(_COMMIT, (run_id, seq)).fetchone()
        if row is None or seq < row[0]:
            return None
        first, last, epoch, body = row
        return epoch, entries_of(first, last, 0, body)[seq - first][1]

    def snapshot(self, run_id: str, at: int | None) -> tuple[int, bytes] | None:
        """See `Store.snapshot`."""
        return self._connection.execute(_SNAPSHOT, (run_id, at)).fetchone()

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
        found, segments = list[bytes](), _SEGMENTS[self._prunes()]
        while limit is None or len(found) < limit:
            page = PAGE if limit is None else min(PAGE, limit - len(found))
            rows = list(segments.read(self._connection, run_id, after, page))
            for columns, body in rows:
                found += _after(columns, body, after, after_event)
            if len(rows) < page:
                break
            after = rows[-1][0].last
        return found[:limit]

    def barriers(self, run_id: str | None, only_open: bool) -> list[BarrierRow]:  # noqa: FBT001 - as in the contract
        """See `Store.barriers`."""
        values = () if run_id is None else (run_id,)
        join = _BARRIERS[run_id is not None, only_open]
        return [_barrier(row) for _, row in join.read(self._connection, *values, -1)]

    def posted(self, limit: int) -> list[Posted]:
        """See `Store.posted`."""
        rows = _INBOX.read(self._connection, _limit(limit))
        return [Posted(command, run_id, body, at) for (command, run_id, at, _), body in rows]

    def receipt(self, command_id: str) -> bytes | None:
        """See `Store.receipt`."""
        row = self._connection.execute("select receipt from inbox where command = ?", (command_id,)).fetchone()
        return None if row is None else row[0]


def entries_of(first: int, last: int, event: int, body: bytes) -> _Entries:
    """The commits of a segment, each as its last event id and its body."""
    return [(event, body)] if first == last else _decode(body)


def _after(columns: _Columns, body: bytes, after: int, after_event: int) -> list[bytes]:
    # The first segment of an answer may begin before it.
    first, last, event, _ = columns
    return [one for of, one in entries_of(first, last, event, body)[max(0, after + 1 - first) :] if of > after_event]
