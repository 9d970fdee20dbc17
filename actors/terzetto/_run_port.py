"""What the contexts of one run's bodies say to it."""

from typing import TYPE_CHECKING, Any, Final

from terzetto_protocol.blobs import BlobKeeper
from terzetto_protocol.decisions import Answering
from terzetto_protocol.port import Limit
from terzetto_protocol.questions import AskDecision, Inner, Part, Sending
from terzetto_protocol.state import Vocabulary

if TYPE_CHECKING:
    from ._carrying import Carrying


class RunPort:
    """The port of the bodies of one graph in a run; most of them say nothing but what they record.

    Args:
        run: who hears it.
        vocabulary: the mutations that bodies of this graph may record.
    """

    __slots__ = ("_run", "emit", "pack")

    def __init__(self, run: "Carrying", vocabulary: Vocabulary[Any]) -> None:
        self._run: Final = run
        self.pack: Final = vocabulary.record if run.machine.logged else vocabulary.keep
        self.emit: Final = run.emit

    @property
    def blobs(self) -> BlobKeeper:
        """Where the run's blobs are."""
        return self._run.blobs

    def is_cancelled(self) -> bool:
        """Whether the run is being cancelled. Not a checkpoint."""
        return self._run.machine.cancelling

    def beat(self) -> None:
        """Nobody waits for a sign of life. Not a checkpoint."""

    async def decide(self, visit: int, question: AskDecision) -> Answering:
        """Wait for a decision. A checkpoint."""
        return await self._run.questions.decide(visit, question)

    async def do(self, visit: int, part: Part) -> Any:
        """Do a part of a visit's work, unless its result is known. A checkpoint."""
        return await self._run.questions.do(visit, part)

    async def run(self, visit: int, inner: Inner) -> Any:
        """Run a graph within a visit. A checkpoint."""
        return await self._run.questions.run(visit, inner)

    async def send(self, visit: int, sending: Sending) -> None:
        """Send a value on behalf of a visit. A checkpoint."""
        await self._run.questions.send(visit, sending)

    def limit(self, visit: int, limit: Limit | None) -> None:
        """Note who knows when a visit's time is over. Not a checkpoint."""
        self._run.bodies.limit(visit, limit)
