"""What a parked run weighs, beside a Trio task that sleeps with the same state."""

from functools import cache, partial

from ._contest import Contest
from ._parked import RAW
from ._process import say
from ._sizes import Sizes
from ._work import Tally, chain_graph

AIM = 2048.0
"""Bytes."""


def contests(sizes: Sizes, folder: str | None) -> list[Contest]:
    """`paused_memory_few`, `paused_memory_many`, `paused_sqlite_few` and `paused_sqlite_many`.

    What does not grow with the runs (such as the events of the last ones) weighs on the few.
    """
    counts = {"few": sizes.few, "many": sizes.many}
    return [_contest(kind, name, counts[name], folder) for kind in ("memory", "sqlite") for name in counts]


def _contest(kind: str, name: str, count: int, folder: str | None) -> Contest:
    return Contest(
        name=f"paused_{kind}_{name}",
        work=f"resident memory of {count} runs parked at a barrier on {kind}, "
        f"per run, without its encoded state ({state_bytes()} bytes)",
        unit="bytes/run",
        ours=partial(_per_run, kind, count, folder),
        raw=partial(_per_run, RAW, count, folder),
        against="a Trio task in sleep_forever that holds such a state",
        better="less",
        aim=AIM,
        aim_of="ours",
        rounds=2,
    )


@cache
def state_bytes() -> int:
    """The encoded state of a run of the chain."""
    return len(chain_graph().build().state.pack(Tally()))


def _per_run(kind: str, count: int, folder: str | None) -> float:
    place = [] if folder is None else [folder]
    grown = int(say("-m", "benchmarks._parked", kind, str(count), *place))
    return grown / count - state_bytes()
