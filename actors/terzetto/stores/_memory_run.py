"""A run as the store in memory keeps it while somebody is at work on it."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from terzetto_protocol.records import BarrierRow, RunHeader, RunRow, Write
from terzetto_protocol.step_commit import StepCommit

from ._verdict import is_closed

Kept: TypeAlias = tuple[int, int, float, bytes]
"""Epoch, last event id, time and body of a commit."""


_NONE: Final[Mapping[int, Kept]] = {}


class KeptRun:
    """Its commits are kept one by one: appending one is all that an everyday commit costs."""

    __slots__ = (
        "alone",
        "barriers",
        "before",
        "code",
        "epoch",
        "header",
        "log",
        "message",
        "snapshots",
        "status",
        "timer",
    )

    def __init__(self, header: RunHeader, first: Write) -> None:
        self.header = header
        self.log: list[Kept | StepCommit] = [(first.epoch, first.event_id, first.at, first.body)]
        self.before = 0
        """The commits up to here are gone, but those that stand alone."""
        self.alone: Mapping[int, Kept] = _NONE
        """Those in front of that which stand alone."""
        self.snapshots: list[tuple[int, bytes]] = []
        self.barriers: dict[str, tuple[int, BarrierRow]] = {}
        """Each with its number among all of the store."""
        self.move(first)

    def move(self, write: Write) -> None:
        """Note what a write says about the run's row."""
        self.status, self.epoch = write.status, write.epoch
        self.code, self.message, self.timer = write.code, write.message, write.timer

    def row(self) -> RunRow:
        """The run as it is listed."""
        _, event_id, at, _ = kept(self.log[-1])
        return RunRow(
            self.header, self.status, self.epoch, self.last, event_id, at,
            self.code, self.message, self.timer, self.before + 1,
        )  # fmt: skip

    @property
    def last(self) -> int:
        """Seq of its last commit."""
        return self.before + len(self.log)

    def stored(self, seq: int) -> tuple[int, bytes] | None:
        """Epoch and body of a commit, if it is there."""
        if not self.before < seq <= self.last:
            return None
        epoch, _, _, body = kept(self.log[seq - 1 - self.before])
        return epoch, body

    def after(self, seq: int, limit: int | None = None) -> list[Kept]:
        """The commits that are left after `seq`, or the first ones of them."""
        alone = [each for number, each in self.alone.items() if number > seq] if self.alone else []
        return self._some(alone, max(0, seq - self.before), limit)

    def told_after(self, event_id: int, limit: int | None = None) -> list[Kept]:
        """The commits whose last event comes after this one, or the first ones of them: along a log ids never fall."""
        alone = [each for each in self.alone.values() if each[1] > event_id]
        return self._some(alone, bisect_right(self.log, event_id, key=_last_event), limit)

    def _some(self, alone: list[Kept], first: int, limit: int | None) -> list[Kept]:
        """These, and those of the log from a place on, as far as they are asked for."""
        some = alone if limit is None else alone[: max(limit, 0)]
        end = None if limit is None else first + max(limit, 0) - len(some)
        log = [each if type(each) is tuple else kept(each) for each in self.log[first:end]]
        self.log[first:end] = log  # encoded once
        return some + log if some else log

    def left(self) -> int:
        """How many commits are left."""
        return len(self.log) + len(self.alone)

    def rows(self) -> Iterable[BarrierRow]:
        """Its barriers, in order of opening."""
        return (row for _, row in self.barriers.values())

    def prune(self, before: int, keep: Collection[int], closed_before: float) -> int:
        """Forget what is in front of the newest snapshot by `before`, and say how many commits are gone by it."""
        cut = max((seq for seq, _ in self.snapshots if seq <= before), default=None)
        if cut is None:
            return 0
        left = self.left()
        self._cut(cut, keep)
        self.barriers = {key: each for key, each in self.barriers.items() if not is_closed(each[1], closed_before)}
        return left - self.left()

    def _cut(self, cut: int, keep: Collection[int]) -> None:
        seqs = {seq for seq, _ in self.snapshots if seq >= cut or seq in keep}
        more = {seq: kept(self.log[seq - 1 - self.before]) for seq in sorted(seqs) if self.before < seq < cut}
        self.alone = {seq: each for seq, each in self.alone.items() if seq in seqs} | more
        del self.log[: max(0, cut - 1 - self.before)]
        self.before = max(self.before, cut - 1)
        self.snapshots = [each for each in self.snapshots if each[0] in seqs]

    def age(self) -> tuple[float, str]:
        """What runs are listed by: the time of the submit, then the id."""
        return self.header.at, self.header.run_id


def _last_event(commit: Kept | StepCommit) -> int:
    return commit.id if isinstance(commit, StepCommit) else commit[1]


def kept(commit: Kept | StepCommit) -> Kept:
    """A commit as everybody reads it."""
    return commit.kept if isinstance(commit, StepCommit) else commit
