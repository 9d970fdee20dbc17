"""Runs that wait for somebody, or have ended: each is one piece of bytes until it is asked for.

The pieces are so small because runs are alike: each is packed as what is new in it beside the first one that rested in
the same status.
"""

import zlib
from collections.abc import Collection, Iterator
from struct import Struct as Layout
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from terzetto_protocol.records import BarrierRow, RunHeader
from terzetto_protocol.scribe import RESTING
from terzetto_protocol.statuses import PARKED, TERMINAL, BarrierStatus, RunStatus

from ._memory_run import Kept, KeptRun

PACKED_PIECES: Final = 64
"""Commits, snapshots and barriers of a run up to which it is packed: more would take longer than it is worth."""
PACKED_BYTES: Final = 4096
"""Bytes of them, likewise."""

# A window of 4 KB reaches back over the sample, and is set up in half of the time that one of the usual size takes.
_LEVEL, _WINDOW, _MEMORY = 1, -12, 2
_AGE: Final = Layout(">d")


class _Header(RunHeader, frozen=True, array_like=True):
    """Without the names of its fields."""


class _Barrier(BarrierRow, frozen=True, array_like=True):
    """Without the names of its fields."""


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    snapshots: list[tuple[int, bytes]]
    log: list[Kept]
    before: int
    alone: dict[int, Kept]
    barriers: list[tuple[int, _Barrier]]
    header: _Header
    status: RunStatus
    epoch: int
    code: str
    message: str
    timer: float | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


class RestingRuns:
    """Holds runs as long as nobody writes to them; whoever only looks gets a copy."""

    def __init__(self) -> None:
        self._runs: Final[dict[RunStatus, dict[str, bytes]]] = {status: {} for status in sorted(RESTING)}
        self._samples: Final[dict[RunStatus, bytes]] = {}
        self._last: KeptRun | None = None
        """The one that was packed or looked at last: who asked for it is likely to ask again, or to write to it."""
        self._timers: Final[dict[str, float]] = {}
        """Of those that are parked and have one."""
        self.commits = 0
        """Those that are left of all of them."""

    def __len__(self) -> int:
        return sum(map(len, self._runs.values()))

    def __contains__(self, run_id: str) -> bool:
        return any(run_id in runs for runs in self._runs.values())

    def add(self, run: KeptRun) -> bool:
        """Take a run that rests; False for one that is too heavy, or has ended with a barrier open."""
        if not _is_light(run) or _is_open_at_the_end(run) or len(data := _pack(run)) > 2 * PACKED_BYTES:
            return False
        sample, header = self._samples.setdefault(run.status, data), run.header
        press = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, sample)
        self._runs[run.status][header.run_id] = _AGE.pack(header.at) + press.compress(data) + press.flush()
        if run.timer is not None and run.status in PARKED:
            self._timers[header.run_id] = run.timer
        self.commits += len(run.log)
        self._last = run
        return True

    def take(self, run_id: str) -> KeptRun | None:
        """Give a run back, if it is here."""
        run = self.get(run_id)
        if run is not None:
            del self._runs[run.status][run_id]
            self._timers.pop(run_id, None)
            self._last = None
            self.commits -= len(run.log)
        return run

    def get(self, run_id: str) -> KeptRun | None:
        """A copy of a run, if it is here; not to be changed."""
        if self._last is not None and self._last.header.run_id == run_id:
            return self._last
        for status, runs in self._runs.items():
            if (data := runs.get(run_id)) is not None:
                self._last = self._unpack(status, data)
                return self._last
        return None

    def all(self, statuses: Collection[RunStatus]) -> Iterator[KeptRun]:
        """Copies of those with these statuses."""
        return (self._unpack(status, data) for status in statuses for data in self._runs.get(status, {}).values())

    def ages(self, statuses: Collection[RunStatus]) -> Iterator[tuple[float, str]]:
        """What they are listed by, without a look at more of them."""
        for status in statuses:
            for run_id, data in self._runs.get(status, {}).items():
                yield _AGE.unpack_from(data)[0], run_id

    def timers(self) -> list[tuple[str, float]]:
        """Those that are parked and have a timer, each with that."""
        return list(self._timers.items())

    def _unpack(self, status: RunStatus, data: bytes) -> KeptRun:
        return _unpack(zlib.decompressobj(_WINDOW, self._samples[status]).decompress(data[_AGE.size :]))


def _is_light(run: KeptRun) -> bool:
    if run.left() + len(run.snapshots) + len(run.barriers) > PACKED_PIECES:
        return False
    size = 0
    for _, data in run.snapshots:
        size += len(data)
    for *_, body in run.after(0):
        size += len(body)
    return size <= PACKED_BYTES


def _is_open_at_the_end(run: KeptRun) -> bool:
    """Not the case in a run of ours: so whoever asks for open barriers need not look at the runs that have ended."""
    return run.status in TERMINAL and any(row.status is BarrierStatus.OPEN for row in run.rows())


def _pack(run: KeptRun) -> bytes:
    barriers = [(number, astuple(row)) for number, row in run.barriers.values()]
    parts: list[Any] = [run.snapshots, run.after(run.before), run.before, run.alone, barriers, astuple(run.header)]
    return _encode([*parts, run.status, run.epoch, run.code, run.message, run.timer])


def _unpack(data: bytes) -> KeptRun:
    packed = _decode(data)
    run = KeptRun.__new__(KeptRun)
    run.snapshots, run.before, run.alone = packed.snapshots, packed.before, packed.alone
    run.log = [*packed.log]
    run.barriers = {row.barrier: (number, BarrierRow(*astuple(row))) for number, row in packed.barriers}
    run.header = RunHeader(*astuple(packed.header))
    run.status, run.epoch = packed.status, packed.epoch
    run.code, run.message, run.timer = packed.code, packed.message, packed.timer
    return run
