"""The write path of a SQLite store: a group of writes becomes one transaction, and few statements.

Every statement gives the interpreter to the loop and has to get it back, which under load costs
more than the statement. So the everyday writes of a group are bundled: those of one run become one
row (a *segment*), and the rows of several runs one statement, which checks the epochs and the order
itself. If any of it does not apply, everything is rolled back and done again, one by one, with
questions asked: slower, and the only place where a write is judged.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

import apsw
import msgspec

from terzetto_protocol.errors import describe
from terzetto_protocol.records import Applied, Exists, Outcome, Rejected, RunHeader, Write

from ._checksums import UNREADABLE, Damaged, checksum, sum_blob
from ._columns import barrier_columns, head_sum, row_columns, row_sum
from ._pressing import press
from ._schema import Value
from ._segments import NewSegment
from ._sqlite_reads import Reader
from ._verdict import in_order, misnumbered, nameless, unknown, verdict

_CHUNKS: Final = (16, 4, 1)
"""Rows per statement: few different statements, so that each is prepared once."""

DATA_ERRORS: Final = (
    apsw.TooBigError, apsw.ConstraintError, apsw.MismatchError, apsw.RangeError, TypeError, ValueError, OverflowError,
)  # fmt: skip
"""What is wrong with a value, and would be on every try. (A lone surrogate is a `ValueError`.)"""

_APPLIED: Final = Applied()
_encode = msgspec.msgpack.Encoder().encode


def _append(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return f"""
        with new (id, expect, epoch, first, last, event, at, body, crc) as (values {values})
        insert into commits (run, last, first, event, epoch, at, body, crc)
        select r.n, new.last, new.first, new.event, new.epoch, new.at, new.body, new.crc
        from new cross join runs r
        where r.id = new.id and r.epoch = new.expect
        and new.first = 1 + (select max(last) from commits where run = r.n)
    """  # noqa: S608 - only the number of rows varies


_APPEND: Final = {rows: _append(rows) for rows in _CHUNKS}
_CREATE: Final = """
    insert into runs (id, at, key, thread, header, status, epoch, code, message, timer, crc)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIRST: Final = "insert into commits (run, last, first, event, epoch, at, body, crc) values (?, 1, 1, ?, ?, ?, ?, ?)"
_MOVE: Final = """
    update runs set status = ?2, epoch = ?3, code = ?4, message = ?5, timer = ?6, crc = (crc & 0xffffffff) | ?7
    where id = ?1
"""
_HEAD: Final = """
    insert into threads (id, run, moved, crc) select ?2, n, ?3, ?4 from runs where id = ?1
    on conflict (id) do update set run = excluded.run, moved = excluded.moved, crc = excluded.crc
"""
_IS_HEAD: Final = "id = ?1 and run = (select n from runs where id = ?2)"
_BACK: Final = f"""
    update threads set run = (select n from runs where id = ?3), moved = ?4, crc = ?5 where {_IS_HEAD}
"""  # noqa: S608
_HEADLESS: Final = f"delete from threads where {_IS_HEAD}"  # noqa: S608 - our own words only, in both
_SNAPSHOT: Final = "insert into snapshots (run, seq, body, crc) select n, ?2, ?3, ?4 from runs where id = ?1"
_BARRIER: Final = """
    insert into barriers (run, barrier, open, row, crc) select n, ?2, ?3, ?4, ?5 from runs where id = ?1
    on conflict (run, barrier) do update set open = excluded.open, row = excluded.row, crc = excluded.crc
"""
_NAME: Final = """
    insert into blob_runs (blob, run)
    select b.n, r.n from runs r join blobs b on b.name = ?2 and b.whole where r.id = ?1
    on conflict (blob, run) do update set run = excluded.run
"""


