"""A contest: the same work done by Terzetto and by a raw loop, and what came of it."""

from collections.abc import Callable
from statistics import median
from typing import Literal

from msgspec import Struct

Measure = Callable[[], float]
"""Does the work once and says how fast, how long or how large."""


class Contest(Struct, frozen=True):
    """Two ways to do one piece of work."""

    name: str
    work: str
    unit: str
    ours: Measure
    raw: Measure
    against: str
    """What the raw side does."""
    better: Literal["more", "less"] = "more"
    aim: float | None = None
    """What the ratio (or with `aim_of` our own figure) should reach; None where nothing was promised."""
    aim_of: Literal["ratio", "ours"] = "ratio"
    turns: int = 1
    """Pairs of measurements in a round: short works take several."""
    rounds: int | None = None
    """Rounds at most, for works that take long and vary little."""


class Turn(Struct, frozen=True):
    """One pair of measurements, of the same moment."""

    ours: float
    raw: float

    @property
    def ratio(self) -> float:
        """Ours to raw."""
        return self.ours / self.raw


class Row(Struct, frozen=True):
    """What came of a contest."""

    name: str
    work: str
    unit: str
    ours: float
    against: float
    against_what: str
    ratio: float
    """Median of the turns' ratios, which is not the ratio of the two medians."""
    min: float
    max: float
    ratios: list[float]
    """Turn by turn."""
    better: str
    aim: float | None
    aim_of: str
    met: bool | None


def row_of(contest: Contest, turns: list[Turn]) -> Row:
    """Sum up the turns of a contest."""
    ratios = [_short(turn.ratio) for turn in turns]
    ours, ratio = median(turn.ours for turn in turns), median(ratios)
    return Row(
        name=contest.name,
        work=contest.work,
        unit=contest.unit,
        ours=_short(ours),
        against=_short(median(turn.raw for turn in turns)),
        against_what=contest.against,
        ratio=ratio,
        min=min(ratios),
        max=max(ratios),
        ratios=ratios,
        better=contest.better,
        aim=contest.aim,
        aim_of=contest.aim_of,
        met=_met(contest, ratio if contest.aim_of == "ratio" else ours),
    )


def _met(contest: Contest, reached: float) -> bool | None:
    if contest.aim is None:
        return None
    return reached >= contest.aim if contest.better == "more" else reached <= contest.aim


def _short(figure: float) -> float:
    return float(f"{figure:.4g}")
