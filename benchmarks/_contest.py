"""A contest: the same work done by Terzetto and by others, and what came of it."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Measure = Callable[[], float]
"""Does the work once and says how fast, how long or how large."""
Better = Literal["more", "less"]


class Bar(Struct, frozen=True):
    """What was promised of a ratio."""

    target: float
    aim: float | None = None


class Opponent(Struct, frozen=True):
    """Somebody else who does the work, or a limit that stands still."""

    name: str
    measure: Measure
    how: str
    """What this side does."""
    bar: Bar | None = None
    """None where nothing was promised."""
    is_peer: bool = False


class Limit(Struct, frozen=True):
    """A raw loop without any code of ours that does what nobody can leave out who keeps the same promises."""

    measure: Measure
    how: str
    """What it does, and what for."""
    beside: str = ""
    """The one opponent beside whom it says something; empty for all."""


class Contest(Struct, frozen=True):
    """One piece of work, and all who do it."""

    name: str
    work: str
    unit: str
    ours: Measure
    opponents: Sequence[Opponent]
    goal: str = ""
    """Its id in the table of goals; empty where nothing was promised."""
    better: Better = "more"
    fastest: Bar | None = None
    """What was promised beside the fastest of the peers, whichever that is in a turn."""
    turns: int = 1
    """Turns in a round: short works take several."""
    rounds: int | None = None
    """Rounds at most, for works that take long and vary little; such works have no warm-up."""
    limit: Limit | None = None
    """How far anybody could come."""
    missing: str = ""
    """What it takes and is not installed, and how to get it; empty where all is there."""


class Turn(Struct, frozen=True):
    """One measurement of everybody, of the same moment."""

    ours: float
    others: dict[str, float]
    """By name; who failed is missing."""
    limit: float | None = None


class Row(Struct, frozen=True):
    """What came of a contest with one opponent."""

    goal: str
    name: str
    work: str
    unit: str
    opponent: str
    how: str
    ours: float
    against: float
    ratio: float
    """Ours to theirs: median of the turns' ratios, which is not the ratio of the two medians."""
    low: float
    high: float
    turns: int
    ratios: list[float]
    """Turn by turn."""
    better: Better
    target: float | None
    aim: float | None
    met: bool | None
    limit: float | None = None
    """What a raw loop reaches that does only the unavoidable part of the work."""
    of_limit: float | None = None
    """How much of that is reached: ours to the limit, or the limit to ours where less is better."""
    limit_ratio: float | None = None
    """The limit's own ratio to the opponent; beside `target` it says how far anybody could come."""
    limit_meets: bool | None = None
    """Whether the limit itself reaches the target: where it does, the rest of the way is ours."""
    limit_shown: bool = False
    """Whether the target is missed and the limit stands beside it."""
    limit_how: str = ""


def rows_of(contest: Contest, turns: Sequence[Turn]) -> list[Row]:
    """Sum up the turns of a contest: a row for each opponent who was measured."""
    opponents = [*contest.opponents, *_fastest(contest)]
    peers = [opponent.name for opponent in contest.opponents if opponent.is_peer]
    met = [_with_fastest(turn, peers, contest.better) for turn in turns]
    return [row for opponent in opponents if (row := _row(contest, opponent, met)) is not None]


FASTEST = "the fastest peer"


def _fastest(contest: Contest) -> list[Opponent]:
    if contest.fastest is None:
        return []
    return [Opponent(FASTEST, lambda: 0.0, "whoever of the peers was the fastest in that turn", contest.fastest)]


def _with_fastest(turn: Turn, peers: Sequence[str], better: Better) -> Turn:
    figures = [turn.others[name] for name in peers if name in turn.others]
    if not figures:
        return turn
    best = max(figures) if better == "more" else min(figures)
    return replace(turn, others=turn.others | {FASTEST: best})


def _row(contest: Contest, opponent: Opponent, turns: Sequence[Turn]) -> Row | None:
    pairs = [(turn.ours, turn.others[opponent.name]) for turn in turns if opponent.name in turn.others]
    if not pairs:
        return None
    ratios = [_short(ours / theirs) for ours, theirs in pairs]
    ratio, bar = median(ratios), opponent.bar
    row = Row(
        goal=contest.goal,
        name=contest.name,
        work=contest.work,
        unit=contest.unit,
        opponent=opponent.name,
        how=opponent.how,
        ours=_short(median(ours for ours, _ in pairs)),
        against=_short(median(theirs for _, theirs in pairs)),
        ratio=ratio,
        low=min(ratios),
        high=max(ratios),
        turns=len(ratios),
        ratios=ratios,
        better=contest.better,
        target=None if bar is None else bar.target,
        aim=None if bar is None else bar.aim,
        met=None if bar is None else reaches(ratio, bar.target, contest.better),
    )
    return _with_limit(row, contest, [turn for turn in turns if opponent.name in turn.others])


def _with_limit(row: Row, contest: Contest, turns: Sequence[Turn]) -> Row:
    """The same row, and how far anybody could come where that is known."""
    limit = contest.limit
    found = [(turn.ours, turn.limit, turn.others[row.opponent]) for turn in turns if turn.limit is not None]
    if limit is None or limit.beside not in ("", row.opponent) or not found:
        return row
    ratio, more = _short(median(at / theirs for _, at, theirs in found)), contest.better == "more"
    return replace(
        row,
        limit=_short(median(at for _, at, _ in found)),
        of_limit=_short(median(ours / at if more else at / ours for ours, at, _ in found)),
        limit_ratio=ratio,
        limit_meets=None if row.target is None else reaches(ratio, row.target, contest.better),
        limit_shown=row.met is False,
        limit_how=limit.how,
    )


def reaches(ratio: float, bound: float, better: Better) -> bool:
    """Whether a ratio is as good as it should be."""
    return ratio >= bound if better == "more" else ratio <= bound


def _short(figure: float) -> float:
    return float(f"{figure:.4g}")
