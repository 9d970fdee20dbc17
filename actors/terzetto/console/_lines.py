"""Runs as they are listed, with the barriers that are open in them."""

from collections.abc import Sequence
from typing import Final

from terzetto_protocol.records import BarrierRow, RunRow
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.views import RunLine, run_line

from ..stores import Store

_FEW: Final = 32
"""Runs for which barriers are read one by one, instead of those of all runs."""


async def lines_of(store: Store, rows: Sequence[RunRow]) -> list[RunLine]:
    """Rows as they are listed. A checkpoint."""
    may_wait = [row for row in rows if row.status not in TERMINAL and not row.damaged]
    found: dict[str, list[BarrierRow]] = {}
    if len(may_wait) > _FEW:
        for barrier in await store.barriers():
            found.setdefault(barrier.run_id, []).append(barrier)
    else:
        for row in may_wait:
            found[row.run_id] = await store.barriers(row.run_id)
    return [run_line(row, found.get(row.run_id, ())) for row in rows]
