"""What `terzetto.run` needs for a run that has sinks: a log in memory, a hub, and who feeds them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import trio

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import SINK_GRACE
from terzetto_protocol.records import Outcome, Write

from ._feeds import Feeds
from ._history import Past
from ._hub import Hub
from ._sinks import Required, Sink, check_sinks
from .stores._memory import MemoryStore


class Heard:
    """A run whose sinks hear of it, which is why it keeps a log."""

    def __init__(self, blueprint: Blueprint[Any], sinks: Sequence[Sink]) -> None:
        self._sinks: Final = check_sinks(sinks)
        if any(isinstance(sink, Required) for sink in self._sinks):
            raise InvalidRequest("a required sink needs a runtime, which can cancel the run: submit it there")
        self._blueprint: Final = blueprint
        self._log: Final = MemoryStore()
        self.hub: Final = Hub(self._log)
        self._feeds: Final = Feeds(self.hub, self._log, self._load)

    def settle(self, write: Write) -> Outcome:
        """Keep a commit, whose blobs are elsewhere. Not a checkpoint."""
        return self._log.settle(msgspec.structs.replace(write, blobs=()) if write.blobs else write)

    async def live(self, run_id: str, live: Callable[[], Awaitable[None]]) -> None:
        """Have the run live while its sinks are fed, and give these some time when it is over. A checkpoint."""
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            await nursery.start(self._feeds.run)
            self._feeds.attach(run_id, self._sinks)
            try:
                await live()
            except Exception as error:  # noqa: BLE001 - raised again, without a group around it
                failed = error
            await self._feeds.settle(SINK_GRACE)
            nursery.cancel_scope.cancel(reason="the run is over")
        if failed is not None:
            raise failed

    async def _load(self, run_id: str, seq: int) -> Any:
        row = await self._log.run(run_id)
        assert row is not None, "it was stored before anybody heard of it"
        return await Past(self._log, row, self._blueprint).state(seq)
