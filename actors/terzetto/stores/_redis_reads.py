"""The read path of a Redis store: what is there of a run, of one moment, and nothing of it missing.

A key that has vanished is never taken for one that was never there: what a run must have stands in its row, and what
the store must have in the store's own hash.
"""

import zlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from attrs import frozen

from terzetto_protocol.errors import UnknownRun
from terzetto_protocol.records import BarrierRow, Head, RunRow
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from ._checksums import Damaged, columns_fit, fits
from ._contract import TIMED, StoredRun
from ._pressing import unpress
from ._redis_rows import ROW, check_placement, listed_row, read_barrier_value, read_barriers, read_entries, read_row
from ._redis_scripts import Ask, pairs

PAGE: Final = 200
"""Runs that one script lists at most: it keeps everybody else waiting meanwhile."""
_ALL: Final = 2**31


@frozen
class _Found:
    """What there is of a run, as a script gives it."""

    row: RunRow
    fields: dict[bytes, bytes]
    others: bytes
    snapshot: Any
    commits: Any
    barriers: Any
    seqs: Any
    listed: Any


class Reader:
    """Answers questions by scripts."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def _find(
        self, run_id: str, wanted: str = "", *, at: int | None = None, after: int | None = 0, event: int | None = None,
        limit: int | None = None,
    ) -> _Found | None:  # fmt: skip
        said = ["" if each is None else str(each) for each in (at, after, event)]
        try:
            reply = await self._ask("read", run_id, wanted, *said, limited(limit))
        except Damaged as damage:
            raise Damaged(run_id, damage.place, damage.reason) from damage
        if reply is None:
            return None
        fields = pairs(reply[0])
        return _Found(read_row(run_id, fields), fields, *reply[1:])

    async def run(self, run_id: str) -> RunRow | None:
        """See `Store.run`."""
        found = await self._find(run_id)
        return None if found is None else found.row

    async def load(self, run_id: str) -> StoredRun | None:
        """See `Store.load`; of one moment, unless its commits are so many that they come in pieces."""
        found = await self._find(run_id, "scb", after=None)
        if found is None:
            return None
        snapshot = _snapshot(run_id, found)
        if snapshot is None and int(found.fields[b"newest"]):
            raise Damaged(run_id, f"the snapshot of commit {found.fields[b'newest'].decode()}", "it has vanished")
        bodies, last = _bodies(run_id, found)
        if last < found.row.seq:
            bodies += await self.records(run_id, last, None)
        barriers = [row for _, row in _barriers(run_id, found)]
        return StoredRun(found.row, snapshot, bodies, barriers, found.others.decode(errors="replace"))

    async def run_by_key(self, key: str) -> RunRow | None:
        """See `Store.run_by_key`."""
        run_id = await self._ask("key", key) if key else None
        row = None if run_id is None else await self.run(run_id.decode())
        return row if row is None or row.header.key == key else None  # it was deleted and made anew meanwhile

    async def runs(
        self,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = None,
        thread: str | None = None,
        *,
        free: bool = False,
    ) -> list[RunRow]:
        """See `Store.runs`; with `free` only those that belong to nobody else who lives."""
        said = [] if statuses is None else sorted({status.value for status in statuses})
        sources = ["runs"] if statuses is None else [f"is:{status}" for status in said]
        if thread is not None:
            sources = [f"on:{thread}"] if thread and (statuses is None or said) else []
        found, left, place = list[RunRow](), limited(limit), ["", before or ""]
        while True:
            count = min(left, PAGE)
            wanted = [len(sources), *sources, len(said), *said, *place, count, int(free)]
            rows = await self._ask("list", *wanted)
            if rows is None:
                raise UnknownRun(before or "")
            found += [listed_row(run_id.decode(errors="replace"), each.decode(), row) for run_id, _, each, row in rows]
            left -= len(rows)
            if len(rows) < count or left == 0:
                return found
            place = [rows[-1][1], rows[-1][0]]

    async def timers(self) -> list[tuple[str, float]]:
        """See `Store.timers`."""
        found = list[tuple[str, float]]()
        for run_id, flat in await self._ask("timers"):
            row = listed_row(run_id.decode(errors="replace"), "", flat)
            moment = 0.0 if row.damaged else row.timer
            if moment is not None and (row.damaged or row.status in TIMED):
                found.append((row.run_id, moment))
        return found

    async def foreign(self, run_ids: Collection[str]) -> list[RunRow]:
        """See `Store.foreign`."""
        found, asked = list[RunRow](), sorted(run_ids)
        for start in range(0, len(asked), PAGE):
            page = asked[start : start + PAGE]
            for run_id, flat in await self._ask("foreign", len(page), *page):
                row = listed_row(run_id.decode(errors="replace"), "", flat)
                found += [] if row.damaged else [row]  # whose it is, nobody can believe
        return found

    async def head(self, thread: str) -> Head | None:
        """See `Store.head`."""
        reply = await self._ask("head", thread)
        if not reply:
            return None
        place = f"the head of thread {thread!r}"
        try:
            at, crc, run_id = float(reply[0]), int(reply[1]), reply[2].decode()
        except ValueError as error:
            raise Damaged("", place) from error
        if not columns_fit(crc, thread, run_id, at):
            raise Damaged("", place)
        return Head(thread, run_id, at)

    async def snapshot(self, run_id: str, at: int | None) -> tuple[int, bytes] | None:
        """See `Store.snapshot`."""
        found = await self._find(run_id, "sn", at=at)
        if found is None:
            return None
        _check_snapshots(run_id, found)
        return _snapshot(run_id, found)

    async def checkpoints(self, run_id: str) -> list[int]:
        """See `Store.checkpoints`."""
        found = await self._find(run_id, "n")
        if found is None:
            return []
        _check_snapshots(run_id, found)
        return [int(seq) for seq in found.seqs]

    async def records(self, run_id: str, after: int, limit: int | None, event: int | None = None) -> list[bytes]:
        """See `Store.records`; with `event` see `Store.records_by_event`."""
        left, bodies = limited(limit), list[bytes]()
        while True:
            found = await self._find(run_id, "c", after=after, event=event, limit=left)
            if found is None:
                return bodies
            more, after = _bodies(run_id, found, limit=left)
            bodies += more
            left -= len(more)
            event = None
            if after >= found.row.seq or left == 0:
                return bodies

    async def barriers(self, run_id: str | None, *, only_open: bool) -> list[BarrierRow]:
        """See `Store.barriers`."""
        if run_id is None:
            return await (self._open_barriers() if only_open else self._all_barriers())
        found = await self._find(run_id, "b")
        rows = [] if found is None else [row for _, row in _barriers(run_id, found)]
        return [row for row in rows if row.status is BarrierStatus.OPEN] if only_open else rows

    async def _open_barriers(self) -> list[BarrierRow]:
        rows = list[BarrierRow]()
        for run_id, name, value in await self._ask("open_barriers"):
            with suppress(Damaged):  # whoever asks for those of its run hears of it
                rows.append(read_barrier_value(run_id, name, value))
        return rows

    async def _all_barriers(self) -> list[BarrierRow]:
        numbered = list[tuple[int, BarrierRow]]()
        for row in await self.runs():
            with suppress(Damaged):
                found = await self._find(row.run_id, "b")
                numbered += [] if found is None else _barriers(row.run_id, found)
        return [row for _, row in sorted(numbered, key=lambda each: each[0])]

    async def check(self, run_id: str) -> None:
        """Read all that there is of a run; raises `Damaged`."""
        found = await self._find(run_id, "nbl")
        if found is None:
            return
        check_placement(found.row, found.fields, found.listed)
        _check_snapshots(run_id, found)
        _check_ends(run_id, found)
        _barriers(run_id, found)
        for seq in found.seqs:
            await self.snapshot(run_id, int(seq))
        there = len(await self.records(run_id, 0, None))
        now = await self._find(run_id)
        if now is not None and now.fields[b"seq"] == found.fields[b"seq"] and there != int(now.fields[b"commits"]):
            raise Damaged(run_id, "its log", f"it has {there} commits instead of {now.fields[b'commits'].decode()}")


def limited(limit: int | None) -> int:
    """A limit as a script takes it."""
    return _ALL if limit is None else min(max(limit, 0), _ALL)


def _snapshot(run_id: str, found: _Found) -> tuple[int, bytes] | None:
    if found.snapshot is None:
        return None
    seq, value = int(found.snapshot[0]), found.snapshot[1]
    place = f"the snapshot of commit {seq}"
    if value is None:
        raise Damaged(run_id, place, "it has vanished")
    crc, _, data = value.partition(b" ")
    if not (crc.isdigit() and fits(int(crc), data, run_id, seq)):
        raise Damaged(run_id, place)
    try:
        return seq, unpress(data)
    except zlib.error as error:
        raise Damaged(run_id, place, str(error)) from error


def _check_snapshots(run_id: str, found: _Found) -> None:
    if len(found.seqs) != int(found.fields[b"snapshots"]):
        raise Damaged(run_id, "its snapshots", f"{len(found.seqs)} are left of {found.fields[b'snapshots'].decode()}")


def _check_ends(run_id: str, found: _Found) -> None:
    # Commits that stand alone, in front of the first from which all are left, have a snapshot each.
    seqs, newest, first = [int(seq) for seq in found.seqs], int(found.fields[b"newest"]), found.row.first
    if newest != max(seqs, default=0):
        raise Damaged(run_id, ROW, f"it has newest {newest} instead of {max(seqs, default=0)}")
    there = found.row.seq - first + 1 + sum(seq < first for seq in seqs)
    if first < 1 or int(found.fields[b"commits"]) != there:
        said = found.fields[b"commits"].decode()
        raise Damaged(run_id, "its log", f"its row has first {first}, and commits {said} instead of {there}")


def _barriers(run_id: str, found: _Found) -> list[tuple[int, BarrierRow]]:
    rows = read_barriers(run_id, found.barriers)
    if len(rows) != int(found.fields[b"barriers"]):
        raise Damaged(run_id, "its barriers", f"{len(rows)} are left of {found.fields[b'barriers'].decode()}")
    return rows


def _bodies(run_id: str, found: _Found, limit: int = _ALL) -> tuple[list[bytes], int]:
    """The commits that a script has found, and the last seq behind which others may follow; raises `Damaged`."""
    behind, *commits = found.commits
    entries = read_entries(run_id, commits)
    last = max(int(behind), found.row.first - 1)  # those that stand alone in front of it need not be there
    for entry in entries:
        if entry.seq >= found.row.first:
            if entry.seq != last + 1:
                raise Damaged(run_id, f"commit {last + 1}", "it has vanished")
            last = entry.seq
    if entries and entries[-1].seq < found.row.first:
        last = entries[-1].seq
    elif not entries and limit > 0 and last < found.row.seq:
        raise Damaged(run_id, f"commit {last + 1}", "it has vanished")
    return [entry.body for entry in entries], last
