"""What readers are shown of a run that somebody else has carried meanwhile (SEMANTICS 8.2, 11)."""

import pytest
import trio

import terzetto
from terzetto import Approve
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import Refused

from .runtimes import Tally, opened, parked


def gate():
    graph = terzetto.Graph("gate", state=Tally)
    graph.start(graph.barrier("ask"))
    return graph


async def test_what_another_owner_told_is_not_passed_over(autojump_clock):
    """8.2: who looks at a run and finds that somebody else has moved it knows nothing of what that one told."""
    shelf, graph = MemoryStore(), gate()
    async with opened(shelf, graph) as one, opened(shelf, graph) as other:
        run = await parked(one, graph, "r")
        async with other.get("r").events() as events:
            while not isinstance(await anext(events), terzetto.BarrierOpened):
                pass
            await run.pause()
            with pytest.raises(Refused):
                await other.get("r").decide("ask", Approve())
            await other.get("r").resume()
            told = [type(await anext(events)).__name__ for _ in range(3)]
            assert ["Gap", "RunPaused", "RunQueued"] == told
            await trio.testing.wait_all_tasks_blocked()
