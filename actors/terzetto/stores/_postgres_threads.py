"""Threads in a Postgres store: each is looked at and changed by one transaction at a time."""

from collections.abc import Collection
from typing import Any, Final

from terzetto_protocol.records import Head

from ._checksums import Damaged, columns_fit
from ._columns import head_sum
from ._postgres_runs import rows_of
from ._postgres_schema import Connected
from ._postgres_statements import UNDER_WAY, Statement

_LOCK: Final = b"""
    select pg_advisory_xact_lock(hashtext(current_schema()), key) from (
        select distinct hashtext(thread) as key from (
            select unnest(%s::text[]) as thread union select thread from runs where id = any(%s::text[])
        ) t where thread <> '' order by 1
    ) k
"""
_HOLD: Final = "select from runs where id = %(run)s for key share"
_IS_HEAD: Final = f"""
    id = %(thread)s and run = (select n from runs where id = %(expect)s) and not exists (
        select from runs r
        where r.thread = %(thread)s and r.thread <> '' and r.{UNDER_WAY} and (r.status <> 'QUEUED' or r.line = 0)
    )
"""  # noqa: S608 - our own words only, here and below
_BACK: Final = f"""
    update threads set run = (select n from runs where id = %(run)s), moved = %(at)s, crc = %(crc)s where {_IS_HEAD}
"""  # noqa: S608
_HEADLESS: Final = f"delete from threads where {_IS_HEAD}"  # noqa: S608
_HEAD: Final = """
    select r.id, t.moved, t.crc from threads t left join runs r on r.n = t.run where t.id = %(thread)s
"""


def lock(threads: Collection[str], run_ids: Collection[str]) -> Statement:
    """What keeps others from these threads, and from those of these runs, until the transaction ends."""
    return _LOCK, [sorted(threads), sorted(run_ids)]


def head(connection: Connected, thread: str) -> Head | None:
    """See `Store.head`."""
    for run_id, moved, crc in rows_of(connection, _HEAD, {"thread": thread}):
        if not columns_fit(crc, thread, run_id, moved):
            raise Damaged("", f"the head of thread {thread!r}")
        return None if run_id is None else Head(thread, run_id, moved)
    return None


def move_head(connection: Connected, thread: str, expect: str, run_id: str, at: float) -> bool:
    """See `Store.move_head`."""
    values: dict[str, Any] = {"thread": thread, "expect": expect, "run": run_id, "at": at}
    values["crc"] = head_sum(thread, run_id, at)
    with connection.transaction():
        connection.execute(*lock([thread], []))
        connection.execute(_HOLD, values)  # whoever is about to delete it is waited for, or finds it to be the head
        return connection.execute(_BACK if run_id else _HEADLESS, values).rowcount == 1
