"""The statements that write commits to Postgres: each says how many rows it is about, and fails if it were others.

Each is about the rows of many runs at once, however few they are.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

Statement: TypeAlias = tuple[bytes, Sequence[Any]]
"""A statement and its values."""

UNDER_WAY: Final = "status not in ('SUCCEEDED', 'FAILED', 'CANCELLED')"
"""Which runs are in line on their thread; as the index says it."""


class Rows:
    """A statement about rows, which fails by a division by zero where it does less than it was told.

    One row is told as it is, and several as an array for each column, which takes twice as long for one.
    """

    def __init__(self, template: str, **kinds: str) -> None:
        names = ", ".join(kinds)
        one = f"(values ({', '.join([f'%s::{kind}' for kind in kinds.values()])})) as new ({names})"
        many = f"unnest({', '.join([f'%s::{kind}[]' for kind in kinds.values()])}) as new ({names})"
        self._one, self._many = template.replace("NEW", one).encode(), template.replace("NEW", many).encode()

    def of(self, rows: Sequence[Sequence[Any]]) -> Statement:
        """The statement about these rows."""
        if len(rows) == 1:
            return self._one, [*rows[0], 1]
        return self._many, [*map(list, zip(*rows, strict=True)), len(rows)]


_COMMIT: Final[dict[str, str]] = {
    "id": "text", "expect": "bigint", "epoch": "bigint", "first": "bigint", "last": "bigint", "event": "bigint",
    "at": "float8", "body": "bytea", "crc": "bigint", "tip": "bigint",
}  # fmt: skip
_MOVE: Final[dict[str, str]] = {
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
EVERYDAY: Final = Rows(_APPEND.replace("MORE", ""), **_COMMIT)
MOVING: Final = Rows(_APPEND.replace("MORE", _SET), **_COMMIT, **_MOVE)
CREATE: Final = Rows(
    """
    with new as (select * from NEW), moved as (
        insert into runs (
            id, at, key, thread, line, header, status, epoch, code, message, timer, crc,
            first, seq, event, moment, tip, owner
        )
        select id, at, key, thread, line, header, status, epoch, code, message, timer, crc,
            1, 1, event, moment, tip, owner
        from new returning n, id
    ), done as (
        insert into commits (run, first, last, event, epoch, at, body, crc)
        select m.n, 1, 1, new.event, new.epoch, new.moment, new.body, new.body_crc
        from moved m join new on new.id = m.id returning 1
    )
    select 1 / (count(*) = %s)::int from done
    """,
    id="text", at="float8", key="text", thread="text", line="bigint", header="bytea", status="text", epoch="bigint",
    code="text", message="bytea", timer="float8", crc="bigint", event="bigint", moment="float8", tip="bigint",
    body="bytea", body_crc="bigint", owner="text",
)  # fmt: skip
SNAPSHOT: Final = Rows(
    """
    with done as (
        insert into snapshots (run, seq, body, crc)
        select r.n, new.seq, new.body, new.crc from NEW join runs r on r.id = new.id returning 1
    )
    select 1 / (count(*) = %s)::int from done
    """,
    id="text", seq="bigint", body="bytea", crc="bigint",
)  # fmt: skip
BARRIER: Final = Rows(
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
HEAD: Final = Rows(
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
NAME: Final = Rows(
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
JOIN: Final = Rows(
    f"""
    with found as (
        select from NEW left join threads t on t.id = new.thread left join runs h on h.n = t.run
        where (new.base is null or new.base = coalesce(h.id, '')) and not exists (
            select from runs r where r.thread = new.thread and r.thread <> '' and r.{UNDER_WAY} and r.line >= new.line
        )
    )
    select 1 / (count(*) = %s)::int from found
    """,  # noqa: S608 - our own words only
    thread="text", line="bigint", base="text",
)  # fmt: skip
"""Runs find their threads as they thought."""
BEGIN: Final = Rows(
    """
    with found as (
        select from NEW join runs r on r.id = new.id left join threads t on t.id = r.thread
        left join runs h on h.n = t.run where r.thread = '' or new.base = coalesce(h.id, '')
    )
    select 1 / (count(*) = %s)::int from found
    """,
    id="text", base="text",
)  # fmt: skip
"""Runs whose turn has come find the heads of their threads as they thought."""
