"""The write path of a Postgres store: a group of writes becomes few statements, sent together, in one transaction.

Every everyday commit of a group is in one statement, which checks the epochs and the order itself: so a group of
everyday writes, of however many runs, is one statement and one way there and back. What else a group has are a few
statements more, which are sent together with it. If any of it does not apply, nothing of it has happened, and the
group is done again, one by one, with the runs locked and questions asked: slower, and the only place where a write is
judged.
"""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, TypeAlias

import msgspec
from psycopg import errors

from terzetto_protocol.errors import describe
from terzetto_protocol.records import Applied, BarrierRow, Exists, Outcome, Rejected, RunHeader, Write

from . import _postgres_reads
from ._checksums import Damaged, checksum, moment, sum_blob, sum_columns
from ._columns import BarrierColumns, barrier_columns, head_sum, row_columns, row_sum
from ._postgres_link import REFUSED
from ._postgres_runs import read_run, read_run_by_key
from ._postgres_schema import Connected
from ._pressing import press
from ._segments import NewSegment
from ._verdict import in_order, misnumbered, nameless, unknown, verdict

Statement: TypeAlias = tuple[LiteralString, Sequence[Any]]
"""A statement and its values."""

_DATA_ERRORS: Final = (*REFUSED, TypeError, ValueError, OverflowError)
"""What is wrong with a write, and would be on every try."""
_TRIES: Final = 5
"""How often a write is judged that another owner's gets in between of."""
_APPLIED: Final = Applied()


class _Rows:
    """A statement about rows, which fails by a division by zero where it does less than it was told.

    One row is told as it is, and several as an array for each column, which takes twice as long for one.
    """

    def __init__(self, template: LiteralString, **kinds: LiteralString) -> None:
        names = ", ".join(kinds)
        one = f"(values ({', '.join([f'%s::{kind}' for kind in kinds.values()])})) as new ({names})"
        many = f"unnest({', '.join([f'%s::{kind}[]' for kind in kinds.values()])}) as new ({names})"
        self._one, self._many = template.replace("NEW", one), template.replace("NEW", many)

    def of(self, rows: Sequence[Sequence[Any]]) -> Statement:
        """The statement about these rows."""
        if len(rows) == 1:
            return self._one, [*rows[0], 1]
        return self._many, [*map(list, zip(*rows, strict=True)), len(rows)]


