"""How long to wait before trying a thing again that will probably work later."""

from typing import Final

FIRST: Final = 0.05
"""Seconds before the second try."""
LONGEST: Final = 2.0
"""Seconds between tries at most."""


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures in a row (1 or more): doubling, up to `LONGEST`."""
    return min(LONGEST, FIRST * 2.0 ** min(failures - 1, 16))
