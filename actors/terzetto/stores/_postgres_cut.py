"""How a Postgres store forgets: the beginning of a log in front of a snapshot, or a whole run. One transaction each."""

from collections.abc import Collection
from typing import Any, Final, LiteralString

import msgspec

from terzetto_protocol.records import BarrierRow
from terzetto_protocol.statuses import RunStatus

from ._checksums import checksum
from ._postgres_runs import rows_of
from ._postgres_schema import Connected
from ._segments import Entries, Segment, body_of, entries_of
from ._verdict import check_deletable, check_prunable, is_closed

_RUN: Final = "select n, epoch, status from runs where id = %(id)s for update"
_CUT: Final = "select max(seq) from snapshots where run = %(run)s and seq <= %(before)s"
_LEFT: Final = """
    select 1 + seq - first + (select count(*) from alone where run = %(run)s) from runs where n = %(run)s
"""
_SEGMENT: Final = """
    select first, last, event, epoch, at, crc, body from commits
    where run = %(run)s and last >= %(seq)s order by last limit 1
"""
_SHORTEN: Final = """
    update commits set first = %(cut)s, body = %(body)s, crc = %(crc)s where run = %(run)s and last = %(last)s
"""
_STANDING: Final = """
    select seq from snapshots where run = %(run)s and seq < %(cut)s and seq = any(%(keep)s)
    except select seq from alone where run = %(run)s
"""
_STAND: Final = """
    insert into alone (run, seq, event, body, crc) values (%(run)s, %(seq)s, %(event)s, %(body)s, %(crc)s)
"""
_PRUNE: Final[tuple[LiteralString, ...]] = (
    "delete from commits where run = %(run)s and last < %(cut)s",
    "delete from alone where run = %(run)s and seq < %(cut)s and seq <> all(%(keep)s)",
    "delete from snapshots where run = %(run)s and seq < %(cut)s and seq <> all(%(keep)s)",
    "update runs set first = greatest(first, %(cut)s) where n = %(run)s",
)
_HEAD: Final = "select id from threads where run = %(run)s"
_CLOSED: Final = "select n, row from barriers where run = %(run)s and not open"
_FORGET: Final = "delete from barriers where n = any(%(closed)s)"
_DELETE: Final[tuple[LiteralString, ...]] = (
    "delete from inbox where run = (select id from runs where n = %(run)s) and receipt is not null",
    "delete from barriers where run = %(run)s",
    "delete from snapshots where run = %(run)s",
    "delete from alone where run = %(run)s",
    "delete from commits where run = %(run)s",
    """
    with gone as (delete from blob_runs where run = %(run)s returning blob)
    update blobs b set kept = b.kept - 1 from gone where b.n = gone.blob
    """,
    "delete from runs where n = %(run)s",
)

_barrier = msgspec.msgpack.Decoder(BarrierRow).decode


def prune(  # noqa: PLR0917 - as the contract says, with its connection
    connection: Connected, run_id: str, before: int, epoch: int, keep: Collection[int], closed_before: float
) -> int:
    """See `Store.prune`."""
    with connection.transaction():
        run, _ = _find(connection, run_id, epoch)
        [(cut,)] = rows_of(connection, _CUT, {"run": run, "before": before})
        if cut is None:
            return 0
        left = _left(connection, run)
        _cut(connection, run, run_id, cut, keep)
        _forget_closed(connection, run, closed_before)
        return left - _left(connection, run)


def delete(connection: Connected, run_id: str, epoch: int) -> int:
    """See `Store.delete`."""
    with connection.transaction():
        run, status = _find(connection, run_id, epoch)
        thread = next((thread for (thread,) in rows_of(connection, _HEAD, {"run": run})), None)
        check_deletable(run_id, (epoch, status), epoch, thread)
        left = _left(connection, run)
        with connection.pipeline():
            for statement in _DELETE:
                connection.execute(statement, {"run": run})
        return left


def _find(connection: Connected, run_id: str, epoch: int) -> tuple[int, RunStatus]:
    rows = list(rows_of(connection, _RUN, {"id": run_id}))
    check_prunable(run_id, rows[0][1] if rows else None, epoch)
    [(run, _, status)] = rows
    return run, RunStatus(status)


def _left(connection: Connected, run: int) -> int:
    [(count,)] = rows_of(connection, _LEFT, {"run": run})
    return int(count)


def _cut(connection: Connected, run: int, run_id: str, cut: int, keep: Collection[int]) -> None:
    values: dict[str, Any] = {"run": run, "cut": cut, "keep": sorted(keep)}
    for (seq,) in list(rows_of(connection, _STANDING, values)):
        _stand_alone(connection, run, run_id, seq)
    _shorten(connection, run, run_id, cut)
    for statement in _PRUNE:
        connection.execute(statement, values)


def _segment(connection: Connected, run: int, run_id: str, seq: int) -> tuple[Segment, Entries]:
    """What the row that holds a commit says of itself, and its commits."""
    [(*columns, body)] = rows_of(connection, _SEGMENT, {"run": run, "seq": seq})
    segment = Segment._make([*columns, len(body)])
    return segment, entries_of(run_id, segment, body)


def _stand_alone(connection: Connected, run: int, run_id: str, seq: int) -> None:
    segment, entries = _segment(connection, run, run_id, seq)
    event, body = entries[seq - segment.first]
    crc = checksum(body, run_id, seq, seq, event, None, None)
    connection.execute(_STAND, {"run": run, "seq": seq, "event": event, "body": body, "crc": crc})


def _shorten(connection: Connected, run: int, run_id: str, cut: int) -> None:
    """Take what is in front of the cut out of the row that holds the commit behind it."""
    (first, *others, _, _), entries = _segment(connection, run, run_id, cut)
    if first < cut:
        body = body_of(entries[cut - first :])
        crc = checksum(body, run_id, cut, *others)
        connection.execute(_SHORTEN, {"cut": cut, "body": body, "crc": crc, "run": run, "last": others[0]})


def _forget_closed(connection: Connected, run: int, before: float) -> None:
    rows = rows_of(connection, _CLOSED, {"run": run})
    closed = [n for n, row in rows if is_closed(_barrier(row), before)]
    connection.execute(_FORGET, {"closed": closed})