_COMMIT: Final[dict[str, LiteralString]] = {
    "id": "text", "expect": "bigint", "epoch": "bigint", "first": "bigint", "last": "bigint", "event": "bigint",
    "at": "float8", "body": "bytea", "crc": "bigint", "tip": "bigint",
}  # fmt: skip
_MOVE: Final[dict[str, LiteralString]] = {
    "status": "text", "code": "text", "message": "bytea", "timer": "float8", "sum": "bigint",
    "owner": "text",
}  # fmt: skip
_APPEND: Final = """
    with moved as (
        update runs r set seq = new.last, event = new.event, moment = new.at, tip = new.tip MORE from NEW
        where r.id = new.id and r.epoch = new.expect and r.seq = new.first - 1
        returning r.n, new.first, new.last, new.event, new.epoch, new.at, new.body, new.crc
    ), done as (
        insert into commits (run, first, last, event, epoch, at, body, crc)
        select n, first, last, event, epoch, at, body, crc from moved returning 1
    )
    select 1 / (count(*) = %s)::int from done
"""
_SET: Final = """
    , epoch = new.epoch, status = new.status, code = new.code, message = new.message, timer = new.timer,
    crc = (r.crc & 4294967295) | new.sum, owner = case when new.epoch = new.expect then r.owner else new.owner end
"""
_EVERYDAY: Final = _Rows(_APPEND.replace("MORE", ""), **_COMMIT)
_MOVING: Final = _Rows(_APPEND.replace("MORE", _SET), **_COMMIT, **_MOVE)
_CREATE: Final = _Rows(
    """
    with new as (select * from NEW), moved as (
        insert into runs (
            id, at, key, thread, header, status, epoch, code, message, timer, crc, first, seq, event, moment, tip, owner
        )
        select id, at, key, thread, header, status, epoch, code, message, timer, crc, 1, 1, event, moment, tip, owner
        from new returning n, id
    ), done as (
        insert into commits (run, first, last, event, epoch, at, body, crc)
        select m.n, 1, 1, new.event, new.epoch, new.moment, new.body, new.body_crc
        from moved m join new on new.id = m.id returning 1
    )
    select 1 / (count(*) = %s)::int from done
    """,
    id="text", at="float8", key="text", thread="text", header="bytea", status="text", epoch="bigint", code="text",
    message="bytea", timer="float8", crc="bigint", event="bigint", moment="float8", tip="bigint", body="bytea",
    body_crc="bigint", owner="text",
)  # fmt: skip
_SNAPSHOT: Final = _Rows(
    """
    with done as (
        insert into snapshots (run, seq, body, crc)
        select r.n, new.seq, new.body, new.crc from NEW join runs r on r.id = new.id returning 1
    )
    select 1 / (count(*) = %s)::int from done
    """,
    id="text", seq="bigint", body="bytea", crc="bigint",
)  # fmt: skip
_BARRIER: Final = _Rows(
    """
    with done as (
        insert into barriers (run, barrier, open, row, crc)
        select r.n, new.barrier, new.open, new.row, new.crc from NEW join runs r on r.id = new.id order by new.number
        on conflict (run, barrier) do update set open = excluded.open, row = excluded.row, crc = excluded.crc
        returning 1
    )
    select 1 / (count(*) = %s)::int from done
    """,
    number="bigint", id="text", barrier="text", open="boolean", row="bytea", crc="bigint",
)  # fmt: skip
_HEAD: Final = _Rows(
    """
    with done as (
        insert into threads (id, run, moved, crc)
        select new.thread, r.n, new.at, new.crc from NEW join runs r on r.id = new.id
        on conflict (id) do update set run = excluded.run, moved = excluded.moved, crc = excluded.crc returning 1
    )
    select 1 / (count(*) = %s)::int from done
    """,
    thread="text", id="text", at="float8", crc="bigint",
)  # fmt: skip
_NAME: Final = _Rows(
    """
    with found as (
        select b.n as blob, r.n as run from NEW
        join runs r on r.id = new.id join blobs b on b.name = new.name and b.whole
    ), kept as (
        insert into blob_runs (blob, run) select blob, run from found on conflict do nothing returning blob
    ), more as (
        select blob, count(*) as more from kept group by blob
    ), counted as (
        update blobs b set kept = b.kept + more.more from more where b.n = more.blob and b.whole returning 1
    )
    select 1 / (
        (select count(*) from counted) = (select count(*) from more) and (select count(*) from found) = %s
    )::int
    """,
    id="text", name="text",
)  # fmt: skip
_MISSING: Final = """
    select name from unnest(%s::text[]) as new (name)
    where not exists (select from blobs b where b.name = new.name and b.whole)
"""
_LOCK: Final = "select from runs where id = any(%s) order by id for no key update"
_IS_HEAD: Final = "id = %(thread)s and run = (select n from runs where id = %(expect)s)"
_BACK: Final = f"""
    update threads set run = (select n from runs where id = %(run)s), moved = %(at)s, crc = %(crc)s where {_IS_HEAD}
"""  # noqa: S608
_HEADLESS: Final = f"delete from threads where {_IS_HEAD}"  # noqa: S608

_encode = msgspec.msgpack.Encoder().encode


class _Unusual(Exception):
    """Some write of the group does not simply apply."""


