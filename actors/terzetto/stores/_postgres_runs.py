"""How rows of runs are read from Postgres: one that is damaged is an error where it is asked for, and else marked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from terzetto_protocol.errors import UnknownRun, describe
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus

from ._checksums import UNREADABLE, Damaged, columns_fit, fits
from ._contract import TIMED, UNFINISHED
from ._postgres_owners import living
from ._postgres_schema import Connected

_BATCH: Final = 200
"""Rows that are made at once: while they are, no other thread goes on."""
_MOST: Final = 2**63 - 1

_header = msgspec.msgpack.Decoder(RunHeader).decode


class _Columns(NamedTuple):
    id: str
    status: str
    epoch: int
    code: str
    message: bytes
    timer: float | None
    crc: int
    header: bytes
    first: int
    seq: int
    event: int
    moment: float
    tip: int


_COLUMNS: Final = ", ".join(f"r.{name}" for name in _Columns._fields)
_WHOSE: Final = living("o", "r.owner")
_NOBODY_ELSES: Final = "(o.name is null or o.name = %(me)s)"
_ORDER: Final = "order by r.at desc, r.id desc limit %(limit)s"

_RUN: Final = f"select {_COLUMNS} from runs r where r.id = %(run)s"  # noqa: S608 - our own words only, here and below
OWNED: Final = f"select o.name, {_COLUMNS} from runs r {_WHOSE} where r.id = %(run)s"  # noqa: S608
_RUN_BY_KEY: Final = f"select {_COLUMNS} from runs r where r.key = %(key)s and r.key <> ''"  # noqa: S608
_UNFINISHED: Final = f"""
    select {_COLUMNS} from runs r {_WHOSE} where r.status = any(%(statuses)s) and {_NOBODY_ELSES} {_ORDER}
"""  # noqa: S608
_FREE: Final = f"select from runs r {_WHOSE} where r.id = %(run)s and {_NOBODY_ELSES}"
_FOREIGN: Final = f"select {_COLUMNS} from runs r where r.id = any(%(runs)s) and r.owner not in ('', %(me)s)"  # noqa: S608
_TIMERS: Final = f"""
    select r.id, r.timer, r.message, r.crc, r.status, r.epoch, r.code from runs r {_WHOSE}
    where r.status = any(%(statuses)s) and r.timer is not null and {_NOBODY_ELSES}
"""  # noqa: S608
_CONDITIONS: Final[Mapping[str, str]] = {
    "statuses": "r.status = any(%(statuses)s)",
    "before": "(r.at, r.id) < (%(at)s, %(before)s)",
    "thread": "r.thread = %(thread)s and r.thread <> ''",
}


def rows_of(connection: Connected, query: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of an answer; other threads go on between some and the next ones."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(query.encode(), values)
        while rows := cursor.fetchmany(_BATCH):
            yield from rows


def limited(limit: int | None) -> int | None:
    """A limit as Postgres takes it."""
    return None if limit is None else min(max(limit, 0), _MOST)


def read_run(connection: Connected, run_id: str) -> RunRow | None:
    """The row of this run, or None; raises `Damaged`."""
    for columns in rows_of(connection, _RUN, {"run": run_id}):
        return _run_row(_Columns(*columns))
    return None


def is_nobody_elses(connection: Connected, run_id: str, me: str) -> bool:
    """Whether no other owner who lives has begun a run's newest epoch."""
    return any(True for _ in rows_of(connection, _FREE, {"run": run_id, "me": me}))


def owned(columns: Sequence[Any], me: str) -> tuple[RunRow, str]:
    """A row as `OWNED` finds it, and who else carries the run; raises `Damaged`."""
    owner, *rest = columns
    row = _run_row(_Columns(*rest))
    return row, "" if owner in (None, me) or row.status in TERMINAL else str(owner)


def read_run_by_key(connection: Connected, key: str) -> RunRow | None:
    """The row of the run with this key, or None; raises `Damaged`."""
    for columns in rows_of(connection, _RUN_BY_KEY, {"key": key}):
        return _run_row(_Columns(*columns))
    return None


def read_runs(
    connection: Connected,
    statuses: Sequence[RunStatus] | None,
    before: str | None,
    limit: int | None,
    thread: str | None,
) -> list[RunRow]:
    """See `Store.runs`."""
    values: dict[str, Any] = {"limit": limited(limit), "before": before, "thread": thread}
    values["statuses"] = None if statuses is None else list(statuses)
    wanted = [condition for name, condition in _CONDITIONS.items() if values[name] is not None]
    if before is not None:
        values["at"] = _age(connection, before)
    where = f"where {' and '.join(wanted)}" if wanted else ""
    query = f"select {_COLUMNS} from runs r {where} {_ORDER}"  # noqa: S608 - our own words only
    return [_listed(columns) for columns in rows_of(connection, query, values)]


def _age(connection: Connected, run_id: str) -> float:
    for (at,) in rows_of(connection, "select at from runs where id = %(run)s", {"run": run_id}):
        return float(at)
    raise UnknownRun(run_id)


def read_unfinished(connection: Connected, me: str) -> list[RunRow]:
    """See `Store.unfinished`."""
    values = {"statuses": list(UNFINISHED), "me": me, "limit": None}
    return [_listed(columns) for columns in rows_of(connection, _UNFINISHED, values)]


def read_foreign(connection: Connected, run_ids: Collection[str], me: str) -> list[RunRow]:
    """See `Store.foreign`."""
    return [_listed(columns) for columns in rows_of(connection, _FOREIGN, {"runs": list(run_ids), "me": me})]


def read_timers(connection: Connected, me: str) -> list[tuple[str, float]]:
    """See `Store.timers`; no header is looked at."""
    return [_timer(*columns) for columns in rows_of(connection, _TIMERS, {"statuses": list(TIMED), "me": me})]


def _timer(run_id: str, timer: float, message: bytes, crc: int, *columns: Any) -> tuple[str, float]:
    fits = columns_fit(crc, run_id, *columns, message.decode(errors="replace"), timer)
    return run_id, timer if fits else 0.0


def _listed(columns: Sequence[Any]) -> RunRow:
    row = _Columns(*columns)
    try:
        return _run_row(row)
    except Damaged as error:
        # Nothing is said of the run but that it is there, and where it stands, if that is a status.
        status = RunStatus(row.status) if row.status in RunStatus.__members__ else RunStatus.INTERRUPTED
        said = RunHeader(row.id, "", "", "", "", 0.0)
        return RunRow(said, status, 0, 0, 0, 0.0, damaged=f"{error.place}: {error.reason}")


def _run_row(row: _Columns) -> RunRow:
    try:
        message = row.message.decode()
        if not fits(row.crc, row.header, row.id, row.status, row.epoch, row.code, message, row.timer):
            raise Damaged(row.id, "its row")
        if not columns_fit(row.tip, row.id, row.seq, row.event, row.epoch, row.moment):
            raise Damaged(row.id, "its row", f"it does not fit commit {row.seq}, its last one")
        return RunRow(
            _header(row.header), RunStatus(row.status), row.epoch, row.seq, row.event, row.moment,
            row.code, message, row.timer, row.first,
        )  # fmt: skip
    except (ValueError, *UNREADABLE) as error:  # a ValueError is a status that there is not
        raise Damaged(row.id, "its row", describe(error)) from error
