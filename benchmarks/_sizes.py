"""How much work a measurement does: enough to mean something, or with `--quick` just enough to run."""

from typing import Final

from msgspec import Struct


class Sizes(Struct, frozen=True):
    """Counts, each of what its comment says."""

    chain: int = 20_000
    """Steps of a run that touches no disk."""
    rows: int = 200
    """Commits that are synced one by one; a slow disk takes 10 ms for each."""
    ahead: int = 10_000
    """Steps of a run whose pure nodes run ahead of the disk."""
    runs: int = 100
    """Runs at once."""
    steps: int = 50
    """Steps of each of them."""
    sleepers: int = 1_000
    """Tasks or runs that are cancelled."""
    few: int = 10_000
    """Parked runs, once few and once many."""
    many: int = 50_000
    processes: int = 5
    """Fresh processes in a round."""


FULL: Final = Sizes()
QUICK: Final = Sizes(chain=500, rows=10, ahead=300, runs=20, steps=3, sleepers=50, few=100, many=600, processes=1)