class Group:
    """What some writes are as statements; those of one run in order, the runs in any."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._creates = dict[str, tuple[Any, ...]]()
        self._segments = dict[str, list[NewSegment]]()
        self._moves = dict[NewSegment, Write]()
        """The last write of a segment that moves its run."""
        self._snapshots = list[tuple[Any, ...]]()
        self._barriers = dict[tuple[str, str], BarrierColumns]()
        self._heads = dict[str, tuple[Any, ...]]()
        self._blobs = dict[tuple[str, str], None]()

    def add(self, write: Write) -> None:
        """Take one write more."""
        if write.header is not None:
            self._create(write, write.header)
        else:
            self._append(write)
        if write.snapshot is not None:
            snapshot = press(write.snapshot)
            sum_ = checksum(snapshot, write.run_id, write.seq)
            self._snapshots.append((write.run_id, write.seq, snapshot, sum_))
        for barrier in write.barriers:
            self._attach(write.run_id, barrier)
        if write.thread and (write.moved or write.header is not None):
            crc = head_sum(write.thread, write.run_id, write.at)
            self._heads[write.thread] = write.thread, write.run_id, float(write.at), crc
        for digest in write.blobs:
            self._blobs[write.run_id, digest] = None

    def _create(self, write: Write, header: RunHeader) -> None:
        if write.seq != 1 or write.run_id in self._creates or write.run_id in self._segments:
            raise _Unusual
        data = _encode(header)
        status, epoch, code, message, timer = row_columns(write)
        tip = _tip(write)
        row = NewSegment(write).row()
        self._creates[write.run_id] = (
            write.run_id, float(header.at), header.key, header.thread, data, status, epoch, code, message.encode(),
            moment(timer), row_sum(write) | sum_blob(data), write.event_id, float(write.at), tip, row.body, row.crc,
            self._owner,
        )  # fmt: skip

    def _append(self, write: Write) -> None:
        segments = self._segments.setdefault(write.run_id, [])
        if not segments or not segments[-1].takes(write):
            segments.append(NewSegment(write))
        if write.moved or write.epoch != write.expect:
            self._moves[segments[-1]] = write

    def _attach(self, run_id: str, barrier: BarrierRow) -> None:
        self._barriers[run_id, barrier.barrier] = barrier_columns(run_id, barrier)

    def statements(self) -> list[Statement]:
        """What is sent; it fails as a whole."""
        made = list[Statement]()
        if self._creates:
            made.append(_CREATE.of([*self._creates.values()]))
        turn = 0
        while some := [each[turn] for each in self._segments.values() if len(each) > turn]:
            made += self._round(some)
            turn += 1
        barriers = [(n, key[0], *columns) for n, (key, columns) in enumerate(self._barriers.items())]
        for told, rows in (
            (_SNAPSHOT, self._snapshots), (_BARRIER, barriers), (_HEAD, [*self._heads.values()]),
            (_NAME, [*self._blobs]),
        ):  # fmt: skip
            if rows:
                made.append(told.of(rows))
        return made

    def _round(self, segments: list[NewSegment]) -> list[Statement]:
        everyday, moving = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        for segment in segments:
            row, move = (*segment.row(), _tip(segment.last)), self._moves.get(segment)
            if move is None:
                everyday.append(row)
            else:
                status, _, code, message, timer = row_columns(move)
                moving.append((*row, status, code, message.encode(), moment(timer), row_sum(move), self._owner))
        made = list[Statement]()
        if everyday:
            made.append(_EVERYDAY.of(everyday))
        if moving:
            made.append(_MOVING.of(moving))
        return made


def _tip(write: Write) -> int:
    return sum_columns(write.run_id, write.seq, write.event_id, write.epoch, float(write.at))


def commit(connection: Connected, writes: Sequence[Write], owner: str) -> list[Outcome]:
    """See `Store.commit`."""
    try:
        _send(connection, _group(writes, owner))
    except (_Unusual, *_DATA_ERRORS):
        return _one_by_one(connection, writes, owner)
    return [_APPLIED] * len(writes)


def _group(writes: Sequence[Write], owner: str) -> list[Statement]:
    group = Group(owner)
    for write in writes:
        group.add(write)
    return group.statements()


def _send(connection: Connected, statements: Sequence[Statement]) -> None:
    # What is sent in a pipeline is one transaction, which is committed by the end of the pipeline.
    if len(statements) == 1:
        connection.execute(*statements[0], prepare=True)
    elif statements:
        with connection.pipeline():
            for statement, values in statements:
                connection.execute(statement, values, prepare=True)


def _one_by_one(connection: Connected, writes: Sequence[Write], owner: str) -> list[Outcome]:
    with connection.transaction():
        connection.execute(_LOCK, (sorted({write.run_id for write in writes}),))
        return in_order(writes, lambda write: _settle(connection, write, owner))


def _settle(connection: Connected, write: Write, owner: str) -> Outcome:
    try:
        for _ in range(_TRIES):
            try:
                with connection.transaction():
                    return _judged(connection, write, owner)
            except errors.UniqueViolation:
                continue  # somebody has brought the same id or key meanwhile, which the next look finds
        raise errors.SerializationFailure("others bring and delete the same run all the time")
    except Damaged as error:
        text = f"commit {write.seq} cannot be compared with what is stored of run {write.run_id!r}, which is damaged"
        return Rejected(f"{text}: {describe(error)}", final=False)  # nobody knows whether it is there
    except (_Unusual, *_DATA_ERRORS) as error:
        return Rejected(f"commit {write.seq} of run {write.run_id!r} cannot be stored: {describe(error)}")


def _judged(connection: Connected, write: Write, owner: str) -> Outcome:
    outcome = _judge(connection, write)
    if outcome is None and write.blobs:
        missing = connection.execute(_MISSING, (list(write.blobs),)).fetchone()
        outcome = None if missing is None else nameless(write, str(missing[0]))
    if outcome is None:
        for statement, values in _group([write], owner):
            connection.execute(statement, values, prepare=True)
    return outcome or _APPLIED


def _judge(connection: Connected, write: Write) -> Outcome | None:
    run = read_run(connection, write.run_id)
    stored = _postgres_reads.commit(connection, write.run_id, write.seq)
    if write.header is None:
        return unknown(write) if run is None else verdict(write, run.epoch, run.seq, stored)
    if run is not None and run.header == write.header and stored == (write.epoch, write.body):
        return _APPLIED
    taken = run or (read_run_by_key(connection, write.header.key) if write.header.key else None)
    return misnumbered(write) if taken is None else Exists(taken)


def move_head(connection: Connected, thread: str, expect: str, run_id: str, at: float) -> bool:
    """See `Store.move_head`."""
    values = {"thread": thread, "expect": expect, "run": run_id, "at": at, "crc": head_sum(thread, run_id, at)}
    return connection.execute(_BACK if run_id else _HEADLESS, values).rowcount == 1
