"""The list of runs on a screen: newest first, filtered, with one that is selected and stays so while others come."""

from collections.abc import Iterable
from typing import Final

from .sayings import count
from .statuses import TERMINAL, RunStatus
from .views import RunLine
from .wire import Changed

_DEAF: Final = TERMINAL | {RunStatus.PAUSED, RunStatus.CANCELLING}
KEPT: Final = 20_000
"""Runs that a screen lists at most: the newest."""


class RunList:
    """All runs that were told of."""

    def __init__(self) -> None:
        self._lines: Final[dict[str, RunLine]] = {}
        self._shown: list[RunLine] | None = []
        self._seen: set[str] | None = None
        """Runs that were told of since listing began anew; None when it has ended."""
        self._gone: set[str] = set()
        """Runs that were deleted since then: a page may be older than that."""
        self._at = 0
        """Where the selected run was when it was looked for last."""
        self.filter = ""
        self.selected = ""
        """Its id; empty while no run is shown."""
        self._wanted = ""
        """A run that is selected as soon as it is listed."""
        self.whole = False
        """Whether all were listed by now."""

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, run_id: str) -> RunLine | None:
        return self._lines.get(run_id)

    @property
    def shown(self) -> list[RunLine]:
        """Those that the filter lets through, newest first."""
        if self._shown is None:
            words = self.filter.casefold().split()
            found = [line for line in self._lines.values() if _has(line, words)]
            self._shown = sorted(found, key=lambda line: (line.submitted, line.run_id), reverse=True)
        return self._shown

    @property
    def at(self) -> int:
        """Where the selected run is among those shown."""
        shown = self.shown
        if not (self._at < len(shown) and shown[self._at].run_id == self.selected):
            found = next((place for place, line in enumerate(shown) if line.run_id == self.selected), self._at)
            self._at = max(0, min(found, len(shown) - 1))
        return self._at

    @property
    def line(self) -> RunLine | None:
        """The selected run."""
        return self._lines.get(self.selected)

    def said(self) -> str:
        """How many there are, and how many of them wait for a person."""
        waiting = sum(map(waits, self._lines.values()))
        return count(len(self), "run") + (f", {waiting:,} waiting" if waiting else "")

    def listed(self, lines: Iterable[RunLine], *, first: bool, last: bool) -> None:
        """Take a page of the runs; after the last one, those that were told of no more are gone."""
        if first:
            self._seen, self._gone = set(), set()
        for line in lines:
            if line.run_id not in self._gone:
                self._put(line)
        if last and self._seen is not None:
            for run_id in self._lines.keys() - self._seen:
                del self._lines[run_id]
            self._seen, self.whole = None, True
        self._settle()

    def changed(self, changed: Changed) -> None:
        """Take what has changed."""
        for line in changed.runs:
            self._put(line)
        self._gone.difference_update(line.run_id for line in changed.runs)
        for run_id in changed.deleted:
            self._lines.pop(run_id, None)
            if self._seen is not None:
                self._gone.add(run_id)
        self._settle()

    def _put(self, line: RunLine) -> None:
        known = self._lines.get(line.run_id)
        if known is None or _age(known) <= _age(line):
            self._lines[line.run_id] = line  # a page may be older than what was told meanwhile
        if self._seen is not None:
            self._seen.add(line.run_id)

    def _settle(self) -> None:
        """Select the run that was selected, or the one that is in its place."""
        self._shown = None
        if len(self._lines) > KEPT:
            self._forget()
        shown = self.shown
        if self._wanted in self._lines:
            self.selected, self._wanted = self._wanted, ""
        self.selected = shown[self.at].run_id if shown else ""

    def _forget(self) -> None:
        oldest = sorted(self._lines.values(), key=lambda line: line.submitted)
        for line in oldest[: len(self._lines) - KEPT]:
            del self._lines[line.run_id]

    def narrow(self, text: str) -> None:
        """Show only runs that have all of these words in their id, graph, thread or status."""
        self.filter = text
        self._settle()

    def go(self, place: int) -> None:
        """Select the run at this place, or at the nearest that there is."""
        shown = self.shown
        self._at, self._wanted = max(0, min(place, len(shown) - 1)), ""
        self.selected = shown[self._at].run_id if shown else ""

    def select(self, run_id: str) -> None:
        """Select this run now, or as soon as it is listed."""
        self._wanted = run_id
        self._settle()

    def next_waiting(self) -> None:
        """Select the next run that waits for a person, from the top again after the last."""
        shown = self.shown
        for place in [*range(self.at + 1, len(shown)), *range(self.at + 1)]:
            if place < len(shown) and waits(shown[place]):
                self.go(place)
                return


def _age(line: RunLine) -> tuple[float, int, int, float]:
    return line.submitted, line.epoch, line.seq, line.updated


def waits(line: RunLine) -> bool:
    """Whether a decision would be taken now."""
    return bool(line.open_barriers) and line.status not in _DEAF


def _has(line: RunLine, words: list[str]) -> bool:
    if not words:
        return True
    text = f"{line.run_id} {line.graph} {line.thread} {line.status} {line.code}".casefold()
    return all(word in text for word in words)
