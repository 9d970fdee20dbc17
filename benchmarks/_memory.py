"""What a run weighs that waits, for a person or inside a node, measured in fresh processes."""

from functools import cache, partial

from ._contest import Bar, Contest, Limit, Opponent
from ._process import say
from ._resident import LIVE, RAW
from ._setting import Setting
from ._states import Tally
from ._waiting import parked_graph
from .limits import _waiting as limits

PARKED, LIVING, ALL = 512.0, 3 * 1024.0, 100e6
"""Bytes: of a parked run without its encoded state, of a live one, and of a process with all parked ones."""
_STANDS = "it stands still"
_PACKED_AT_LEAST = 20_000
"""Packed runs of which one is weighed: fewer may find room in what the process has."""
_TASK = "a Trio task in sleep_forever that holds such a state"


def contests(setting: Setting) -> list[Contest]:
    """`parked_memory`, `parked_sqlite`, `parked_all` and `live` (G5b)."""
    return [
        _parked(setting, "memory"),
        _parked(setting, "sqlite"),
        Contest(
            goal="G5b",
            name="parked_all",
            work=f"resident memory of a process in which {setting.sizes.parked:,} runs are parked on memory",
            unit="bytes",
            ours=partial(_in_all, "memory", setting),
            opponents=[Opponent("the limit", lambda: ALL, f"100 MB for 100,000 runs; {_STANDS}", Bar(1.0))],
            better="less",
            rounds=1,
            limit=Limit(lambda: _raw_figures("parked", setting.sizes.parked)[1], limits.PARKED),
        ),
        _live(setting),
    ]


def _parked(setting: Setting, kind: str) -> Contest:
    return Contest(
        goal="G5b",
        name=f"parked_{kind}",
        work=f"resident memory of {setting.sizes.parked:,} runs parked at a barrier on {kind}, "
        f"per run, without its encoded state ({state_bytes()} bytes)",
        unit="bytes/run",
        ours=partial(_per_parked, kind, setting),
        opponents=[
            Opponent("the limit", lambda: PARKED, f"0.5 KB; {_STANDS}", Bar(1.0, 0.6)),
            Opponent("raw Trio", partial(_per_run, RAW, setting.sizes.live, setting.folder), _TASK),
        ],
        better="less",
        rounds=1,
        limit=Limit(_packed, limits.PARKED) if kind == "memory" else None,
    )


def _live(setting: Setting) -> Contest:
    count = setting.sizes.live
    return Contest(
        goal="G5b",
        name="live",
        work=f"resident memory of {count:,} runs on memory that wait inside a node, per run, state and task included",
        unit="bytes/run",
        ours=partial(_per_run, LIVE, count, setting.folder),
        opponents=[
            Opponent("the limit", lambda: LIVING, f"3 KB; {_STANDS}", Bar(1.0, 0.67)),
            Opponent("raw Trio", partial(_per_run, RAW, count, setting.folder), _TASK),
        ],
        better="less",
        rounds=1,
        limit=Limit(lambda: _raw_figures("live", count)[0] / count, limits.LIVE),
    )


@cache
def state_bytes() -> int:
    """The encoded state of a run."""
    return len(parked_graph().build().state.pack(Tally()))


def _per_parked(kind: str, setting: Setting) -> float:
    return _per_run(kind, setting.sizes.parked, setting.folder) - state_bytes()


def _per_run(kind: str, count: int, folder: str | None) -> float:
    return _figures(kind, count, folder)[0] / count


def _in_all(kind: str, setting: Setting) -> float:
    return _figures(kind, setting.sizes.parked, setting.folder)[1]


@cache
def _figures(kind: str, count: int, folder: str | None) -> tuple[int, int]:
    place = [] if folder is None else [folder]
    grown, total = say("-m", "benchmarks._resident", kind, str(count), *place).split()
    return int(grown), int(total)


def _packed() -> float:
    return _raw_figures("parked", _PACKED_AT_LEAST)[0] / _PACKED_AT_LEAST - state_bytes()


@cache
def _raw_figures(kind: str, count: int) -> tuple[int, int]:
    grown, total = say("-m", "benchmarks.limits._resident", kind, str(count)).split()
    return int(grown), int(total)
