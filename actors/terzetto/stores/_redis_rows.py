"""What stands in the keys of a run: its row, its commits, its barriers, each with a checksum.

A row is a hash. What the scripts have to know stands in fields of its own; the checksums are those of every store.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from terzetto_protocol.errors import describe
from terzetto_protocol.records import BarrierRow, RunHeader, RunRow, Write
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from ._checksums import UNREADABLE, Damaged, checksum, columns_fit, fits, sum_columns
from ._columns import barrier_columns, head_sum, row_sum
from ._placement import listed_wrongly, misplaced
from ._redis_scripts import Argument, pairs
from ._schema import Value

ROW: Final = "its row"
_DAMAGES: Final = (KeyError, ValueError, *UNREADABLE)
"""What reading a row raises that is not what was stored."""

# In one order, so that the same header is the same bytes: a script compares them.
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_header = msgspec.msgpack.Decoder(RunHeader).decode
_barrier_row = msgspec.msgpack.Decoder(BarrierRow).decode


class Entry(NamedTuple):
    """A commit."""

    seq: int
    event: int
    body: bytes


def write_arguments(write: Write, snapshot: bytes | None) -> list[Argument]:
    """What the script `apply` is told of a write; raises `ValueError` for what a server cannot hold.

    Args:
        write: the write.
        snapshot: the bytes that are stored for its snapshot.
    """
    at = _number(write.at)
    total = checksum(write.body, write.run_id, write.seq, write.event_id, write.epoch, float(write.at))
    args: list[Argument] = [
        write.run_id.encode(), write.expect, write.epoch, write.seq, write.event_id, at, total, write.body,
    ]  # fmt: skip
    marks, more = _marked(write, snapshot)
    return [*args, marks, *more]


def _marked(write: Write, snapshot: bytes | None) -> tuple[str, list[Argument]]:
    marks, args = "", list[Argument]()
    if write.moved or write.header is not None or write.epoch != write.expect:
        marks += "m"
        timer = "" if write.timer is None else _number(write.timer)
        args += [write.status.value, write.code.encode(), write.message.encode(), timer, row_sum(write)]
    if write.header is not None:
        marks += "h"
        header = _encode(write.header)
        args += [header, checksum(header, write.run_id), _number(write.header.at)]
        args += [write.header.key.encode(), write.header.thread.encode(), write.header.line]
    if write.base is not None:
        marks += "o"
        args.append(write.base.encode())
    if write.thread and "m" in marks:
        marks += "t"
        args += [write.thread.encode(), head_sum(write.thread, write.run_id, write.at)]
    if snapshot is not None:
        marks += "s"
        args.append(b"%d %b" % (checksum(snapshot, write.run_id, write.seq), snapshot))
    if write.barriers:
        marks += "b"
        args += _counted([each for row in write.barriers for each in _barrier(write.run_id, row)])
    if write.blobs:
        marks += "k"
        args += _counted([digest.encode() for digest in write.blobs])
    return marks, args


def unstorable_arguments(write: Write) -> list[Argument]:
    """The same for a write that cannot be stored: it is judged, and never applied."""
    run_id = write.run_id.encode(errors="replace")
    return [run_id, write.expect, write.epoch, write.seq, write.event_id, "0", 0, write.body, "x"]


def _counted(args: list[Argument]) -> list[Argument]:
    return [len(args), *args]


def _barrier(run_id: str, barrier: BarrierRow) -> tuple[Argument, ...]:
    columns = barrier_columns(run_id, barrier)
    closed = "" if barrier.resolved is None else _number(barrier.resolved)
    return columns.barrier.encode(), int(columns.is_open), closed, b"%d %b" % (columns.crc, columns.row)


def _number(moment: float) -> str:
    """A moment as it comes back the same; a server orders by it, and there is no place for what is no number."""
    if math.isnan(moment):
        raise ValueError("a time is not a number")
    return repr(float(moment))


def read_row(run_id: str, row: Mapping[bytes, bytes]) -> RunRow:
    """A run as it is listed; raises `Damaged`."""
    try:
        return _read_row(run_id, row)
    except _DAMAGES as error:
        raise Damaged(run_id, ROW, describe(error)) from error


def _read_row(run_id: str, row: Mapping[bytes, bytes]) -> RunRow:
    status, code, message = (row[name].decode() for name in (b"status", b"code", b"message"))
    epoch, seq, event, wrote = (int(row[name]) for name in (b"epoch", b"seq", b"event", b"wrote"))
    timer = float(row[b"timer"]) if row[b"timer"] else None
    at, header = float(row[b"at"]), row[b"header"]
    if not fits(int(row[b"header_sum"]), header, run_id):
        raise Damaged(run_id, ROW)
    if int(row[b"sum"]) != sum_columns(run_id, status, epoch, code, message, timer):
        raise Damaged(run_id, ROW)
    if not columns_fit(int(row[b"last_sum"]), run_id, seq, event, wrote, at):
        raise Damaged(run_id, f"commit {seq}")
    first, *_ = (int(row[name]) for name in (b"first", b"commits", b"newest", b"snapshots", b"barriers", b"heads"))
    return RunRow(_header(header), RunStatus(status), epoch, seq, event, at, code, message, timer, first)


def check_placement(row: RunRow, fields: Mapping[bytes, bytes], listed: Sequence[bytes]) -> None:
    """Look whether a run is found by what it says; raises `Damaged`.

    Args:
        row: the run.
        fields: its row as it is kept.
        listed: what the lists have for it, empty where it is not in one.
    """
    try:
        found: dict[str, Value] = {name: fields[name.encode()].decode() for name in ("key", "thread")}
        found |= {"submitted": float(fields[b"submitted"]), "epoch": row.epoch}
        why = misplaced(row.header, int(fields[b"wrote"]), found, submitted="submitted")
    except _DAMAGES as error:
        raise Damaged(row.run_id, ROW, describe(error)) from error
    if why:
        raise Damaged(row.run_id, ROW, why)
    runs, status, timers, keys, on, line = listed
    places = {"runs": runs, "status": status, "timers": timers, "on": on, "line": line}
    known = {name: float(place) if place else None for name, place in places.items()}
    why = listed_wrongly(row, {**known, "keys": keys.decode(errors="replace") or None})
    if why:
        raise Damaged(row.run_id, "what the lists have for it", why)


def listed_row(run_id: str, source: str, flat: list[bytes]) -> RunRow:
    """The same of one among many: one that is damaged says so, and tells nothing but where it is listed."""
    row = pairs(flat)
    try:
        if not row:
            raise Damaged(run_id, ROW, "its keys have vanished")
        return read_row(run_id, row)
    except Damaged as error:
        known = row.get(b"status", source.removeprefix("is:").encode()).decode(errors="replace")
        status = RunStatus(known) if known in RunStatus.__members__ else RunStatus.INTERRUPTED
        said = RunHeader(run_id, "", "", "", "", 0.0)
        return RunRow(said, status, 0, 0, 0, 0.0, damaged=f"{error.place}: {error.reason}")


def read_entries(run_id: str, commits: Sequence[Any]) -> list[Entry]:
    """Commits as a script gives them; raises `Damaged`."""
    return [_entry(run_id, commit) for commit in commits]


def _entry(run_id: str, commit: tuple[bytes, list[bytes]]) -> Entry:
    place, flat = commit
    try:
        seq, said = int(place.partition(b"-")[0]), pairs(flat)
        event, epoch, at, body = int(said[b"event"]), int(said[b"epoch"]), float(said[b"at"]), said[b"body"]
        if fits(int(said[b"sum"]), body, run_id, seq, event, epoch, at):
            return Entry(seq, event, body)
    except _DAMAGES as error:
        raise Damaged(run_id, f"commit {place.partition(b'-')[0].decode(errors='replace')}", describe(error)) from error
    raise Damaged(run_id, f"commit {seq}")


def read_barriers(run_id: str, flat: list[bytes]) -> list[tuple[int, BarrierRow]]:
    """Barriers of a run, each with its place in the order of opening; raises `Damaged`."""
    return sorted([_numbered(run_id, name, value) for name, value in pairs(flat).items()], key=lambda each: each[0])


def _numbered(run_id: str, name: bytes, value: bytes) -> tuple[int, BarrierRow]:
    try:
        number, _, crc, data = value.split(b" ", 3)
        row = _barrier_row(data)
        if fits(int(crc), data, run_id, name.decode(), int(row.status is BarrierStatus.OPEN)):
            return int(number), row
    except _DAMAGES as error:
        raise Damaged(run_id, f"barrier {name.decode(errors='replace')!r}", describe(error)) from error
    raise Damaged(run_id, f"barrier {name.decode(errors='replace')!r}")


def read_barrier_value(run_id: bytes, name: bytes, value: bytes | None) -> BarrierRow:
    """One barrier; raises `Damaged`."""
    known = run_id.decode(errors="replace")
    if value is None:
        raise Damaged(known, f"barrier {name.decode(errors='replace')!r}", "its keys have vanished")
    return _numbered(known, name, value)[1]
