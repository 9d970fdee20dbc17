"""The method: contestants take turns inside one run, because on a shared machine only ratios can be trusted.

A round visits every contest, and in it all contestants follow one another at once, now in one order and now in
the other. What drifts from minute to minute (clock, disk, neighbours) then meets both sides of a ratio alike.
Round 0 warms up (caches, byte code, files) and is thrown away.
"""

import gc
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from ._contest import Contest, Opponent, Row, Turn, rows_of
from ._process import ChildFailed

Note = Callable[[str], None]
_OURS, _LIMIT = "ours", "the raw limit of the work"


def play(contests: Sequence[Contest], rounds: int, note: Note) -> list[Row]:
    """Play all rounds and sum up, in the order of the contests.

    Args:
        contests: what is to be measured.
        rounds: how often, after the warm-up.
        note: told what is under way, and which peer cannot do its work: that one is left out from then on.
    """
    table = _Table(note)
    with _frozen():
        for number in range(rounds + 1):
            for contest in contests:
                if contest.rounds is None or 0 < number <= contest.rounds:
                    note(f"round {number} of {rounds}: {contest.name}")
                    table.take_turns(contest, number)
    return [row for contest in contests for row in rows_of(contest, table.turns.get(contest.name, []))]


@contextmanager
def _frozen() -> Generator[None, None, None]:
    """What was imported by now is nobody's to look through: the garbage collector leaves it alone."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Table:
    def __init__(self, note: Note) -> None:
        self._note = note
        self._failed: set[tuple[str, str]] = set()
        self.turns: dict[str, list[Turn]] = {}

    def take_turns(self, contest: Contest, number: int) -> None:
        turns = list[Turn]()
        for turn in range(contest.turns if number else 1):
            try:
                turns.append(self._take_turn(contest, number + turn))
            except ChildFailed as error:  # what others have come to meanwhile is not to be lost
                self._note(f"{contest.name}: a turn is left out: {one_line(error)}")
        if number:
            self.turns.setdefault(contest.name, []).extend(turns)

    def _take_turn(self, contest: Contest, number: int) -> Turn:
        limit = [] if contest.limit is None else [Opponent(_LIMIT, contest.limit.measure, contest.limit.how)]
        order = [Opponent(_OURS, contest.ours, contest.work), *limit, *contest.opponents]
        figures = dict[str, float]()
        for each in order if number % 2 else reversed(order):
            gc.collect()  # nobody pays for what the one before left lying about
            if (figure := self._measure(contest, each)) is not None:
                figures[each.name] = figure
        ours, at = figures.pop(_OURS), figures.pop(_LIMIT, None)
        return Turn(ours, figures, at)

    def _measure(self, contest: Contest, opponent: Opponent) -> float | None:
        if not opponent.is_peer:
            return opponent.measure()
        if (contest.name, opponent.name) in self._failed:
            return None
        try:
            return opponent.measure()
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, the others go on
            self._failed.add((contest.name, opponent.name))
            self._note(f"{contest.name}: {opponent.name} is left out: {one_line(error)}")
            return None


def one_line(error: BaseException) -> str:
    """An error as a sentence."""
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]