class HandleLost(Exception):
    """A transaction did not end as told: nobody knows what the connection believes, so it must not be used again."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(str(error))


class _Unusual(Exception):
    """Some write of the group does not simply apply."""


class _Nameless(_Unusual):
    """A write names a blob that is not there."""

    def __init__(self, digest: str) -> None:
        self.digest = digest


class LogWriter:
    """Turns groups of writes into transactions on one connection; after `HandleLost` it needs a new one."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._reader = Reader(connection)

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Apply the group, each write whole or not at all, in one transaction that is durable when this returns.

        Raises:
            HandleLost: the transaction could not be ended; it may be there or not.
            apsw.Error: nothing was written.
        """
        try:
            with self.transaction():
                self._apply_all(writes)
        except (_Unusual, *DATA_ERRORS):
            with self.transaction():
                return in_order(writes, self._settle)
        return [_APPLIED] * len(writes)

    def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """See `Store.move_head`; one transaction."""
        if run_id:
            self._execute(_BACK, (thread, expect, run_id, at, head_sum(thread, run_id, at)))
        else:
            self._execute(_HEADLESS, (thread, expect))
        return self._connection.changes() == 1

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All that is written inside, or nothing; raises `HandleLost` when nobody knows which."""
        self._execute("begin immediate")
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        try:
            self._execute("commit")
        except apsw.Error as error:
            self._rollback()
            raise HandleLost(error) from error

    def _rollback(self) -> None:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        try:
            if self._connection.in_transaction:
                self._execute("rollback")
        except apsw.Error as error:
            raise HandleLost(error) from error

    def _apply_all(self, writes: Sequence[Write]) -> None:
        # Order matters inside a run only, so a write may go before bundled ones of other runs.
        bundle: dict[str, NewSegment] = {}
        for write in writes:
            segment = bundle.get(write.run_id)
            if write.moved or write.header is not None or write.epoch != write.expect:
                if segment is not None:
                    self._flush(bundle)
                self._apply(write)
                continue
            if segment is None or not segment.takes(write):
                if segment is not None:
                    self._flush(bundle)
                bundle[write.run_id] = NewSegment(write)
            self._attach(write)
        self._flush(bundle)

    def _flush(self, bundle: dict[str, NewSegment]) -> None:
        rows = iter([segment.row() for segment in bundle.values()])
        left = len(bundle)
        bundle.clear()
        for size in _CHUNKS:
            while left >= size:
                self._append([value for row in islice(rows, size) for value in row], size)
                left -= size

    def _append(self, values: Sequence[Value], rows: int) -> None:
        self._execute(_APPEND[rows], values)
        if self._connection.changes() != rows:
            raise _Unusual

    def _apply(self, write: Write) -> None:
        if write.header is not None:
            self._create(write, write.header)
        else:
            self._append(NewSegment(write).row(), 1)
            if write.moved or write.epoch != write.expect:
                self._execute(_MOVE, (write.run_id, *row_columns(write), row_sum(write)))
            if write.thread:
                crc = head_sum(write.thread, write.run_id, write.at)
                self._execute(_HEAD, (write.run_id, write.thread, write.at, crc))
        self._attach(write)

    def _create(self, write: Write, header: RunHeader) -> None:
        if write.seq != 1:
            raise _Unusual
        data = _encode(header)
        said = (write.run_id, header.at, header.key, header.thread, data)
        self._execute(_CREATE, (*said, *row_columns(write), row_sum(write) | sum_blob(data)))
        run, row = self._connection.last_insert_rowid(), NewSegment(write).row()
        self._execute(_FIRST, (run, write.event_id, write.epoch, write.at, *row[-2:]))

    def _attach(self, write: Write) -> None:
        if write.snapshot is not None:
            snapshot = press(write.snapshot)
            crc = checksum(snapshot, write.run_id, write.seq)
            self._execute(_SNAPSHOT, (write.run_id, write.seq, snapshot, crc))
        for barrier in write.barriers:
            self._execute(_BARRIER, (write.run_id, *barrier_columns(write.run_id, barrier)))
        for digest in write.blobs:
            self._execute(_NAME, (write.run_id, digest))
            if self._connection.changes() != 1:
                raise _Nameless(digest)

    def _settle(self, write: Write) -> Outcome:
        self._execute("savepoint one")
        try:
            outcome = self._judge(write)
            if outcome is None:
                self._apply(write)
        except _Nameless as error:
            self._execute("rollback to one")
            outcome = nameless(write, error.digest)
        except (Damaged, *UNREADABLE) as error:
            self._execute("rollback to one")
            text = (
                f"commit {write.seq} cannot be compared with what is stored of run {write.run_id!r}, which is damaged"
            )
            outcome = Rejected(f"{text}: {describe(error)}", final=False)  # nobody knows whether it is there
        except (_Unusual, *DATA_ERRORS) as error:
            self._execute("rollback to one")
            outcome = Rejected(f"commit {write.seq} of run {write.run_id!r} cannot be stored: {describe(error)}")
        self._execute("release one")
        return outcome or _APPLIED

    def _judge(self, write: Write) -> Outcome | None:
        run = self._reader.run(write.run_id)
        stored = self._reader.commit(write.run_id, write.seq)
        if write.header is None:
            return unknown(write) if run is None else verdict(write, run.epoch, run.seq, stored)
        if run is not None and run.header == write.header and stored == (write.epoch, write.body):
            return _APPLIED
        taken = run or (self._reader.run_by_key(write.header.key) if write.header.key else None)
        return misnumbered(write) if taken is None else Exists(taken)
