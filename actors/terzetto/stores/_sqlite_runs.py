"""How rows of runs are read: one that is damaged is an error where it is asked for, and marked where many are."""

from itertools import compress, product
from typing import Final, NamedTuple

import apsw
import msgspec

from terzetto_protocol.errors import describe
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus

from ._checksums import UNREADABLE, Damaged, columns_fit, fits
from ._schema import Value
from ._sqlite_join import Join

_ROW: Final = "its row"

_header = msgspec.msgpack.Decoder(RunHeader).decode


class _Columns(NamedTuple):
    id: str
    status: str
    epoch: int
    code: str
    message: str
    timer: float | None
    crc: int | None
    begin: int
    first: int
    last: int
    event: int
    wrote: int
    moment: float
    last_crc: int | None
    length: int


def _runs(where: str) -> Join[_Columns]:
    return Join(
        _Columns, "header",
        f"""
        select r.id, r.status, r.epoch, r.code, r.message, r.timer, r.crc, r.header,
            (select first from commits where run = r.n order by last limit 1) as begin,
            c.first, c.last, c.event, c.epoch as wrote, c.at as moment, c.crc as last_crc
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


def read_run(connection: apsw.Connection, run_id: str) -> RunRow | None:
    """The row of this run, or None; raises `Damaged`."""
    for found in _RUN.read(connection, run_id, 1):
        row = _run_row(*found)
        if row.run_id != run_id:
            raise Damaged(run_id, _ROW, f"an index leads to run {row.run_id!r}")
        return row
    return None


def read_run_by_key(connection: apsw.Connection, key: str) -> RunRow | None:
    """The row of the run with this key, or None; raises `Damaged`."""
    for found in _RUN_BY_KEY.read(connection, key, 1):
        row = _run_row(*found)
        if row.header.key != key:
            raise Damaged(row.run_id, _ROW, f"an index leads to it from key {key!r}, and it has {row.header.key!r}")
        return row
    return None


def read_runs(connection: apsw.Connection, wanted: tuple[bool, bool, bool], *values: Value) -> list[RunRow]:
    """The rows of many runs; `wanted` says what is asked for: statuses, those older than one, those of a thread."""
    return [_listed(*found) for found in _RUNS[wanted].read(connection, *values)]


def _listed(columns: _Columns, header: bytes) -> RunRow:
    try:
        return _run_row(columns, header)
    except Damaged as error:
        # Nothing is said of the run but that it is there, and where it stands, if that is a status.
        status = RunStatus(columns.status) if columns.status in RunStatus.__members__ else RunStatus.INTERRUPTED
        said = RunHeader(columns.id, "", "", "", "", 0.0)
        return RunRow(said, status, 0, 0, 0, 0.0, damaged=f"{error.place}: {error.reason}")


def _run_row(row: _Columns, header: bytes) -> RunRow:
    if not fits(row.crc, header, row.id, row.status, row.epoch, row.code, row.message, row.timer):
        raise Damaged(row.id, _ROW)
    if not columns_fit(row.last_crc, row.id, row.first, row.last, row.event, row.wrote, row.moment):
        raise Damaged(row.id, f"commit {row.last}")
    try:
        return RunRow(
            _header(header), RunStatus(row.status), row.epoch, row.last, row.event, row.moment,
            row.code, row.message, row.timer, row.begin,
        )  # fmt: skip
    except (ValueError, *UNREADABLE) as error:  # a ValueError is a status that there is not
        raise Damaged(row.id, _ROW, describe(error)) from error
