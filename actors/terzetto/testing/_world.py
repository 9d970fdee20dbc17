"""The world outside of a simulation: it counts what the nodes do to it, by the key that each effect has."""

from collections import Counter
from collections.abc import Iterable
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any, Final

from terzetto_protocol.blobs import Blob
from terzetto_protocol.context import AnyContext, NodeContext
from terzetto_protocol.errors import BlobDamaged, UnknownBlob, describe
from terzetto_protocol.ids import effect_key
from terzetto_protocol.places import Effects
from terzetto_protocol.port import Visit

if TYPE_CHECKING:
    from ._ledger import Ledger
    from ._life import Life
    from ._trace import Trace

LIFE: Final[ContextVar["Life | None"]] = ContextVar("LIFE", default=None)
"""In which process the code that asks runs."""


class World:
    """What nodes of a simulated graph may touch: it is the same for every process, and survives all of them.

    A dead process does not reach it. A receiver that is told twice under one key does a thing once: `effects` counts
    how often it was told.
    """

    def __init__(self, dice: Random, trace: "Trace", ledger: "Ledger") -> None:
        self.dice: Final = dice
        """For whatever a node leaves to chance."""
        self.effects: Final[Counter[str]] = Counter()
        """How often the world was told of each effect, by its key."""
        self._trace: Final = trace
        self._ledger: Final = ledger

    def effect(self, ctx: AnyContext, effects: Effects = "repeatable", *, what: str = "") -> bool:
        """A visit does something outside; False where that does not arrive: its process is dead, or its claim stale.

        Not a checkpoint. It is checked that the visit may do it: nothing that is durable runs again, a `once` node's
        intent is durable, and whatever led to any other node that is not pure.

        Args:
            ctx: the context of the node that does it, which says it as the first thing that it does.
            effects: what the node is declared as.
            what: shown in the trace.
        """
        life, visit = LIFE.get(), ctx.visit
        if life is None or not life.alive:
            return False
        label = f"{visit.run_id} {visit.path + '/' if visit.path else ''}{visit.node}@{visit.visit}.{visit.attempt}"
        if not self._ledger.fences(visit):
            self._trace.say("world", f"{label} refused: a newer owner was here")
            return False
        self.effects[key_of(visit)] += 1
        self._trace.say("world", f"{label} {effects}{what and ': '}{what}")
        self._ledger.began(visit, effects, frozen=life.frozen)
        return True

    async def reads(self, ctx: NodeContext[Any], blobs: Iterable[Blob]) -> None:
        """A visit reads what its state names: all of it is there, and is what was put. A checkpoint."""
        for blob in blobs:
            try:
                await ctx.blob_bytes(blob)
            except (UnknownBlob, BlobDamaged) as error:
                self._ledger.check(ctx.visit.run_id, fine=False, promise=describe(error))

    def happened(self, ctx: AnyContext) -> bool:
        """Whether the world was told of this visit's effect, for a probe; from now on an older owner's is refused.

        Not a checkpoint.
        """
        return self._ledger.fences(ctx.visit) and self.effects[key_of(ctx.visit)] > 0


def key_of(visit: Visit) -> str:
    """The idempotency key of a visit, as its context has it."""
    return effect_key(visit.run_id, visit.path, visit.visit)
