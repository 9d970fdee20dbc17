"""A group of writes on its way to Postgres: what is alike in it goes together."""

from typing import Any

import msgspec

from terzetto_protocol.records import RunHeader, Write

from ._checksums import checksum, moment, sum_blob, sum_columns
from ._columns import BarrierColumns, barrier_columns, head_sum, row_columns, row_sum
from ._postgres_statements import (
    BARRIER,
    BEGIN,
    CREATE,
    EVERYDAY,
    HEAD,
    JOIN,
    MOVING,
    NAME,
    SNAPSHOT,
    Statement,
)
from ._postgres_threads import lock
from ._pressing import press
from ._segments import NewSegment

_encode = msgspec.msgpack.Encoder().encode


class Unusual(Exception):
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
        self._joins = dict[str, tuple[Any, ...]]()
        """Those of the new runs that are on a thread, by that."""
        self._begins = list[tuple[Any, ...]]()
        """Runs whose turn on their thread has come."""
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
            self._barriers[write.run_id, barrier.barrier] = barrier_columns(write.run_id, barrier)
        if write.thread and (write.moved or write.header is not None):
            crc = head_sum(write.thread, write.run_id, write.at)
            self._heads[write.thread] = write.thread, write.run_id, float(write.at), crc
        for digest in write.blobs:
            self._blobs[write.run_id, digest] = None

    def _create(self, write: Write, header: RunHeader) -> None:
        if write.seq != 1 or write.run_id in self._creates or write.run_id in self._segments:
            raise Unusual
        if header.thread:
            if header.thread in self._joins:
                raise Unusual  # which of them is overtaken by the other is found one by one
            self._joins[header.thread] = header.thread, header.line, write.base
        data = _encode(header)
        status, epoch, code, message, timer = row_columns(write)
        tip = _tip(write)
        row = NewSegment(write).row()
        self._creates[write.run_id] = (
            write.run_id, float(header.at), header.key, header.thread, header.line, data, status, epoch, code,
            message.encode(), moment(timer), row_sum(write) | sum_blob(data), write.event_id, float(write.at), tip,
            row.body, row.crc, self._owner,
        )  # fmt: skip

    def _append(self, write: Write) -> None:
        segments = self._segments.setdefault(write.run_id, [])
        if not segments or not segments[-1].takes(write):
            segments.append(NewSegment(write))
        if write.moved or write.epoch != write.expect:
            self._moves[segments[-1]] = write
        if write.base is not None:
            self._begins.append((write.run_id, write.base))

    def statements(self) -> list[Statement]:
        """What is sent; it fails as a whole."""
        made = self._threads()
        if self._creates:
            made.append(CREATE.of([*self._creates.values()]))
        turn = 0
        while some := [each[turn] for each in self._segments.values() if len(each) > turn]:
            made += self._round(some)
            turn += 1
        barriers = [(n, key[0], *columns) for n, (key, columns) in enumerate(self._barriers.items())]
        for told, rows in (
            (SNAPSHOT, self._snapshots), (BARRIER, barriers), (HEAD, [*self._heads.values()]),
            (NAME, [*self._blobs]),
        ):  # fmt: skip
            if rows:
                made.append(told.of(rows))
        return made

    def _threads(self) -> list[Statement]:
        """Whether the threads are as the writes found them, which is looked at before anything is written."""
        if self._heads and (self._begins or self._joins.keys() & self._heads.keys()):
            raise Unusual  # one of these may be what moves the head that another one names
        made = list[Statement]()
        if self._joins or self._begins or self._heads:
            made.append(lock({*self._joins, *self._heads}, [run_id for run_id, _ in self._begins]))
        if self._joins:
            made.append(JOIN.of([*self._joins.values()]))
        if self._begins:
            made.append(BEGIN.of(self._begins))
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
            made.append(EVERYDAY.of(everyday))
        if moving:
            made.append(MOVING.of(moving))
        return made


def _tip(write: Write) -> int:
    return sum_columns(write.run_id, write.seq, write.event_id, write.epoch, float(write.at))
