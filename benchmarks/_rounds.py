"""The method: contestants take turns inside one run, because on a shared machine only ratios can be trusted.

A round visits every contest, and in it ours and the raw side follow one another at once, now the one first
and now the other. What drifts from minute to minute (clock, disk, neighbours) then meets both sides of a
ratio alike. Round 0 warms up (caches, byte code, files) and is thrown away.
"""

import gc
from collections.abc import Callable, Sequence

from ._contest import Contest, Measure, Row, Turn, row_of


def play(contests: Sequence[Contest], rounds: int, note: Callable[[str], None]) -> list[Row]:
    """Play all rounds and sum up, in the order of the contests.

    Args:
        contests: what is to be measured.
        rounds: how often, after the warm-up.
        note: told what is under way.
    """
    turns: dict[str, list[Turn]] = {contest.name: [] for contest in contests}
    for number in range(rounds + 1):
        for contest in contests:
            if contest.rounds is None or number <= contest.rounds:
                note(f"round {number} of {rounds}: {contest.name}")
                turns[contest.name] += _take_turns(contest, number)
    return [row_of(contest, turns[contest.name]) for contest in contests]


def _take_turns(contest: Contest, number: int) -> list[Turn]:
    if number == 0:
        if contest.rounds is None:
            _take_turn(contest, ours_first=True)
        return []
    return [_take_turn(contest, ours_first=(number + turn) % 2 == 0) for turn in range(contest.turns)]


def _take_turn(contest: Contest, *, ours_first: bool) -> Turn:
    if ours_first:
        ours = _clean(contest.ours)
        return Turn(ours, _clean(contest.raw))
    raw = _clean(contest.raw)
    return Turn(_clean(contest.ours), raw)


def _clean(measure: Measure) -> float:
    gc.collect()  # nobody pays for what the one before left lying about
    return measure()
