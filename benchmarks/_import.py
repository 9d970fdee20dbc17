"""What it costs to be imported, in time and in modules."""

from functools import partial

from ._contest import Contest
from ._process import say
from ._sizes import Sizes

_OURS = "import terzetto"
_RAW = "import trio, msgspec"
_CHILD = """
from time import perf_counter
began = perf_counter()
{}
took = perf_counter() - began
import sys
print(took * 1e3, len(sys.modules))
"""


def contests(sizes: Sizes) -> list[Contest]:
    """`import` and `modules`."""
    return [
        Contest(
            name="import",
            work=f"{_OURS} in a fresh process, the start of the interpreter not counted",
            unit="ms",
            ours=partial(_figure, _OURS, 0),
            raw=partial(_figure, _RAW, 0),
            against=_RAW,
            better="less",
            aim=1.5,
            turns=sizes.processes,
        ),
        Contest(
            name="modules",
            work=f"modules in memory after {_OURS}",
            unit="modules",
            ours=partial(_figure, _OURS, 1),
            raw=partial(_figure, _RAW, 1),
            against=_RAW,
            better="less",
            rounds=1,
        ),
    ]


def _figure(statement: str, place: int) -> float:
    return float(say("-c", _CHILD.format(statement)).split()[place])
