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
    fans: int = 20
    """Fan-outs of a run, one after the other."""
    branches: int = 100
    """Branches of each of them."""
    history: int = 10_000
    """Steps of a run whose state grows with each; a multiple of 10."""
    sleepers: int = 1_000
    """Tasks or runs that are cancelled."""
    few: int = 10_000
    """Parked runs, once few and once many."""
    many: int = 50_000
    processes: int = 5
    """Fresh processes in a round."""


FULL: Final = Sizes()
QUICK: Final = Sizes(
    chain=500,
    rows=10,
    ahead=300,
    runs=20,
    steps=3,
    fans=2,
    branches=10,
    history=400,
    sleepers=50,
    few=100,
    many=600,
    processes=1,
)
